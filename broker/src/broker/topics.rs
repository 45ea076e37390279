//! Topics: created, altered, shown, deleted, purged.

use super::{Broker, BrokerError};
use crate::topic::Topic;
use std::sync::Arc;
use weir_protocol::shapes::{PartitionInfo, Purged, TopicInfo};
use weir_types::{TopicName, TopicSettings, TopicSettingsChange};

impl Broker {
    pub(super) fn topic(&self, name: &TopicName) -> Result<Arc<Topic>, BrokerError> {
        let unknown = || BrokerError::UnknownTopic {
            topic: name.clone(),
        };
        self.shared.registry.get(name).ok_or_else(unknown)
    }

    /// The topic, created with default settings if first use may do so.
    pub(super) async fn get_or_create(&self, name: &TopicName) -> Result<Arc<Topic>, BrokerError> {
        self.shared.topics.get_or_create(name).await
    }

    /// Creates a topic, or changes the settings of an existing one. Returns it, and whether it is
    /// new.
    ///
    /// # Errors
    /// Settings outside their range, another number of partitions, or the storage engine's.
    pub async fn put_topic(
        &self,
        name: &TopicName,
        change: &TopicSettingsChange,
    ) -> Result<(TopicInfo, bool), BrokerError> {
        self.check_serving()?;
        let Some(existing) = self.shared.registry.get(name) else {
            let settings = self.shared.topics.default_settings(name).with(change)?;
            let topic = self.shared.topics.create(name, settings).await?;
            return Ok((describe(&topic), true));
        };
        let before = existing.core().settings();
        let after = before.with(change)?;
        if after.partitions != before.partitions {
            let (topic, partitions) = (name.clone(), before.partitions);
            return Err(BrokerError::PartitionsFixed { topic, partitions });
        }
        if after != *before {
            self.shared
                .committer
                .alter_topic(existing.clone(), after)
                .await?;
        }
        Ok((describe(&existing), false))
    }

    /// One topic.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`].
    pub fn get_topic(&self, name: &TopicName) -> Result<TopicInfo, BrokerError> {
        self.topic(name).map(|topic| describe(&topic))
    }

    /// Every topic, in order of name.
    #[must_use]
    pub fn list_topics(&self) -> Vec<TopicInfo> {
        self.shared
            .registry
            .all()
            .iter()
            .map(|topic| describe(topic))
            .collect()
    }

    /// Deletes a topic with its records and groups. A later one of its name is another.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`], or the storage engine's.
    pub async fn delete_topic(&self, name: &TopicName) -> Result<(), BrokerError> {
        self.topic(name)?;
        self.shared
            .committer
            .delete_topic(name.clone(), None)
            .await?;
        self.forget_workers_of(name, None).await;
        tracing::info!(topic = %name, "deleted a topic");
        Ok(())
    }

    /// Removes every record of a topic; offsets go on, groups have nothing left to do.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`], or the storage engine's.
    pub async fn purge_topic(&self, name: &TopicName) -> Result<Purged, BrokerError> {
        self.topic(name)?;
        let records = self.shared.committer.purge_topic(name.clone()).await?;
        tracing::info!(topic = %name, records, "purged a topic");
        Ok(Purged {
            topic: name.clone(),
            records,
        })
    }
}

fn describe(topic: &Topic) -> TopicInfo {
    let core = topic.core();
    let partitions: Vec<_> = core
        .partitions()
        .iter()
        .map(|partition| PartitionInfo {
            partition: partition.id(),
            log_start_offset: partition.reader().log_start_offset(),
            high_watermark: partition.reader().high_watermark(),
            bytes: partition.reader().bytes(),
            failed: partition.reader().has_failed(),
        })
        .collect();
    TopicInfo {
        topic: core.name().clone(),
        incarnation: core.incarnation(),
        settings: TopicSettings::clone(&core.settings()),
        records: partitions
            .iter()
            .map(|p| p.high_watermark.since(p.log_start_offset))
            .sum(),
        bytes: partitions.iter().map(|p| p.bytes).sum(),
        groups: topic
            .groups()
            .iter()
            .map(|group| group.name().clone())
            .collect(),
        partitions,
    }
}
