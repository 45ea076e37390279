//! Reading requests: path parts, bodies, JSON.

use super::State;
use super::answer::ApiError;
use bytes::Buf;
use futures_util::Stream;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fmt::Display;
use weir_protocol::{ErrorCode, is_object};
use weir_service::http::{BodyLimits, ReceivedBody, collect_body};
use weir_types::{GroupName, TopicName};

/// Largest body of a request that is no publish, such as a long list of receipts.
pub(crate) const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// A topic name from a path part, which warp leaves percent-encoded.
pub(crate) fn topic_name(part: &str) -> Result<TopicName, ApiError> {
    let refused = |e: String| ApiError::new(ErrorCode::InvalidTopic, e);
    let name = decode(part).map_err(refused)?;
    TopicName::parse_derived(&name).map_err(|e| refused(e.to_string()))
}

/// The name of a topic that may be created: shorter than what the broker derives from it.
pub(crate) fn new_topic_name(part: &str) -> Result<TopicName, ApiError> {
    let refused = |e: String| ApiError::new(ErrorCode::InvalidTopic, e);
    let name = decode(part).map_err(refused)?;
    TopicName::parse(&name).map_err(|e| refused(e.to_string()))
}

/// A group name from a path part.
pub(crate) fn group_name(part: &str) -> Result<GroupName, ApiError> {
    let name = decode(part).map_err(ApiError::invalid_argument)?;
    GroupName::parse(&name).map_err(|e| ApiError::invalid_argument(e.to_string()))
}

/// A path part without its percent-encoding.
pub(crate) fn decode(part: &str) -> Result<Cow<'_, str>, String> {
    let decoded = percent_decode_str(part).decode_utf8();
    decoded.map_err(|_| format!("{part:?} is not percent-encoded UTF-8"))
}

/// The whole body, within its limit, its deadlines and the budget of all.
pub(crate) async fn body(
    state: &State,
    chunks: impl Stream<Item = Result<impl Buf, impl Display>>,
    max_bytes: usize,
) -> Result<ReceivedBody, ApiError> {
    let limits = BodyLimits {
        max_bytes,
        ..state.body_limits.clone()
    };
    Ok(collect_body(chunks, &limits, &state.in_flight).await?)
}

/// A small body as JSON of a known shape.
pub(crate) async fn json_body<T: DeserializeOwned>(
    state: &State,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<T, ApiError> {
    let received = body(state, chunks, MAX_REQUEST_BYTES).await?;
    parse_json(&received.bytes)
}

/// Like [`json_body`], but an empty body stands for the default.
pub(crate) async fn json_body_or_default<T: DeserializeOwned + Default>(
    state: &State,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<T, ApiError> {
    let received = body(state, chunks, MAX_REQUEST_BYTES).await?;
    match received.bytes.trim_ascii().is_empty() {
        true => Ok(T::default()),
        false => parse_json(&received.bytes),
    }
}

/// A JSON object of a known shape, which may borrow from the body.
pub(crate) fn parse_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    if !is_object(body) {
        let message = "the request body is refused: it must be a JSON object";
        return Err(ApiError::new(ErrorCode::InvalidJson, message));
    }
    serde_json::from_slice(body).map_err(|e| {
        let code = if e.is_data() {
            ErrorCode::InvalidArgument
        } else {
            ErrorCode::InvalidJson
        };
        ApiError::new(code, format!("the request body is refused: {e}"))
    })
}
