use super::connection::ErrorWord;
use super::histogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// What one client, or all together, measured.
pub(crate) struct Measured {
    pub(crate) latency: Histogram,
    /// Of acknowledgements by consumers.
    pub(crate) ack_latency: Histogram,
    pub(crate) messages: u64,
    pub(crate) requests: u64,
    pub(crate) errors: BTreeMap<ErrorWord, u64>,
    pub(crate) last_answer: Option<Instant>,
}

impl Measured {
    pub(crate) fn new() -> Self {
        Self {
            latency: Histogram::new(),
            ack_latency: Histogram::new(),
            messages: 0,
            requests: 0,
            errors: BTreeMap::new(),
            last_answer: None,
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.ack_latency.merge(&other.ack_latency);
        self.messages += other.messages;
        self.requests += other.requests;
        self.last_answer = self.last_answer.max(other.last_answer);
        for (word, count) in &other.errors {
            *self.errors.entry(word.clone()).or_default() += count;
        }
    }

    /// A request that was answered just now and moved `messages`.
    pub(crate) fn answered(&mut self, latency: Duration, messages: u64) {
        self.latency.record(nanos(latency));
        self.counted(messages);
    }

    /// An acknowledgement that was answered just now and finished `messages`.
    pub(crate) fn acked(&mut self, latency: Duration, messages: u64) {
        self.ack_latency.record(nanos(latency));
        self.counted(messages);
    }

    fn counted(&mut self, messages: u64) {
        self.requests += 1;
        self.messages += messages;
        self.last_answer = Some(Instant::now());
    }

    pub(crate) fn failed(&mut self, word: ErrorWord) {
        *self.errors.entry(word).or_default() += 1;
    }
}

fn nanos(latency: Duration) -> u64 {
    u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX)
}
