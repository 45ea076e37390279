//! Publishing: one JSON value, or a batch of lines.

use super::answer::{Answer, ApiError, answer, json};
use super::query::{Query, raw_query};
use super::request::{body, new_topic_name};
use super::{Route, State, with};
use crate::broker::Accepted;
use bytes::{Buf, Bytes};
use futures_util::Stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;
use warp::Filter;
use weir_protocol::{
    Deliver, ErrorCode, InvalidBatch, InvalidPayload, MESSAGE_HEADER_PREFIX, MultiTopicLine,
    NDJSON, NewMessage, Payload, parse_batch, parse_delay, parse_deliver_at, parse_ttl,
};
use weir_types::limits::MAX_BATCH_BYTES;
use weir_types::{Headers, Key, MessageId, PartitionId, TopicName};

/// Without the hot route, which `short_cut` serves.
pub(super) fn routes(state: &State) -> Route {
    warp::path!("v1" / "messages")
        .and(warp::post())
        .and(with(state))
        .and(raw_query())
        .and(warp::body::stream())
        .then(|state: State, query: String, chunks| async move {
            answer(publish_lines(&state, &query, chunks).await)
        })
        .boxed()
}

/// Publishes one message, or a batch to one topic.
pub(super) async fn publish(
    state: &State,
    topic: &str,
    query: &str,
    headers: &HeaderMap,
    chunks: impl Stream<Item = Result<impl Buf, impl Display>>,
) -> Result<Answer, ApiError> {
    let topic = new_topic_name(topic)?;
    let query = Query::parse(query)?;
    if is_ndjson(headers) {
        return publish_batch(state, &topic, query, chunks).await;
    }
    let envelope = Envelope::parse(query, headers)?;
    let max_bytes = state.broker.max_payload_bytes();
    let received = body(state, chunks, max_bytes).await?;
    let message = envelope.with(payload(&received.bytes, max_bytes)?);
    match state.broker.publish(&topic, message).await? {
        Accepted::Stored(published) => Ok(json(StatusCode::CREATED, &published)),
        Accepted::Scheduled(scheduled) => Ok(json(StatusCode::ACCEPTED, &scheduled)),
    }
}

/// The one value of a body.
pub(super) fn payload(body: &Bytes, max_bytes: usize) -> Result<Payload, ApiError> {
    Payload::parse(body, max_bytes).map_err(|e| refused_payload(&e))
}

async fn publish_batch(
    state: &State,
    topic: &TopicName,
    query: Query,
    chunks: impl Stream<Item = Result<impl Buf, impl Display>>,
) -> Result<Answer, ApiError> {
    query.finish()?;
    let received = body(state, chunks, MAX_BATCH_BYTES).await?;
    let messages: Vec<NewMessage> = parse_lines(state, &received.bytes)?;
    let published = state.broker.publish_batch(topic, messages).await?;
    Ok(json(StatusCode::CREATED, &published))
}

async fn publish_lines(
    state: &State,
    query: &str,
    chunks: impl Stream<Item = Result<impl Buf, impl Display>>,
) -> Result<Answer, ApiError> {
    Query::parse(query)?.finish()?;
    let received = body(state, chunks, MAX_BATCH_BYTES).await?;
    let lines: Vec<MultiTopicLine> = parse_lines(state, &received.bytes)?;
    let published = state.broker.publish_lines(lines).await?;
    Ok(json(StatusCode::CREATED, &published))
}

fn parse_lines<L: weir_protocol::FromLine>(
    state: &State,
    body: &Bytes,
) -> Result<Vec<L>, ApiError> {
    parse_batch(body, state.broker.max_payload_bytes()).map_err(|e| refused_batch(&e))
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case(NDJSON)
    })
}

/// Everything of a message but its payload, from the query and the headers.
struct Envelope {
    key: Option<Key>,
    id: Option<MessageId>,
    partition: Option<PartitionId>,
    headers: Headers,
    reply_to: Option<TopicName>,
    ttl: Option<Duration>,
    deliver: Option<Deliver>,
}

impl Envelope {
    fn parse(mut query: Query, headers: &HeaderMap) -> Result<Self, ApiError> {
        let envelope = Self {
            key: query.take("key", Key::parse)?,
            id: query.take("id", MessageId::parse)?,
            partition: query.take_partition()?,
            headers: message_headers(headers)?,
            reply_to: query.take("reply_to", TopicName::parse)?,
            ttl: query.take("ttl", parse_ttl)?,
            deliver: deliver(&mut query)?,
        };
        query.finish()?;
        Ok(envelope)
    }

    fn with(self, payload: Payload) -> NewMessage {
        NewMessage {
            payload,
            key: self.key,
            id: self.id,
            partition: self.partition,
            headers: self.headers,
            reply_to: self.reply_to,
            ttl: self.ttl,
            deliver: self.deliver,
        }
    }
}

/// `delay` or `deliver_at`.
fn deliver(query: &mut Query) -> Result<Option<Deliver>, ApiError> {
    let delay = query.take("delay", parse_delay)?;
    let deliver_at = query.take("deliver_at", parse_deliver_at)?;
    Deliver::of(delay, deliver_at).map_err(|e| ApiError::invalid_argument(e.to_string()))
}

/// `Weir-Header-<name>: value` becomes the message header `<name>`, in lower case.
pub(super) fn message_headers(headers: &HeaderMap) -> Result<Headers, ApiError> {
    let mut found = BTreeMap::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(MESSAGE_HEADER_PREFIX) else {
            continue;
        };
        let value = std::str::from_utf8(value.as_bytes())
            .map_err(|_| ApiError::invalid_argument(format!("the header {name} is not UTF-8")))?;
        if found.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(ApiError::invalid_argument(format!(
                "the header {name} is given twice"
            )));
        }
    }
    Headers::new(found).map_err(|e| ApiError::invalid_argument(e.to_string()))
}

fn payload_code(refused: &InvalidPayload) -> ErrorCode {
    match refused {
        InvalidPayload::TooLarge { .. } => ErrorCode::TooLarge,
        _ => ErrorCode::InvalidJson,
    }
}

fn refused_payload(refused: &InvalidPayload) -> ApiError {
    let hint = match refused {
        InvalidPayload::NotJson { reason } if reason.starts_with("trailing characters") => {
            SEVERAL_MESSAGES_HINT
        }
        _ => "",
    };
    ApiError::new(payload_code(refused), format!("{refused}{hint}"))
}

const SEVERAL_MESSAGES_HINT: &str = "; to send several messages, write each as a line \
    {\"payload\":…} and send them with Content-Type: application/x-ndjson";

fn refused_batch(refused: &InvalidBatch) -> ApiError {
    let code = match refused {
        InvalidBatch::TooManyLines { .. } => ErrorCode::TooLarge,
        InvalidBatch::Payload { reason, .. } => payload_code(reason),
        InvalidBatch::Empty | InvalidBatch::Line { .. } => ErrorCode::InvalidJson,
    };
    ApiError::new(code, refused.to_string())
}
