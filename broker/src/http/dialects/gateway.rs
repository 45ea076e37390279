//! The gateway of the partitioned broker with a coordinator: plain text, and nobody says who it is.
//!
//! | exchange | answer |
//! |---|---|
//! | `POST /api/python/push` `{"key":s,"message":s}` | `Pushed to Queue`; 400 says what is wrong |
//! | `POST /api/python/subscribe` | `OK`; again within 60 s: still there |
//! | `POST /api/python/pull-as-subscriber` | `[key:a-value:1, key:b-value:2]`, up to 100 of its own partitions, or `[]` |
//! | `POST /api/python/pull` | one of any partition, in brackets, or `[]` |
//! | `GET /v1/gateway` | natively: what goes on there |
//!
//! A consumer is the listener it came to and the address it came from; what forwarded it may say of
//! itself is not believed. Messages are finished when the answer was flushed. Other methods are 405,
//! errors are texts with the status of the native API.

use crate::broker::{GatewayClient, GatewayMessage};
use crate::http::answer::{Answer, ApiError, answer, json, text};
use crate::http::request::body;
use crate::http::{Route, State, with};
use bytes::Buf;
use futures_util::Stream;
use http::{Method, StatusCode};
use serde_json::value::RawValue;
use std::fmt::Write;
use warp::Filter;
use weir_protocol::{ErrorCode, Payload, RawObject};
use weir_service::http::{AfterFlush, ConnectionInfo};
use weir_types::Key;

/// A text may grow when it is written as JSON; the payload limit applies after that.
const BODY_OVERHEAD_BYTES: usize = 4096;

pub(in crate::http) fn routes(state: &State) -> Route {
    let push = warp::path!("api" / "python" / "push")
        .and(warp::method())
        .and(client())
        .and(with(state))
        .and(warp::body::stream())
        .then(|method, client, state: State, chunks| async move {
            let pushed = async {
                only_post(&method)?;
                push(&state, client, chunks).await
            };
            in_words(pushed.await)
        });
    let ask = warp::path!("api" / "python" / String)
        .and(warp::method())
        .and(client())
        .and(with(state))
        .then(|what: String, method, client, state: State| async move {
            in_words(ask(&state, &what, &method, client).await)
        });
    let stats = warp::path!("v1" / "gateway")
        .and(warp::get())
        .and(with(state))
        .then(|state: State| async move { answer(stats(&state).await) });
    push.or(ask).unify().or(stats).unify().boxed()
}

/// Who asks.
fn client() -> impl Filter<Extract = (GatewayClient,), Error = warp::Rejection> + Clone {
    warp::ext::get::<ConnectionInfo>().map(|connection: ConnectionInfo| GatewayClient {
        listener_port: connection.port,
        address: connection.peer.ip(),
    })
}

async fn push(
    state: &State,
    client: GatewayClient,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, ApiError> {
    let max_bytes = state.broker.max_payload_bytes();
    let received = body(state, chunks, max_bytes + BODY_OVERHEAD_BYTES).await?;
    let (key, message) = pushed(&received.bytes).map_err(ApiError::invalid_argument)?;
    if Payload::from_text(&message).as_bytes().len() > max_bytes {
        let message = format!("the message exceeds {max_bytes} bytes");
        return Err(ApiError::new(ErrorCode::TooLarge, message));
    }
    state.broker.gateway_push(client, key, &message).await?;
    Ok(text(StatusCode::OK, "Pushed to Queue"))
}

/// Key and message of a push; or what is wrong with it.
fn pushed(body: &[u8]) -> Result<(Key, String), String> {
    let form = r#"the body must be a JSON object {"key":"…","message":"…"}"#;
    let body = std::str::from_utf8(body).map_err(|e| format!("{form}: {e}"))?;
    let object = RawObject::parse(body).map_err(|e| format!("{form}: {e}"))?;
    let member = |name: &str| match object.get(name).map(RawValue::get) {
        None => Err(format!("{form}: {name} is missing")),
        Some(value) => serde_json::from_str::<String>(value)
            .map_err(|e| format!("{form}: {name} is no string: {e}")),
    };
    let (key, message) = (member("key")?, member("message")?);
    let key = Key::parse(&key).map_err(|e| e.to_string())?;
    Ok((key, message))
}

async fn ask(
    state: &State,
    what: &str,
    method: &Method,
    client: GatewayClient,
) -> Result<Answer, ApiError> {
    let broker = &state.broker;
    match what {
        "subscribe" => {
            only_post(method)?;
            broker.gateway_subscribe(client).await?;
            Ok(text(StatusCode::OK, "OK"))
        }
        "pull-as-subscriber" => {
            only_post(method)?;
            let (after_flush, flushed) = AfterFlush::new();
            let pulled = broker.gateway_pull_as_subscriber(client, flushed).await?;
            Ok(messages(&pulled, after_flush))
        }
        "pull" => {
            only_post(method)?;
            let (after_flush, flushed) = AfterFlush::new();
            let pulled = broker.gateway_pull(flushed).await?;
            Ok(messages(pulled.as_slice(), after_flush))
        }
        _ => Err(ApiError::new(
            ErrorCode::NotFound,
            "there is no such address; /api/python/ has push, subscribe, pull-as-subscriber and pull",
        )),
    }
}

fn messages(pulled: &[GatewayMessage], after_flush: AfterFlush) -> Answer {
    let mut list = String::from("[");
    for (index, GatewayMessage { key, value }) in pulled.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let _infallible = write!(list, "{separator}key:{key}-value:{value}");
    }
    list.push(']');
    let mut answer = text(StatusCode::OK, list);
    answer.extensions_mut().insert(after_flush);
    answer
}

async fn stats(state: &State) -> Result<Answer, ApiError> {
    let stats = state.broker.gateway_stats().await;
    let stats = stats.ok_or(crate::broker::BrokerError::NoGateway)?;
    Ok(json(StatusCode::OK, &stats))
}

fn only_post(method: &Method) -> Result<(), ApiError> {
    match method == Method::POST {
        true => Ok(()),
        false => Err(ApiError::new(
            ErrorCode::MethodNotAllowed,
            "Method not allowed",
        )),
    }
}

/// Errors as this dialect's clients read them.
fn in_words(result: Result<Answer, ApiError>) -> Answer {
    result.unwrap_or_else(|refused| {
        refused.answer_by(|status, body| text(status, body.error.message))
    })
}
