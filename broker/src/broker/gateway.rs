//! The gateway: one topic of texts with keys, for clients that name neither topic nor group nor
//! themselves.
//!
//! The settings name the topic. Its group [`GROUP`] orders by partition: each partition belongs to one
//! consumer at a time, and the group's members are the consumers. Nobody acks: a message is finished
//! when the answer that carries it was delivered.

mod recent_clients;

use super::{Accepted, Broker, BrokerError, HandOut, LeasedMessage};
use crate::topic::Topic;
use recent_clients::RecentClients;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use weir_commitlog::RecordHead;
use weir_protocol::shapes::{GatewayStats, GroupStart, Published};
use weir_protocol::{NewMessage, Payload};
use weir_types::{
    GroupName, GroupOrdering, GroupSettingsChange, Key, MemberName, TopicName, TopicSettingsChange,
};

/// The consumers of the gateway's topic.
const GROUP: &str = "subscribers";
/// Messages that a subscriber gets at a time, at most, and their bytes.
const MAX_MESSAGES: usize = 100;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Who is at the other end: clients of the gateway do not say, so one is known by the listener that it
/// came to and the address that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GatewayClient {
    /// Port of the listener.
    pub listener_port: u16,
    /// Address of the client.
    pub address: IpAddr,
}

impl fmt::Display for GatewayClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An IPv4 client is the same one on a listener that takes both.
        write!(f, "{}@{}", self.address.to_canonical(), self.listener_port)
    }
}

impl GatewayClient {
    fn member(self) -> Result<MemberName, BrokerError> {
        MemberName::parse(&self.to_string()).map_err(|e| BrokerError::internal(e.to_string()))
    }
}

/// A message as clients of the gateway see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayMessage {
    /// Empty for one that was published natively without a key.
    pub key: String,
    /// The text; of JSON that is no string, the JSON.
    pub value: String,
}

impl GatewayMessage {
    fn of(message: &LeasedMessage) -> Result<Self, BrokerError> {
        let defect = |what: String| BrokerError::internal(format!("a stored record: {what}"));
        let head = RecordHead::of(&message.line.bytes);
        let head = head.ok_or_else(|| defect("no fields".to_owned()))?;
        let key = head.key.map(serde_json::from_slice).transpose();
        let payload = head.payload;
        let value = serde_json::from_slice(payload)
            .or_else(|_| std::str::from_utf8(payload).map(str::to_owned));
        Ok(Self {
            key: key.map_err(|e| defect(e.to_string()))?.unwrap_or_default(),
            value: value.map_err(|e| defect(e.to_string()))?,
        })
    }
}

/// What the gateway counts, from the broker's start on.
#[derive(Debug, Default)]
pub(super) struct Gateway {
    producers: Mutex<RecentClients>,
    sent: AtomicU64,
    /// By the answers that carry them, too, which may outlive a request.
    received: Arc<AtomicU64>,
}

impl Broker {
    /// Publishes a text; returns when it is durable. Creates the gateway's topic if need be.
    ///
    /// # Errors
    /// [`BrokerError::NoGateway`], or those of [`Broker::publish`].
    pub async fn gateway_push(
        &self,
        client: GatewayClient,
        key: Key,
        text: &str,
    ) -> Result<Published, BrokerError> {
        self.check_accepts()?;
        let topic = self.open_gateway().await?;
        let message = NewMessage {
            key: Some(key),
            ..NewMessage::plain(Payload::from_text(text))
        };
        let Accepted::Stored(published) = self.publish(topic.core().name(), message).await? else {
            return Err(BrokerError::internal("a text was put off"));
        };
        let gateway = &self.shared.gateway;
        gateway.sent.fetch_add(1, Ordering::Relaxed);
        let mut producers = gateway
            .producers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        producers.hear(client, self.shared.clock.now());
        Ok(published)
    }

    /// The client consumes: it gets its share of the partitions, until it is silent for 60 s.
    ///
    /// # Errors
    /// [`BrokerError::NoGateway`], [`BrokerError::Overloaded`] when there are too many consumers, or
    /// the storage engine's.
    pub async fn gateway_subscribe(&self, client: GatewayClient) -> Result<(), BrokerError> {
        let member = Some(client.member()?);
        let nothing_to_deliver = std::future::ready(false);
        let handed = self.gateway_hand_out(member, 0, nothing_to_deliver).await?;
        debug_assert!(handed.is_empty());
        Ok(())
    }

    /// The next messages of the client's partitions, up to 100; the client is a consumer from now on.
    /// They are finished when `delivered` says `true`, and come back when it says `false`.
    ///
    /// # Errors
    /// As [`Broker::gateway_subscribe`].
    pub async fn gateway_pull_as_subscriber(
        &self,
        client: GatewayClient,
        delivered: impl Future<Output = bool> + Send + 'static,
    ) -> Result<Vec<GatewayMessage>, BrokerError> {
        let member = Some(client.member()?);
        self.gateway_hand_out(member, MAX_MESSAGES, delivered).await
    }

    /// The next message of any partition; otherwise as [`Broker::gateway_pull_as_subscriber`].
    ///
    /// # Errors
    /// As [`Broker::gateway_subscribe`].
    pub async fn gateway_pull(
        &self,
        delivered: impl Future<Output = bool> + Send + 'static,
    ) -> Result<Option<GatewayMessage>, BrokerError> {
        let handed = self.gateway_hand_out(None, 1, delivered).await?;
        Ok(handed.into_iter().next())
    }

    async fn gateway_hand_out(
        &self,
        member: Option<MemberName>,
        max_messages: usize,
        delivered: impl Future<Output = bool> + Send + 'static,
    ) -> Result<Vec<GatewayMessage>, BrokerError> {
        self.check_serving()?;
        let topic = self.open_gateway().await?;
        let asked = HandOut {
            max_messages,
            max_bytes: MAX_BYTES,
            member,
            ordering: GroupOrdering::Partition,
        };
        let (count, counted) = tokio::sync::oneshot::channel::<u64>();
        let received = self.shared.gateway.received.clone();
        let delivered = async move {
            let is_delivered = delivered.await;
            if let (true, Ok(handed)) = (is_delivered, counted.await) {
                received.fetch_add(handed, Ordering::Relaxed);
            }
            is_delivered
        };
        let name = topic.core().name();
        let handed = self.hand_out(name, &group()?, asked, delivered).await?;
        let _nobody_waits = count.send(handed.len() as u64);
        handed.iter().map(GatewayMessage::of).collect()
    }

    /// The gateway's topic, with its group; both are created on first use, whether or not users create
    /// topics by using them: the settings name it.
    async fn open_gateway(&self) -> Result<Arc<Topic>, BrokerError> {
        let (name, partitions) = self.gateway_topic().ok_or(BrokerError::NoGateway)?;
        if self.shared.registry.get(name).is_none() {
            let change = TopicSettingsChange {
                partitions: Some(*partitions),
                ..TopicSettingsChange::default()
            };
            let settings = self.shared.topics.default_settings(name).with(&change)?;
            self.shared.topics.create(name, settings).await?;
        }
        let topic = self.topic(name)?;
        let change = GroupSettingsChange {
            ordering: Some(GroupOrdering::Partition),
            ..GroupSettingsChange::default()
        };
        self.get_or_create_group(&topic, &group()?, GroupStart::Earliest, &change)
            .await?;
        Ok(topic)
    }

    fn gateway_topic(&self) -> Option<&(TopicName, u32)> {
        self.shared.options.dialect_topics.gateway.as_ref()
    }

    /// What goes on at the gateway; `None` without one.
    pub async fn gateway_stats(&self) -> Option<GatewayStats> {
        let (name, partitions) = self.gateway_topic()?;
        let topic = self.shared.registry.get(name);
        let group = topic.as_ref().zip(group().ok());
        let group = group.and_then(|(topic, group)| topic.group(&group));
        let group = match group {
            Some(group) => group.describe().await.ok(),
            None => None,
        };
        let gateway = &self.shared.gateway;
        let mut producers = gateway
            .producers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Some(GatewayStats {
            topic: name.clone(),
            consumers: group.as_ref().map_or(0, |group| group.members.len()),
            producers: producers.count(self.shared.clock.now()),
            partitions: topic.map_or(*partitions, |topic| topic.core().partition_count()),
            brokers: self.shared.options.ownership.count,
            messages_in_queue: group.map_or(0, |group| group.lag_records),
            sent: gateway.sent.load(Ordering::Relaxed),
            received: gateway.received.load(Ordering::Relaxed),
        })
    }
}

fn group() -> Result<GroupName, BrokerError> {
    GroupName::parse(GROUP).map_err(|e| BrokerError::internal(e.to_string()))
}
