//! A topic while the broker runs: its settings, its partitions, its groups.

use crate::group::GroupClient;
use crate::metrics::TopicMetrics;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weir_commitlog::{PartitionKey, PartitionReader};
use weir_types::{GroupName, Incarnation, PartitionId, Timestamp, TopicName, TopicSettings};

/// One partition: the key to append with and the shared reader.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    key: PartitionKey,
    reader: Arc<PartitionReader>,
}

impl Partition {
    pub(crate) fn id(&self) -> PartitionId {
        self.reader.id()
    }

    pub(crate) fn key(&self) -> PartitionKey {
        self.key
    }

    pub(crate) fn reader(&self) -> &Arc<PartitionReader> {
        &self.reader
    }
}

/// What publishers, readers and groups of a topic share.
#[derive(Debug)]
pub(crate) struct TopicCore {
    name: TopicName,
    incarnation: Incarnation,
    settings: RwLock<Arc<TopicSettings>>,
    partitions: Vec<Partition>,
    /// Changes with every append, to wake who waits for records.
    appended: watch::Sender<()>,
    /// Partition of the next message that has neither key nor id.
    turn: AtomicUsize,
    /// Milliseconds since the epoch; 0 until it is first used or looked at.
    last_used: AtomicU64,
    /// Whether a reply created it, since the broker started.
    is_for_replies: AtomicBool,
    /// Made on first use: a topic that nobody uses costs no series.
    metrics: OnceLock<TopicMetrics>,
}

impl TopicCore {
    pub(crate) fn new(
        name: TopicName,
        incarnation: Incarnation,
        settings: TopicSettings,
        partitions: Vec<(PartitionKey, Arc<PartitionReader>)>,
    ) -> Self {
        let partition = |(key, reader)| Partition { key, reader };
        Self {
            metrics: OnceLock::new(),
            last_used: AtomicU64::new(0),
            is_for_replies: AtomicBool::new(false),
            name,
            incarnation,
            settings: RwLock::new(Arc::new(settings)),
            partitions: partitions.into_iter().map(partition).collect(),
            appended: watch::Sender::new(()),
            turn: AtomicUsize::new(0),
        }
    }

    pub(crate) fn name(&self) -> &TopicName {
        &self.name
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    pub(crate) fn settings(&self) -> Arc<TopicSettings> {
        self.settings
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_settings(&self, settings: TopicSettings) {
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// In order of partition, at least one.
    pub(crate) fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// Fixed once the topic is created.
    pub(crate) fn partition_count(&self) -> u32 {
        u32::try_from(self.partitions.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn metrics(&self) -> &TopicMetrics {
        self.metrics.get_or_init(|| TopicMetrics::new(&self.name))
    }

    /// Somebody publishes to the topic or reads from it.
    pub(crate) fn used(&self, now: Timestamp) {
        self.last_used.store(now.0, Ordering::Relaxed);
    }

    /// When it was last used; the first to ask after a start hears `now`.
    pub(crate) fn last_used(&self, now: Timestamp) -> Timestamp {
        let never = self
            .last_used
            .compare_exchange(0, now.0, Ordering::Relaxed, Ordering::Relaxed);
        Timestamp(never.map_or_else(|used| used, |_| now.0))
    }

    /// A reply created it.
    pub(crate) fn mark_for_replies(&self) {
        self.is_for_replies.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_for_replies(&self) -> bool {
        self.is_for_replies.load(Ordering::Relaxed)
    }

    /// How many wait for records: open streams, and groups.
    pub(crate) fn followers(&self) -> usize {
        self.appended.receiver_count()
    }

    /// A receiver that changes whenever records were appended.
    pub(crate) fn appended(&self) -> watch::Receiver<()> {
        self.appended.subscribe()
    }

    /// Wakes everyone who waits for records.
    pub(crate) fn notify_appended(&self) {
        self.appended.send_replace(());
    }

    /// The next partition in turn.
    pub(crate) fn next_partition(&self) -> &Partition {
        &self.partitions[self.next_turn() % self.partitions.len()]
    }

    /// Counts the messages that go wherever it is their turn.
    pub(crate) fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

/// A topic with its groups. Groups are added and removed by the committer only.
#[derive(Debug)]
pub(crate) struct Topic {
    core: Arc<TopicCore>,
    groups: RwLock<BTreeMap<GroupName, OpenGroup>>,
    /// Cancelled when the topic is deleted: streams and groups end.
    closed: CancellationToken,
    /// Whether dead letters are being moved back here.
    redriving: AtomicBool,
}

/// Dead letters are moved back, by one at a time, as long as this lives.
#[derive(Debug)]
pub(crate) struct RedriveGuard(Arc<Topic>);

impl Drop for RedriveGuard {
    fn drop(&mut self) {
        self.0.redriving.store(false, Ordering::Release);
    }
}

#[derive(Debug)]
struct OpenGroup {
    client: GroupClient,
    stop: CancellationToken,
}

impl Topic {
    pub(crate) fn new(core: Arc<TopicCore>, closed: CancellationToken) -> Self {
        Self {
            core,
            groups: RwLock::default(),
            closed,
            redriving: AtomicBool::new(false),
        }
    }

    /// `None` while somebody else moves dead letters back here.
    pub(crate) fn begin_redrive(self: &Arc<Self>) -> Option<RedriveGuard> {
        let runs = self.redriving.swap(true, Ordering::Acquire);
        (!runs).then(|| RedriveGuard(self.clone()))
    }

    pub(crate) fn core(&self) -> &Arc<TopicCore> {
        &self.core
    }

    /// Cancelled when the topic is deleted or the broker stops.
    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    pub(crate) fn group(&self, name: &GroupName) -> Option<GroupClient> {
        let groups = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        groups.get(name).map(|group| group.client.clone())
    }

    /// In order of name.
    pub(crate) fn groups(&self) -> Vec<GroupClient> {
        let groups = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        groups.values().map(|group| group.client.clone()).collect()
    }

    pub(crate) fn add_group(&self, client: GroupClient, stop: CancellationToken) {
        let mut groups = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        groups.insert(client.name().clone(), OpenGroup { client, stop });
    }

    /// Ends a group's task.
    pub(crate) fn remove_group(&self, name: &GroupName) {
        let mut groups = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = groups.remove(name) {
            group.stop.cancel();
        }
    }
}
