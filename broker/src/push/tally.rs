//! What became of deliveries, counted.

use super::task::Outcome;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counts since the broker started. Exact once what it counts has ended.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    in_flight: AtomicU32,
    delivered: AtomicU64,
    failed: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Tally {
    pub(crate) fn began(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, outcome: &Outcome) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        match reason(outcome) {
            None => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Some(reason) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let mut last_error = self
                    .last_error
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *last_error = Some(reason.to_owned());
            }
        }
    }

    /// It ended without anybody knowing how.
    pub(crate) fn given_up(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        let last_error = self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        last_error.clone()
    }
}

/// Why a delivery did not succeed.
pub(crate) fn reason(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Done => None,
        Outcome::Returned { reason, .. }
        | Outcome::Refused { reason }
        | Outcome::Failed { reason, .. }
        | Outcome::Unreachable { reason } => Some(reason),
    }
}
