//! Topics by name: found, and created on first use. Whoever needs a topic, a publisher or a group that
//! moves dead letters, gets it here.

use crate::broker::BrokerError;
use crate::committer::Committer;
use crate::registry::Registry;
use crate::replies;
use crate::reply_topics::{self, ReplyTopics};
use crate::topic::Topic;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use weir_types::{ByteCount, DurationText, Incarnation, TopicName, TopicSettings};

/// Whether using a topic that does not exist creates it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CreateTopics {
    /// Publishing to it, or opening a group on it, creates it.
    #[default]
    OnFirstUse,
    /// Only an explicit request creates it.
    Explicitly,
}

/// What applies to topics that are created.
#[derive(Clone, Debug)]
pub(crate) struct NewTopics {
    pub(crate) create: CreateTopics,
    pub(crate) defaults: TopicSettings,
    /// Topics that may exist.
    pub(crate) max_topics: usize,
}

/// Finds and creates topics.
#[derive(Debug)]
pub(crate) struct Topics {
    registry: Arc<Registry>,
    committer: Committer,
    new: NewTopics,
    reply_topics: ReplyTopics,
    /// Cancelled when the broker drains: nothing is created any more.
    draining: CancellationToken,
}

impl Topics {
    pub(crate) fn new(
        registry: Arc<Registry>,
        committer: Committer,
        new: NewTopics,
        draining: CancellationToken,
    ) -> Self {
        Self {
            registry,
            committer,
            new,
            reply_topics: ReplyTopics::default(),
            draining,
        }
    }

    pub(crate) fn get(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.registry.get(name)
    }

    /// The topic, created with default settings if first use may do so.
    pub(crate) async fn get_or_create(&self, name: &TopicName) -> Result<Arc<Topic>, BrokerError> {
        match self.get(name) {
            Some(topic) => Ok(topic),
            None => {
                self.check_created_on_first_use(name)?;
                let settings = self.settings_on_first_use(name);
                let topic = self.create(name, settings).await?;
                if self.reply_topics.expects(name) {
                    topic.core().mark_for_replies();
                }
                Ok(topic)
            }
        }
    }

    /// How many partitions a topic has, or would have if it was created now.
    pub(crate) fn partitions_of(&self, name: &TopicName) -> Result<u32, BrokerError> {
        match self.get(name) {
            Some(topic) => Ok(topic.core().partition_count()),
            None => {
                self.check_created_on_first_use(name)?;
                Ok(self.settings_on_first_use(name).partitions)
            }
        }
    }

    fn check_created_on_first_use(&self, name: &TopicName) -> Result<(), BrokerError> {
        match self.new.create {
            CreateTopics::OnFirstUse => Ok(()),
            CreateTopics::Explicitly => Err(BrokerError::UnknownTopic {
                topic: name.clone(),
            }),
        }
    }

    pub(crate) async fn create(
        &self,
        name: &TopicName,
        settings: TopicSettings,
    ) -> Result<Arc<Topic>, BrokerError> {
        if self.draining.is_cancelled() {
            return Err(BrokerError::Draining);
        }
        replies::check_no_place(name)?;
        self.check_room(1)?;
        let incarnation = Incarnation(fastrand::u64(..));
        let created = self
            .committer
            .create_topic(name.clone(), settings, incarnation);
        let topic = created.await?;
        tracing::info!(topic = %name, partitions = topic.core().partition_count(), "created a topic");
        Ok(topic)
    }

    /// Whether `new` more topics may be created.
    pub(crate) fn check_room(&self, new: usize) -> Result<(), BrokerError> {
        let max_topics = self.new.max_topics;
        match self.registry.len() + new > max_topics {
            true => Err(BrokerError::TooManyTopics { max_topics }),
            false => Ok(()),
        }
    }

    /// A message expects its reply at that topic: if a reply creates it, it does not stay for ever.
    pub(crate) fn expect_reply(&self, name: &TopicName) {
        if !replies::is_place(name) && self.get(name).is_none() {
            self.reply_topics.note(name);
        }
    }

    fn settings_on_first_use(&self, name: &TopicName) -> TopicSettings {
        let defaults = self.default_settings(name);
        if !self.reply_topics.expects(name) {
            return defaults;
        }
        TopicSettings {
            partitions: 1,
            expires_after: Some(DurationText(reply_topics::IDLE)),
            ..defaults
        }
    }

    /// The host's samples are many and short-lived; everything else is kept for a week.
    pub(crate) fn default_settings(&self, name: &TopicName) -> TopicSettings {
        let defaults = self.new.defaults.clone();
        if !name.as_str().starts_with("host.") {
            return defaults;
        }
        TopicSettings {
            retention_age: DurationText(Duration::from_secs(24 * 3600)),
            retention_bytes: ByteCount(2 << 30),
            ..defaults
        }
    }
}
