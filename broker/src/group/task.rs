//! The owner of a group's state.

mod describe;
mod lease;
mod moving;
mod settle;
mod waiting;

pub(super) use settle::{SettleReply, TakeReply};

use super::client::{GroupClient, GroupRequest, Upkeep};
use super::dead_letters::{DeadLetters, Moved, dead_letter_topic};
use super::members::Members;
use super::partition::{PartitionState, Rules};
use super::unfinished::Holder;
use crate::broker::BrokerError;
use crate::committer::{Committer, Few};
use crate::metrics::GroupMetrics;
use crate::topic::{Partition, TopicCore};
use crate::topics::Topics;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use moving::Moves;
use settle::PendingCommit;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use waiting::Waiters;
use weir_commitlog::{GroupProgress, JournalEntry, JournalKey, Operation, StoredLine};
use weir_service::clock::Clock;
use weir_types::{
    BrokerStart, GroupOrdering, GroupSettings, Incarnation, MemberName, Offset, PartitionId,
    Timestamp, TopicSettings,
};

/// The clock may be turned: never sleep longer on what it said.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// While nothing is leased and nobody waits.
const IDLE_SLEEP: Duration = Duration::from_secs(3600);
const TOO_MANY_MEMBERS: BrokerError = BrokerError::Overloaded {
    retry_after: super::members::SILENCE,
};
/// After so much quiet the memory of the last rush is given back.
const REST_AFTER: Duration = Duration::from_secs(1);

/// What a group may hold in memory, for each partition. At a bound it reads no further until some
/// messages are finished.
#[derive(Clone, Copy, Debug)]
pub struct GroupBounds {
    /// Messages that wait behind an earlier one of their key: 16 bytes each.
    pub max_held_back: usize,
    /// Messages that are leased or wait for their next delivery: 64 bytes each.
    pub max_in_flight: usize,
}

impl Default for GroupBounds {
    fn default() -> Self {
        Self {
            max_held_back: 1_000_000,
            max_in_flight: 1_000_000,
        }
    }
}

/// What a group's task needs to begin.
pub(crate) struct Start {
    pub(crate) topic: Arc<TopicCore>,
    /// Where dead letters go.
    pub(crate) topics: Arc<Topics>,
    pub(crate) progress: GroupProgress,
    pub(crate) bounds: GroupBounds,
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
    settings: GroupSettings,
    bounds: GroupBounds,
    /// The topic's settings that `rules` were made with.
    topic_settings: Arc<TopicSettings>,
    rules: Rules,
    members: Members,
    /// Partition to serve first, so that a busy one does not starve the others.
    turn: usize,
    waiters: Waiters,
    /// Whether there is more to look at than one pass of reading did.
    behind: bool,
    broker_start: BrokerStart,
    committer: Committer,
    clock: Clock,
    metrics: GroupMetrics,
    client: GroupClient,
    /// What is on its way to the disk; bounded by the callers, who wait for it.
    commits: FuturesUnordered<BoxFuture<'static, (Result<(), BrokerError>, PendingCommit)>>,
    moves: Moves,
    /// Open streams: each yields its holder when its client is gone.
    streams: FuturesUnordered<BoxFuture<'static, Holder>>,
    last_stream: u64,
    last_used: Timestamp,
    rest_at: Option<Instant>,
    draining: CancellationToken,
    stop: CancellationToken,
}

struct GroupPartition {
    log: Partition,
    journal: JournalKey,
    /// Of the group in this partition: receipts of an earlier one are void.
    incarnation: Incarnation,
    state: PartitionState,
    ahead: ReadAhead,
    /// The oldest unfinished record and when it was stored, so that asking is cheap.
    oldest: Option<(Offset, Timestamp)>,
}

/// Records that were read but not handed out yet.
#[derive(Default)]
struct ReadAhead {
    lines: VecDeque<StoredLine>,
    /// Everything below was read.
    until: Offset,
}

impl GroupTask {
    /// A task and its handle. The caller spawns [`GroupTask::run`].
    pub(crate) fn open(start: Start) -> (GroupClient, impl Future<Output = ()>) {
        let progress = start.progress;
        let (client, mailbox) = GroupClient::new(progress.group);
        let topic_settings = start.topic.settings();
        let rules = rules(
            &start.topic,
            &topic_settings,
            &progress.settings,
            start.bounds,
        );
        let logs = start.topic.partitions().iter();
        let partitions: Vec<_> = logs
            .zip(progress.partitions)
            .map(|(log, known)| GroupPartition {
                log: log.clone(),
                journal: known.journal,
                incarnation: known.incarnation,
                state: PartitionState::new(known.progress, &rules),
                ahead: ReadAhead::default(),
                oldest: None,
            })
            .collect();
        let spread = rules.ordering == GroupOrdering::Partition;
        let moves = Moves::new(DeadLetters {
            topics: start.topics,
            committer: start.committer.clone(),
            clock: start.clock.clone(),
            source: start.topic.clone(),
            group: client.name().clone(),
        });
        let task = Self {
            metrics: GroupMetrics::new(start.topic.name(), client.name()),
            members: Members::new(spread.then_some(partitions.len())),
            topic: start.topic,
            partitions,
            settings: progress.settings,
            bounds: start.bounds,
            topic_settings,
            rules,
            turn: 0,
            waiters: Waiters::default(),
            behind: false,
            broker_start: start.broker_start,
            committer: start.committer,
            last_used: start.clock.now(),
            clock: start.clock,
            client: client.clone(),
            commits: FuturesUnordered::new(),
            moves,
            streams: FuturesUnordered::new(),
            last_stream: 0,
            rest_at: None,
            draining: start.draining,
            stop: start.stop,
        };
        (client, task.run(mailbox))
    }

    /// Serves requests until told to stop; then waiting consumers get an empty answer, and what is
    /// on its way to the disk is answered. A move to the dead-letter topic is left where it is: the
    /// next start goes on with it.
    async fn run(mut self, mut mailbox: mpsc::Receiver<GroupRequest>) {
        let mut appended = self.topic.appended();
        let (draining, stop) = (self.draining.clone(), self.stop.clone());
        self.start_moves();
        loop {
            let wake = self.next_wake();
            let goes_on = self.behind && !self.waiters.is_empty();
            tokio::select! {
                () = stop.cancelled() => break,
                () = draining.cancelled(), if !self.waiters.is_empty() => self.waiters.give_up(),
                Some(request) = mailbox.recv() => self.handle(request, &mut appended).await,
                _ = appended.changed(), if !self.waiters.is_empty() => self.serve_waiters().await,
                Some((result, pending)) = self.commits.next() => {
                    self.committed(result, pending);
                    self.serve_waiters().await;
                }
                Some((place, moved)) = self.moves.next() => {
                    self.moved(place, moved);
                    self.serve_waiters().await;
                }
                Some(holder) = self.streams.next() => self.stream_closed(holder).await,
                () = std::future::ready(()), if goes_on => self.serve_waiters().await,
                () = tokio::time::sleep_until(wake) => self.tick().await,
            }
        }
        self.waiters.give_up();
        while let Some((result, pending)) = self.commits.next().await {
            self.committed(result, pending);
        }
        // Close, then empty: a request that was just being sent when the mailbox was dropped would
        // stay in it, and its caller would wait for ever.
        mailbox.close();
        while mailbox.recv().await.is_some() {}
    }

    async fn handle(&mut self, request: GroupRequest, appended: &mut watch::Receiver<()>) {
        self.renew_rules();
        match request {
            GroupRequest::Lease { request, reply } => {
                self.used();
                appended.mark_unchanged();
                self.lease_or_wait(request, reply).await;
            }
            GroupRequest::Take { reply } => {
                self.used();
                self.take(reply).await;
            }
            GroupRequest::Receipts {
                receipts,
                action,
                reply,
            } => {
                self.used();
                self.settle(&receipts, &action, reply).await;
            }
            GroupRequest::Join {
                member,
                closed,
                reply,
            } => {
                self.used();
                let joined = self.join(member);
                if let Ok(holder) = joined {
                    self.streams.push(Box::pin(async move {
                        let _dropped = closed.await;
                        holder
                    }));
                }
                let _gone = reply.send(joined);
            }
            GroupRequest::Seek { targets, reply } => {
                self.used();
                self.seek(targets, reply).await;
            }
            GroupRequest::Alter { change, reply } => self.alter(&change, reply).await,
            GroupRequest::Finish {
                partition,
                finished,
                reply,
            } => {
                self.used();
                self.finish(partition, finished, reply).await;
            }
            GroupRequest::Finished {
                partition,
                offsets,
                reply,
            } => {
                let _gone = reply.send(self.finished(partition, &offsets));
            }
            GroupRequest::Describe { reply } => {
                let _gone = reply.send(self.describe().await);
            }
            GroupRequest::Upkeep { reply } => {
                let _gone = reply.send(self.upkeep());
            }
        }
    }

    /// Somebody uses the group: it is not idle.
    fn used(&mut self) {
        self.last_used = self.clock.now();
        self.rest_at = Some(Instant::now() + REST_AFTER);
    }

    /// The topic's settings may have changed.
    fn renew_rules(&mut self) {
        let current = self.topic.settings();
        if !Arc::ptr_eq(&current, &self.topic_settings) {
            self.topic_settings = current;
            self.make_rules();
        }
    }

    fn make_rules(&mut self) {
        self.rules = rules(
            &self.topic,
            &self.topic_settings,
            &self.settings,
            self.bounds,
        );
    }

    fn upkeep(&self) -> Upkeep {
        let idle = self.clock.now().since(self.last_used);
        let keep_for = self.settings.expires_after;
        let floors = self.partitions.iter().map(|p| p.state.committed_offset());
        Upkeep {
            floors: floors.collect(),
            has_expired: !self.is_in_use() && keep_for.is_some_and(|most| idle >= most.0),
        }
    }

    /// Whether somebody has messages of the group, or waits for some.
    fn is_in_use(&self) -> bool {
        let in_flight = self.partitions.iter().any(|p| p.state.in_flight() > 0);
        in_flight || !self.waiters.is_empty() || !self.members.is_empty()
    }

    fn join(&mut self, member: Option<MemberName>) -> Result<Holder, BrokerError> {
        let name = match member {
            Some(name) => name,
            None => {
                self.last_stream += 1;
                let name = MemberName::parse(&format!("stream-{}", self.last_stream));
                name.map_err(|e| BrokerError::internal(e.to_string()))?
            }
        };
        let stream = self.members.open_stream(&name, self.clock.now());
        stream.ok_or(TOO_MANY_MEMBERS)
    }

    fn hear(&mut self, member: &MemberName) -> Result<Holder, BrokerError> {
        let heard = self.members.hear(member, self.clock.now());
        heard.ok_or(TOO_MANY_MEMBERS)
    }

    /// Whoever waits for messages is there, however long it has said nothing.
    fn hear_waiting(&mut self) {
        let now = self.clock.now();
        for member in self.waiters.members() {
            self.members.hear(member, now);
        }
    }

    /// What the stream held goes to others at once.
    async fn stream_closed(&mut self, holder: Holder) {
        self.members.close_stream(holder);
        let now = self.clock.now();
        let mut entries = Vec::new();
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            let mut entry = JournalEntry::default();
            let state = &mut partition.state;
            state.give_back(holder, now, &self.rules, &mut entry);
            entries.push((index, entry));
        }
        self.journal_unheard(entries).await;
        self.start_moves();
        self.serve_waiters().await;
    }

    /// When something happens by itself.
    fn next_wake(&self) -> Instant {
        let now = self.clock.now();
        let states = || self.partitions.iter().map(|p| &p.state);
        let expiries = states().filter_map(PartitionState::next_expiry);
        // What nobody waits for must not wake us, again and again, until somebody comes.
        let wanted = states().filter(|_| !self.waiters.is_empty());
        let events = expiries
            .chain(wanted.filter_map(PartitionState::next_available))
            .chain(self.members.next_silence());
        let sleep = match events.min() {
            Some(at) => at.since(now).min(LONGEST_SLEEP),
            None if self.waiters.is_empty() => IDLE_SLEEP,
            None => LONGEST_SLEEP,
        };
        let by_event = Instant::now() + sleep;
        let others = self.waiters.next_end().into_iter().chain(self.rest_at);
        others.fold(by_event, Instant::min)
    }

    async fn tick(&mut self) {
        self.renew_rules();
        self.hear_waiting();
        self.members.forget_silent(self.clock.now());
        if self.rest_at.is_some_and(|at| at <= Instant::now()) {
            self.rest_at = None;
            self.rest();
        }
        self.expire_leases().await;
        self.serve_waiters().await;
    }

    fn rest(&mut self) {
        for partition in &mut self.partitions {
            partition.ahead = ReadAhead::default();
            partition.state.shrink();
        }
    }

    async fn expire_leases(&mut self) {
        let now = self.clock.now();
        let mut entries = Vec::new();
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            let mut entry = JournalEntry::default();
            partition.state.journal_passed(&mut entry);
            let random = &mut || fastrand::u64(..);
            partition.state.expire(now, random, &self.rules, &mut entry);
            if !entry.is_empty() {
                entries.push((index, entry));
            }
        }
        if !entries.is_empty() {
            self.journal_unheard(entries).await;
            self.start_moves();
        }
    }

    /// Journals what is true already. Nobody waits for it: if it is lost, a message comes back with
    /// one attempt less, or a gap is found again.
    async fn journal_unheard(&mut self, entries: Vec<(usize, JournalEntry)>) {
        let entries = entries.into_iter().filter(|(_, entry)| !entry.is_empty());
        let operation = |(partition, entry): (usize, JournalEntry)| Operation::Journal {
            journal: self.partitions[partition].journal,
            entry,
        };
        let operations: Few<Operation> = entries.map(operation).collect();
        if !operations.is_empty() {
            drop(self.committer.submit(operations, Few::new()).await);
        }
    }

    /// Hands what was delivered too often to those who move it.
    fn start_moves(&mut self) {
        for (index, partition) in (0..).zip(&mut self.partitions) {
            for message in partition.state.take_exhausted() {
                self.moves
                    .push(PartitionId(index), partition.incarnation, message);
            }
        }
        self.moves.start(&self.partitions);
    }

    /// A message has moved, or cannot.
    fn moved(&mut self, place: moving::Place, moved: Moved) {
        let now = self.clock.now();
        let index = place.partition.0 as usize;
        let partition = self.partitions.get_mut(index);
        // After a seek it is another message that has this offset in hand.
        if let Some(partition) = partition.filter(|p| p.incarnation == place.incarnation) {
            match moved {
                Moved::There => partition.state.moved(place.offset, now),
                Moved::Missing => {
                    let gone = weir_types::OffsetRange::single(place.offset);
                    partition.state.pass_over(gone, now);
                }
                Moved::Stopped => {}
            }
        }
        self.moves.start(&self.partitions);
    }
}

/// What applies now: the group's own choice, else the topic's.
fn rules(
    topic: &TopicCore,
    of_topic: &TopicSettings,
    of_group: &GroupSettings,
    bounds: GroupBounds,
) -> Rules {
    let backoff = of_group.retry_backoff.as_ref();
    Rules {
        ordering: of_group.ordering,
        max_deliveries: of_group.max_deliveries.unwrap_or(of_topic.max_deliveries),
        moves_dead_letters: dead_letter_topic(topic.name()).is_some(),
        retry_backoff: backoff.unwrap_or(&of_topic.retry_backoff).clone(),
        max_held_back: bounds.max_held_back,
        max_active: bounds.max_in_flight,
    }
}
