//! Bytes of a group's messages that are out, in equal shares for its workers.
//!
//! A worker that has used up its share gets nothing more. It may exceed it by one message, else large
//! ones would never go out; so what the others have never stands in its way, and a group holds no
//! more than [`MAX_BYTES_OUT`] and one message for each worker.

use std::collections::HashMap;
use weir_protocol::shapes::WorkerId;

/// What the workers of a group share.
const MAX_BYTES_OUT: usize = 16 << 20;

/// Bytes that are out, by worker.
#[derive(Debug, Default)]
pub(super) struct BytesOut {
    /// Of those that have any.
    bytes: HashMap<WorkerId, usize>,
}

impl BytesOut {
    /// What is left of the share of `worker`, one of so many.
    pub(super) fn room(&self, worker: WorkerId, workers: usize) -> usize {
        let share = MAX_BYTES_OUT / workers.max(1);
        share.saturating_sub(self.bytes.get(&worker).copied().unwrap_or_default())
    }

    pub(super) fn began(&mut self, worker: WorkerId, bytes: usize) {
        *self.bytes.entry(worker).or_default() += bytes;
    }

    pub(super) fn ended(&mut self, worker: WorkerId, bytes: usize) {
        if let Some(out) = self.bytes.get_mut(&worker) {
            *out = out.saturating_sub(bytes);
            if *out == 0 {
                self.bytes.remove(&worker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_a_share_of_its_own() {
        let (a, b) = (WorkerId(1), WorkerId(2));
        let mut out = BytesOut::default();
        assert_eq!(out.room(a, 1), MAX_BYTES_OUT);
        assert_eq!(out.room(a, 4), MAX_BYTES_OUT / 4);
        out.began(a, 10 << 20);
        assert_eq!(out.room(a, 2), 0, "one message may exceed it");
        assert_eq!(out.room(b, 2), MAX_BYTES_OUT / 2);
        out.began(a, 5);
        out.ended(a, 10 << 20);
        assert_eq!(out.room(a, 2), MAX_BYTES_OUT / 2 - 5);
        out.ended(a, 5);
        assert!(out.bytes.is_empty());
    }
}
