//! Messages for clients that cannot ack: finished when the answer that carries them was delivered,
//! given back when it was not.

use super::{Broker, BrokerError, LeasedMessage};
use crate::group::{Consumer, GroupClient, GroupClosed, LeaseRequest, ReceiptAction};
use std::convert::Infallible;
use std::time::Duration;
use weir_protocol::Receipt;
use weir_protocol::shapes::GroupStart;
use weir_types::{GroupName, GroupOrdering, GroupSettingsChange, MemberName, TopicName};

/// How long one waits for what another answer's delivery is about to finish: with order by key or
/// partition, the next message waits for that.
const WAIT_FOR_OTHERS: Duration = Duration::from_millis(250);

/// What such a client asks for.
#[derive(Clone, Debug)]
pub struct HandOut {
    /// Messages at most.
    pub max_messages: usize,
    /// Bytes at most; the first message is returned whatever its size.
    pub max_bytes: usize,
    /// Who asks; `None` is whoever comes along, and takes from any partition.
    pub member: Option<MemberName>,
    /// Order of the group, if it does not exist yet.
    pub ordering: GroupOrdering,
}

impl Broker {
    /// Hands out messages of a group, which begins at the earliest record, without waiting for new
    /// ones. They are finished when `delivered` says `true`; they go to others at once, and this
    /// attempt does not count, when it says `false`; nobody else gets them until it says something.
    /// Nothing of an unknown topic, or of one that is deleted meanwhile.
    ///
    /// # Errors
    /// The storage engine's, or [`BrokerError::Overloaded`] when the group has too many members.
    pub async fn hand_out(
        &self,
        topic: &TopicName,
        group: &GroupName,
        asked: HandOut,
        delivered: impl Future<Output = bool> + Send + 'static,
    ) -> Result<Vec<LeasedMessage>, BrokerError> {
        self.check_serving()?;
        match self.hand_out_of(topic, group, asked, delivered).await {
            Err(BrokerError::UnknownTopic { .. } | BrokerError::UnknownGroup { .. }) => {
                Ok(Vec::new())
            }
            handed_out => handed_out,
        }
    }

    async fn hand_out_of(
        &self,
        topic: &TopicName,
        group: &GroupName,
        asked: HandOut,
        delivered: impl Future<Output = bool> + Send + 'static,
    ) -> Result<Vec<LeasedMessage>, BrokerError> {
        let opened = self.topic(topic)?;
        let change = GroupSettingsChange {
            ordering: Some(asked.ordering),
            ..GroupSettingsChange::default()
        };
        let client = self
            .get_or_create_group(&opened, group, GroupStart::Earliest, &change)
            .await?;
        let leased = self.lease_now(&client, asked).await;
        let messages = leased.map_err(|GroupClosed| self.closed(topic, group))??;
        if !messages.is_empty() {
            let receipts = messages.iter().map(|message| message.receipt).collect();
            let lease = opened.core().settings().visibility_timeout.0;
            let settling = settle_when_known(client, receipts, lease, delivered);
            self.shared.tasks.spawn(settling);
        }
        Ok(messages)
    }

    /// What is there, or is about to be.
    async fn lease_now(
        &self,
        client: &GroupClient,
        asked: HandOut,
    ) -> Result<Result<Vec<LeasedMessage>, BrokerError>, GroupClosed> {
        let mut request = LeaseRequest {
            max_messages: asked.max_messages,
            max_bytes: asked.max_bytes,
            wait: Duration::ZERO,
            visibility_timeout: None,
            consumer: asked.member.map_or(Consumer::Passing, Consumer::Member),
            partition: None,
        };
        let mut leased = client.lease(request.clone()).await?;
        let is_empty = leased
            .as_ref()
            .is_ok_and(|leased| leased.messages.is_empty());
        if is_empty && asked.max_messages > 0 && client.describe().await?.in_flight > 0 {
            request.wait = WAIT_FOR_OTHERS;
            leased = client.lease(request).await?;
        }
        Ok(leased.map(|leased| leased.messages.into_iter().map(Into::into).collect()))
    }
}

/// `lease` is how long it lasts unless it is extended.
async fn settle_when_known(
    client: GroupClient,
    receipts: Vec<Receipt>,
    lease: Duration,
    delivered: impl Future<Output = bool>,
) {
    let action = tokio::select! {
        is_delivered = delivered => match is_delivered {
            true => ReceiptAction::Ack,
            false => ReceiptAction::Release,
        },
        never = keep(&client, &receipts, lease) => match never {},
    };
    let (group, count) = (client.name().clone(), receipts.len());
    match client.settle(receipts, action).await {
        Ok(Ok(_)) => {}
        // They come back when their leases end.
        Ok(Err(error)) => {
            tracing::warn!(%group, count, %error, "cannot settle what was handed out");
        }
        Err(GroupClosed) => tracing::debug!(%group, count, "closed before all was settled"),
    }
}

/// Extends leases again and again: a client that reads slowly still has what it is being sent. The
/// connection ends that of one that reads too slowly.
async fn keep(client: &GroupClient, receipts: &[Receipt], lease: Duration) -> Infallible {
    let extend = ReceiptAction::Extend {
        visibility_timeout: None,
    };
    loop {
        tokio::time::sleep(lease / 2).await;
        // What is no longer leased, or a group that is gone, is met again when it is settled.
        let _ = client.settle(receipts.to_vec(), extend.clone()).await;
    }
}
