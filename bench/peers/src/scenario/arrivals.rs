//! Which messages arrived, and how often.

use crate::report::Outcome;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::Notify;

pub struct Arrivals {
    seen: Vec<AtomicU64>,
    expected: u64,
    distinct: AtomicU64,
    duplicates: AtomicU64,
    complete: Notify,
}

impl Arrivals {
    /// Messages are numbered from 0.
    pub fn new(expected: u64) -> Self {
        Self {
            seen: (0..expected.div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
            expected,
            distinct: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            complete: Notify::new(),
        }
    }

    pub fn mark(&self, id: u64) {
        let bit = 1 << (id % 64);
        let Some(word) = self.seen.get((id / 64) as usize) else {
            return;
        };
        if word.fetch_or(bit, Relaxed) & bit != 0 {
            self.duplicates.fetch_add(1, Relaxed);
        } else if self.distinct.fetch_add(1, Relaxed) + 1 == self.expected {
            self.complete.notify_waiters();
        }
    }

    pub fn is_complete(&self) -> bool {
        self.distinct.load(Relaxed) == self.expected
    }

    /// Waits for all messages.
    pub async fn complete(&self) {
        // Before the question: what completes them in between wakes it too.
        let notified = self.complete.notified();
        if !self.is_complete() {
            notified.await;
        }
    }

    /// Adds what arrived here.
    pub fn settle(&self, outcome: &mut Outcome) {
        let distinct = self.distinct.load(Relaxed);
        outcome.messages += distinct;
        outcome.missing += self.expected - distinct;
        outcome.duplicates += self.duplicates.load(Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_duplicate_messages_are_told() {
        let arrivals = Arrivals::new(100);
        (0..99).chain([5, 6]).for_each(|id| arrivals.mark(id));
        assert!(!arrivals.is_complete());
        let mut outcome = Outcome::default();
        arrivals.settle(&mut outcome);
        assert_eq!(
            (outcome.messages, outcome.missing, outcome.duplicates),
            (99, 1, 2)
        );
        arrivals.mark(99);
        assert!(arrivals.is_complete());
    }
}
