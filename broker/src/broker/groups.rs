//! Groups: created, asked for messages, told what became of them.

use super::fetch::places;
use super::{Broker, BrokerError, ReadFrom};
use crate::group::{Consumer, Delivered, GroupClient, GroupClosed, LeaseRequest, ReceiptAction};
use crate::topic::Topic;
use std::time::Duration;
use weir_commitlog::StoredLine;
use weir_protocol::Receipt;
use weir_protocol::shapes::{GroupInfo, GroupStart, ReceiptStatus};
use weir_types::{
    GroupName, GroupSettings, GroupSettingsChange, MemberName, Offset, PartitionId, Timestamp,
    TopicName,
};

/// How much to lease, and for how long.
#[derive(Clone, Debug)]
pub struct LeaseOptions {
    /// Messages at most.
    pub max_messages: usize,
    /// Bytes at most; the first message is returned whatever its size.
    pub max_bytes: usize,
    /// How long to wait for a first message.
    pub wait: Duration,
    /// Length of the lease; the topic's when `None`.
    pub visibility_timeout: Option<Duration>,
    /// Who asks, if it says so.
    pub member: Option<MemberName>,
}

/// A message under a lease.
#[derive(Clone, Debug)]
pub struct LeasedMessage {
    /// The stored line.
    pub line: StoredLine,
    /// Token for ack, nack and extend; says which delivery this is.
    pub receipt: Receipt,
    /// When the lease ends.
    pub lease_expires_at: Timestamp,
}

impl From<Delivered> for LeasedMessage {
    fn from(delivered: Delivered) -> Self {
        Self {
            line: delivered.line,
            receipt: delivered.receipt,
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
        let client = self.use_group(&opened, group).await?;
        let request = LeaseRequest {
            max_messages: options.max_messages,
            max_bytes: options.max_bytes,
            wait: options.wait,
            visibility_timeout: options.visibility_timeout,
            consumer: options.member.map_or(Consumer::Anonymous, Consumer::Member),
            partition: None,
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
        let client = self.use_group(&opened, group).await?;
        client
            .take()
            .await
            .map_err(|GroupClosed| self.closed(topic, group))?
    }

    /// Acks, nacks or extends; returns what became of each receipt, in order, when that is durable. A
    /// text that is no receipt is `unknown`.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`], [`BrokerError::UnknownGroup`], or the storage engine's: then
    /// nothing is known to be durable.
    pub async fn settle(
        &self,
        topic: &TopicName,
        group: &GroupName,
        receipts: impl Iterator<Item = &str>,
        action: ReceiptAction,
    ) -> Result<Vec<ReceiptStatus>, BrokerError> {
        let client = self.group(topic, group)?;
        let receipts: Vec<_> = receipts.map(|text| Receipt::decode(text).ok()).collect();
        let known = receipts.iter().copied().flatten().collect();
        let settled = client.settle(known, action).await;
        let settled = settled.map_err(|GroupClosed| self.closed(topic, group))??;
        if settled.len() == receipts.len() {
            return Ok(settled);
        }
        let mut settled = settled.into_iter();
        let status = |receipt: Option<Receipt>| receipt.and_then(|_| settled.next());
        let statuses = receipts.into_iter().map(status);
        Ok(statuses
            .map(|status| status.unwrap_or(ReceiptStatus::Unknown))
            .collect())
    }

    /// Creates a group, or changes the settings of the existing one. Returns it, and whether it is
    /// new.
    ///
    /// # Errors
    /// Settings outside their range, another order than the group has, [`BrokerError::UnknownTopic`]
    /// where topics are created explicitly, or the storage engine's.
    pub async fn put_group(
        &self,
        topic: &TopicName,
        group: &GroupName,
        start: GroupStart,
        change: &GroupSettingsChange,
    ) -> Result<(GroupInfo, bool), BrokerError> {
        self.check_serving()?;
        GroupSettings::default().with(change)?;
        let opened = self.get_or_create(topic).await?;
        let is_new = opened.group(group).is_none();
        let client = self
            .get_or_create_group(&opened, group, start, change)
            .await?;
        let gone = |GroupClosed| self.closed(topic, group);
        client.alter(change.clone()).await.map_err(gone)??;
        Ok((client.describe().await.map_err(gone)?, is_new))
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

    /// Goes on from another place, in one partition or in all; all leases there are void. Returns the
    /// group as it is then.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`] and its like, an offset beyond the end, a stale cursor, or the
    /// storage engine's.
    pub async fn seek(
        &self,
        topic: &TopicName,
        group: &GroupName,
        partition: Option<PartitionId>,
        to: ReadFrom,
    ) -> Result<GroupInfo, BrokerError> {
        self.check_serving()?;
        let client = self.group(topic, group)?;
        let opened = self.topic(topic)?;
        let targets = places(&opened, partition, &to).await?;
        let gone = |GroupClosed| self.closed(topic, group);
        client.seek(targets).await.map_err(gone)??;
        client.describe().await.map_err(gone)
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
            .await?;
        self.forget_workers_of(topic, Some(group)).await;
        Ok(())
    }

    pub(super) fn group(
        &self,
        topic: &TopicName,
        group: &GroupName,
    ) -> Result<GroupClient, BrokerError> {
        let unknown = || BrokerError::UnknownGroup {
            topic: topic.clone(),
            group: group.clone(),
        };
        self.topic(topic)?.group(group).ok_or_else(unknown)
    }

    /// The group; one that is created by using it begins at the earliest record.
    pub(super) async fn use_group(
        &self,
        topic: &std::sync::Arc<Topic>,
        group: &GroupName,
    ) -> Result<GroupClient, BrokerError> {
        let settings = GroupSettingsChange::default();
        self.get_or_create_group(topic, group, GroupStart::Earliest, &settings)
            .await
    }

    pub(super) async fn get_or_create_group(
        &self,
        topic: &std::sync::Arc<Topic>,
        group: &GroupName,
        start: GroupStart,
        change: &GroupSettingsChange,
    ) -> Result<GroupClient, BrokerError> {
        if let Some(existing) = topic.group(group) {
            return Ok(existing);
        }
        let settings = GroupSettings::default().with(change)?;
        let starts = starts(topic, start);
        self.shared
            .committer
            .create_group(topic.clone(), group.clone(), settings, starts)
            .await?;
        let name = topic.core().name();
        topic.group(group).ok_or_else(|| self.closed(name, group))
    }

    /// Why a group's task is gone.
    pub(super) fn closed(&self, topic: &TopicName, group: &GroupName) -> BrokerError {
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
