//! Services and what they subscribe to: each registered service has a copy of its own of every message
//! of a topic, beside the topic's plain queue.
//!
//! A subscription is a group of the topic like any other, called `service.<name of the service>`. It
//! is read at the address `<topic>.<service>`; both names may contain dots.

use super::plain_queue::PlainMessage;
use super::{Broker, BrokerError};
use crate::replies;
use std::collections::BTreeSet;
use std::fmt;
use weir_protocol::shapes::GroupStart;
use weir_types::limits::{MAX_DERIVED_TOPIC_NAME_CHARS, MAX_GROUP_NAME_BYTES};
use weir_types::{GroupName, GroupSettingsChange, InvalidName, InvalidText, TopicName};

/// Names of groups that are subscriptions begin so.
const PREFIX: &str = "service.";
/// Longest name of a service in bytes of UTF-8.
pub const MAX_SERVICE_NAME_BYTES: usize = MAX_GROUP_NAME_BYTES - PREFIX.len();
/// No subscription has a longer address.
const MAX_ADDRESS_BYTES: usize = MAX_DERIVED_TOPIC_NAME_CHARS + 1 + MAX_SERVICE_NAME_BYTES;

/// The name of a service: 1 to [`MAX_SERVICE_NAME_BYTES`] bytes of UTF-8 without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    /// Of its subscriptions.
    group: GroupName,
}

impl ServiceName {
    /// Parses a service's name.
    ///
    /// # Errors
    /// [`InvalidText`] says which rule was broken.
    pub fn parse(name: &str) -> Result<Self, InvalidText> {
        let what = "a service name";
        if name.is_empty() {
            return Err(InvalidText::Empty { what });
        }
        let group = GroupName::parse(&format!("{PREFIX}{name}"));
        let group = group.map_err(|invalid| match invalid {
            InvalidText::Empty { .. } => InvalidText::Empty { what },
            InvalidText::TooLong { .. } => InvalidText::TooLong {
                what,
                length_bytes: name.len(),
                max_bytes: MAX_SERVICE_NAME_BYTES,
            },
            InvalidText::ControlCharacter {
                code_point,
                position,
                ..
            } => InvalidText::ControlCharacter {
                what,
                code_point,
                position: position - PREFIX.len(),
            },
        })?;
        Ok(Self { group })
    }

    /// The service whose subscriptions this group is one of.
    pub(super) fn of_group(group: &GroupName) -> Option<&str> {
        group.as_str().strip_prefix(PREFIX)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::of_group(&self.group).unwrap_or_default())
    }
}

/// What an address stands for, from which clients that cannot ack take messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueAddress {
    /// A topic's plain queue.
    Plain(TopicName),
    /// A service's copy of a topic.
    Subscription {
        /// What it subscribed to.
        topic: TopicName,
        /// Who subscribed.
        service: ServiceName,
    },
}

impl Broker {
    /// Subscribes a service to topics, from now on; what it is subscribed to already stays as it is.
    /// Creates topics if that is allowed. Returns when all is durable.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`] where topics are created explicitly, too many topics, or the
    /// storage engine's; only with the latter it may be subscribed to some of them.
    pub async fn subscribe_service(
        &self,
        service: &ServiceName,
        topics: &[TopicName],
    ) -> Result<(), BrokerError> {
        self.check_serving()?;
        self.check_may_subscribe(topics)?;
        for topic in topics {
            let opened = self.get_or_create(topic).await?;
            let settings = GroupSettingsChange::default();
            self.get_or_create_group(&opened, &service.group, GroupStart::Latest, &settings)
                .await?;
        }
        Ok(())
    }

    /// Before anything is created: every topic must be there, or may be created.
    fn check_may_subscribe(&self, topics: &[TopicName]) -> Result<(), BrokerError> {
        let mut new_topics = BTreeSet::new();
        for topic in topics {
            replies::check_no_place(topic)?;
            self.shared.topics.partitions_of(topic)?;
            if self.shared.registry.get(topic).is_none() {
                new_topics.insert(topic);
            }
        }
        match new_topics.len() {
            0 => Ok(()),
            new => self.shared.topics.check_room(new),
        }
    }

    /// How many services have a copy of each message of a topic.
    #[must_use]
    pub fn subscriptions(&self, topic: &TopicName) -> usize {
        let groups = self.shared.registry.get(topic).map(|topic| topic.groups());
        let groups = groups.unwrap_or_default();
        let subscribed = groups
            .iter()
            .map(|group| ServiceName::of_group(group.name()));
        subscribed.flatten().count()
    }

    /// What an address stands for: the subscription of that name with the longest topic, else the
    /// plain queue of the topic that is called so, whether or not it exists.
    ///
    /// # Errors
    /// The address is no subscription's, and no topic can be called so.
    pub fn queue_at(&self, address: &str) -> Result<QueueAddress, InvalidName> {
        match self.subscription_at(address) {
            Some(subscription) => Ok(subscription),
            None => TopicName::parse_derived(address).map(QueueAddress::Plain),
        }
    }

    fn subscription_at(&self, address: &str) -> Option<QueueAddress> {
        if address.len() > MAX_ADDRESS_BYTES {
            return None;
        }
        let mut splits = address.rmatch_indices('.');
        splits.find_map(|(dot, _)| {
            let topic = TopicName::parse_derived(&address[..dot]).ok()?;
            let service = ServiceName::parse(&address[dot + 1..]).ok()?;
            self.shared.registry.get(&topic)?.group(&service.group)?;
            Some(QueueAddress::Subscription { topic, service })
        })
    }

    /// Takes the next messages at an address; see [`Broker::take_next`].
    ///
    /// # Errors
    /// As [`Broker::take_next`].
    pub async fn take_at(
        &self,
        address: &QueueAddress,
        max_messages: usize,
        delivered: impl Future<Output = bool> + Send + 'static,
    ) -> Result<Vec<PlainMessage>, BrokerError> {
        match address {
            QueueAddress::Plain(topic) => self.take_next(topic, max_messages, delivered).await,
            QueueAddress::Subscription { topic, service } => {
                self.take_plain(topic, &service.group, max_messages, delivered)
                    .await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services_leave_room_for_the_prefix() {
        assert_eq!(ServiceName::parse("a.b c").unwrap().to_string(), "a.b c");
        assert!(ServiceName::parse(&"x".repeat(MAX_SERVICE_NAME_BYTES)).is_ok());
        let refusal = |name: &str| ServiceName::parse(name).unwrap_err().to_string();
        assert_eq!(refusal(""), "a service name must not be empty");
        assert_eq!(
            refusal(&"x".repeat(73)),
            "a service name has 73 bytes; at most 72 are allowed"
        );
        assert!(refusal("ab\n").ends_with("U+000A at byte 2"));
    }
}
