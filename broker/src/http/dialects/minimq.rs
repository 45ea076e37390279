//! MiniMQ: topic logs of texts, read by consumer ids.
//!
//! | exchange | answer |
//! |---|---|
//! | `POST /produce` `{"topic":s,"message":s}` | 201, empty; 400 `Invalid JSON`; 405 `Method not allowed`; 500 |
//! | `GET /consume?topic=T&consumer_id=C` | 200 `{"message":s,"offset":n}`, and the consumer moves on; 204 when caught up; 400 `Missing topic or consumer_id` |
//! | `GET /nodes` | the distinct messages of the topic `nodes`, in first-seen order |
//!
//! A message is stored as a JSON string; a consumer id is a group. There is no ack in this dialect:
//! the consumer has durably moved on before it gets its answer, so a message is delivered at most
//! once. Messages published natively are shown as their JSON text. `/produce` and `/consume` come here
//! by way of [`super::routes`].

use crate::broker::{BrokerError, FetchRequest, ReadFrom};
use crate::http::answer::{Answer, ApiError, answer, empty, json, text};
use crate::http::query::Query;
use crate::http::request::body;
use crate::http::{Route, State, with};
use bytes::Buf;
use futures_util::Stream;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::time::Duration;
use warp::Filter;
use weir_commitlog::StoredLine;
use weir_protocol::{ErrorCode, NewMessage, Payload, is_object};
use weir_types::{GroupName, Offset, TopicName};

/// A text may grow when it is written as JSON; the payload limit applies after that.
const BODY_OVERHEAD_BYTES: usize = 4096;
const NODES_TOPIC: &str = "nodes";
/// Node names that `/nodes` returns at most.
const MAX_NODES: usize = 10_000;

pub(super) fn routes(state: &State) -> Route {
    warp::path!("nodes")
        .and(warp::get())
        .and(with(state))
        .then(|state: State| async move { answer(nodes(&state).await) })
        .boxed()
}

#[derive(Deserialize)]
struct Produce {
    topic: String,
    message: String,
}

#[derive(Serialize)]
struct Consumed<'a> {
    message: &'a str,
    offset: Offset,
}

pub(super) async fn produce(
    state: &State,
    method: &Method,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, ApiError> {
    if method != Method::POST {
        return Ok(method_not_allowed());
    }
    let max_payload_bytes = state.broker.max_payload_bytes();
    let received = body(state, chunks, max_payload_bytes + BODY_OVERHEAD_BYTES).await?;
    let parsed = is_object(&received.bytes).then(|| serde_json::from_slice(&received.bytes));
    let Some(Ok(Produce { topic, message })) = parsed else {
        return Ok(text(StatusCode::BAD_REQUEST, "Invalid JSON"));
    };
    let topic = topic_name(&topic)?;
    let payload = Payload::from_text(&message);
    if payload.as_bytes().len() > max_payload_bytes {
        let message = format!("the message exceeds {max_payload_bytes} bytes");
        return Err(ApiError::new(ErrorCode::TooLarge, message));
    }
    match state
        .broker
        .publish(&topic, NewMessage::plain(payload))
        .await
    {
        Ok(_) => Ok(empty(StatusCode::CREATED)),
        Err(error) => cannot_store(error),
    }
}

/// These dialects know one answer when a message cannot be stored.
pub(super) fn cannot_store(error: BrokerError) -> Result<Answer, ApiError> {
    match error.code() {
        ErrorCode::Storage | ErrorCode::StorageFull | ErrorCode::Internal => {
            Ok(text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
        }
        _ => Err(error.into()),
    }
}

pub(super) async fn consume(
    state: &State,
    method: &Method,
    query: &str,
) -> Result<Answer, ApiError> {
    if method != Method::GET {
        return Ok(method_not_allowed());
    }
    let mut query = Query::parse(query)?;
    let given = |value: &str| Ok::<_, String>(value.to_owned());
    let topic = query
        .take("topic", given)?
        .filter(|topic| !topic.is_empty());
    let consumer_id = query
        .take("consumer_id", given)?
        .filter(|id| !id.is_empty());
    let (Some(topic), Some(consumer_id)) = (topic, consumer_id) else {
        return Ok(text(
            StatusCode::BAD_REQUEST,
            "Missing topic or consumer_id",
        ));
    };
    let topic = topic_name(&topic)?;
    let group =
        GroupName::parse(&consumer_id).map_err(|e| ApiError::invalid_argument(e.to_string()))?;
    let taken = match state.broker.take(&topic, &group).await {
        // Deleted meanwhile: nothing is left to consume.
        Err(error) if is_gone(&error) => None,
        result => result?,
    };
    match taken {
        None => Ok(empty(StatusCode::NO_CONTENT)),
        Some(line) => {
            let message = message_text(&line)?;
            Ok(json(
                StatusCode::OK,
                &Consumed {
                    message: &message,
                    offset: line.offset,
                },
            ))
        }
    }
}

fn is_gone(error: &BrokerError) -> bool {
    matches!(
        error.code(),
        ErrorCode::UnknownTopic | ErrorCode::UnknownGroup
    )
}

async fn nodes(state: &State) -> Result<Answer, ApiError> {
    let topic = topic_name(NODES_TOPIC)?;
    let (mut seen, mut names) = (HashSet::new(), Vec::new());
    let mut from = ReadFrom::Earliest;
    loop {
        let request = FetchRequest {
            partition: None,
            from,
            max_records: 1000,
            max_bytes: 1024 * 1024,
        };
        let fetched = match state.broker.fetch(&topic, &request, Duration::ZERO).await {
            Err(error) if is_gone(&error) => break,
            result => result?,
        };
        if fetched.read.is_empty() || names.len() >= MAX_NODES {
            break;
        }
        for line in &fetched.read.lines {
            let name = message_text(&line.line)?;
            if seen.insert(name.clone()) {
                names.push(name);
            }
        }
        from = ReadFrom::Cursor(fetched.next);
    }
    Ok(json(StatusCode::OK, &names))
}

pub(super) fn method_not_allowed() -> Answer {
    text(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
}

fn topic_name(name: &str) -> Result<TopicName, ApiError> {
    TopicName::parse(name).map_err(|e| ApiError::new(ErrorCode::InvalidTopic, e.to_string()))
}

/// The text of a stored message; JSON that is no string is its own text.
fn message_text(line: &StoredLine) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Stored<'a> {
        #[serde(borrow)]
        payload: &'a RawValue,
    }
    let defect = |e: serde_json::Error| {
        ApiError::new(
            ErrorCode::Internal,
            format!("a stored record is no JSON object: {e}"),
        )
    };
    let stored: Stored<'_> = serde_json::from_slice(&line.bytes).map_err(defect)?;
    let payload = stored.payload.get();
    Ok(serde_json::from_str(payload).unwrap_or_else(|_| payload.to_owned()))
}
