use super::connection::{Connection, ErrorWord, Target};
use super::histogram::Histogram;
use super::payload::push_payload;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep, timeout};

/// A client that fails this often in a row gives up: the broker is gone.
const MAX_FAILURES_IN_A_ROW: u32 = 50;
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(20);
/// Ends a run against a broker that hangs.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What all clients share.
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) payload_bytes: usize,
    pub(crate) batch: u64,
    /// Requests that begin before this are not measured.
    pub(crate) measure_from: Instant,
    pub(crate) stop_at: Instant,
    /// Measured messages still to be sent.
    pub(crate) remaining: AtomicU64,
    pub(crate) next_number: AtomicU64,
}

impl Plan {
    /// Takes up to a batch of messages from what remains.
    fn take(&self) -> u64 {
        let taken = self
            .remaining
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left.saturating_sub(self.batch))
            });
        taken.unwrap_or(0).min(self.batch)
    }

    fn body(&self, messages: u64) -> Vec<u8> {
        let first = self.next_number.fetch_add(messages, Ordering::Relaxed);
        let now_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now_ms = u64::try_from(now_ms.as_millis()).unwrap_or(u64::MAX);
        let mut body = Vec::with_capacity(self.payload_bytes + 16);
        for number in first..first + messages {
            if !self.target.batched {
                push_payload(&mut body, number, now_ms, self.payload_bytes);
                continue;
            }
            body.extend_from_slice(b"{\"payload\":");
            push_payload(&mut body, number, now_ms, self.payload_bytes);
            body.extend_from_slice(b"}\n");
        }
        body
    }
}

/// What one client, or all together, measured.
pub(crate) struct Measured {
    pub(crate) latency: Histogram,
    pub(crate) messages: u64,
    pub(crate) errors: BTreeMap<ErrorWord, u64>,
    pub(crate) last_answer: Option<Instant>,
}

impl Measured {
    pub(crate) fn new() -> Self {
        Self {
            latency: Histogram::new(),
            messages: 0,
            errors: BTreeMap::new(),
            last_answer: None,
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.messages += other.messages;
        self.last_answer = self.last_answer.max(other.last_answer);
        for (word, count) in &other.errors {
            *self.errors.entry(word.clone()).or_default() += count;
        }
    }

    fn answered(&mut self, started: Instant, messages: u64) {
        let now = Instant::now();
        let nanos = u64::try_from((now - started).as_nanos()).unwrap_or(u64::MAX);
        self.latency.record(nanos);
        self.messages += messages;
        self.last_answer = Some(now);
    }
}

/// One client: a connection, one request in flight, the next one after the answer.
pub(crate) async fn run(plan: &Plan) -> Measured {
    let mut measured = Measured::new();
    let mut connection = None;
    let mut failures_in_a_row = 0;
    while failures_in_a_row < MAX_FAILURES_IN_A_ROW {
        let started = Instant::now();
        if started >= plan.stop_at {
            break;
        }
        let is_measured = started >= plan.measure_from;
        let messages = if is_measured { plan.take() } else { plan.batch };
        if messages == 0 {
            break;
        }
        let exchange = timeout(REQUEST_TIMEOUT, exchange(plan, &mut connection, messages)).await;
        match exchange.unwrap_or_else(|_| Err("timed_out".into())) {
            Ok(()) => {
                failures_in_a_row = 0;
                if is_measured {
                    measured.answered(started, messages);
                }
            }
            Err(word) => {
                failures_in_a_row += 1;
                *measured.errors.entry(word).or_default() += 1;
                sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
    measured
}

async fn exchange(
    plan: &Plan,
    connection: &mut Option<Connection>,
    messages: u64,
) -> Result<(), ErrorWord> {
    let mut open = match connection.take() {
        Some(open) if !open.is_closed() => open,
        _ => Connection::open(&plan.target).await?,
    };
    let answer = open.post(&plan.target, plan.body(messages).into()).await;
    *connection = Some(open);
    answer
}
