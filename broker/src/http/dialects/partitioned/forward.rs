//! Requests for another broker's partition, passed on to it.
//!
//! Everything but what belongs to the connection goes through as it is; the answer is passed back
//! piece by piece as it comes, so that streams stream, and ends when either side ends. A header tells
//! the other broker not to pass it on again, whatever it believes of who owns what.

use super::Asked;
use crate::http::answer::{Answer, text};
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyDataStream, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error;
use std::time::Duration;
use sync_wrapper::SyncStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use warp::Reply;

/// Whoever sends it has the request from a client, and is no owner.
pub(super) const FORWARDED: HeaderName = HeaderName::from_static("weir-forwarded");

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the head of an answer: a publish that waits for its disk needs less.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Likewise, once this broker stops: one that hangs must not make its end an unclean one.
const LAST_ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Shorter than a broker keeps an idle connection.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);
const IDLE_CONNECTIONS: usize = 32;

/// Connections to the other brokers.
pub(super) struct Forwarder {
    connections: Client<HttpConnector, Full<Bytes>>,
    /// Cancelled when this broker stops.
    draining: CancellationToken,
}

impl Forwarder {
    pub(super) fn new(draining: CancellationToken) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connections = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(connector);
        Self {
            connections,
            draining,
        }
    }

    /// The answer of the broker at `peer`; 502 if there is none.
    pub(super) async fn forward(&self, peer: &str, asked: Asked, body: Bytes) -> Answer {
        match self.answer(peer, asked, body).await {
            Ok(answer) => self.passed_back(answer),
            Err(reason) => {
                let message = format!("the broker {peer}, which has the partition, {reason}");
                tracing::debug!(peer, reason, "cannot forward a request");
                text(StatusCode::BAD_GATEWAY, message)
            }
        }
    }

    async fn answer(
        &self,
        peer: &str,
        asked: Asked,
        body: Bytes,
    ) -> Result<Response<Incoming>, String> {
        let uri = format!("{peer}{}?{}", asked.path, asked.query);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = asked.method;
        let mut headers = end_to_end(asked.headers);
        // Not all of the body needs to be passed on: what hyper is given has its length.
        headers.remove(CONTENT_LENGTH);
        headers.insert(FORWARDED, HeaderValue::from_static("1"));
        *request.headers_mut() = headers;
        *request.uri_mut() = uri
            .parse()
            .map_err(|e| format!("has no such address: {e}"))?;
        let answering = timeout(ANSWER_TIMEOUT, self.connections.request(request));
        tokio::select! {
            answer = answering => match answer {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(error)) => Err(format!("does not answer: {}", root_cause(&error))),
                Err(_) => Err(format!(
                    "does not answer within {} s",
                    ANSWER_TIMEOUT.as_secs()
                )),
            },
            () = self.no_more_time() => Err("has not answered, and this broker stops".to_owned()),
        }
    }

    /// Returns a moment after this broker has begun to stop.
    async fn no_more_time(&self) {
        self.draining.cancelled().await;
        tokio::time::sleep(LAST_ANSWER_TIMEOUT).await;
    }

    fn passed_back(&self, answer: Response<Incoming>) -> Answer {
        let (head, body) = answer.into_parts();
        let chunks = BodyDataStream::new(body).take_until(self.draining.clone().cancelled_owned());
        let mut answer = warp::reply::stream(SyncStream::new(chunks)).into_response();
        *answer.status_mut() = head.status;
        *answer.headers_mut() = end_to_end(head.headers);
        answer
    }
}

/// Without the headers that are about a connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let own = [
        CONNECTION,
        EXPECT,
        HOST,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    for name in named.into_iter().chain(own) {
        headers.remove(name);
    }
    headers
}

fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_connection_stays_behind() {
        let headers = [
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("host", "a"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("authorization", "Bearer t"),
            ("content-type", "text/plain"),
        ];
        let headers = headers.map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let kept = end_to_end(headers.into_iter().collect());
        let kept: Vec<_> = kept.keys().map(HeaderName::as_str).collect();
        assert_eq!(kept, ["authorization", "content-type"]);
    }
}
