use crate::address::Address;
use crate::events::{Events, events_call, malformed};
use crate::sse::Event;
use crate::{Client, ClientError, ReadFrom};
use http::header::{HeaderName, HeaderValue};
use std::time::Duration;
use weir_protocol::shapes::{Gap, Message};
use weir_types::{PartitionId, TopicName};

/// A message of a stream.
#[derive(Clone, Debug)]
pub struct StreamedMessage {
    /// The message.
    pub message: Message,
    /// The object it was read from.
    pub json: String,
    /// Place after this message and all before it. Given once per flush of the broker: `None`
    /// means that a later message of the same flush carries it.
    pub cursor: Option<String>,
}

/// What a stream brings.
#[derive(Clone, Debug)]
pub enum Streamed {
    /// The next message.
    Message(StreamedMessage),
    /// Offsets that no readable record has; reading goes on behind them.
    Gap {
        /// Which ones, and why.
        gap: Gap,
        /// Place after the gap, like that of a message.
        cursor: Option<String>,
    },
}

/// One live connection that delivers messages as they are published. It ends when the connection
/// does; [`Client::follow`] goes on after that.
#[derive(Debug)]
pub struct MessageStream {
    events: Events,
    cursor: Option<String>,
}

impl Client {
    /// Streams a topic, or one partition of it, beginning at `from`.
    ///
    /// # Errors
    /// [`ClientError`] when the stream cannot be opened.
    pub async fn stream(
        &self,
        topic: &TopicName,
        from: &ReadFrom,
        partition: Option<PartitionId>,
    ) -> Result<MessageStream, ClientError> {
        let address = Address::path(&["v1", "topics", topic.as_str(), "stream"])
            .with("from", from)
            .with_some("partition", partition);
        let mut call = events_call(address);
        // A time has colons, a cursor has not; only a cursor may be resumed from.
        if let ReadFrom::At(cursor) = from
            && !cursor.contains(':')
            && let Ok(cursor) = HeaderValue::from_str(cursor)
        {
            call = call.header(HeaderName::from_static("last-event-id"), cursor);
        }
        Ok(MessageStream {
            events: Events::open(&self.transport, call).await?,
            cursor: None,
        })
    }
}

impl MessageStream {
    /// The next message or gap; `None` when the broker ended the stream, which it does when it stops.
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`ClientError`]; the stream is over then.
    pub async fn next(&mut self) -> Result<Option<Streamed>, ClientError> {
        while let Some(event) = self.events.next().await? {
            if let Some(streamed) = self.read_event(event)? {
                return Ok(Some(streamed));
            }
        }
        Ok(None)
    }

    /// The newest cursor the broker gave on this connection, even without a message.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// How long the broker wants clients to wait before they reconnect, if it said.
    #[must_use]
    pub const fn reconnect_after(&self) -> Option<Duration> {
        self.events.reconnect_after()
    }

    /// What an event says. Events of kinds that this version does not know say nothing.
    fn read_event(&mut self, event: Event) -> Result<Option<Streamed>, ClientError> {
        if event.id.is_some() {
            self.cursor.clone_from(&event.id);
        }
        match event.kind.as_str() {
            "" | "message" if !event.data.is_empty() => message(event).map(Some),
            "gap" => gap(event).map(Some),
            _ => Ok(None),
        }
    }
}

fn gap(event: Event) -> Result<Streamed, ClientError> {
    let gap = serde_json::from_slice(&event.data).map_err(|error| malformed(error.to_string()))?;
    Ok(Streamed::Gap {
        gap,
        cursor: event.id,
    })
}

fn message(event: Event) -> Result<Streamed, ClientError> {
    let json = String::from_utf8(event.data).map_err(|error| malformed(error.to_string()))?;
    let message = serde_json::from_str(&json).map_err(|error| malformed(error.to_string()))?;
    Ok(Streamed::Message(StreamedMessage {
        message,
        json,
        cursor: event.id,
    }))
}
