//! One connection to a worker: one request at a time.

use super::Call;
use crate::push::courier::{Route, root_cause};
use crate::push::dial::DialError;
use crate::push::target::Scheme;
use crate::push::task::Outcome;
use ::http::Response;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// Shorter than common servers wait for the next request (5 s), so that ours does not cross their
/// goodbye.
const MAX_IDLE: Duration = Duration::from_secs(4);
/// Of an answer's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    idle_since: Instant,
}

impl Connection {
    pub(super) async fn dial(route: &Route) -> Result<Self, DialError> {
        let (host, port) = (route.target.host(), route.target.port());
        let dialer = &route.dialer;
        match route.target.scheme() {
            Scheme::Https => Self::begin(route, dialer.connect_tls(&host, port).await?).await,
            _ => Self::begin(route, dialer.connect(&host, port).await?).await,
        }
    }

    async fn begin(
        route: &Route,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, DialError> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD_BYTES);
        let begun = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = begun.map_err(|error| DialError(root_cause(&error)))?;
        // How it ended is told to who waits for an answer.
        route.spawn(async { drop(connection.await) });
        Ok(Self {
            sender,
            idle_since: Instant::now(),
        })
    }

    /// Sends `call`; the answer's body still comes over the connection. Dropping the future closes it.
    pub(super) async fn send(&mut self, call: Call) -> Result<Response<Incoming>, Unanswered> {
        let sent = self.sender.try_send_request(call).await;
        sent.map_err(|error| Unanswered(Box::new(error)))
    }

    /// Waits until it can take another request; `None` if the worker closes it.
    pub(super) async fn rested(mut self) -> Option<Self> {
        self.sender.ready().await.ok()?;
        self.idle_since = Instant::now();
        Some(self)
    }

    pub(super) fn is_usable(&self) -> bool {
        self.sender.is_ready() && self.idle_since.elapsed() < MAX_IDLE
    }
}

/// A request without an answer.
pub(super) struct Unanswered(Box<TrySendError<Call>>);

impl Unanswered {
    /// The request, if nothing of it was sent.
    pub(super) fn unsent(mut self) -> Result<Call, Outcome> {
        self.0.take_message().ok_or_else(|| self.outcome())
    }

    pub(super) fn outcome(&self) -> Outcome {
        let reason = format!("no answer: {}", root_cause(self.0.error()));
        match self.0.message() {
            Some(_) => Outcome::unreachable(reason),
            None => Outcome::failed(reason),
        }
    }
}
