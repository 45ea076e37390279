//! What a consumer's stream says. Its clients cut lines, and give up on one of 64 KiB: a message that
//! does not fit would end every consumer that gets it, so it becomes a dead letter.

use crate::broker::{Broker, BrokerError, GroupStream, LeasedMessage, ReceiptAction, Redelivery};
use crate::http::sse::KEEP_ALIVE;
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use thiserror::Error;
use weir_types::{GroupName, MessageId, PartitionId, Timestamp, TopicName};

/// Of a line without its end: with it, it has less than 64 KiB.
const MAX_LINE_BYTES: usize = 64 * 1024 - 2;
/// Comments are lines of their own, without the blank line that ends an event: a client that looks
/// for nothing but `id: ` and `data: ` takes every blank line for one.
const QUIET: &str = ": quiet\n";
const FAREWELL: &str = ": the stream ends here, reconnect\n";

/// What follows `data: `.
#[derive(Serialize)]
struct Data<'a> {
    id: &'a str,
    payload: &'a str,
    created_at: String,
    topic: &'a TopicName,
    partition: PartitionId,
}

/// Why a message cannot be shown.
#[derive(Debug, Error)]
pub(super) enum Unfit {
    #[error("its event would have a line of {0} bytes; a line has at most {MAX_LINE_BYTES}")]
    TooLong(usize),
    #[error("its record is not readable: {0}")]
    NoRecord(#[from] serde_json::Error),
}

/// Whether a new message can be shown to consumers.
pub(super) fn check_payload(
    topic: &TopicName,
    partition: PartitionId,
    payload: &str,
) -> Result<(), Unfit> {
    let made = MessageId::from_bits(0);
    let data = Data {
        id: made.as_str(),
        payload,
        created_at: Timestamp(0).to_rfc3339(),
        topic,
        partition,
    };
    push_event(&mut Vec::new(), &data)
}

/// One consumer and what it is sent.
struct Consumer {
    broker: Broker,
    group: GroupName,
    stream: GroupStream,
}

/// Events as long as the client is there and the broker runs.
pub(super) fn events(
    broker: Broker,
    group: GroupName,
    stream: GroupStream,
) -> impl Stream<Item = Bytes> + Send {
    let consumer = Consumer {
        broker,
        group,
        stream,
    };
    stream::unfold(Some(consumer), |consumer| async {
        let mut consumer = consumer?;
        Some(match consumer.stream.next(KEEP_ALIVE).await {
            Ok(Some(messages)) => (consumer.show(&messages).await, Some(consumer)),
            Ok(None) => (FAREWELL.into(), None),
            Err(error) => (format!(": {error}\n").into(), None),
        })
    })
}

impl Consumer {
    async fn show(&self, messages: &[LeasedMessage]) -> Bytes {
        let (topic, mut shown) = (self.stream.topic(), Vec::new());
        for message in messages {
            if let Err(unfit) = push_message(&mut shown, topic, message) {
                self.refuse(message, &unfit).await;
            }
        }
        match shown.is_empty() {
            true => QUIET.into(),
            false => shown.into(),
        }
    }

    /// Makes it a dead letter. Should that fail, it comes again when its lease is over.
    async fn refuse(&self, message: &LeasedMessage, why: &Unfit) {
        let (topic, group) = (self.stream.topic(), &self.group);
        let action = ReceiptAction::Nack {
            redelivery: Redelivery::Never,
            reason: Some(why.to_string()),
        };
        let receipt = message.receipt.encode();
        let receipts = std::iter::once(receipt.as_str());
        let settled: Result<_, BrokerError> =
            self.broker.settle(topic, group, receipts, action).await;
        if let Err(error) = settled {
            let offset = message.line.offset.0;
            tracing::warn!(%topic, %group, offset, %error, "cannot refuse a message for good");
        }
    }
}

fn push_message(
    events: &mut Vec<u8>,
    topic: &TopicName,
    message: &LeasedMessage,
) -> Result<(), Unfit> {
    #[derive(Deserialize)]
    struct Stored<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
        timestamp: Timestamp,
        #[serde(borrow)]
        payload: &'a RawValue,
    }
    let stored: Stored<'_> = serde_json::from_slice(&message.line.bytes)?;
    let json = stored.payload.get();
    let text: Option<Cow<'_, str>> = serde_json::from_str::<String>(json).ok().map(Cow::Owned);
    let data = Data {
        id: &stored.id,
        payload: &text.unwrap_or(Cow::Borrowed(json)),
        created_at: stored.timestamp.to_rfc3339(),
        topic,
        partition: message.receipt.partition,
    };
    push_event(events, &data)
}

/// Adds an event, or nothing. No line is broken: ids have no control characters, and JSON escapes
/// those of a text.
fn push_event(events: &mut Vec<u8>, data: &Data<'_>) -> Result<(), Unfit> {
    let begin = events.len();
    for part in ["id: ", data.id, "\n"] {
        events.extend_from_slice(part.as_bytes());
    }
    let line = events.len();
    events.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut *events, data)?;
    let line_bytes = events.len() - line;
    if line_bytes > MAX_LINE_BYTES {
        events.truncate(begin);
        return Err(Unfit::TooLong(line_bytes));
    }
    events.extend_from_slice(b"\n\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(payload: &str) -> Result<String, Unfit> {
        let mut events = b"before".to_vec();
        let data = Data {
            id: "an id",
            payload,
            created_at: Timestamp(1_769_860_800_123).to_rfc3339(),
            topic: &TopicName::parse("orders").unwrap(),
            partition: PartitionId(3),
        };
        let pushed = push_event(&mut events, &data);
        let events = String::from_utf8(events).unwrap();
        let event = events.strip_prefix("before").unwrap().to_owned();
        assert_eq!(event.is_empty(), pushed.is_err());
        pushed.map(|()| event)
    }

    #[test]
    fn an_event_has_its_members_in_the_order_that_clients_know() {
        let expected = "id: an id\ndata: {\"id\":\"an id\",\"payload\":\"a\\nb\",\
            \"created_at\":\"2026-01-31T12:00:00.123Z\",\"topic\":\"orders\",\"partition\":3}\n\n";
        assert_eq!(event("a\nb").unwrap(), expected);
    }

    #[test]
    fn a_line_and_its_end_stay_below_64_kib() {
        let around = event("").unwrap().lines().nth(1).unwrap().len();
        let longest = "x".repeat(MAX_LINE_BYTES - around);
        let line = event(&longest).unwrap();
        assert_eq!(line.lines().nth(1).unwrap().len() + "\n".len(), 65_535);
        let refused = event(&(longest + "x")).unwrap_err().to_string();
        assert!(refused.contains("a line of 65535 bytes"), "{refused}");
    }
}
