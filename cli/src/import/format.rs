//! What a line of an old broker's file says.
//!
//! | format | files | a line |
//! |---|---|---|
//! | `Text` | MiniMQ, `<topic>.log` | the message, as it was sent |
//! | `Queue` | publish/consume, `<topic>.jsonl` | `{"id":s,"topic":s,"payload":…,"reply_to"?:s or null}` |
//! | `Letters` | publish/consume, `dead_letters/<topic>.jsonl` | the letter, an object |
//! | `Partition` | partitioned, `<topic>/partition-N.log` | `{"id":s,"payload":s,"created_at":s,"topic":s,"partition":N}` |
//!
//! JSON lines may have white space around them, and blank lines between them mean nothing. In a text file
//! every byte before the newline is the message's, and a blank line is an empty message.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use weir_protocol::{Payload, is_object};
use weir_types::{Key, MessageId, TopicName};

/// A time is shorter; it has to fit into a header.
const MAX_CREATED_AT_BYTES: usize = 128;

/// How the lines of a file are to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Queue,
    Letters,
    /// With the number in the file's name.
    Partition(u32),
}

/// A message as its broker kept it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// The id that its consumers know, if Weir can have it.
    pub(super) id: Option<MessageId>,
    pub(super) key: Option<Key>,
    pub(super) reply_to: Option<TopicName>,
    /// When it was sent, as its broker wrote it.
    pub(super) created_at: Option<String>,
    pub(super) payload: Payload,
}

impl Format {
    /// Reads a line; `None` for one that means nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(
        self,
        line: &[u8],
        is_terminated: bool,
        max_payload_bytes: usize,
    ) -> Result<Option<Kept>, String> {
        if self != Self::Text && line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let kept = match self {
            Self::Text => text(line, is_terminated, max_payload_bytes),
            Self::Queue => queued(line, max_payload_bytes),
            Self::Letters => letter(line, max_payload_bytes),
            Self::Partition(partition) => partitioned(line, partition, max_payload_bytes),
        };
        // JSON says itself whether it is whole: a newline that is missing behind it is no harm.
        kept.map(Some).map_err(|reason| match is_terminated {
            true => reason,
            false => format!("{reason} (cut off: the file does not end with a newline)"),
        })
    }
}

/// Without its newline nobody knows whether a text is whole.
fn text(line: &[u8], is_terminated: bool, max_payload_bytes: usize) -> Result<Kept, String> {
    if !is_terminated {
        return Err("it may not be whole".into());
    }
    let text = std::str::from_utf8(line).map_err(|e| not_utf8(&e))?;
    let payload = Payload::from_text(text);
    let length_bytes = payload.as_bytes().len();
    if length_bytes > max_payload_bytes {
        return Err(format!(
            "the payload has {length_bytes} bytes; at most {max_payload_bytes} are allowed"
        ));
    }
    Ok(plain(payload))
}

fn not_utf8(error: &std::str::Utf8Error) -> String {
    format!("not UTF-8 at byte {} of the line", error.valid_up_to())
}

fn plain(payload: Payload) -> Kept {
    Kept {
        id: None,
        key: None,
        reply_to: None,
        created_at: None,
        payload,
    }
}

fn queued(line: &[u8], max_payload_bytes: usize) -> Result<Kept, String> {
    #[derive(Deserialize)]
    struct Queued<'a> {
        id: Option<String>,
        #[serde(borrow)]
        payload: &'a RawValue,
        reply_to: Option<String>,
    }
    let queued: Queued<'_> = object(line)?;
    let reply_to = queued.reply_to.filter(|name| !name.is_empty());
    let reply_to = reply_to.map(|name| TopicName::parse(&name));
    Ok(Kept {
        id: queued.id.and_then(|id| MessageId::parse(&id).ok()),
        reply_to: reply_to
            .transpose()
            .map_err(|e| format!("its reply_to: {e}"))?,
        ..plain(payload(queued.payload.get(), max_payload_bytes)?)
    })
}

fn letter(line: &[u8], max_payload_bytes: usize) -> Result<Kept, String> {
    #[derive(Deserialize)]
    struct Letter {
        topic: Option<String>,
    }
    let letter: Letter = object(line)?;
    let text = std::str::from_utf8(line).map_err(|e| not_utf8(&e))?;
    Ok(Kept {
        key: letter.topic.and_then(|topic| Key::parse(&topic).ok()),
        ..plain(payload(text, max_payload_bytes)?)
    })
}

fn partitioned(line: &[u8], number: u32, max_payload_bytes: usize) -> Result<Kept, String> {
    #[derive(Deserialize)]
    struct Partitioned<'a> {
        id: Option<String>,
        #[serde(borrow)]
        payload: &'a RawValue,
        created_at: Option<String>,
        partition: Option<u32>,
    }
    let read: Partitioned<'_> = object(line)?;
    if !read.payload.get().starts_with('"') {
        return Err("its payload is not a string".into());
    }
    match read.partition {
        Some(named) if named != number => {
            return Err(format!(
                "it says partition {named} in the file of partition {number}"
            ));
        }
        _ => {}
    }
    let time_bytes = read.created_at.as_ref().map_or(0, String::len);
    if time_bytes > MAX_CREATED_AT_BYTES {
        return Err(format!(
            "its created_at has {time_bytes} bytes; at most {MAX_CREATED_AT_BYTES} are allowed"
        ));
    }
    Ok(Kept {
        id: read.id.and_then(|id| MessageId::parse(&id).ok()),
        created_at: read.created_at,
        ..plain(payload(read.payload.get(), max_payload_bytes)?)
    })
}

fn object<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    if !is_object(line) {
        return Err("not a JSON object".into());
    }
    let text = std::str::from_utf8(line).map_err(|e| not_utf8(&e))?;
    serde_json::from_str(text).map_err(|e| in_line(&e.to_string()))
}

fn payload(json: &str, max_payload_bytes: usize) -> Result<Payload, String> {
    let json = Bytes::copy_from_slice(json.as_bytes());
    Payload::parse(&json, max_payload_bytes).map_err(|e| in_line(&e.to_string()))
}

/// The parser sees each line alone, so its "line 1" would mislead.
fn in_line(reason: &str) -> String {
    reason.replace(" at line 1 column ", " at column ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUED: &str = r#"{"id": "5e7b6a52-9d0f-4c07-8b0e-0d5f3b6f7a11", "topic": "orders", "payload": {"item": "tea", "caf\u00e9": 2}, "reply_to": "answers"}"#;
    const LETTER: &str = r#"{"id": "a", "source_service": null, "topic": "orders", "payload": {"n": 1}, "reason": "boom", "attempt_count": 3, "timestamp_ms": 1700000000000}"#;
    const PARTITIONED: &str = r#"{"id":"q8mVxkq6R0u5y5Jm0d1y8A","payload":"a \u003cb\u003e \"c\"","created_at":"2025-11-21T08:00:00.123456789Z","topic":"events","partition":3}"#;

    fn read(format: Format, line: &[u8]) -> Result<Option<Kept>, String> {
        format.read(line, true, 1000)
    }

    fn kept(format: Format, line: &str) -> Kept {
        read(format, line.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_text_line_is_the_message_to_the_last_byte() {
        for text in ["hello", "", " say \"hi\" \r", "{\"a\":1}", "é\u{0}"] {
            assert_eq!(
                kept(Format::Text, text),
                plain(Payload::from_text(text)),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_queued_message_keeps_id_payload_and_reply_to() {
        let found = kept(Format::Queue, QUEUED);
        let id = "5e7b6a52-9d0f-4c07-8b0e-0d5f3b6f7a11";
        assert_eq!(found.id, Some(MessageId::parse(id).unwrap()));
        assert_eq!(
            found.payload.as_bytes(),
            r#"{"item": "tea", "caf\u00e9": 2}"#
        );
        assert_eq!(found.reply_to.unwrap().as_str(), "answers");
        for none in [
            r#"{"id":"","payload":[1]}"#,
            r#" {"payload":[1],"reply_to":null} "#,
        ] {
            let found = kept(Format::Queue, none);
            assert_eq!((found.id, found.reply_to), (None, None));
        }
    }

    #[test]
    fn a_letter_is_kept_whole_under_its_topic() {
        let found = kept(Format::Letters, LETTER);
        assert_eq!(found.payload.as_bytes(), LETTER);
        assert_eq!(found.key.unwrap().as_str(), "orders");
        assert_eq!(kept(Format::Letters, "{}").key, None);
    }

    #[test]
    fn a_partitioned_message_keeps_id_text_and_time() {
        let found = kept(Format::Partition(3), PARTITIONED);
        assert_eq!(found.id.unwrap().as_str(), "q8mVxkq6R0u5y5Jm0d1y8A");
        assert_eq!(found.payload.as_bytes(), r#""a \u003cb\u003e \"c\"""#);
        assert_eq!(found.created_at.unwrap(), "2025-11-21T08:00:00.123456789Z");
    }

    #[test]
    fn blank_lines_between_json_mean_nothing() {
        for format in [Format::Queue, Format::Letters, Format::Partition(0)] {
            for blank in ["", "  ", "\r"] {
                assert_eq!(read(format, blank.as_bytes()), Ok(None));
            }
        }
    }

    #[test]
    fn json_torn_at_any_byte_is_refused_and_whole_json_needs_no_newline() {
        for (format, line) in [
            (Format::Queue, QUEUED),
            (Format::Letters, LETTER),
            (Format::Partition(3), PARTITIONED),
        ] {
            for end in 1..line.len() {
                let torn = format.read(&line.as_bytes()[..end], false, 1000);
                let reason = torn.unwrap_err();
                assert!(reason.contains("cut off"), "{reason}");
            }
            let whole = format.read(line.as_bytes(), false, 1000);
            assert_eq!(whole, read(format, line.as_bytes()));
        }
    }

    #[test]
    fn a_text_without_its_newline_may_be_torn_anywhere() {
        for end in 1..=5 {
            let torn = Format::Text.read(&b"hello"[..end], false, 1000);
            assert!(torn.unwrap_err().contains("cut off"));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let long = format!("{{\"payload\":\"{}\"}}", "x".repeat(1000));
        let late = "0".repeat(1000);
        let late = format!("{{\"payload\":\"a\",\"created_at\":\"{late}\"}}");
        for (format, line, reason) in [
            (Format::Text, &b"a\xff"[..], "not UTF-8 at byte 1"),
            (Format::Text, &[b'x'; 999], "1001 bytes; at most 1000"),
            (
                Format::Queue,
                b"{\"payload\":\"\xff\"}",
                "not UTF-8 at byte 12",
            ),
            (Format::Queue, b"[1]", "not a JSON object"),
            (Format::Queue, b"{\"id\":\"a\"}", "missing field `payload`"),
            (Format::Queue, b"{\"payload\":NaN}", "at column 12"),
            (
                Format::Queue,
                br#"{"payload":"\ud83d"}"#,
                "unexpected end of hex escape",
            ),
            (
                Format::Queue,
                br#"{"payload":1,"reply_to":"a b"}"#,
                "its reply_to",
            ),
            (Format::Queue, br#"{"payload":1} {"payload":2}"#, "trailing"),
            (Format::Partition(1), br#"{"payload":1}"#, "not a string"),
            (
                Format::Partition(1),
                br#"{"payload":"a","partition":2}"#,
                "says partition 2",
            ),
            (
                Format::Partition(1),
                late.as_bytes(),
                "its created_at has 1000 bytes; at most 128",
            ),
            (
                Format::Partition(1),
                long.as_bytes(),
                "1002 bytes; at most 1000",
            ),
        ] {
            let found = read(format, line).unwrap_err();
            assert!(found.contains(reason), "{found:?} has no {reason:?}");
        }
    }
}
