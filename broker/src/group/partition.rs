//! One partition of a group: which records are fresh, leased, returned or finished. Pure: no I/O,
//! `now` is an argument, every change that must survive is returned as a journal entry.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use weir_commitlog::{JournalEntry, Progress, Returned};
use weir_protocol::shapes::ReceiptStatus;
use weir_types::{Offset, OffsetRange, Timestamp};

/// Every record below the high watermark is in exactly one state: finished, leased, returned
/// (waiting for its next delivery), or fresh (never delivered since the broker started).
#[derive(Clone, Debug, Default)]
pub(crate) struct PartitionState {
    progress: Progress,
    /// Everything at or above is fresh unless finished or returned before the broker started.
    next_fresh: Offset,
    leases: BTreeMap<Offset, Lease>,
    expiries: BTreeSet<(Timestamp, Offset)>,
    available: BTreeSet<(Timestamp, Offset)>,
    redelivered: u64,
    lost_records: u64,
}

/// Who holds a record, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lease {
    attempt: u32,
    expires_at: Timestamp,
}

/// What a consumer says it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseToken {
    pub(crate) offset: Offset,
    pub(crate) attempt: u32,
    /// Whether this start of the broker granted it: a restart ends all leases.
    pub(crate) current_start: bool,
}

/// A lease that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) attempt: u32,
    pub(crate) expires_at: Timestamp,
}

impl PartitionState {
    /// Continues where the journal ends; leases of before are over.
    pub(crate) fn new(progress: Progress) -> Self {
        let available = progress
            .returned
            .values()
            .map(|r| (r.available_at, r.offset))
            .collect();
        Self {
            next_fresh: progress.committed,
            progress,
            available,
            ..Self::default()
        }
    }

    /// All below are finished.
    pub(crate) fn committed_offset(&self) -> Offset {
        self.progress.committed
    }

    /// Messages under a lease.
    pub(crate) fn in_flight(&self) -> u64 {
        self.leases.len() as u64
    }

    /// Deliveries beyond a message's first.
    pub(crate) fn redelivered(&self) -> u64 {
        self.redelivered
    }

    /// Unfinished records below `high_watermark`.
    pub(crate) fn lag_records(&self, high_watermark: Offset) -> u64 {
        let open = high_watermark.since(self.progress.committed);
        open.saturating_sub(self.progress.finished.len())
    }

    /// The first offset that was not delivered since the start.
    pub(crate) fn next_fresh(&self) -> Offset {
        self.next_fresh
    }

    /// Whether a fresh read may hand this record out.
    pub(crate) fn is_deliverable(&self, offset: Offset) -> bool {
        offset >= self.next_fresh
            && !self.progress.is_finished(offset)
            && !self.progress.returned.contains_key(&offset)
    }

    /// Returned messages whose time has come, the longest waiting first.
    pub(crate) fn due(&self, now: Timestamp, max: usize) -> Vec<Offset> {
        let due = self.available.iter().take_while(|(at, _)| *at <= now);
        due.take(max).map(|&(_, offset)| offset).collect()
    }

    /// When the next lease ends.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|&(at, _)| at)
    }

    /// When the next returned message becomes available; past if it waits for a consumer.
    pub(crate) fn next_available(&self) -> Option<Timestamp> {
        self.available.first().map(|&(at, _)| at)
    }

    /// Fresh reading has passed everything below `offset`.
    pub(crate) fn advance_fresh(&mut self, offset: Offset) {
        self.next_fresh = self.next_fresh.max(offset);
    }

    /// Hands out a record that is due or deliverable.
    pub(crate) fn grant(
        &mut self,
        offset: Offset,
        now: Timestamp,
        visibility_timeout: Duration,
    ) -> Granted {
        debug_assert!(!self.leases.contains_key(&offset), "leases never overlap");
        debug_assert!(
            !self.progress.is_finished(offset),
            "finished stays finished"
        );
        let before = self.progress.returned.get(&offset);
        let attempts = before.map_or(0, |returned| returned.attempts);
        if let Some(returned) = before {
            self.available.remove(&(returned.available_at, offset));
        }
        self.redelivered += u64::from(attempts > 0);
        if before.is_none() {
            // Not for one that came back: after a restart, fresh ones may lie before it.
            self.next_fresh = self.next_fresh.max(offset.next());
        }
        let lease = Lease {
            attempt: attempts + 1,
            expires_at: now.plus(visibility_timeout),
        };
        self.expiries.insert((lease.expires_at, offset));
        self.leases.insert(offset, lease);
        Granted {
            attempt: lease.attempt,
            expires_at: lease.expires_at,
        }
    }

    /// Decides on finishing a message; `entry` becomes true with [`Self::apply`]. Counts also when
    /// the lease is over, unless someone newer holds it.
    pub(crate) fn ack(
        &self,
        token: LeaseToken,
        high_watermark: Offset,
        entry: &mut JournalEntry,
    ) -> ReceiptStatus {
        if token.offset >= high_watermark {
            return ReceiptStatus::Unknown;
        }
        if self.progress.is_finished(token.offset) {
            return ReceiptStatus::Acked;
        }
        if self.leases.contains_key(&token.offset) && !self.holds(token) {
            return ReceiptStatus::LeaseExpired;
        }
        if token.current_start && self.is_deliverable(token.offset) {
            // Never handed out here: the receipt is another group's.
            return ReceiptStatus::Unknown;
        }
        let finished = OffsetRange::single(token.offset);
        match entry.finished.last_mut() {
            Some(last) if last.end == finished.start => last.end = finished.end,
            _ => entry.finished.push(finished),
        }
        ReceiptStatus::Acked
    }

    /// Decides on giving a message back, not to be delivered again before `available_at`; `entry`
    /// becomes true with [`Self::apply`].
    pub(crate) fn nack(
        &self,
        token: LeaseToken,
        available_at: Timestamp,
        reason: Option<&str>,
        entry: &mut JournalEntry,
    ) -> ReceiptStatus {
        if !self.holds(token) {
            return ReceiptStatus::LeaseExpired;
        }
        entry.returned.push(Returned {
            offset: token.offset,
            attempts: token.attempt,
            available_at,
            reason: reason.map(Into::into),
        });
        ReceiptStatus::Nacked
    }

    /// Makes a journaled decision true; returns how many messages it finished. What was decided on
    /// a lease that is over by now, and was not an ack, comes too late.
    pub(crate) fn apply(&mut self, entry: &JournalEntry) -> u64 {
        let before = self.progress.finished_records();
        entry.finished.iter().for_each(|&range| self.finish(range));
        let newly = self.progress.finished_records() - before;
        for returned in &entry.returned {
            let lease = self.leases.get(&returned.offset);
            if lease.is_some_and(|lease| lease.attempt == returned.attempts) {
                self.put_back(returned.clone());
            }
        }
        newly
    }

    /// Prolongs a lease to `expires_at`.
    pub(crate) fn extend(&mut self, token: LeaseToken, expires_at: Timestamp) -> ReceiptStatus {
        if !self.holds(token) {
            return ReceiptStatus::LeaseExpired;
        }
        if let Some(lease) = self.leases.get_mut(&token.offset) {
            self.expiries.remove(&(lease.expires_at, token.offset));
            lease.expires_at = expires_at;
            self.expiries.insert((expires_at, token.offset));
        }
        ReceiptStatus::Extended
    }

    /// Takes back a message that never reached its consumer: the attempt does not count.
    pub(crate) fn release(&mut self, offset: Offset, now: Timestamp) {
        let Some(lease) = self.leases.get(&offset) else {
            return;
        };
        let attempts = lease.attempt - 1;
        self.redelivered -= u64::from(attempts > 0);
        let reason = self
            .progress
            .returned
            .get(&offset)
            .and_then(|r| r.reason.clone());
        self.put_back(Returned {
            offset,
            attempts,
            available_at: now,
            reason,
        });
    }

    /// Ends every lease whose time is over; the messages are available at once.
    pub(crate) fn expire(&mut self, now: Timestamp, entry: &mut JournalEntry) {
        while let Some(&(expires_at, offset)) = self.expiries.first().filter(|(at, _)| *at <= now) {
            let attempts = self.leases.get(&offset).map_or(1, |lease| lease.attempt);
            let reason = Some("lease expired".into());
            let returned = Returned {
                offset,
                attempts,
                available_at: expires_at,
                reason,
            };
            entry.returned.push(returned.clone());
            self.put_back(returned);
        }
    }

    /// Passes over offsets that no record carries any more: trimmed, damaged or never written.
    pub(crate) fn pass_over(&mut self, missing: OffsetRange) {
        let finished = self.progress.finished_records();
        self.finish(missing);
        self.lost_records += self.progress.finished_records() - finished;
    }

    /// Unfinished records that were passed over.
    pub(crate) fn lost_records(&self) -> u64 {
        self.lost_records
    }

    fn holds(&self, token: LeaseToken) -> bool {
        let lease = self.leases.get(&token.offset);
        token.current_start && lease.is_some_and(|lease| lease.attempt == token.attempt)
    }

    fn finish(&mut self, range: OffsetRange) {
        while let Some((&offset, _)) = self.leases.range(range.start..range.end).next() {
            self.end_lease(offset);
        }
        let returned = self.progress.returned.range(range.start..range.end);
        for (&offset, returned) in returned {
            self.available.remove(&(returned.available_at, offset));
        }
        self.progress.apply(&JournalEntry {
            finished: vec![range],
            ..JournalEntry::default()
        });
    }

    fn put_back(&mut self, returned: Returned) {
        self.end_lease(returned.offset);
        self.available
            .insert((returned.available_at, returned.offset));
        self.progress.returned.insert(returned.offset, returned);
    }

    fn end_lease(&mut self, offset: Offset) {
        if let Some(lease) = self.leases.remove(&offset) {
            self.expiries.remove(&(lease.expires_at, offset));
        }
    }
}

#[cfg(test)]
mod tests;
