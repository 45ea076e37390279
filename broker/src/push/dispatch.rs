//! Pushes the messages of one group: one task for each group that has workers.
//!
//! It is a consumer of the group like any other, an open stream, so that what it has out goes to
//! others when it ends. It leases no more than its workers take at this moment, and deals what it
//! got round over those that are not paused, have a free slot and whose gate lets something through.
//! What nobody takes after all is given back, unseen. So a worker that is down or slow holds up
//! nothing that another could take.
//!
//! It ends when its last worker was removed, or the broker drains: after what is out has come back.

use super::bytes_out::BytesOut;
use super::gate::Pass;
use super::registrations::Place;
use super::settling::{release, settle};
use super::tally;
use super::task::{Outcome, Task};
use super::worker::{Turns, Worker};
use crate::broker::{Broker, BrokerError, LeasedMessage};
use crate::group::{Consumer, GroupClient, GroupClosed, LeaseRequest, OpenStream};
use crate::topic::Topic;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_protocol::Receipt;
use weir_service::clock::Clock;

/// Messages that one lease takes at most.
const LEASE_MESSAGES: u32 = 256;
/// Messages whose fate is on its way to the disk; beyond, no more are leased.
const MAX_SETTLING: usize = 1024;
/// How long one lease waits for a first message.
const LEASE_WAIT: Duration = Duration::from_secs(30);
/// How much longer a lease lasts than its worker may take, so that the worker's time ends first.
const LEASE_MARGIN: Duration = Duration::from_secs(5);
/// The clock may be turned: never sleep longer on what it said.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// How long a group that cannot be used is left alone.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The workers of a group.
pub(crate) type Roster = Arc<[Arc<Worker>]>;

/// The group that messages are pushed from, joined.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) topic: Arc<Topic>,
    pub(crate) client: GroupClient,
    pub(crate) open: OpenStream,
}

/// Pushes the messages of one group; see [`Dispatcher::run`].
pub(crate) struct Dispatcher {
    pub(crate) place: Place,
    pub(crate) broker: Broker,
    pub(crate) clock: Clock,
    /// Its sender is dropped when nobody is left.
    pub(crate) roster: watch::Receiver<Roster>,
    /// Notified when a gate may let more through.
    pub(crate) wake: Arc<Notify>,
    /// Whether the group is made if it does not exist: else it was deleted, and its workers go, too.
    pub(crate) makes_group: bool,
    pub(crate) draining: CancellationToken,
    pub(crate) stop: CancellationToken,
}

impl Dispatcher {
    /// Runs until nobody is left or the broker drains, and what is out has come back; until the
    /// broker stops at the latest.
    pub(crate) async fn run(self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.serve() => {}
        }
    }

    async fn serve(mut self) {
        while self.is_wanted() {
            match self.broker.push_source(&self.place, self.makes_group).await {
                Ok(source) => self = Shift::new(self, source).work().await,
                Err(error) => self.lacks_group(&error).await,
            }
        }
    }

    fn is_wanted(&self) -> bool {
        self.roster.has_changed().is_ok() && !self.draining.is_cancelled()
    }

    async fn lacks_group(&mut self, error: &BrokerError) {
        let Place { topic, group } = &self.place;
        // Backends are no registrations: their numbers are other workers'.
        if is_deleted(error) && !self.makes_group {
            let roster = self.roster.borrow().clone();
            let gone: Vec<_> = roster.iter().map(|w| w.registration.id).collect();
            self.broker.forget_workers(gone).await;
        } else if !self.draining.is_cancelled() {
            tracing::warn!(%topic, %group, %error, "cannot push; it is tried again");
        }
        tokio::select! {
            () = self.draining.cancelled() => {}
            _ = self.roster.changed() => {}
            () = tokio::time::sleep(REST_AFTER_FAILURE) => {}
        }
    }
}

fn is_deleted(error: &BrokerError) -> bool {
    matches!(
        error,
        BrokerError::UnknownTopic { .. } | BrokerError::UnknownGroup { .. }
    )
}

type Lease = BoxFuture<'static, Result<Result<Vec<LeasedMessage>, BrokerError>, GroupClosed>>;

/// What workers take at one moment.
#[derive(Default)]
struct Demand {
    messages: u32,
    bytes: usize,
}

/// A delivery that has ended.
struct Ended {
    worker: Arc<Worker>,
    pass: Pass,
    receipt: Receipt,
    bytes: usize,
    outcome: Outcome,
}

/// One stay in the group: from joining it until it ends, or the dispatcher does.
struct Shift {
    dispatcher: Dispatcher,
    source: Source,
    turns: Turns,
    lease: Option<Lease>,
    /// How long what is being leased stays ours.
    leased_for: Duration,
    deliveries: FuturesUnordered<BoxFuture<'static, Ended>>,
    settling: FuturesUnordered<BoxFuture<'static, ()>>,
    bytes_out: BytesOut,
    /// Nothing is leased before: the group failed.
    rests_until: Instant,
    /// Nothing new is begun.
    is_finishing: bool,
}

impl Shift {
    fn new(dispatcher: Dispatcher, source: Source) -> Self {
        Self {
            dispatcher,
            source,
            turns: Turns::default(),
            lease: None,
            leased_for: Duration::ZERO,
            deliveries: FuturesUnordered::new(),
            settling: FuturesUnordered::new(),
            bytes_out: BytesOut::default(),
            rests_until: Instant::now(),
            is_finishing: false,
        }
    }

    /// Works until the group is gone, or everything that is out has come back after the last worker
    /// went or the broker began to drain.
    async fn work(mut self) -> Dispatcher {
        let (draining, wake) = (
            self.dispatcher.draining.clone(),
            self.dispatcher.wake.clone(),
        );
        while !self.is_over() {
            self.lease_more();
            let wake_at = self.next_wake();
            tokio::select! {
                () = draining.cancelled(), if !self.is_finishing => self.is_finishing = true,
                changed = self.dispatcher.roster.changed(), if !self.is_finishing => {
                    self.is_finishing = changed.is_err();
                }
                Some(ended) = self.deliveries.next() => self.ended(ended),
                Some(()) = self.settling.next() => {}
                leased = next(&mut self.lease) => {
                    self.lease = None;
                    match leased {
                        Ok(leased) => self.leased(leased),
                        Err(GroupClosed) => break,
                    }
                }
                () = wake.notified() => {}
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
        self.dispatcher
    }

    fn is_over(&self) -> bool {
        self.is_finishing && self.deliveries.is_empty() && self.settling.is_empty()
    }

    /// Asks for as much as the workers take, unless it has asked already.
    fn lease_more(&mut self) {
        let is_behind = self.settling.len() >= MAX_SETTLING;
        let rests = self.rests_until > Instant::now();
        if self.lease.is_some() || self.is_finishing || rests || is_behind {
            return;
        }
        let roster = self.dispatcher.roster.borrow().clone();
        let demand = self.demand(&roster);
        if demand.messages > 0 {
            self.leased_for = self.longest_timeout(&roster) + LEASE_MARGIN;
            let request = LeaseRequest {
                max_messages: demand.messages.min(LEASE_MESSAGES) as usize,
                max_bytes: demand.bytes,
                wait: LEASE_WAIT,
                visibility_timeout: Some(self.leased_for),
                consumer: Consumer::Stream {
                    holder: self.source.open.holder(),
                    max_in_flight: u32::MAX,
                },
                partition: None,
            };
            self.lease = Some(lease(self.source.client.clone(), request));
        }
    }

    fn demand(&self, roster: &Roster) -> Demand {
        let now = self.dispatcher.clock.now();
        let mut demand = Demand::default();
        for worker in roster.iter() {
            let bytes = self.bytes_out.room(worker.registration.id, roster.len());
            let messages = worker.free_slots(now);
            if bytes > 0 && messages > 0 {
                demand.messages = demand.messages.saturating_add(messages);
                demand.bytes += bytes;
            }
            if demand.messages >= LEASE_MESSAGES {
                break;
            }
        }
        demand
    }

    /// The group does not know yet who gets the message.
    fn longest_timeout(&self, roster: &Roster) -> Duration {
        let topics = self.topics_timeout();
        let timeouts = roster.iter().map(|worker| timeout(worker, topics));
        timeouts.max().unwrap_or_default()
    }

    fn topics_timeout(&self) -> Duration {
        self.source.topic.core().settings().visibility_timeout.0
    }

    fn leased(&mut self, leased: Result<Vec<LeasedMessage>, BrokerError>) {
        let messages = match leased {
            Ok(messages) => messages,
            Err(error) => {
                let Place { topic, group } = &self.dispatcher.place;
                tracing::warn!(%topic, %group, %error, "cannot read what is to be pushed");
                self.rests_until = Instant::now() + REST_AFTER_FAILURE;
                return;
            }
        };
        let roster = self.dispatcher.roster.borrow().clone();
        for message in messages {
            self.deal(&roster, message);
        }
    }

    /// Gives a message to the next worker that takes it, or back.
    fn deal(&mut self, roster: &Roster, message: LeasedMessage) {
        let now = self.dispatcher.clock.now();
        let (topics, leased_for) = (self.topics_timeout(), self.leased_for);
        let may_take = |worker: &Worker| {
            // One that came while the lease was waited for may need longer than it lasts.
            timeout(worker, topics) + LEASE_MARGIN <= leased_for
                && self.bytes_out.room(worker.registration.id, roster.len()) > 0
        };
        let takes = |worker: &Arc<Worker>| may_take(worker).then(|| worker.admit(now))?;
        let chosen = match self.is_finishing {
            true => None,
            false => self.turns.next(roster, takes),
        };
        let Some((worker, pass)) = chosen else {
            let released = release(self.source.client.clone(), message.receipt);
            return self.settling.push(Box::pin(released));
        };
        let task = Task {
            queue: worker.registration.queue.map(|queue| queue.0),
            topic: self.dispatcher.place.topic.clone(),
            timeout: timeout(worker, topics),
            message,
        };
        let bytes = task.message.line.bytes.len();
        self.bytes_out.began(worker.registration.id, bytes);
        self.deliveries
            .push(Box::pin(deliver(worker.clone(), pass, task)));
    }

    fn ended(&mut self, ended: Ended) {
        let Ended {
            worker,
            pass,
            receipt,
            bytes,
            outcome,
        } = ended;
        self.bytes_out.ended(worker.registration.id, bytes);
        log_failure(&worker, &outcome);
        pass.ended(&outcome, self.dispatcher.clock.now());
        let settled = settle(self.source.client.clone(), receipt, outcome);
        self.settling.push(Box::pin(settled));
    }

    /// When a gate may let something through that lets nothing through now.
    fn next_wake(&self) -> Instant {
        let now = self.dispatcher.clock.now();
        let roster = self.dispatcher.roster.borrow();
        let admissions = roster.iter().filter_map(|w| w.gate.next_admission(now));
        let sleep = admissions.map(|at| at.since(now)).min();
        let by_gate = Instant::now() + sleep.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
        match self.rests_until > Instant::now() {
            true => by_gate.min(self.rests_until),
            false => by_gate,
        }
    }
}

/// How long a worker may take: as long as it said, else as long as its topic says.
fn timeout(worker: &Worker, topics: Duration) -> Duration {
    let own = worker.registration.visibility_timeout;
    own.map_or(topics, |own| own.0)
}

/// The lease that is asked for; never, if there is none.
async fn next(
    lease: &mut Option<Lease>,
) -> Result<Result<Vec<LeasedMessage>, BrokerError>, GroupClosed> {
    match lease {
        Some(lease) => lease.await,
        None => std::future::pending().await,
    }
}

fn lease(client: GroupClient, request: LeaseRequest) -> Lease {
    Box::pin(async move {
        let leased = client.lease(request).await?;
        Ok(leased.map(|leased| leased.messages.into_iter().map(Into::into).collect()))
    })
}

async fn deliver(worker: Arc<Worker>, pass: Pass, task: Task) -> Ended {
    let (receipt, bytes) = (task.message.receipt, task.message.line.bytes.len());
    let outcome = worker.courier.deliver(task).await;
    Ended {
        worker,
        pass,
        receipt,
        bytes,
        outcome,
    }
}

fn log_failure(worker: &Worker, outcome: &Outcome) {
    let Some(reason) = tally::reason(outcome) else {
        return;
    };
    if let Some(left_out) = worker.failures.admit(Instant::now().into_std()) {
        let registered = &worker.registration;
        let (topic, group, target) = (&registered.topic, &registered.group, &registered.target);
        tracing::warn!(%topic, %group, push_target = %target, reason, left_out, "a delivery failed");
    }
}
