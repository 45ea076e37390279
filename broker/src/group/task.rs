//! The owner of a group's state.

mod consumers;
mod describe;
mod lease;
mod moving;
mod rules;
mod settle;
mod time;
mod waiting;

pub(super) use settle::{SettleReply, TakeReply};

use super::client::{GroupClient, GroupRequest};
use super::dead_letters::DeadLetters;
use super::handing_over::Unclaimed;
use super::members::Members;
use super::partition::{PartitionState, Rules};
use super::unfinished::Holder;
use crate::broker::BrokerError;
use crate::committer::Committer;
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
use weir_commitlog::{GroupProgress, JournalKey, StoredLine};
use weir_service::clock::Clock;
use weir_types::{
    BrokerStart, GroupOrdering, GroupSettings, Incarnation, Offset, Timestamp, TopicSettings,
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
    /// What was leased for consumers that went away before they had it.
    unclaimed: Unclaimed,
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
        let rules = rules::rules(
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
            unclaimed: Unclaimed::default(),
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
        let unclaimed = self.unclaimed.clone();
        self.start_moves();
        loop {
            let wake = self.next_wake();
            let goes_on = self.behind && !self.waiters.is_empty();
            tokio::select! {
                () = stop.cancelled() => break,
                () = draining.cancelled(), if !self.waiters.is_empty() => self.waiters.give_up(&self.unclaimed),
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
                () = unclaimed.has_come() => self.give_back_unclaimed(),
                Some(holder) = self.streams.next() => self.stream_closed(holder).await,
                () = std::future::ready(()), if goes_on => self.serve_waiters().await,
                () = tokio::time::sleep_until(wake) => self.tick().await,
            }
        }
        self.waiters.give_up(&self.unclaimed);
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
}
