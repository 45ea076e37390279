//! An HTTP/2 connection for tonic's clients.

use crate::push::courier::{Route, root_cause};
use crate::push::dial::DialError;
use ::http::uri::{Scheme, Uri};
use ::http::{Request, Response};
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::task::{Context, Poll};
use std::time::Duration;
use thiserror::Error;
use tonic::body::Body;
use tower_service::Service;

/// The usual server of gRPC hangs up on who asks more often than every five minutes. A host that
/// vanished is noticed sooner, by TCP.
const PING_INTERVAL: Duration = Duration::from_secs(310);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Of an answer's head.
const MAX_HEAD_BYTES: u32 = 16 * 1024;

/// Clones share the connection.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    sender: SendRequest<Body>,
    origin: Uri,
}

/// The request was not sent: the connection had ended before.
#[derive(Debug, Error)]
#[error("not sent: {0}")]
pub(super) struct Unsent(String);

/// What went wrong after the request was sent, or while it was.
#[derive(Debug, Error)]
#[error("{0}")]
struct Interrupted(String);

impl Channel {
    pub(super) async fn dial(route: Route) -> Result<Self, DialError> {
        let target = &route.target;
        let no_origin = |error: ::http::Error| DialError(format!("{target}: {error}"));
        let origin = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(target.authority())
            .path_and_query("/")
            .build()
            .map_err(no_origin)?;
        let stream = route.dialer.connect(&target.host(), target.port()).await?;
        let mut builder = http2::Builder::new(Spawner(route.clone()));
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_header_list_size(MAX_HEAD_BYTES);
        let begun = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = begun.map_err(|error| DialError(root_cause(&error)))?;
        // How it ended is told to who waits for an answer.
        route.spawn(async { drop(connection.await) });
        Ok(Self { sender, origin })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(super) fn origin(&self) -> Uri {
        self.origin.clone()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // A connection that ended says so when it is used, and whether anything was sent.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let sent = self.sender.try_send_request(request);
        Box::pin(async move {
            sent.await.map_err(|error| {
                let reason = root_cause(error.error());
                match error.message() {
                    Some(_) => Unsent(reason).into(),
                    None => Interrupted(reason).into(),
                }
            })
        })
    }
}

/// Runs what hyper needs beside a connection.
#[derive(Clone)]
struct Spawner(Route);

impl<F> Executor<F> for Spawner
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, work: F) {
        self.0.spawn(work);
    }
}
