//! Groups: created, asked for messages, told what became of them.

use super::{Broker, BrokerError};
use crate::group::{Delivered, GroupClient, GroupClosed, LeaseRequest, ReceiptAction};
use crate::topic::Topic;
use std::time::Duration;
use weir_commitlog::StoredLine;
use weir_protocol::Receipt;
use weir_protocol::shapes::{GroupInfo, GroupStart, ReceiptResult, ReceiptStatus};
use weir_types::{GroupName, Offset, PartitionId, Timestamp, TopicName};

/// How much to lease, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct LeaseOptions {
    /// Messages at most.
    pub max_messages: usize,
    /// Bytes at most; the first message is returned whatever its size.
    pub max_bytes: usize,
    /// How long to wait for a first message.
    pub wait: Duration,
    /// Length of the lease; the topic's when `None`.
    pub visibility_timeout: Option<Duration>,
}

/// A message under a lease.
#[derive(Clone, Debug)]
pub struct LeasedMessage {
    /// Its partition.
    pub partition: PartitionId,
    /// The stored line.
    pub line: StoredLine,
    /// Token for ack, nack and extend.
    pub receipt: String,
    /// Which lease of the message this is, from 1.
    pub delivery_attempt: u32,
    /// When the lease ends.
    pub lease_expires_at: Timestamp,
}

/// What to do with leased messages.
#[derive(Clone, Debug)]
pub enum ReceiptRequest {
    /// They are finished.
    Ack,
    /// Deliver them again, not before `delay` has passed.
    Nack {
        /// How long they wait.
        delay: Duration,
        /// Why, for people.
        reason: Option<String>,
    },
    /// Keep them longer.
    Extend {
        /// From now; the topic's when `None`.
        visibility_timeout: Option<Duration>,
    },
}

impl From<ReceiptRequest> for ReceiptAction {
    fn from(request: ReceiptRequest) -> Self {
        match request {
            ReceiptRequest::Ack => Self::Ack,
            ReceiptRequest::Nack { delay, reason } => Self::Nack { delay, reason },
            ReceiptRequest::Extend { visibility_timeout } => Self::Extend { visibility_timeout },
        }
    }
}

impl From<Delivered> for LeasedMessage {
    fn from(delivered: Delivered) -> Self {
        Self {
            partition: delivered.partition,
            line: delivered.line,
            receipt: delivered.receipt.encode(),
            delivery_attempt: delivered.receipt.delivery_attempt,
            lease_expires_at: delivered.lease_expires_at,
        }
    }
}

impl Broker {
    /// Leases messages of a group; creates the group, at the earliest record, and the topic if need
    /// be. Empty when the wait ran out or the broker drains. Cancel-safe: what was leased for a
    /// caller that went away is given back.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`] where topics are created explicitly, or the storage engine's.
    pub async fn lease(
        &self,
        topic: &TopicName,
        group: &GroupName,
        options: LeaseOptions,
    ) -> Result<Vec<LeasedMessage>, BrokerError> {
        self.check_serving()?;
        let opened = self.get_or_create(topic).await?;
        let client = self
            .get_or_create_group(&opened, group, GroupStart::Earliest)
            .await?;
        let request = LeaseRequest {
            max_messages: options.max_messages,
            max_bytes: options.max_bytes,
            wait: options.wait,
            visibility_timeout: options.visibility_timeout,
        };
        let leased = client
            .lease(request)
            .await
            .map_err(|GroupClosed| self.closed(topic, group))??;
        Ok(leased.messages.into_iter().map(Into::into).collect())
    }

    /// Hands out the next message of a group and finishes it in one durable step; `None` when
    /// there is none, or no such topic. At most once: for dialects without an ack.
    ///
    /// # Errors
    /// The storage engine's.
    pub async fn take(
        &self,
        topic: &TopicName,
        group: &GroupName,
    ) -> Result<Option<StoredLine>, BrokerError> {
        self.check_serving()?;
        let Some(opened) = self.shared.registry.get(topic) else {
            return Ok(None);
        };
        let client = self
            .get_or_create_group(&opened, group, GroupStart::Earliest)
            .await?;
        client
            .take()
            .await
            .map_err(|GroupClosed| self.closed(topic, group))?
    }

    /// Acks, nacks or extends; returns what became of each receipt when that is durable.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`], [`BrokerError::UnknownGroup`], or the storage engine's: then
    /// nothing is known to be durable.
    pub async fn settle(
        &self,
        topic: &TopicName,
        group: &GroupName,
        receipts: Vec<String>,
        request: ReceiptRequest,
    ) -> Result<Vec<ReceiptResult>, BrokerError> {
        let client = self.group(topic, group)?;
        let decoded: Vec<_> = receipts
            .iter()
            .map(|text| Receipt::decode(text).ok())
            .collect();
        let known: Vec<Receipt> = decoded.iter().copied().flatten().collect();
        let statuses = client
            .settle(known, request.into())
            .await
            .map_err(|GroupClosed| self.closed(topic, group))??;
        let mut statuses = statuses.into_iter();
        let status = |receipt: Option<Receipt>| {
            receipt
                .and_then(|_| statuses.next())
                .unwrap_or(ReceiptStatus::Unknown)
        };
        let statuses: Vec<_> = decoded.into_iter().map(status).collect();
        let results = receipts.into_iter().zip(statuses);
        Ok(results
            .map(|(receipt, status)| ReceiptResult { receipt, status })
            .collect())
    }

    /// Creates a group, or returns the existing one unchanged, and whether it is new.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`] where topics are created explicitly, or the storage engine's.
    pub async fn put_group(
        &self,
        topic: &TopicName,
        group: &GroupName,
        start: GroupStart,
    ) -> Result<(GroupInfo, bool), BrokerError> {
        self.check_serving()?;
        let opened = self.get_or_create(topic).await?;
        let is_new = opened.group(group).is_none();
        let client = self.get_or_create_group(&opened, group, start).await?;
        let info = client
            .describe()
            .await
            .map_err(|GroupClosed| self.closed(topic, group))?;
        Ok((info, is_new))
    }

    /// One group.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`], [`BrokerError::UnknownGroup`].
    pub async fn get_group(
        &self,
        topic: &TopicName,
        group: &GroupName,
    ) -> Result<GroupInfo, BrokerError> {
        let client = self.group(topic, group)?;
        client
            .describe()
            .await
            .map_err(|GroupClosed| self.closed(topic, group))
    }

    /// Every group of a topic, in order of name.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`].
    pub async fn list_groups(&self, topic: &TopicName) -> Result<Vec<GroupInfo>, BrokerError> {
        let mut groups = Vec::new();
        for client in self.topic(topic)?.groups() {
            // One that was deleted meanwhile is not there any more.
            groups.extend(client.describe().await.ok());
        }
        Ok(groups)
    }

    /// Every group of every topic.
    pub async fn all_groups(&self) -> Vec<GroupInfo> {
        let mut groups = Vec::new();
        for topic in self.shared.registry.all() {
            for client in topic.groups() {
                groups.extend(client.describe().await.ok());
            }
        }
        groups
    }

    /// Deletes a group; a later one of its name begins anew.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`], [`BrokerError::UnknownGroup`], or the storage engine's.
    pub async fn delete_group(
        &self,
        topic: &TopicName,
        group: &GroupName,
    ) -> Result<(), BrokerError> {
        self.group(topic, group)?;
        let opened = self.topic(topic)?;
        self.shared
            .committer
            .delete_group(opened, group.clone())
            .await
    }

    fn group(&self, topic: &TopicName, group: &GroupName) -> Result<GroupClient, BrokerError> {
        let unknown = || BrokerError::UnknownGroup {
            topic: topic.clone(),
            group: group.clone(),
        };
        self.topic(topic)?.group(group).ok_or_else(unknown)
    }

    async fn get_or_create_group(
        &self,
        topic: &std::sync::Arc<Topic>,
        group: &GroupName,
        start: GroupStart,
    ) -> Result<GroupClient, BrokerError> {
        if let Some(existing) = topic.group(group) {
            return Ok(existing);
        }
        let starts = starts(topic, start);
        self.shared
            .committer
            .create_group(topic.clone(), group.clone(), starts)
            .await?;
        let name = topic.core().name();
        topic.group(group).ok_or_else(|| self.closed(name, group))
    }

    /// Why a group's task is gone.
    fn closed(&self, topic: &TopicName, group: &GroupName) -> BrokerError {
        match self.shared.draining.is_cancelled() {
            true => BrokerError::Draining,
            false => BrokerError::UnknownGroup {
                topic: topic.clone(),
                group: group.clone(),
            },
        }
    }
}

fn starts(topic: &Topic, start: GroupStart) -> Vec<Offset> {
    let readers = topic
        .core()
        .partitions()
        .iter()
        .map(|partition| partition.reader());
    readers
        .map(|reader| match start {
            GroupStart::Earliest => reader.log_start_offset(),
            GroupStart::Latest => reader.high_watermark(),
        })
        .collect()
}
