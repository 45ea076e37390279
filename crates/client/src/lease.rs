use crate::groups::group_address;
use crate::transport::Call;
use crate::verbatim::VerbatimMessages;
use crate::{Client, ClientError, Verbatim};
use serde::Serialize;
use std::time::Duration;
use weir_protocol::shapes::{
    AckRequest, ExtendRequest, Leased, LeasedMessage, NackRequest, ReceiptResults,
};
use weir_types::{DurationText, GroupName, MemberName, TopicName};

/// What to lease. `None` leaves a value to the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseOptions {
    /// At most so many messages.
    pub max: Option<usize>,
    /// At most so many bytes, but at least one message.
    pub max_bytes: Option<usize>,
    /// How long to wait for a message if there is none.
    pub wait: Option<Duration>,
    /// How long the messages stay ours.
    pub visibility_timeout: Option<Duration>,
    /// Who asks. Needed where the group's order is by partition, and shown to operators elsewhere.
    pub member: Option<MemberName>,
}

impl Client {
    /// Takes messages for processing. Each comes back to the group unless it is acknowledged
    /// before its lease ends.
    ///
    /// # Errors
    /// [`ClientError`]. What was leased in an answer that got lost comes back by itself.
    pub async fn lease(
        &self,
        topic: &TopicName,
        group: &GroupName,
        options: &LeaseOptions,
    ) -> Result<Leased, ClientError> {
        self.transport.call(lease_call(topic, group, options)).await
    }

    /// Like [`Client::lease`], and keeps each message's JSON.
    ///
    /// # Errors
    /// Like [`Client::lease`].
    pub async fn lease_verbatim(
        &self,
        topic: &TopicName,
        group: &GroupName,
        options: &LeaseOptions,
    ) -> Result<Vec<Verbatim<LeasedMessage>>, ClientError> {
        let call = lease_call(topic, group, options);
        let leased: VerbatimMessages<LeasedMessage> = self.transport.call(call).await?;
        Ok(leased.messages)
    }

    /// Finishes messages. The answer tells for each receipt whether it still counted.
    ///
    /// # Errors
    /// [`ClientError`]. Repeating an ack is always safe.
    pub async fn ack(
        &self,
        topic: &TopicName,
        group: &GroupName,
        receipts: Vec<String>,
    ) -> Result<ReceiptResults, ClientError> {
        let body = AckRequest { receipts };
        self.settle(topic, group, "ack", &body).await
    }

    /// Gives messages back, to be delivered again after `delay`; `None` takes the group's backoff.
    /// `reason` is for people and kept with the attempt.
    ///
    /// # Errors
    /// [`ClientError`]. Repeating a nack is always safe.
    pub async fn nack(
        &self,
        topic: &TopicName,
        group: &GroupName,
        receipts: Vec<String>,
        delay: Option<Duration>,
        reason: Option<String>,
    ) -> Result<ReceiptResults, ClientError> {
        let body = NackRequest {
            receipts,
            delay: delay.map(DurationText),
            dead_letter: false,
            reason,
        };
        self.settle(topic, group, "nack", &body).await
    }

    /// Makes messages dead letters at once, however often they were delivered: nobody will ever be
    /// able to process them.
    ///
    /// # Errors
    /// [`ClientError`]. Repeating it is always safe.
    pub async fn reject(
        &self,
        topic: &TopicName,
        group: &GroupName,
        receipts: Vec<String>,
        reason: Option<String>,
    ) -> Result<ReceiptResults, ClientError> {
        let body = NackRequest {
            receipts,
            delay: None,
            dead_letter: true,
            reason,
        };
        self.settle(topic, group, "nack", &body).await
    }

    /// Keeps messages for `visibility_timeout` from now; `None` takes the topic's.
    ///
    /// # Errors
    /// [`ClientError`]. Repeating an extend is always safe.
    pub async fn extend(
        &self,
        topic: &TopicName,
        group: &GroupName,
        receipts: Vec<String>,
        visibility_timeout: Option<Duration>,
    ) -> Result<ReceiptResults, ClientError> {
        let body = ExtendRequest {
            receipts,
            visibility_timeout: visibility_timeout.map(DurationText),
        };
        self.settle(topic, group, "extend", &body).await
    }

    async fn settle(
        &self,
        topic: &TopicName,
        group: &GroupName,
        verb: &str,
        body: &impl Serialize,
    ) -> Result<ReceiptResults, ClientError> {
        let call = Call::post(group_address(topic, group, &[verb])).json(body);
        self.transport.call(call).await
    }
}

fn lease_call(topic: &TopicName, group: &GroupName, options: &LeaseOptions) -> Call {
    let address = group_address(topic, group, &["lease"])
        .with_some("max", options.max)
        .with_some("max_bytes", options.max_bytes)
        .with_duration("wait", options.wait)
        .with_duration("visibility_timeout", options.visibility_timeout)
        .with_some("member", options.member.as_ref());
    Call::post(address).waiting(options.wait)
}
