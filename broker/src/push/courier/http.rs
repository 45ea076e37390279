//! Workers that take a POST for each message.
//!
//! The body is the message's payload (or the bytes that it stands for), `Weir-Id`, `Weir-Topic`,
//! `Weir-Queue`, `Weir-Key` and `Weir-Delivery-Attempt` say the rest. The status decides, as `answer`
//! tells; redirects are not followed. Connections are kept for a short while and used one request at
//! a time, the one that rested shortest first.

mod answer;
mod connection;

use self::connection::Connection;
use super::Route;
use super::deadline::Deadline;
use crate::push::target::Scheme;
use crate::push::task::{Outcome, Task, text};
use ::http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use ::http::{Method, Request, Response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout_at;
use weir_commitlog::RecordHead;
use weir_service::clock::Clock;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// How long an answer's body may take after its status has decided.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

type Call = Request<Full<Bytes>>;

#[derive(Debug)]
pub(super) struct HttpCourier {
    route: Route,
    /// Most that are kept.
    concurrency: AtomicUsize,
    /// The one that rested shortest last.
    idle: Mutex<Vec<Connection>>,
}

impl HttpCourier {
    pub(super) fn new(route: Route, concurrency: u32) -> Self {
        Self {
            route,
            concurrency: AtomicUsize::new(concurrency as usize),
            idle: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn set_concurrency(&self, concurrency: u32) {
        self.concurrency
            .store(concurrency as usize, Ordering::Relaxed);
    }

    pub(super) async fn deliver(
        &self,
        task: &Task,
        deadline: Deadline,
    ) -> Result<Outcome, Outcome> {
        let call = self.call(task, &task.head()?)?;
        let (answer, connection) = self.exchange(call, deadline).await?;
        let (head, body) = answer.into_parts();
        let until = deadline.within(BODY_TIMEOUT);
        let read = timeout_at(until, answer::first_bytes(body)).await;
        let read = read.ok().flatten();
        if read.is_some()
            && let Ok(Some(rested)) = timeout_at(until, connection.rested()).await
        {
            self.keep(rested);
        }
        let body = read.unwrap_or_default();
        Ok(answer::outcome(&head, &body, Clock::system().now()))
    }

    /// Over a kept connection if there is one. The worker may just have closed it; what was not sent
    /// then is sent over a new one.
    async fn exchange(
        &self,
        mut call: Call,
        deadline: Deadline,
    ) -> Result<(Response<Incoming>, Connection), Outcome> {
        if let Some(mut kept) = self.take_kept() {
            match deadline.answering(kept.send(call)).await? {
                Ok(answer) => return Ok((answer, kept)),
                Err(refused) => call = refused.unsent()?,
            }
        }
        let dial = Connection::dial(&self.route);
        let mut connection = deadline.connecting(dial).await?;
        match deadline.answering(connection.send(call)).await? {
            Ok(answer) => Ok((answer, connection)),
            Err(refused) => Err(refused.outcome()),
        }
    }

    fn take_kept(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(Connection::is_usable);
        idle.pop()
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(Connection::is_usable);
        if idle.len() < self.concurrency.load(Ordering::Relaxed) {
            idle.push(connection);
        }
    }

    fn call(&self, task: &Task, head: &RecordHead<'_>) -> Result<Call, Outcome> {
        let (data, is_encoded) = task.data(head);
        let attempt = task.message.receipt.delivery_attempt;
        let builder = Request::builder()
            .method(Method::POST)
            .uri(self.route.target.path_and_query())
            .header(HOST, self.host())
            .header(USER_AGENT, AGENT)
            .header(CONTENT_TYPE, if is_encoded { BYTES } else { JSON })
            .header("weir-id", text(head.id))
            .header("weir-topic", task.topic.as_str())
            .header("weir-delivery-attempt", attempt);
        let mut call = builder
            .body(Full::new(data))
            .map_err(|error| Outcome::failed(format!("no request can be made of it: {error}")))?;
        let mut add = |name, value: String| {
            // Keys have no control characters, the one thing that a header refuses.
            if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
                call.headers_mut().insert(name, value);
            }
        };
        if let Some(queue) = task.queue {
            add(HeaderName::from_static("weir-queue"), queue.to_string());
        }
        if let Some(key) = head.key {
            add(HeaderName::from_static("weir-key"), text(key));
        }
        Ok(call)
    }

    /// The port goes without saying where it is the usual one.
    fn host(&self) -> String {
        let target = &self.route.target;
        let authority = target.authority();
        let usual = match target.scheme() {
            Scheme::Https => ":443",
            _ => ":80",
        };
        match authority.strip_suffix(usual) {
            Some(host) => host.to_owned(),
            None => authority,
        }
    }
}

#[cfg(test)]
mod tests;
