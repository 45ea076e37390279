use crate::events::{Events, events_call, malformed};
use crate::groups::group_address;
use crate::{Client, ClientError, Verbatim};
use serde::de::DeserializeOwned;
use std::time::Duration;
use weir_protocol::shapes::LeasedMessage;
use weir_types::{GroupName, MemberName, TopicName};

/// How to consume over a stream. `None` leaves a value to the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupStreamOptions {
    /// Messages that may be unfinished at one time; the broker pauses there until some are acked.
    pub max_in_flight: Option<u32>,
    /// How long each message stays ours.
    pub visibility_timeout: Option<Duration>,
    /// Who consumes; the broker makes up a name unless told.
    pub member: Option<MemberName>,
}

/// One live connection over which a group's messages are leased to us as they come. They are acked,
/// nacked and extended by the calls of [`Client`].
///
/// When the connection ends, whatever was not acked is given back, as by a nack.
#[derive(Debug)]
pub struct GroupStream {
    events: Events,
}

impl Client {
    /// Consumes a group over a stream. Creates the group, at the oldest message, if need be.
    ///
    /// # Errors
    /// [`ClientError`] when the stream cannot be opened.
    pub async fn group_stream(
        &self,
        topic: &TopicName,
        group: &GroupName,
        options: &GroupStreamOptions,
    ) -> Result<GroupStream, ClientError> {
        let address = group_address(topic, group, &["stream"])
            .with_some("max_in_flight", options.max_in_flight)
            .with_duration("visibility_timeout", options.visibility_timeout)
            .with_some("member", options.member.as_ref());
        let events = Events::open(&self.transport, events_call(address)).await?;
        Ok(GroupStream { events })
    }
}

impl GroupStream {
    /// The next message; `None` when the broker ended the stream, which it does when it stops.
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`ClientError`]; the stream is over then. `unknown_group` says that the group was deleted.
    pub async fn next(&mut self) -> Result<Option<LeasedMessage>, ClientError> {
        self.next_as().await
    }

    /// Like [`GroupStream::next`], and keeps the message's JSON.
    ///
    /// # Errors
    /// Like [`GroupStream::next`].
    pub async fn next_verbatim(&mut self) -> Result<Option<Verbatim<LeasedMessage>>, ClientError> {
        self.next_as().await
    }

    /// How long the broker wants clients to wait before they reconnect, if it said.
    #[must_use]
    pub const fn reconnect_after(&self) -> Option<Duration> {
        self.events.reconnect_after()
    }

    async fn next_as<M: DeserializeOwned>(&mut self) -> Result<Option<M>, ClientError> {
        while let Some(event) = self.events.next().await? {
            // Events of kinds that this version does not know say nothing.
            if matches!(event.kind.as_str(), "" | "message") && !event.data.is_empty() {
                let message = serde_json::from_slice(&event.data);
                return message
                    .map(Some)
                    .map_err(|error| malformed(error.to_string()));
            }
        }
        Ok(None)
    }
}
