//! Requests: publish, wait for the reply, answer with it.

use super::answer::{Answer, ApiError, answer, json};
use super::publish::{message_headers, payload};
use super::query::{Query, raw_query};
use super::request::{body, new_topic_name};
use super::{Route, State, with};
use bytes::Buf;
use futures_util::Stream;
use http::{HeaderMap, StatusCode};
use std::time::Duration;
use warp::Filter;
use weir_protocol::{NewMessage, parse_ttl};
use weir_service::settings;
use weir_types::{Key, MessageId};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const MIN_TIMEOUT: Duration = Duration::from_millis(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn routes(state: &State) -> Route {
    warp::path!("v1" / "topics" / String / "request")
        .and(warp::post())
        .and(with(state))
        .and(raw_query())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(
            |topic: String, state: State, query: String, headers: HeaderMap, chunks| async move {
                answer(request(&state, &topic, &query, &headers, chunks).await)
            },
        )
        .boxed()
}

async fn request(
    state: &State,
    topic: &str,
    query: &str,
    headers: &HeaderMap,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, ApiError> {
    let topic = new_topic_name(topic)?;
    let mut query = Query::parse(query)?;
    let timeout = query.take("timeout", parse_timeout)?;
    let key = query.take("key", Key::parse)?;
    let id = query.take("id", MessageId::parse)?;
    let partition = query.take_partition()?;
    let ttl = query.take("ttl", parse_ttl)?;
    query.finish()?;
    let headers = message_headers(headers)?;
    let max_bytes = state.broker.max_payload_bytes();
    let received = body(state, chunks, max_bytes).await?;
    let message = NewMessage {
        key,
        id,
        partition,
        headers,
        ttl,
        ..NewMessage::plain(payload(&received.bytes, max_bytes)?)
    };
    // What waits needs no share of the budget of bodies.
    drop(received);
    let timeout = timeout.unwrap_or(DEFAULT_TIMEOUT);
    let reply = state.broker.request(&topic, message, timeout).await?;
    Ok(json(StatusCode::OK, &reply))
}

fn parse_timeout(value: &str) -> Result<Duration, String> {
    match settings::duration(value)? {
        timeout if timeout < MIN_TIMEOUT => Err("allowed is at least 1ms".to_owned()),
        timeout if timeout > MAX_TIMEOUT => Err("allowed is at most 60s".to_owned()),
        timeout => Ok(timeout),
    }
}
