use crate::delivery::{Delay, Deliver, DeliverAt, Ttl};
use crate::payload::{InvalidPayload, Payload, is_object};
use crate::scan::Scanner;
use bytes::Bytes;
use memchr::memchr_iter;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;
use thiserror::Error;
use weir_types::limits::MAX_BATCH_LINES;
use weir_types::{Headers, Key, MessageId, PartitionId, TopicName};

/// A message to publish. As a line of a batch for one topic:
/// `{"payload":…,"key":"…","id":"…","partition":0,"headers":{…},"reply_to":"…","ttl":"30s",
/// "delay":"5s","deliver_at":…}`; only `payload` is required, and `delay` and `deliver_at` exclude
/// each other.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The message itself.
    pub payload: Payload,
    /// Chooses the partition and the order.
    pub key: Option<Key>,
    /// The publisher's id.
    pub id: Option<MessageId>,
    /// An explicit partition.
    pub partition: Option<PartitionId>,
    /// Names and texts that travel with the message.
    pub headers: Headers,
    /// Topic that an answer goes to.
    pub reply_to: Option<TopicName>,
    /// How long it is of use: consumers do not get it later than so long after it was stored.
    pub ttl: Option<Duration>,
    /// When it is delivered, if not at once.
    pub deliver: Option<Deliver>,
}

impl NewMessage {
    /// A message that is nothing but its payload.
    #[must_use]
    pub fn plain(payload: Payload) -> Self {
        Self {
            payload,
            key: None,
            id: None,
            partition: None,
            headers: Headers::default(),
            reply_to: None,
            ttl: None,
            deliver: None,
        }
    }
}

/// One line of a batch over several topics: a [`NewMessage`] with a `topic`.
#[derive(Clone, Debug)]
pub struct MultiTopicLine {
    /// Where the message goes.
    pub topic: TopicName,
    /// The message.
    pub message: NewMessage,
}

/// Why a batch was refused. Nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidBatch {
    /// No line at all.
    #[error("the batch is empty; send one JSON object a line")]
    Empty,
    /// More than [`MAX_BATCH_LINES`].
    #[error("the batch has more than {max_lines} lines")]
    TooManyLines {
        /// The limit.
        max_lines: usize,
    },
    /// A line that is no [`NewMessage`].
    #[error("line {line}: {reason}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A line whose payload was refused.
    #[error("line {line}: {reason}")]
    Payload {
        /// Counted from 1.
        line: usize,
        /// What is wrong with the payload.
        reason: InvalidPayload,
    },
}

/// The members of a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLine<'a> {
    #[serde(borrow)]
    payload: &'a RawValue,
    topic: Option<TopicName>,
    key: Option<Key>,
    id: Option<MessageId>,
    partition: Option<PartitionId>,
    #[serde(default)]
    headers: Headers,
    reply_to: Option<TopicName>,
    ttl: Option<Ttl>,
    delay: Option<Delay>,
    deliver_at: Option<DeliverAt>,
}

/// A line of a batch, made from its parts.
pub trait FromLine: Sized {
    /// Takes the line, given the topic it may have named.
    ///
    /// # Errors
    /// Says why the topic is missing or out of place.
    fn from_line(topic: Option<TopicName>, line: NewMessage) -> Result<Self, String>;
}

impl FromLine for NewMessage {
    fn from_line(topic: Option<TopicName>, line: NewMessage) -> Result<Self, String> {
        match topic {
            Some(_) => {
                Err("unknown field `topic`: this batch is for the topic in its address".into())
            }
            None => Ok(line),
        }
    }
}

impl FromLine for MultiTopicLine {
    fn from_line(topic: Option<TopicName>, line: NewMessage) -> Result<Self, String> {
        let topic = topic.ok_or("missing field `topic`")?;
        Ok(Self {
            topic,
            message: line,
        })
    }
}

/// Parses newline-delimited JSON, all lines or none. Blank lines are passed over.
///
/// # Errors
/// [`InvalidBatch`] names the first bad line.
pub fn parse_batch<L: FromLine>(
    body: &Bytes,
    max_payload_bytes: usize,
) -> Result<Vec<L>, InvalidBatch> {
    let lines = lines(body).zip(1..);
    let mut parsed = Vec::new();
    for (text, line) in lines.filter(|(text, _)| !text.trim_ascii().is_empty()) {
        if parsed.len() == MAX_BATCH_LINES {
            return Err(InvalidBatch::TooManyLines {
                max_lines: MAX_BATCH_LINES,
            });
        }
        parsed.push(parse_line(body, text, line, max_payload_bytes)?);
    }
    if parsed.is_empty() {
        return Err(InvalidBatch::Empty);
    }
    Ok(parsed)
}

/// The text between newlines, and after the last.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr_iter(b'\n', body).chain([body.len()]);
    ends.scan(0, |start, end| {
        let line = &body[*start..end];
        *start = end + 1;
        Some(line)
    })
}

fn parse_line<L: FromLine>(
    body: &Bytes,
    text: &[u8],
    line: usize,
    max_payload_bytes: usize,
) -> Result<L, InvalidBatch> {
    let refused = |reason: String| InvalidBatch::Line { line, reason };
    let text = std::str::from_utf8(text).map_err(|e| {
        refused(format!(
            "not UTF-8: invalid byte at position {}",
            e.valid_up_to()
        ))
    })?;
    let (topic, message) = match plain_line(text) {
        Some(plain) => plain.parts(body, max_payload_bytes),
        None => {
            let line = any_line(text).map_err(refused)?;
            let deliver = line.deliver().map_err(refused)?;
            line.parts(body, max_payload_bytes, deliver)
        }
    }
    .map_err(|reason| InvalidBatch::Payload { line, reason })?;
    L::from_line(topic, message).map_err(refused)
}

/// A line as most are: members without escapes, no headers, nothing about time, a payload that a
/// quick look accepts.
#[derive(Default)]
struct PlainLine<'a> {
    payload: &'a str,
    topic: Option<TopicName>,
    key: Option<Key>,
    id: Option<MessageId>,
    partition: Option<PartitionId>,
    reply_to: Option<TopicName>,
}

/// Reads a plain line in one pass; `None` leaves it, and every refusal, to [`any_line`].
fn plain_line(text: &str) -> Option<PlainLine<'_>> {
    let mut scanner = Scanner::new(text);
    let mut line = PlainLine::default();
    scanner.token(b'{')?;
    loop {
        let name = scanner.plain_string()?;
        scanner.token(b':')?;
        match name {
            "payload" if line.payload.is_empty() => line.payload = scanner.value_text()?,
            "topic" => once(&mut line.topic, TopicName::parse(scanner.plain_string()?))?,
            "key" => once(&mut line.key, Key::parse(scanner.plain_string()?))?,
            "id" => once(&mut line.id, MessageId::parse(scanner.plain_string()?))?,
            "partition" => {
                let partition = scanner.value_text()?.parse();
                once(&mut line.partition, partition.map(PartitionId))?;
            }
            "reply_to" => once(
                &mut line.reply_to,
                TopicName::parse(scanner.plain_string()?),
            )?,
            _ => return None,
        }
        if scanner.token(b'}').is_some() {
            return (scanner.at_end() && !line.payload.is_empty()).then_some(line);
        }
        scanner.token(b',')?;
    }
}

/// Sets a member that is valid and was not given before.
fn once<T, E>(member: &mut Option<T>, value: Result<T, E>) -> Option<()> {
    match member {
        Some(_) => None,
        None => value.ok().map(|value| *member = Some(value)),
    }
}

/// Reads a line of any kind, or says what is wrong with it.
fn any_line(text: &str) -> Result<RawLine<'_>, String> {
    if !is_object(text.as_bytes()) {
        let expected = "send one JSON object a line, such as {\"payload\":…}";
        return Err(format!("not a JSON object; {expected}"));
    }
    serde_json::from_str(text).map_err(|e| describe(&e))
}

/// The topic that a line names, and its message.
type Parts = (Option<TopicName>, NewMessage);

impl PlainLine<'_> {
    fn parts(self, body: &Bytes, max_payload_bytes: usize) -> Result<Parts, InvalidPayload> {
        let payload = body.slice_ref(self.payload.as_bytes());
        let message = NewMessage {
            key: self.key,
            id: self.id,
            partition: self.partition,
            reply_to: self.reply_to,
            ..NewMessage::plain(Payload::of_checked(payload, max_payload_bytes)?)
        };
        Ok((self.topic, message))
    }
}

impl RawLine<'_> {
    fn deliver(&self) -> Result<Option<Deliver>, String> {
        let (delay, at) = (self.delay.map(|d| d.0), self.deliver_at.map(|at| at.0));
        Deliver::of(delay, at).map_err(|e| e.to_string())
    }

    fn parts(
        self,
        body: &Bytes,
        max_payload_bytes: usize,
        deliver: Option<Deliver>,
    ) -> Result<Parts, InvalidPayload> {
        let payload = body.slice_ref(self.payload.get().as_bytes());
        let message = NewMessage {
            payload: Payload::parse(&payload, max_payload_bytes)?,
            key: self.key,
            id: self.id,
            partition: self.partition,
            headers: self.headers,
            reply_to: self.reply_to,
            ttl: self.ttl.map(|ttl| ttl.0),
            deliver,
        };
        Ok((self.topic, message))
    }
}

/// The parser sees each line alone, so its "line 1" would mislead.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text);
    format!("{message} at column {}", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::Timestamp;

    fn batch(body: &'static str) -> Result<Vec<NewMessage>, InvalidBatch> {
        parse_batch(&Bytes::from_static(body.as_bytes()), 64)
    }

    #[test]
    fn a_line_needs_only_a_payload() {
        let lines =
            batch("{\"payload\":1}\n\n{\"payload\":{\"a\":2},\"key\":\"k\",\"id\":\"i\"}\r\n")
                .unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].payload.as_bytes().as_ref(), b"1");
        assert_eq!(lines[1].payload.as_bytes().as_ref(), b"{\"a\":2}");
        assert_eq!(lines[1].key, Some(Key::parse("k").unwrap()));
    }

    #[test]
    fn the_bad_line_is_named() {
        let error = |body| batch(body).unwrap_err().to_string();
        assert_eq!(
            error("{\"payload\":1}\n{\"payload\":\n"),
            "line 2: EOF while parsing a value at column 11"
        );
        assert!(error("{\"payload\":1e999}").starts_with("line 1: the payload is not valid JSON"));
        assert!(error("{\"payload\":1,\"paylod\":2}").contains("unknown field `paylod`"));
        assert!(error("{\"payload\":1,\"topic\":\"t\"}").contains("unknown field `topic`"));
        assert!(error("{\"key\":\"k\"}").contains("missing field `payload`"));
        assert!(error("[1]").starts_with("line 1: not a JSON object"));
        assert_eq!(batch("\n").unwrap_err(), InvalidBatch::Empty);
    }

    #[test]
    fn a_line_says_when_and_until_when() {
        let lines = batch(
            "{\"payload\":1,\"ttl\":\"30s\",\"delay\":\"5s\"}\n\
             {\"payload\":1,\"deliver_at\":1769860800000}\n\
             {\"payload\":1,\"deliver_at\":\"2026-01-31T12:00:00Z\"}",
        );
        let lines = lines.unwrap();
        assert_eq!(lines[0].ttl, Some(Duration::from_secs(30)));
        assert_eq!(
            lines[0].deliver,
            Some(Deliver::After(Duration::from_secs(5)))
        );
        let noon = Some(Deliver::At(Timestamp(1_769_860_800_000)));
        assert_eq!((lines[1].deliver, lines[2].deliver), (noon, noon));
        let error = |body| batch(body).unwrap_err().to_string();
        for (body, part) in [
            ("{\"payload\":1,\"ttl\":\"0s\"}", "from 1ms to 10years"),
            ("{\"payload\":1,\"ttl\":30}", "expected a string"),
            (
                "{\"payload\":1,\"delay\":\"11years\"}",
                "delay up to 10years",
            ),
            (
                "{\"payload\":1,\"deliver_at\":-1}",
                "expected a time of RFC 3339",
            ),
            (
                "{\"payload\":1,\"deliver_at\":\"noon\"}",
                "2026-01-31T12:00:00Z",
            ),
            (
                "{\"payload\":1,\"deliver_at\":1,\"delay\":\"1s\"}",
                "exclude each other",
            ),
        ] {
            let refused = error(body);
            assert!(refused.starts_with("line 1: "), "{refused}");
            assert!(refused.contains(part), "{body}: {refused}");
        }
    }

    #[test]
    fn a_plain_line_means_what_any_line_means() {
        let body = r#" {"id":"i","key":"k","partition":3,"payload": {"a":[1,"\n"]} ,"reply_to":"r","topic":"t"} "#;
        let read = |parts: Result<Parts, InvalidPayload>| format!("{:?}", parts.unwrap());
        let bytes = Bytes::from_static(body.as_bytes());
        let text = std::str::from_utf8(&bytes).unwrap();
        let plain = read(plain_line(text).unwrap().parts(&bytes, 64));
        assert_eq!(plain, read(any_line(text).unwrap().parts(&bytes, 64, None)));
        for unusual in [
            r#"{"payload":1,"payload":1}"#,
            r#"{"payload":1,"key":"k","key":"k"}"#,
            r#"{"payload":1,"key":null}"#,
            r#"{"payload":1,"key":"\u0041"}"#,
            r#"{"payload":1,"partition":-1}"#,
            r#"{"payload":1e5}"#,
            r#"{"payload":1,"headers":{}}"#,
            r#"{"payload":1,"ttl":"1s"}"#,
            r#"{"payload":1,"delay":"1s"}"#,
            r#"{"payload":1,"deliver_at":1}"#,
            r#"{"payload":1} x"#,
            r#"{"key":"k"}"#,
            "{}",
        ] {
            assert!(plain_line(unusual).is_none(), "{unusual}");
        }
    }

    #[test]
    fn several_topics_need_a_topic_in_each_line() {
        let parse = |body: &'static str| {
            parse_batch::<MultiTopicLine>(&Bytes::from_static(body.as_bytes()), 64)
        };
        let lines =
            parse("{\"topic\":\"a\",\"payload\":1}\n{\"topic\":\"b\",\"payload\":2}").unwrap();
        assert_eq!(lines[1].topic.as_str(), "b");
        assert_eq!(
            parse("{\"payload\":1}").unwrap_err().to_string(),
            "line 1: missing field `topic`"
        );
        assert!(
            parse("{\"topic\":\"../x\",\"payload\":1}")
                .unwrap_err()
                .to_string()
                .contains("'/'")
        );
    }

    #[test]
    fn too_many_lines_are_refused() {
        let body = "{\"payload\":1}\n".repeat(MAX_BATCH_LINES + 1);
        let refused = parse_batch::<NewMessage>(&body.into(), 64).unwrap_err();
        assert_eq!(
            refused,
            InvalidBatch::TooManyLines {
                max_lines: MAX_BATCH_LINES
            }
        );
    }
}
