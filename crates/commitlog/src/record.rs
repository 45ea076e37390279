//! A record on disk: one line.
//!
//! | member | when | content |
//! |---|---|---|
//! | `offset` | always | position in the partition |
//! | `timestamp` | always | when it was stored, milliseconds since the Unix epoch |
//! | `id` | always | the message's id, a JSON string |
//! | `key` | if set | a JSON string |
//! | `headers` | if any | an object of strings |
//! | `reply_to` | if set | a topic name |
//! | `expires_at` | if set | until when it is of use, milliseconds since the Unix epoch |
//! | `payload` | always | the producer's JSON, as it came, on one line |
//! | `crc` | always | see `checked_line` |
//!
//! The order is fixed, and nothing stands between the members: a reader takes offset and timestamp
//! from the front and checks the rest by its checksum.

use crate::checked_line;
use bytes::Bytes;
use memchr::memchr2;
use serde::Serialize;
use std::io::Write;
use weir_types::{Headers, Key, MessageId, Offset, Timestamp, TopicName};

/// A record before it has its offset and time.
#[derive(Clone, Debug)]
pub struct RecordDraft {
    /// The message's id.
    pub id: MessageId,
    /// The message's key.
    pub key: Option<Key>,
    /// The message's headers.
    pub headers: Headers,
    /// Topic that an answer goes to.
    pub reply_to: Option<TopicName>,
    /// Until when it is of use.
    pub expires_at: Option<Timestamp>,
    /// Whether the id came from the publisher, so that the same one again is a duplicate.
    pub dedupe: bool,
    /// One valid JSON value without raw CR or LF. The engine copies it and never looks inside.
    pub payload: Bytes,
}

/// Bytes of the shortest possible record with its newline; bounds how many may hide in damage.
pub(crate) const MIN_RECORD_BYTES: u64 = 60;

const OFFSET: &[u8] = b"{\"offset\":";
const TIMESTAMP: &[u8] = b",\"timestamp\":";

impl RecordDraft {
    /// Appends the record's line, newline included, as it is stored.
    pub fn encode(&self, offset: Offset, timestamp: Timestamp, out: &mut Vec<u8>) {
        debug_assert!(
            !self.payload.contains(&b'\n'),
            "a payload stays on its line"
        );
        let start = out.len();
        out.reserve(self.payload.len() + 160);
        let _infallible = write!(out, "{{\"offset\":{offset},\"timestamp\":{timestamp}");
        push_member(out, "id", self.id.as_str());
        if let Some(key) = &self.key {
            push_member(out, "key", key.as_str());
        }
        if !self.headers.is_empty() {
            push_member(out, "headers", &self.headers);
        }
        if let Some(reply_to) = &self.reply_to {
            push_member(out, "reply_to", reply_to.as_str());
        }
        if let Some(expires_at) = self.expires_at {
            let _infallible = write!(out, ",\"expires_at\":{expires_at}");
        }
        out.extend_from_slice(b",\"payload\":");
        out.extend_from_slice(&self.payload);
        checked_line::seal(out, start);
    }
}

fn push_member(out: &mut Vec<u8>, name: &str, value: &(impl Serialize + ?Sized)) {
    let _infallible = write!(out, ",\"{name}\":");
    // Strings and maps of strings always serialize, and a Vec always takes them.
    let _infallible = serde_json::to_writer(out, value);
}

/// Offset and timestamp from the front of a line; `None` if it is no record.
pub(crate) fn place(line: &[u8]) -> Option<(Offset, Timestamp)> {
    let rest = line.strip_prefix(OFFSET)?;
    let (offset, rest) = leading_number(rest)?;
    let (timestamp, rest) = leading_number(rest.strip_prefix(TIMESTAMP)?)?;
    rest.starts_with(b",\"id\":")
        .then_some((Offset(offset), Timestamp(timestamp)))
}

/// Offset and timestamp of an intact record; `None` if the line is damaged.
pub(crate) fn intact_place(line: &[u8]) -> Option<(Offset, Timestamp)> {
    place(line).filter(|_| checked_line::is_intact(line))
}

/// The highest offset that a damaged region may have held: every record in it whose front is
/// still legible counts, bounded by how many records fit into the region.
pub(crate) fn highest_legible_offset(damaged: &[u8], expected: Offset) -> Option<Offset> {
    let most = expected.plus(damaged.len() as u64 / MIN_RECORD_BYTES);
    let starts = damaged
        .windows(OFFSET.len())
        .enumerate()
        .filter(|(_, window)| *window == OFFSET);
    let offsets = starts.filter_map(|(at, _)| place(&damaged[at..]).map(|(offset, _)| offset));
    offsets
        .filter(|&offset| offset >= expected && offset <= most)
        .max()
}

/// What consumers must know of a record without parsing its payload, read from the front of its
/// line.
///
/// Ids, keys, headers and names are slices of the line: raw JSON texts, quotes and escapes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead<'a> {
    /// The message's id.
    pub id: &'a [u8],
    /// The message's key.
    pub key: Option<&'a [u8]>,
    /// The message's headers: an object of strings.
    pub headers: Option<&'a [u8]>,
    /// Topic that an answer goes to.
    pub reply_to: Option<&'a [u8]>,
    /// Until when it is of use.
    pub expires_at: Option<Timestamp>,
    /// The producer's JSON.
    pub payload: &'a [u8],
}

impl RecordHead<'_> {
    /// Reads the front of an intact record's line, with or without its newline; `None` if it is no
    /// record. The payload is cut out, never looked at, and the checksum is not checked.
    #[must_use]
    pub fn of(line: &[u8]) -> Option<RecordHead<'_>> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = &line[..line.len().checked_sub(checked_line::TRAILER_BYTES)?];
        let (_, rest) = leading_number(line.strip_prefix(OFFSET)?)?;
        let (_, rest) = leading_number(rest.strip_prefix(TIMESTAMP)?)?;
        let (id, rest) = string(rest.strip_prefix(b",\"id\":")?)?;
        let (key, rest) = optional(rest, b",\"key\":", string)?;
        let (headers, rest) = optional(rest, b",\"headers\":", object_of_strings)?;
        let (reply_to, rest) = optional(rest, b",\"reply_to\":", string)?;
        let (expires_at, rest) = optional(rest, b",\"expires_at\":", leading_number)?;
        Some(RecordHead {
            id,
            key,
            headers,
            reply_to,
            expires_at: expires_at.map(Timestamp),
            payload: rest.strip_prefix(b",\"payload\":")?,
        })
    }
}

/// The value of a member that may be absent, and what follows.
fn optional<'a, T>(
    text: &'a [u8],
    member: &[u8],
    value: impl FnOnce(&'a [u8]) -> Option<(T, &'a [u8])>,
) -> Option<(Option<T>, &'a [u8])> {
    match text.strip_prefix(member) {
        None => Some((None, text)),
        Some(rest) => value(rest).map(|(value, rest)| (Some(value), rest)),
    }
}

/// A JSON string with its quotes, and what follows.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = 1;
    text.first().filter(|&&quote| quote == b'"')?;
    loop {
        let rest = text.get(end..)?;
        let at = memchr2(b'"', b'\\', rest)?;
        match rest[at] {
            b'"' => return Some(text.split_at(end + at + 1)),
            _ => end += at + 2,
        }
    }
}

/// A JSON object of strings as the engine writes it, and what follows.
fn object_of_strings(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = text.strip_prefix(b"{")?;
    loop {
        rest = string(rest)?.1.strip_prefix(b":")?;
        rest = string(rest)?.1;
        match rest.split_first()? {
            (b'}', after) => return Some(text.split_at(text.len() - after.len())),
            (b',', after) => rest = after,
            _ => return None,
        }
    }
}

/// The number that `text` begins with, and what follows it; `None` if there is none that fits.
pub(crate) fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    let mut digits = 0;
    while let Some(digit) = text.get(digits).copied().filter(u8::is_ascii_digit) {
        number = number
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
        digits += 1;
    }
    (digits > 0).then(|| (number, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(payload: &'static str) -> RecordDraft {
        RecordDraft {
            id: MessageId::parse("i").unwrap(),
            key: None,
            headers: Headers::default(),
            reply_to: None,
            expires_at: None,
            dedupe: false,
            payload: Bytes::from_static(payload.as_bytes()),
        }
    }

    fn line(draft: &RecordDraft) -> String {
        let mut out = Vec::new();
        draft.encode(Offset(42), Timestamp(1_763_712_000_123), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_plain_record_is_golden() {
        assert_eq!(
            line(&draft("{\"a\": 1}")),
            "{\"offset\":42,\"timestamp\":1763712000123,\"id\":\"i\",\"payload\":{\"a\": 1},\"crc\":\"CRC\"}\n"
                .replace("CRC", &format!("{:08x}", crc32c::crc32c(
                    b"{\"offset\":42,\"timestamp\":1763712000123,\"id\":\"i\",\"payload\":{\"a\": 1}"
                )))
        );
    }

    #[test]
    fn all_members_come_in_their_order() {
        let full = RecordDraft {
            key: Some(Key::parse("k\"1").unwrap()),
            headers: Headers::new([("h".to_owned(), "v".to_owned())].into()).unwrap(),
            reply_to: Some(TopicName::parse("answers").unwrap()),
            expires_at: Some(Timestamp(77)),
            ..draft("null")
        };
        let line = line(&full);
        assert!(line.contains(
            r#""id":"i","key":"k\"1","headers":{"h":"v"},"reply_to":"answers","expires_at":77,"payload":null,"crc":""#
        ));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["key"], "k\"1");
    }

    #[test]
    fn the_place_is_read_from_the_front() {
        let line = line(&draft("1"));
        assert_eq!(
            place(line.as_bytes()),
            Some((Offset(42), Timestamp(1_763_712_000_123)))
        );
        assert_eq!(place(b"{\"offset\":,"), None);
        assert_eq!(
            place(b"{\"offset\":99999999999999999999,\"timestamp\":1,\"id\":"),
            None
        );
    }

    #[test]
    fn the_head_is_cut_out_of_the_line() {
        let plain = line(&draft("{\"key\":\"no\"}"));
        let head = RecordHead::of(plain.as_bytes()).unwrap();
        assert_eq!(
            (head.id, head.payload),
            (&b"\"i\""[..], &b"{\"key\":\"no\"}"[..])
        );
        assert_eq!((head.key, head.headers, head.reply_to), (None, None, None));
        assert_eq!(head.expires_at, None);
        let headers = [
            ("a\"}".to_owned(), "\\".to_owned()),
            ("b".into(), "".into()),
        ];
        let full = RecordDraft {
            key: Some(Key::parse("k\\\"").unwrap()),
            headers: Headers::new(headers.into()).unwrap(),
            reply_to: Some(TopicName::parse("answers").unwrap()),
            expires_at: Some(Timestamp(77)),
            ..draft("null")
        };
        let full = line(&full);
        let head = RecordHead::of(full.trim_end().as_bytes()).unwrap();
        assert_eq!(head.key, Some(&br#""k\\\"""#[..]));
        assert_eq!(head.headers, Some(&br#"{"a\"}":"\\","b":""}"#[..]));
        assert_eq!(head.reply_to, Some(&b"\"answers\""[..]));
        assert_eq!(
            (head.expires_at, head.payload),
            (Some(Timestamp(77)), &b"null"[..])
        );
    }

    #[test]
    fn what_is_no_record_has_no_head() {
        let whole = line(&draft("1"));
        for cut in 0..whole.len() - checked_line::TRAILER_BYTES - 3 {
            assert_eq!(RecordHead::of(&whole.as_bytes()[..cut]), None, "{cut}");
        }
        let journal = b"{\"committed\":5,\"crc\":\"00000000\"}";
        assert_eq!(RecordHead::of(journal), None);
    }

    #[test]
    fn the_shortest_record_is_as_short_as_claimed() {
        let shortest = RecordDraft {
            payload: Bytes::from_static(b"1"),
            ..draft("1")
        };
        let mut out = Vec::new();
        shortest.encode(Offset(0), Timestamp(0), &mut out);
        assert!(out.len() as u64 >= MIN_RECORD_BYTES, "{}", out.len());
    }

    #[test]
    fn offsets_in_damage_are_found_but_not_believed_blindly() {
        let mut two = line(&draft("1")).replace('\n', "x").into_bytes();
        two.extend_from_slice(line(&draft("1")).replace("42", "43").as_bytes());
        assert_eq!(highest_legible_offset(&two, Offset(42)), Some(Offset(43)));
        assert_eq!(highest_legible_offset(&two, Offset(50)), None);
        assert_eq!(
            highest_legible_offset(b"{\"offset\":9999,\"timestamp\":1,\"id\":", Offset(1)),
            None
        );
    }
}
