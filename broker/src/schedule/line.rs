//! The lines of `__schedule`. Each is the payload of a record, one member that says what happened:
//!
//! | member | content |
//! |---|---|
//! | `scheduled` | a message that waits, see [`Waiting`]; written anew, with `seq`, when the log is cleaned |
//! | `moved` | `schedule_id` and its new `deliver_at` |
//! | `cancelled` | `schedule_id` |
//! | `delivering` | the `places` that messages are about to be appended to, see [`Place`] |
//! | `delivered` | the `schedule_ids` that are in their topics now |

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use weir_commitlog::{RecordDraft, RecordHead};
use weir_protocol::NewMessage;
use weir_types::{
    DurationText, Headers, Incarnation, Key, MessageId, Offset, PartitionId, Timestamp, TopicName,
};

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line<'a> {
    #[serde(borrow)]
    Scheduled(Waiting<'a>),
    Moved {
        schedule_id: String,
        deliver_at: Timestamp,
    },
    Cancelled {
        schedule_id: String,
    },
    Delivering {
        places: Vec<Place>,
    },
    Delivered {
        schedule_ids: Vec<String>,
    },
}

/// A message that waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Waiting<'a> {
    pub(super) schedule_id: String,
    pub(super) deliver_at: Timestamp,
    pub(super) created_at: Timestamp,
    pub(super) topic: TopicName,
    /// The offset of its first line, if this is a later one: what is due at the same time is
    /// delivered in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) seq: Option<Offset>,
    /// Where it may have been appended to already, if this is a later line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delivering: Option<Target>,
    #[serde(borrow)]
    pub(super) message: WaitingMessage<'a>,
}

/// The message itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WaitingMessage<'a> {
    pub(super) id: MessageId,
    /// Whether the id is the publisher's: then its partition stores it once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) dedupe: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Key>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) partition: Option<PartitionId>,
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub(super) headers: Headers,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reply_to: Option<TopicName>,
    /// Counts from the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ttl: Option<DurationText>,
    #[serde(borrow)]
    pub(super) payload: &'a RawValue,
}

/// Messages that are about to be appended to one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) topic: TopicName,
    #[serde(flatten)]
    pub(super) target: Target,
    pub(super) schedule_ids: Vec<String>,
}

/// Where a message may have been appended to: look for it from an offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Target {
    /// Of the topic.
    pub(super) incarnation: Incarnation,
    pub(super) partition: PartitionId,
    /// The partition's high watermark before the append.
    pub(super) from: Offset,
}

impl Line<'_> {
    /// The line in a stored record.
    pub(super) fn read(record: &[u8]) -> Result<Line<'_>, serde_json::Error> {
        let payload = RecordHead::of(record).map_or(&[][..], |head| head.payload);
        serde_json::from_slice(payload)
    }

    /// The record to append, under any id.
    pub(super) fn record(&self, id: MessageId) -> Result<RecordDraft, serde_json::Error> {
        Ok(RecordDraft {
            id,
            key: None,
            headers: Headers::default(),
            reply_to: None,
            expires_at: None,
            dedupe: false,
            payload: serde_json::to_vec(self)?.into(),
        })
    }
}

/// The record that keeps `message` until `deliver_at`, named by `schedule_id`.
pub(crate) fn waiting_record(
    schedule_id: &MessageId,
    topic: &TopicName,
    message: &NewMessage,
    deliver_at: Timestamp,
    created_at: Timestamp,
) -> Result<RecordDraft, serde_json::Error> {
    let made_id = || MessageId::from_bits(fastrand::u128(..));
    let waiting = Waiting {
        schedule_id: schedule_id.to_string(),
        deliver_at,
        created_at,
        topic: topic.clone(),
        seq: None,
        delivering: None,
        message: WaitingMessage {
            id: message.id.clone().unwrap_or_else(made_id),
            dedupe: message.id.is_some(),
            key: message.key.clone(),
            partition: message.partition,
            headers: message.headers.clone(),
            reply_to: message.reply_to.clone(),
            ttl: message.ttl.map(DurationText),
            payload: serde_json::from_slice(message.payload.as_bytes())?,
        },
    };
    Line::Scheduled(waiting).record(schedule_id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::time::Duration;
    use weir_protocol::Payload;

    fn stored(record: &RecordDraft) -> Vec<u8> {
        let mut line = Vec::new();
        record.encode(Offset(7), Timestamp(8), &mut line);
        line
    }

    #[test]
    fn a_waiting_message_is_plain_text() {
        let payload = Payload::parse(&Bytes::from_static(b"{\"a\": [1]}"), 100).unwrap();
        let message = NewMessage {
            key: Some(Key::parse("k").unwrap()),
            id: Some(MessageId::parse("i").unwrap()),
            ttl: Some(Duration::from_secs(30)),
            ..NewMessage::plain(payload)
        };
        let (id, topic) = (
            MessageId::parse("s").unwrap(),
            TopicName::parse("t").unwrap(),
        );
        let record = waiting_record(&id, &topic, &message, Timestamp(9), Timestamp(5)).unwrap();
        assert_eq!(
            std::str::from_utf8(&record.payload).unwrap(),
            "{\"scheduled\":{\"schedule_id\":\"s\",\"deliver_at\":9,\"created_at\":5,\"topic\":\"t\",\
             \"message\":{\"id\":\"i\",\"dedupe\":true,\"key\":\"k\",\"ttl\":\"30s\",\
             \"payload\":{\"a\": [1]}}}}"
        );
        let stored = stored(&record);
        let Line::Scheduled(waiting) = Line::read(&stored).unwrap() else {
            panic!("another line");
        };
        assert_eq!(waiting.message.payload.get(), "{\"a\": [1]}");
    }

    #[test]
    fn what_happened_to_it_is_golden() {
        let place = Place {
            topic: TopicName::parse("t").unwrap(),
            target: Target {
                incarnation: Incarnation(0xab),
                partition: PartitionId(1),
                from: Offset(42),
            },
            schedule_ids: vec!["s".into()],
        };
        let lines = [
            Line::Moved {
                schedule_id: "s".into(),
                deliver_at: Timestamp(9),
            },
            Line::Cancelled {
                schedule_id: "s".into(),
            },
            Line::Delivering {
                places: vec![place],
            },
            Line::Delivered {
                schedule_ids: vec!["s".into()],
            },
        ];
        let golden = [
            r#"{"moved":{"schedule_id":"s","deliver_at":9}}"#,
            r#"{"cancelled":{"schedule_id":"s"}}"#,
            r#"{"delivering":{"places":[{"topic":"t","incarnation":"00000000000000ab","partition":1,"from":42,"schedule_ids":["s"]}]}}"#,
            r#"{"delivered":{"schedule_ids":["s"]}}"#,
        ];
        for (line, golden) in lines.iter().zip(golden) {
            let record = line.record(MessageId::parse("r").unwrap()).unwrap();
            assert_eq!(std::str::from_utf8(&record.payload).unwrap(), golden);
            let stored = stored(&record);
            assert_eq!(
                format!("{:?}", Line::read(&stored).unwrap()),
                format!("{line:?}")
            );
        }
    }

    #[test]
    fn a_payload_may_be_nested_as_deep_as_any() {
        let nested = "[".repeat(128) + &"]".repeat(128);
        let payload = Payload::parse(&nested.clone().into(), 1000).unwrap();
        let (id, topic) = (
            MessageId::parse("s").unwrap(),
            TopicName::parse("t").unwrap(),
        );
        let message = NewMessage::plain(payload);
        let record = waiting_record(&id, &topic, &message, Timestamp(9), Timestamp(5)).unwrap();
        let stored = stored(&record);
        let Line::Scheduled(waiting) = Line::read(&stored).unwrap() else {
            panic!("another line");
        };
        assert_eq!(waiting.message.payload.get(), nested);
    }
}
