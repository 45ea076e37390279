//! Partitions that clients name by number, where several brokers share them.
//!
//! Index and count are kept with the data: a broker that came back in another place would leave the
//! messages of its former partitions where nobody asks for them.

use super::{Broker, BrokerError, BrokerOptions};
use crate::ownership::KeptOwnership;
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;
use weir_commitlog::{Document, FileSystem};
use weir_types::{PartitionId, TopicName, TopicSettingsChange};

/// Which broker has a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionOwner {
    /// This one.
    This,
    /// Another one, at this address, `http://host:port`.
    Peer(String),
}

/// Why a partition that a client named is of no use to it here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoPartition {
    /// There is no such topic, and first use does not create it.
    #[error("unknown topic")]
    UnknownTopic,
    /// The topic has fewer partitions.
    #[error("bad partition")]
    OutOfRange,
    /// Another broker has it, and its address is not known.
    #[error("partition not owned")]
    NotOwned,
}

impl Broker {
    /// Which broker has a partition of a topic. Of another broker's partition only the number is
    /// looked at: its topics are its own.
    ///
    /// # Errors
    /// [`NoPartition`].
    pub fn owner_of(
        &self,
        topic: &TopicName,
        partition: PartitionId,
    ) -> Result<PartitionOwner, NoPartition> {
        let ownership = &self.shared.options.ownership;
        let partitions = self.shared_partitions(topic);
        if partitions.is_some_and(|partitions| partition.0 >= partitions) {
            return Err(NoPartition::OutOfRange);
        }
        match (ownership.owns(partition), ownership.peer(partition)) {
            (true, _) if partitions.is_some() => Ok(PartitionOwner::This),
            (true, _) => Err(NoPartition::UnknownTopic),
            (false, Some(peer)) => Ok(PartitionOwner::Peer(peer.to_owned())),
            (false, None) => Err(NoPartition::NotOwned),
        }
    }

    /// The next of this broker's partitions of a topic, in turn.
    ///
    /// # Errors
    /// [`NoPartition::UnknownTopic`], or [`NoPartition::NotOwned`] if it has none of them.
    pub fn next_owned_partition(&self, topic: &TopicName) -> Result<PartitionId, NoPartition> {
        let partitions = self.shared_partitions(topic);
        let partitions = partitions.ok_or(NoPartition::UnknownTopic)?;
        let owned = || self.shared.options.ownership.owned_of(partitions);
        let count = owned().count();
        if count == 0 {
            return Err(NoPartition::NotOwned);
        }
        let turn = match self.shared.registry.get(topic) {
            Some(topic) => topic.core().next_turn(),
            // The turn before the first of the topic that is about to be created.
            None => count - 1,
        };
        owned().nth(turn % count).ok_or(NoPartition::NotOwned)
    }

    /// Creates the topic if it does not exist and is one of those that clients of numbered
    /// partitions create on first use.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`] if it is none of them, or the storage engine's.
    pub async fn open_partitioned_topic(&self, topic: &TopicName) -> Result<(), BrokerError> {
        if self.shared.registry.get(topic).is_some() {
            return Ok(());
        }
        let configured = &self.shared.options.dialect_topics.partitioned;
        let unknown = || BrokerError::UnknownTopic {
            topic: topic.clone(),
        };
        let change = TopicSettingsChange {
            partitions: Some(*configured.get(topic).ok_or_else(unknown)?),
            ..TopicSettingsChange::default()
        };
        let topics = &self.shared.topics;
        let settings = topics.default_settings(topic).with(&change)?;
        topics.create(topic, settings).await.map(drop)
    }

    /// Every topic that exists or that first use creates, and this broker's partitions of it.
    #[must_use]
    pub fn owned_partitions(&self) -> BTreeMap<TopicName, Vec<PartitionId>> {
        let mut counts = self.shared.options.dialect_topics.partitioned.clone();
        for topic in self.shared.registry.all() {
            let core = topic.core();
            counts.insert(core.name().clone(), core.partition_count());
        }
        let owned = |partitions| self.shared.options.ownership.owned_of(partitions).collect();
        let topics = counts.into_iter();
        topics
            .map(|(topic, partitions)| (topic, owned(partitions)))
            .collect()
    }

    /// How many partitions a topic has, or will have on first use.
    fn shared_partitions(&self, topic: &TopicName) -> Option<u32> {
        let configured = &self.shared.options.dialect_topics.partitioned;
        match self.shared.registry.get(topic) {
            Some(topic) => Some(topic.core().partition_count()),
            None => configured.get(topic).copied(),
        }
    }
}

/// Refuses another place than the data directory has, and keeps this one before its first use. A
/// directory that says nothing is that of the only broker there is. Blocks.
pub(super) fn keep(
    fs: &Arc<dyn FileSystem>,
    options: &BrokerOptions,
    has_topics: bool,
) -> Result<(), BrokerError> {
    let document = Document::new(fs.clone(), &options.data_dir, "ownership");
    let alone = KeptOwnership { index: 0, count: 1 };
    let kept: KeptOwnership = document.read()?.unwrap_or(alone);
    let given = KeptOwnership::from(&options.ownership);
    if kept == given {
        return Ok(());
    }
    if has_topics {
        return Err(BrokerError::OwnershipChanged {
            kept: (kept.index, kept.count),
            given: (given.index, given.count),
        });
    }
    Ok(document.write(&given)?)
}
