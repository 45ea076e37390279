//! Sends what the sampler makes, in order, and keeps what cannot be sent yet.
//!
//! Invariants: samples are taken from the sampler at all times, so a broker that is away never
//! delays a measurement; the buffer is bounded; one request is under way at most, which keeps the
//! order. A sample leaves the buffer when the broker has acknowledged it, when it is the oldest and
//! there is no room, or when the broker will never take it; the latter two are counted.

use crate::broker_connection::{BrokerConnection, NotTaken};
use crate::buffer::Buffer;
use crate::sample::AgentState;
use bytes::{Bytes, BytesMut};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use weir_client::Backoff;
use weir_service::telemetry::LogLimiter;

/// One request's samples, at most.
const MAX_BATCH_BYTES: usize = 256 * 1024;
/// After the last sample, all that waits must be sent within this time or is lost.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What `host.system` says of the publisher.
#[derive(Clone, Debug, Default)]
pub(crate) struct PublisherState(Arc<StateCells>);

#[derive(Debug, Default)]
struct StateCells {
    buffered_bytes: AtomicU64,
    dropped_samples: AtomicU64,
}

impl PublisherState {
    pub(crate) fn get(&self) -> AgentState {
        AgentState {
            buffered_bytes: self.0.buffered_bytes.load(Ordering::Relaxed),
            dropped_samples: self.0.dropped_samples.load(Ordering::Relaxed),
        }
    }

    fn set(&self, buffer: &Buffer) {
        let bytes = buffer.bytes() as u64;
        self.0.buffered_bytes.store(bytes, Ordering::Relaxed);
        let dropped = buffer.dropped();
        self.0.dropped_samples.store(dropped, Ordering::Relaxed);
    }
}

/// Owns the buffer and the connection.
pub(crate) struct Publisher {
    connection: BrokerConnection,
    buffer: Buffer,
    backoff: Backoff,
    state: PublisherState,
    samples: mpsc::Receiver<Vec<Bytes>>,
    refusals: LogLimiter,
    max_lines: usize,
}

/// How a wait beside the sampler ended.
enum Beside<T> {
    Done(T),
    /// The sampler has ended, and with it all patience.
    SamplerEnded,
}

impl Publisher {
    /// Sends what comes in over `samples`, each item the lines of one tick.
    pub(crate) fn new(
        connection: BrokerConnection,
        buffer: Buffer,
        state: PublisherState,
        samples: mpsc::Receiver<Vec<Bytes>>,
    ) -> Self {
        Self {
            max_lines: connection.max_lines(),
            connection,
            buffer,
            backoff: Backoff::default(),
            state,
            samples,
            refusals: LogLimiter::new(REFUSAL_LOG_INTERVAL),
        }
    }

    /// Runs until the sampler has ended; then sends what waits, once.
    pub(crate) async fn run(mut self) {
        while let Some(lines) = self.samples.recv().await {
            self.keep(lines);
            self.send_all().await;
        }
        if timeout(FLUSH_LIMIT, self.flush()).await.is_err() {
            self.buffer.give_back();
        }
        if !self.buffer.is_empty() {
            let bytes = self.buffer.bytes();
            tracing::warn!(
                bytes,
                "the broker is away: the samples that waited are lost"
            );
        }
    }

    fn keep(&mut self, lines: Vec<Bytes>) {
        lines.into_iter().for_each(|line| self.buffer.push(line));
        self.state.set(&self.buffer);
    }

    /// Sends until nothing waits or the sampler has ended.
    async fn send_all(&mut self) {
        let mut failures = 0;
        while !self.buffer.is_empty() && !self.samples.is_closed() {
            let outcome = self.send_batch().await;
            match self.settle(outcome) {
                None => {
                    if failures > 0 {
                        tracing::info!("the broker takes samples again");
                    }
                    failures = 0;
                }
                Some((reason, after)) => {
                    if failures == 0 {
                        tracing::warn!(reason, "the broker takes no samples; they wait here");
                    }
                    let wait =
                        after.unwrap_or_else(|| self.backoff.delay(failures, fastrand::f64()));
                    failures = failures.saturating_add(1);
                    if let Beside::SamplerEnded = self.beside(sleep(wait)).await {
                        return;
                    }
                }
            }
        }
    }

    /// Sends one batch while samples keep coming in.
    async fn send_batch(&mut self) -> Result<(), NotTaken> {
        let batch = self.batch();
        let connection = self.connection.clone();
        let mut sending = pin!(connection.send(batch));
        match self.beside(sending.as_mut()).await {
            Beside::Done(outcome) => outcome,
            Beside::SamplerEnded => sending.await,
        }
    }

    fn batch(&mut self) -> Bytes {
        let lines = self.buffer.lend(self.max_lines, MAX_BATCH_BYTES);
        let mut batch = BytesMut::with_capacity(lines.iter().map(Bytes::len).sum());
        lines.iter().for_each(|line| batch.extend_from_slice(line));
        batch.freeze()
    }

    /// Draws the consequence; says why and when to try again, if so.
    fn settle(&mut self, outcome: Result<(), NotTaken>) -> Option<(String, Option<Duration>)> {
        let again = match outcome {
            Ok(()) => {
                self.buffer.finish();
                let limit = self.connection.max_lines();
                self.max_lines = (2 * self.max_lines).min(limit);
                None
            }
            Err(NotTaken::Later { reason, after }) => {
                self.buffer.give_back();
                Some((reason, after))
            }
            Err(NotTaken::Never { reason }) => {
                self.refused(&reason);
                None
            }
        };
        self.state.set(&self.buffer);
        again
    }

    /// A broker refuses a batch as a whole: it is halved until the sample stands alone that the
    /// broker does not want. That one goes, the others arrive.
    fn refused(&mut self, reason: &str) {
        let samples = self.buffer.lent();
        if samples > 1 {
            self.max_lines = samples / 2;
            self.buffer.give_back();
            return;
        }
        self.buffer.discard();
        if let Some(unlogged) = self.refusals.admit(Instant::now()) {
            tracing::error!(
                reason,
                unlogged,
                "the broker refused a sample; it is dropped"
            );
        }
    }

    /// Waits for `work` and keeps what the sampler makes meanwhile.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> Beside<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Beside::Done(done),
                lines = self.samples.recv() => match lines {
                    Some(lines) => self.keep(lines),
                    None => return Beside::SamplerEnded,
                },
            }
        }
    }

    /// Sends what waits until something fails.
    async fn flush(&mut self) {
        while !self.buffer.is_empty() {
            let batch = self.batch();
            let outcome = self.connection.send(batch).await;
            if self.settle(outcome).is_some() {
                return;
            }
        }
    }
}
