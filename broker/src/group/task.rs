//! The owner of a group's state.

mod describe;
mod lease;
mod settle;

pub(super) use settle::{SettleReply, TakeReply};

use super::client::{GroupClient, GroupRequest, LeaseRequest};
use super::delivery::{Delivered, Leased};
use super::partition::PartitionState;
use crate::broker::BrokerError;
use crate::committer::{Committer, Few};
use crate::metrics::GroupMetrics;
use crate::topic::{Partition, TopicCore};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use settle::PendingCommit;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_commitlog::{GroupProgress, JournalEntry, JournalKey, Operation};
use weir_service::clock::Clock;
use weir_types::{BrokerStart, Incarnation, Offset, Timestamp};

/// Consumers that may wait for messages at one time; beyond, they are answered at once.
const MAX_WAITERS: usize = 4096;
/// The clock may be turned: never sleep longer on what it said.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// While nothing is leased and nobody waits.
const IDLE_SLEEP: Duration = Duration::from_secs(3600);

/// What a group's task needs to begin.
pub(crate) struct Start {
    pub(crate) topic: Arc<TopicCore>,
    pub(crate) progress: GroupProgress,
    pub(crate) broker_start: BrokerStart,
    pub(crate) committer: Committer,
    pub(crate) clock: Clock,
    /// Ends waiting: consumers get what is there, at once.
    pub(crate) draining: CancellationToken,
    /// Ends the task: group or topic deleted, or the broker stops.
    pub(crate) stop: CancellationToken,
}

/// Owns the state of one group; see [`GroupTask::run`].
pub(crate) struct GroupTask {
    topic: Arc<TopicCore>,
    partitions: Vec<GroupPartition>,
    /// Partition to serve first, so that a busy one does not starve the others.
    turn: usize,
    waiters: VecDeque<Waiter>,
    broker_start: BrokerStart,
    committer: Committer,
    clock: Clock,
    metrics: GroupMetrics,
    /// The oldest unfinished record and when it was stored, so that asking is cheap.
    oldest: Vec<Option<(Offset, Timestamp)>>,
    client: GroupClient,
    /// What is on its way to the disk; bounded by the callers, who wait for it.
    commits: FuturesUnordered<BoxFuture<'static, (Result<(), BrokerError>, PendingCommit)>>,
    draining: CancellationToken,
    stop: CancellationToken,
}

struct GroupPartition {
    log: Partition,
    journal: JournalKey,
    /// Changes with a seek; receipts of before are void.
    incarnation: Incarnation,
    state: PartitionState,
}

struct Waiter {
    request: LeaseRequest,
    until: Instant,
    reply: oneshot::Sender<Result<Leased, BrokerError>>,
}

impl GroupTask {
    /// A task and its handle. The caller spawns [`GroupTask::run`].
    pub(crate) fn open(start: Start) -> (GroupClient, impl Future<Output = ()>) {
        let (client, mailbox) = GroupClient::new(start.progress.group.clone());
        let partitions: Vec<_> = start
            .topic
            .partitions()
            .iter()
            .zip(start.progress.partitions)
            .map(|(log, found)| GroupPartition {
                log: log.clone(),
                journal: found.journal,
                incarnation: found.incarnation,
                state: PartitionState::new(found.progress),
            })
            .collect();
        let task = Self {
            metrics: GroupMetrics::new(start.topic.name(), client.name()),
            oldest: vec![None; partitions.len()],
            topic: start.topic,
            partitions,
            turn: 0,
            waiters: VecDeque::new(),
            broker_start: start.broker_start,
            committer: start.committer,
            clock: start.clock,
            client: client.clone(),
            commits: FuturesUnordered::new(),
            draining: start.draining,
            stop: start.stop,
        };
        (client, task.run(mailbox))
    }

    /// Serves requests until told to stop; then waiting consumers get an empty answer, and what is
    /// on its way to the disk is answered.
    async fn run(mut self, mut mailbox: mpsc::Receiver<GroupRequest>) {
        let mut appended = self.topic.appended();
        let (draining, stop) = (self.draining.clone(), self.stop.clone());
        loop {
            let wake = self.next_wake();
            tokio::select! {
                () = stop.cancelled() => break,
                () = draining.cancelled(), if !self.waiters.is_empty() => self.give_up_waiting(),
                Some(request) = mailbox.recv() => self.handle(request, &mut appended).await,
                _ = appended.changed(), if !self.waiters.is_empty() => self.serve_waiters().await,
                Some((result, pending)) = self.commits.next() => {
                    self.committed(result, pending);
                    self.serve_waiters().await;
                }
                () = tokio::time::sleep_until(wake) => self.tick().await,
            }
        }
        self.give_up_waiting();
        while let Some((result, pending)) = self.commits.next().await {
            self.committed(result, pending);
        }
        // Close, then empty: a request that was just being sent when the mailbox was dropped would
        // stay in it, and its caller would wait for ever.
        mailbox.close();
        while mailbox.recv().await.is_some() {}
    }

    fn give_up_waiting(&mut self) {
        self.waiters.drain(..).for_each(Waiter::give_up);
    }

    async fn handle(&mut self, request: GroupRequest, appended: &mut watch::Receiver<()>) {
        match request {
            GroupRequest::Lease { request, reply } => {
                appended.mark_unchanged();
                self.lease_or_wait(request, reply).await;
            }
            GroupRequest::Take { reply } => self.take(reply).await,
            GroupRequest::Receipts {
                receipts,
                action,
                reply,
            } => {
                self.settle(&receipts, &action, reply).await;
            }
            GroupRequest::Describe { reply } => {
                let _gone = reply.send(self.describe().await);
            }
            GroupRequest::Floors { reply } => {
                let floors = self.partitions.iter().map(|p| p.state.committed_offset());
                let _gone = reply.send(floors.collect());
            }
        }
    }

    /// When something happens by itself.
    fn next_wake(&self) -> Instant {
        let now = self.clock.now();
        let states = || self.partitions.iter().map(|p| &p.state);
        let expiries = states().filter_map(PartitionState::next_expiry);
        // What nobody waits for must not wake us, again and again, until somebody comes.
        let wanted = states().filter(|_| !self.waiters.is_empty());
        let events = expiries.chain(wanted.filter_map(PartitionState::next_available));
        let sleep = match events.min() {
            Some(at) => at.since(now).min(LONGEST_SLEEP),
            None if self.waiters.is_empty() => IDLE_SLEEP,
            None => LONGEST_SLEEP,
        };
        let by_event = Instant::now() + sleep;
        self.waiters
            .iter()
            .map(|waiter| waiter.until)
            .fold(by_event, Instant::min)
    }

    async fn tick(&mut self) {
        self.expire_leases().await;
        self.serve_waiters().await;
    }

    async fn expire_leases(&mut self) {
        let now = self.clock.now();
        let mut operations = Vec::new();
        for partition in &mut self.partitions {
            let mut entry = JournalEntry::default();
            partition.state.expire(now, &mut entry);
            if !entry.is_empty() {
                operations.push(Operation::Journal {
                    journal: partition.journal,
                    entry,
                });
            }
        }
        if !operations.is_empty() {
            // Nobody waits for this; if it fails the message comes back with one attempt less.
            drop(self.committer.submit(operations.into(), Few::new()).await);
        }
    }

    async fn lease_or_wait(
        &mut self,
        request: LeaseRequest,
        reply: oneshot::Sender<Result<Leased, BrokerError>>,
    ) {
        self.expire_leases().await;
        let result = self.lease(&request).await;
        let wait = matches!(&result, Ok(leased) if leased.messages.is_empty())
            && !request.wait.is_zero()
            && !self.draining.is_cancelled()
            && self.waiters.len() < MAX_WAITERS;
        if wait {
            let until = Instant::now() + request.wait;
            self.waiters.push_back(Waiter {
                request,
                until,
                reply,
            });
        } else {
            self.hand_over(result, reply);
        }
    }

    /// Serves waiting consumers in the order of their arrival, and ends the waits that ran out.
    async fn serve_waiters(&mut self) {
        let now = Instant::now();
        while let Some(waiter) = self.waiters.pop_front() {
            if waiter.reply.is_closed() {
                continue;
            }
            let result = self.lease(&waiter.request).await;
            if matches!(&result, Ok(leased) if leased.messages.is_empty()) {
                self.waiters.push_front(waiter);
                break;
            }
            self.hand_over(result, waiter.reply);
        }
        let waiters = std::mem::take(&mut self.waiters);
        let over = |waiter: &Waiter| waiter.until <= now || waiter.reply.is_closed();
        let (over, waiting): (Vec<_>, Vec<_>) = waiters.into_iter().partition(over);
        self.waiters = waiting.into();
        over.into_iter().for_each(Waiter::give_up);
    }

    /// Gives the consumer its messages, or takes them back if it went away.
    fn hand_over(
        &mut self,
        result: Result<Leased, BrokerError>,
        reply: oneshot::Sender<Result<Leased, BrokerError>>,
    ) {
        let delivered = result.as_ref().map_or(0, |leased| leased.messages.len());
        match reply.send(result) {
            Ok(()) => self.metrics.delivered(delivered),
            Err(Ok(leased)) => leased
                .messages
                .iter()
                .for_each(|message| self.release(message)),
            Err(Err(_)) => {}
        }
    }

    fn release(&mut self, message: &Delivered) {
        let now = self.clock.now();
        let partition = &mut self.partitions[message.partition.0 as usize];
        partition.state.release(message.line.offset, now);
    }
}

impl Waiter {
    fn give_up(self) {
        let _gone = self.reply.send(Ok(Leased::default()));
    }
}
