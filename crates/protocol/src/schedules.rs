//! Messages that are delivered later: shapes of the API, and the cursor of their list.

use crate::delivery::{Delay, Deliver, DeliverAt};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;
use weir_types::{
    DurationText, Headers, Key, MessageId, Offset, PartitionId, Timestamp, TopicName,
};

/// A message that waits for its time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name, as the publish was answered.
    pub schedule_id: String,
    /// When it is delivered, in milliseconds since the Unix epoch.
    pub deliver_at: Timestamp,
    /// When it was published.
    pub created_at: Timestamp,
    /// Where it goes.
    pub topic: TopicName,
    /// The partition that it asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionId>,
    /// The message's id.
    pub id: MessageId,
    /// The message's key, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// Headers, if it has any.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
    /// Topic that an answer goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<TopicName>,
    /// How long it is of use, counted from its delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<DurationText>,
    /// Why it has not been delivered although it is due; it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The producer's JSON, unparsed.
    pub payload: Box<RawValue>,
}

/// Answer to listing waiting messages.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Schedules {
    /// In order of delivery.
    pub schedules: Vec<Schedule>,
    /// Cursor of the next page; absent when nothing comes after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Body of moving a waiting message: `{"delay":"5m"}` from now, or `{"deliver_at":…}`, a time of
/// RFC 3339 or milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawMove", into = "RawMove")]
pub struct MoveRequest {
    /// Its new time.
    pub deliver: Deliver,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMove {
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<Delay>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliver_at: Option<DeliverAt>,
}

impl TryFrom<RawMove> for MoveRequest {
    type Error = String;
    fn try_from(raw: RawMove) -> Result<Self, String> {
        let given = Deliver::of(raw.delay.map(|d| d.0), raw.deliver_at.map(|at| at.0));
        let deliver = given.map_err(|e| e.to_string())?;
        let deliver = deliver.ok_or("give delay or deliver_at")?;
        Ok(Self { deliver })
    }
}

impl From<MoveRequest> for RawMove {
    fn from(request: MoveRequest) -> Self {
        let (delay, deliver_at) = match request.deliver {
            Deliver::After(delay) => (Some(Delay(delay)), None),
            Deliver::At(at) => (None, Some(DeliverAt(at))),
        };
        Self { delay, deliver_at }
    }
}

/// A place in the list of waiting messages, which is in order of delivery.
///
/// On the wire it is opaque. Layout before base64url without padding, all numbers big-endian:
///
/// | bytes | content |
/// |---|---|
/// | 1 | version, 1 |
/// | 8 | `deliver_at` of the last message before the place |
/// | 8 | its order among those of the same time |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleCursor {
    /// When the last message before the place is delivered.
    pub deliver_at: Timestamp,
    /// Its order among those of the same time.
    pub seq: Offset,
}

/// A text that is no cursor of a list of schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this is no cursor of a list of schedules; pass on a \"next\" unchanged")]
pub struct InvalidScheduleCursor;

const VERSION: u8 = 1;

impl ScheduleCursor {
    /// Writes the cursor for the wire.
    #[must_use]
    pub fn encode(self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.deliver_at.0.to_be_bytes());
        bytes.extend_from_slice(&self.seq.0.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor from the wire.
    ///
    /// # Errors
    /// [`InvalidScheduleCursor`] if [`ScheduleCursor::encode`] did not make it.
    pub fn decode(text: &str) -> Result<Self, InvalidScheduleCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text);
        let bytes = bytes.map_err(|_| InvalidScheduleCursor)?;
        let (&[VERSION], rest) = bytes.split_first_chunk().ok_or(InvalidScheduleCursor)? else {
            return Err(InvalidScheduleCursor);
        };
        let (&deliver_at, rest) = rest.split_first_chunk().ok_or(InvalidScheduleCursor)?;
        let seq = rest.try_into().map_err(|_| InvalidScheduleCursor)?;
        Ok(Self {
            deliver_at: Timestamp(u64::from_be_bytes(deliver_at)),
            seq: Offset(u64::from_be_bytes(seq)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn cursors_round_trip_and_other_texts_are_refused() {
        let cursor = ScheduleCursor {
            deliver_at: Timestamp(0xab),
            seq: Offset(2),
        };
        assert_eq!(cursor.encode(), "AQAAAAAAAACrAAAAAAAAAAI");
        assert_eq!(ScheduleCursor::decode(&cursor.encode()), Ok(cursor));
        for text in ["", "AA", "!!", "AQAAAAAAAACrAAAAAQAAAAAAAAAC"] {
            assert_eq!(ScheduleCursor::decode(text), Err(InvalidScheduleCursor));
        }
    }

    #[test]
    fn a_move_says_when_in_one_way() {
        let parse = |text| serde_json::from_str::<MoveRequest>(text);
        let delay = parse("{\"delay\":\"5m\"}").unwrap();
        assert_eq!(delay.deliver, Deliver::After(Duration::from_secs(300)));
        let at = parse("{\"deliver_at\":\"2026-01-31T12:00:00Z\"}").unwrap();
        assert_eq!(at.deliver, Deliver::At(Timestamp(1_769_860_800_000)));
        let written = serde_json::to_string(&[delay, at]).unwrap();
        assert_eq!(written, r#"[{"delay":"5m"},{"deliver_at":1769860800000}]"#);
        for (text, part) in [
            ("{}", "give delay or deliver_at"),
            ("{\"delay\":\"1s\",\"deliver_at\":1}", "exclude each other"),
            ("{\"at\":1}", "unknown field"),
        ] {
            let refused = parse(text).unwrap_err().to_string();
            assert!(refused.contains(part), "{refused}");
        }
    }
}
