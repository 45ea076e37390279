//! The plain queue of a topic: any number of callers take messages from it, and nobody acks.
//!
//! It is a group like any other, shared by all front ends that offer such a queue: what one of them
//! hands out, no other does.

use super::{Broker, BrokerError, HandOut};
use serde::Deserialize;
use serde_json::value::RawValue;
use weir_types::{GroupName, GroupOrdering, MessageId, TopicName};

/// The group that is the plain queue.
const GROUP: &str = "consume";
/// Messages of one answer take so much at most, or it is a single one.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A message for clients that know neither partitions nor offsets.
#[derive(Clone, Debug)]
pub struct PlainMessage {
    /// The message's id.
    pub id: MessageId,
    /// The topic it was taken from.
    pub topic: TopicName,
    /// The producer's JSON as it is stored.
    pub payload: Box<RawValue>,
    /// Topic that an answer goes to.
    pub reply_to: Option<String>,
}

/// The members of a stored line that such clients see.
#[derive(Deserialize)]
struct StoredMembers {
    id: MessageId,
    #[serde(default)]
    reply_to: Option<String>,
    payload: Box<RawValue>,
}

impl PlainMessage {
    /// Reads a stored line.
    ///
    /// # Errors
    /// [`BrokerError::Internal`]: the line is not as the broker writes it.
    pub fn of_line(topic: &TopicName, line: &[u8]) -> Result<Self, BrokerError> {
        let stored: StoredMembers = serde_json::from_slice(line)
            .map_err(|e| BrokerError::internal(format!("a stored record cannot be read: {e}")))?;
        Ok(Self {
            id: stored.id,
            topic: topic.clone(),
            payload: stored.payload,
            reply_to: stored.reply_to,
        })
    }
}

impl Broker {
    /// Takes the next messages of a topic's plain queue, without waiting for new ones. They are gone
    /// when `delivered` says `true`, and go to others at once when it says `false`. Nothing of an
    /// unknown topic. Messages with one key are handed out one after the other.
    ///
    /// # Errors
    /// As [`Broker::hand_out`]; then nothing is taken.
    pub async fn take_next(
        &self,
        topic: &TopicName,
        max_messages: usize,
        delivered: impl Future<Output = bool> + Send + 'static,
    ) -> Result<Vec<PlainMessage>, BrokerError> {
        let group = GroupName::parse(GROUP).map_err(|e| BrokerError::internal(e.to_string()))?;
        self.take_plain(topic, &group, max_messages, delivered)
            .await
    }

    /// Likewise, of a group that is such a queue.
    pub(super) async fn take_plain(
        &self,
        topic: &TopicName,
        group: &GroupName,
        max_messages: usize,
        delivered: impl Future<Output = bool> + Send + 'static,
    ) -> Result<Vec<PlainMessage>, BrokerError> {
        let asked = HandOut {
            max_messages,
            max_bytes: MAX_BYTES,
            member: None,
            ordering: GroupOrdering::Key,
        };
        let taken = self.hand_out(topic, group, asked, delivered).await?;
        let taken = taken.iter();
        taken
            .map(|message| PlainMessage::of_line(topic, &message.line.bytes))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<PlainMessage, BrokerError> {
        PlainMessage::of_line(&TopicName::parse("t").unwrap(), line.as_bytes())
    }

    #[test]
    fn what_plain_clients_see_is_read_from_the_line() {
        let line = r#"{"offset":4,"timestamp":5,"id":"i\"1","key":"k","headers":{"payload":"no"},
            "reply_to":"answers","payload":{"a": [1, "\u00fc"]},"crc":"00000000"}"#;
        let message = read(line).unwrap();
        assert_eq!(message.id.as_str(), "i\"1");
        assert_eq!(message.reply_to.as_deref(), Some("answers"));
        assert_eq!(message.payload.get(), r#"{"a": [1, "\u00fc"]}"#);

        let plain = read(r#"{"offset":0,"timestamp":5,"id":"i","payload":null}"#).unwrap();
        assert_eq!((plain.reply_to, plain.payload.get()), (None, "null"));
        assert!(read("{}").is_err());
    }
}
