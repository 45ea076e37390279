//! Topics: found, created on first use, altered, deleted, purged.

use super::{Broker, BrokerError};
use crate::topic::Topic;
use std::sync::Arc;
use std::time::Duration;
use weir_protocol::shapes::{PartitionInfo, Purged, TopicInfo};
use weir_types::{
    ByteCount, DurationText, Incarnation, TopicName, TopicSettings, TopicSettingsChange,
};

/// Whether using a topic that does not exist creates it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CreateTopics {
    /// Publishing to it, or opening a group on it, creates it.
    #[default]
    OnFirstUse,
    /// Only an explicit request creates it.
    Explicitly,
}

impl Broker {
    pub(super) fn topic(&self, name: &TopicName) -> Result<Arc<Topic>, BrokerError> {
        let unknown = || BrokerError::UnknownTopic {
            topic: name.clone(),
        };
        self.shared.registry.get(name).ok_or_else(unknown)
    }

    /// The topic, created with default settings if first use may do so.
    pub(super) async fn get_or_create(&self, name: &TopicName) -> Result<Arc<Topic>, BrokerError> {
        match self.shared.registry.get(name) {
            Some(topic) => Ok(topic),
            None if self.shared.options.create_topics == CreateTopics::Explicitly => {
                Err(BrokerError::UnknownTopic {
                    topic: name.clone(),
                })
            }
            None => self.create(name, self.default_settings(name)).await,
        }
    }

    /// How many partitions a topic has, or would have if it was created now.
    pub(super) fn partitions_of(&self, name: &TopicName) -> Result<u32, BrokerError> {
        match self.shared.registry.get(name) {
            Some(topic) => Ok(topic.core().settings().partitions),
            None if self.shared.options.create_topics == CreateTopics::Explicitly => {
                Err(BrokerError::UnknownTopic {
                    topic: name.clone(),
                })
            }
            None => Ok(self.default_settings(name).partitions),
        }
    }

    async fn create(
        &self,
        name: &TopicName,
        settings: TopicSettings,
    ) -> Result<Arc<Topic>, BrokerError> {
        self.check_serving()?;
        self.check_room(1)?;
        let incarnation = Incarnation(fastrand::u64(..));
        let topic = self
            .shared
            .committer
            .create_topic(name.clone(), settings, incarnation)
            .await?;
        tracing::info!(topic = %name, partitions = topic.core().settings().partitions, "created a topic");
        Ok(topic)
    }

    /// Whether `new` more topics may be created.
    pub(super) fn check_room(&self, new: usize) -> Result<(), BrokerError> {
        let max_topics = self.shared.options.max_topics;
        match self.shared.registry.len() + new > max_topics {
            true => Err(BrokerError::TooManyTopics { max_topics }),
            false => Ok(()),
        }
    }

    /// The host's samples are many and short-lived; everything else is kept for a week.
    fn default_settings(&self, name: &TopicName) -> TopicSettings {
        let defaults = self.shared.options.topic_defaults.clone();
        if !name.as_str().starts_with("host.") {
            return defaults;
        }
        TopicSettings {
            retention_age: DurationText(Duration::from_secs(24 * 3600)),
            retention_bytes: ByteCount(2 << 30),
            ..defaults
        }
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
            let settings = self.default_settings(name).with(change)?;
            let topic = self.create(name, settings).await?;
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
        self.shared.committer.delete_topic(name.clone()).await?;
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
