//! What all streams of server-sent events have in common.

use super::answer::Answer;
use crate::broker::BrokerError;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use std::convert::Infallible;
use std::time::Duration;
use sync_wrapper::SyncStream;
use warp::Reply;
use weir_protocol::ErrorBody;

/// Shorter than what proxies and clients take for a dead connection.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Sent when there was nothing to send for that long.
pub(super) const QUIET: &str = ": quiet\n\n";
pub(super) const FAREWELL: &str = ": the stream ends here, reconnect\n\n";
/// What a client should wait before it reconnects, in milliseconds; clients add jitter.
pub(super) const RETRY_MILLISECONDS: u32 = 1000;

/// An answer that goes on as long as there are events.
pub(super) fn event_stream(events: impl Stream<Item = Bytes> + Send + 'static) -> Answer {
    let body = SyncStream::new(events.map(Ok::<_, Infallible>));
    let mut answer = warp::reply::stream(body).into_response();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

/// The last event of a stream that cannot go on.
pub(super) fn error_event(error: &BrokerError) -> Bytes {
    let body = ErrorBody::new(error.code(), error.to_string()).to_json();
    [b"event: error\ndata: ".as_slice(), &body, b"\n\n"]
        .concat()
        .into()
}
