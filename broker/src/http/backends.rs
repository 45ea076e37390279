//! Backends that the operator named: list, and send a message to one of them.

use super::answer::{Answer, ApiError, answer, json};
use super::request::{MAX_REQUEST_BYTES, body, parse_json};
use super::{Route, State, with};
use bytes::{Buf, Bytes};
use futures_util::Stream;
use http::StatusCode;
use warp::Filter;
use weir_protocol::shapes::{BackendMessage, Backends};
use weir_protocol::{ErrorCode, InvalidPayload, Payload};

pub(super) fn routes(state: &State) -> Route {
    let list = warp::path!("v1" / "backends")
        .and(warp::get())
        .and(with(state))
        .map(|state: State| list(&state));
    let send = warp::path!("v1" / "backends" / "send")
        .and(warp::post())
        .and(with(state))
        .and(warp::body::stream())
        .then(|state: State, chunks| async move { answer(send(&state, chunks).await) });
    list.or(send).unify().boxed()
}

fn list(state: &State) -> Answer {
    let backends = Backends {
        backends: state.broker.backends(),
        topics: state.broker.backend_topics().to_vec(),
    };
    json(StatusCode::OK, &backends)
}

async fn send(
    state: &State,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, ApiError> {
    let max_bytes = state.broker.max_payload_bytes();
    let received = body(state, chunks, max_bytes + MAX_REQUEST_BYTES).await?;
    let message: BackendMessage = parse_json(&received.bytes)?;
    let text = Bytes::from(message.payload.get().to_owned());
    let payload = Payload::parse(&text, max_bytes).map_err(|e| refused(&e))?;
    let sent = state
        .broker
        .send_to_backend(&message.topic, &payload, message.reply_to.as_ref())
        .await?;
    Ok(json(StatusCode::OK, &sent))
}

fn refused(error: &InvalidPayload) -> ApiError {
    let code = match error {
        InvalidPayload::TooLarge { .. } => ErrorCode::TooLarge,
        _ => ErrorCode::InvalidJson,
    };
    ApiError::new(code, error.to_string())
}
