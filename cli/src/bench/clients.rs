//! Clients that run beside each other: what each may do, and what all of them used.

use super::broker_process;
use super::connection::{Connection, ErrorWord};
use super::endpoint::Endpoint;
use super::measured::Measured;
use super::usage::{self, BrokerUsage};
use crate::failure::Failure;
use crate::output::note;
use bytes::Bytes;
use std::future::Future;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// A client that fails this often in a row gives up: the broker is gone.
const MAX_FAILURES_IN_A_ROW: u32 = 50;
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(20);
/// Ends a run against a broker that hangs.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// When requests begin that are measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

impl Window {
    pub(crate) fn after(warmup: Duration, length: Duration) -> Self {
        let from = Instant::now() + warmup;
        Self {
            from,
            until: from + length,
        }
    }
}

/// One client: a connection that is opened again when it is lost, and one request in flight.
pub(crate) struct Client<'a> {
    pub(crate) measured: Measured,
    endpoint: &'a Endpoint,
    connection: Option<Connection>,
    failures_in_a_row: u32,
}

/// What came back, and how long after the request began.
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    pub(crate) latency: Duration,
}

impl<'a> Client<'a> {
    pub(crate) fn new(endpoint: &'a Endpoint) -> Self {
        Self {
            measured: Measured::new(),
            endpoint,
            connection: None,
            failures_in_a_row: 0,
        }
    }

    /// Connects before the first request, so that it need not wait for that; if it cannot be, the
    /// first request will tell.
    pub(crate) async fn connect(&mut self) {
        self.connection = Connection::open(self.endpoint).await.ok();
    }

    pub(crate) const fn gave_up(&self) -> bool {
        self.failures_in_a_row >= MAX_FAILURES_IN_A_ROW
    }

    /// Why `who`, which gave up, did.
    pub(crate) fn failure(&self, who: &str) -> Failure {
        let words = self.measured.errors.keys().cloned().collect::<Vec<_>>();
        Failure::Failed(format!("{who} gave up: {}", words.join(", ")))
    }

    /// Sends a request. A failure is counted and followed by a pause; then the answer is `None`.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Option<Answer> {
        let started = Instant::now();
        let exchange = timeout(REQUEST_TIMEOUT, self.exchange(request)).await;
        match exchange.unwrap_or_else(|_| Err("timed_out".into())) {
            Ok(body) => {
                self.failures_in_a_row = 0;
                let latency = started.elapsed();
                Some(Answer { body, latency })
            }
            Err(word) => {
                self.failures_in_a_row += 1;
                self.measured.failed(word);
                sleep(PAUSE_AFTER_ERROR).await;
                None
            }
        }
    }

    /// The connection is put back only when it is known where it stands.
    async fn exchange(&mut self, request: &[u8]) -> Result<Bytes, ErrorWord> {
        let mut connection = match self.connection.take() {
            Some(open) => open,
            None => Connection::open(self.endpoint).await?,
        };
        let answer = connection.exchange(request).await?;
        self.connection = Some(connection);
        answer
    }
}

/// What all clients measured, and what that took.
pub(crate) struct Run {
    pub(crate) measured: Measured,
    /// From the window's begin to the last answer.
    pub(crate) elapsed: Duration,
    pub(crate) generator_cpu_seconds: f64,
    /// `None` when its process is not known.
    pub(crate) broker: Option<BrokerRun>,
}

/// The broker's process before and after.
pub(crate) struct BrokerRun {
    pub(crate) pid: u32,
    pub(crate) before: BrokerUsage,
    pub(crate) after: BrokerUsage,
}

/// Runs all clients to their end. Dropping the future, as Ctrl-C does, ends them.
pub(crate) async fn run<C>(
    authority: &str,
    pid: Option<u32>,
    window: Window,
    clients: impl Iterator<Item = C>,
) -> Result<Run, Failure>
where
    C: Future<Output = Result<Measured, Failure>> + Send + 'static,
{
    let pid = pid.or_else(|| broker_process::find(authority));
    let mut running: JoinSet<_> = clients.collect();
    sleep_until(window.from).await;
    let own_before = usage::own_cpu_seconds();
    let before = pid.and_then(usage::of_broker);
    let mut measured = Measured::new();
    while let Some(one) = running.join_next().await {
        let one = one.map_err(|e| Failure::Failed(e.to_string()))?;
        measured.merge(&one?);
    }
    let after = pid.and_then(usage::of_broker);
    if let (Some(pid), None) = (pid, &after) {
        note(&format!("the broker's process {pid} cannot be read"));
    }
    let ended = measured.last_answer.unwrap_or(window.until);
    let broker = pid.zip(before.zip(after));
    Ok(Run {
        measured,
        elapsed: ended.duration_since(window.from),
        generator_cpu_seconds: usage::own_cpu_seconds() - own_before,
        broker: broker.map(|(pid, (before, after))| BrokerRun { pid, before, after }),
    })
}
