//! Consuming through an open stream: the broker pushes, as long as not too many messages are
//! unfinished.

use super::{Broker, BrokerError, LeasedMessage};
use crate::group::{Consumer, GroupClient, GroupClosed, LeaseRequest, OpenStream};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use weir_protocol::shapes::GroupStart;
use weir_types::{GroupName, GroupSettingsChange, MemberName, PartitionId, TopicName};

/// Messages that one step of a stream leases at most, and their bytes.
const STEP_MESSAGES: usize = 256;
const STEP_BYTES: usize = 256 * 1024;

/// What a consumer wants of its stream.
#[derive(Clone, Debug)]
pub struct GroupStreamOptions {
    /// Messages that may be unfinished at one time.
    pub max_in_flight: u32,
    /// Length of a lease; the topic's when `None`.
    pub visibility_timeout: Option<Duration>,
    /// Who consumes; a name is made up when `None`.
    pub member: Option<MemberName>,
    /// Only from this partition.
    pub partition: Option<PartitionId>,
    /// What the consumer says when it is done with a message.
    pub acked_by: AckedBy,
    /// Settings of the group, if it does not exist yet.
    pub new_group: GroupSettingsChange,
}

/// What a consumer names in its acks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AckedBy {
    /// The receipt of a lease.
    #[default]
    Receipt,
    /// The message's id: the broker remembers which lease that means, see [`Broker::ack_by_id`].
    Id,
}

/// An open stream of a group's messages. Whatever it leased and nobody acked goes to others at once
/// when it is dropped.
#[derive(Debug)]
pub struct GroupStream {
    broker: Broker,
    topic: TopicName,
    group: GroupName,
    client: GroupClient,
    open: OpenStream,
    options: GroupStreamOptions,
}

impl Broker {
    /// Opens a stream; creates the group, at the earliest record, and the topic if need be.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`] where topics are created explicitly, [`BrokerError::Overloaded`]
    /// when the group has too many members, or the storage engine's.
    pub async fn group_stream(
        &self,
        topic: &TopicName,
        group: &GroupName,
        options: GroupStreamOptions,
    ) -> Result<GroupStream, BrokerError> {
        self.check_serving()?;
        let opened = self.get_or_create(topic).await?;
        let client = self
            .get_or_create_group(&opened, group, GroupStart::Earliest, &options.new_group)
            .await?;
        let open = client.join(options.member.clone()).await;
        let open = open.map_err(|GroupClosed| self.closed(topic, group))??;
        Ok(GroupStream {
            broker: self.clone(),
            topic: topic.clone(),
            group: group.clone(),
            client,
            open,
            options,
        })
    }
}

impl GroupStream {
    /// The topic that is consumed.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// The next messages; empty when there were none for `wait`, and `None` when the broker drains.
    /// Cancel-safe: what was leased for it is given back.
    ///
    /// # Errors
    /// The group was deleted, or the storage engine's.
    pub async fn next(
        &mut self,
        wait: Duration,
    ) -> Result<Option<Vec<LeasedMessage>>, BrokerError> {
        let draining: CancellationToken = self.broker.draining().clone();
        if draining.is_cancelled() {
            return Ok(None);
        }
        let request = LeaseRequest {
            max_messages: STEP_MESSAGES,
            max_bytes: STEP_BYTES,
            wait,
            visibility_timeout: self.options.visibility_timeout,
            consumer: Consumer::Stream {
                holder: self.open.holder(),
                max_in_flight: self.options.max_in_flight,
            },
            partition: self.options.partition,
        };
        match self.client.lease(request).await {
            Ok(leased) => {
                let messages: Vec<_> = leased?.messages.into_iter().map(Into::into).collect();
                if self.options.acked_by == AckedBy::Id {
                    self.broker.remember(&self.topic, &self.group, &messages);
                }
                Ok((!messages.is_empty() || !draining.is_cancelled()).then_some(messages))
            }
            Err(GroupClosed) => match self.broker.closed(&self.topic, &self.group) {
                BrokerError::Draining => Ok(None),
                error => Err(error),
            },
        }
    }
}
