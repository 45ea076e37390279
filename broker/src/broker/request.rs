//! Requests: publish, and wait for what the worker replies.

use super::{Accepted, Broker, BrokerError};
use crate::replies::{NoPlace, Reply};
use serde_json::value::RawValue;
use std::time::Duration;
use weir_protocol::shapes::{Message, Published};
use weir_protocol::{NewMessage, Payload};
use weir_types::{MessageId, Offset, PartitionId, TopicName};

/// When to ask again if too many wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Broker {
    /// Publishes a message with a fresh place for the reply, and waits there. What the message says
    /// of `reply_to` is replaced. A caller that goes away leaves nothing but its message.
    ///
    /// # Errors
    /// Those of [`Broker::publish`]; [`BrokerError::NoReply`] if none came within `timeout` after that;
    /// [`BrokerError::Overloaded`] if too many wait; [`BrokerError::RequestRepeated`].
    pub async fn request(
        &self,
        topic: &TopicName,
        message: NewMessage,
        timeout: Duration,
    ) -> Result<Message, BrokerError> {
        self.check_serving()?;
        let mut place = self.shared.replies.open(fastrand::u128(..))?;
        // Before the time begins: "no reply" promises that the request is there, however slow the disk.
        self.send_request(topic, message, place.name()).await?;
        let reply = tokio::select! {
            reply = tokio::time::timeout(timeout, place.reply()) => {
                reply.map_err(|_| BrokerError::NoReply { timeout })?
            }
            () = self.shared.draining.cancelled() => return Err(BrokerError::Draining),
        };
        let gone = || BrokerError::internal("a place for a reply was closed");
        let reply = reply.ok_or_else(gone)?;
        as_message(place.name(), reply)
    }

    async fn send_request(
        &self,
        topic: &TopicName,
        message: NewMessage,
        reply_to: &TopicName,
    ) -> Result<(), BrokerError> {
        let message = NewMessage {
            reply_to: Some(reply_to.clone()),
            deliver: None,
            ..message
        };
        match self.publish(topic, message).await? {
            // The message that is there has another place, at which nobody may wait any more.
            Accepted::Stored(Published {
                duplicate: true,
                id,
                ..
            }) => Err(BrokerError::RequestRepeated { id }),
            _ => Ok(()),
        }
    }

    /// Hands a reply to the caller that waits for it.
    pub(super) fn reply(
        &self,
        place: &TopicName,
        message: NewMessage,
    ) -> Result<Published, BrokerError> {
        self.check_serving()?;
        self.check_reply(place, &message)?;
        let reply = self.reply_of(message);
        let published = Published {
            topic: place.clone(),
            partition: PartitionId(0),
            offset: Offset::ZERO,
            id: reply.id.clone(),
            timestamp: reply.timestamp,
            duplicate: false,
        };
        match self.shared.replies.deliver(place, reply) {
            true => Ok(published),
            false => Err(nobody_waits(place)),
        }
    }

    /// With an id and a time.
    pub(super) fn reply_of(&self, mut message: NewMessage) -> Reply {
        let made = || MessageId::from_bits(fastrand::u128(..));
        Reply {
            id: message.id.take().unwrap_or_else(made),
            message,
            timestamp: self.shared.clock.now(),
        }
    }

    /// Whether somebody waits, and the message is one that can be handed over at once.
    pub(super) fn check_reply(
        &self,
        place: &TopicName,
        message: &NewMessage,
    ) -> Result<(), BrokerError> {
        super::publish::check_partition(place, 1, message)?;
        match message.deliver {
            Some(_) => Err(BrokerError::ReplyLater),
            None if !self.shared.replies.is_waited_for(place) => Err(nobody_waits(place)),
            None => Ok(()),
        }
    }
}

pub(super) fn nobody_waits(place: &TopicName) -> BrokerError {
    BrokerError::NobodyWaits {
        place: place.clone(),
    }
}

fn as_message(place: &TopicName, reply: Reply) -> Result<Message, BrokerError> {
    Ok(Message {
        topic: place.clone(),
        partition: PartitionId(0),
        offset: Offset::ZERO,
        timestamp: reply.timestamp,
        id: reply.id,
        key: reply.message.key,
        headers: reply.message.headers.into(),
        reply_to: reply.message.reply_to.map(String::from),
        expires_at: None,
        payload: raw(&reply.message.payload)?,
    })
}

fn raw(payload: &Payload) -> Result<Box<RawValue>, BrokerError> {
    serde_json::from_slice(payload.as_bytes())
        .map_err(|e| BrokerError::internal(format!("a payload is no JSON: {e}")))
}

impl From<NoPlace> for BrokerError {
    fn from(refused: NoPlace) -> Self {
        match refused {
            NoPlace::TooMany => Self::Overloaded {
                retry_after: RETRY_AFTER,
            },
            NoPlace::Name(name) => Self::internal(format!("a place for a reply: {name}")),
        }
    }
}
