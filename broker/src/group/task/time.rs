//! What happens by itself, as time passes.

use super::super::partition::PartitionState;
use super::{GroupTask, ReadAhead};
use crate::committer::Few;
use std::time::Duration;
use tokio::time::Instant;
use weir_commitlog::{JournalEntry, Operation};

/// The clock may be turned: never sleep longer on what it said.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// While nothing is leased and nobody waits.
const IDLE_SLEEP: Duration = Duration::from_secs(3600);

impl GroupTask {
    /// When something happens by itself.
    pub(super) fn next_wake(&self) -> Instant {
        let now = self.clock.now();
        let states = || self.partitions.iter().map(|p| &p.state);
        let expiries = states().filter_map(PartitionState::next_expiry);
        // What nobody waits for must not wake us, again and again, until somebody comes.
        let wanted = states().filter(|_| !self.waiters.is_empty());
        let events = expiries
            .chain(wanted.filter_map(PartitionState::next_available))
            .chain(self.members.next_silence());
        let sleep = match events.min() {
            Some(at) => at.since(now).min(LONGEST_SLEEP),
            None if self.waiters.is_empty() => IDLE_SLEEP,
            None => LONGEST_SLEEP,
        };
        let by_event = Instant::now() + sleep;
        let others = self.waiters.next_end().into_iter().chain(self.rest_at);
        others.fold(by_event, Instant::min)
    }

    pub(super) async fn tick(&mut self) {
        self.renew_rules();
        self.hear_waiting();
        self.members.forget_silent(self.clock.now());
        if self.rest_at.is_some_and(|at| at <= Instant::now()) {
            self.rest_at = None;
            self.rest();
        }
        self.expire_leases().await;
        self.serve_waiters().await;
    }

    pub(super) fn rest(&mut self) {
        for partition in &mut self.partitions {
            partition.ahead = ReadAhead::default();
            partition.state.shrink();
        }
    }

    pub(super) async fn expire_leases(&mut self) {
        let now = self.clock.now();
        let mut entries = Vec::new();
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            let mut entry = JournalEntry::default();
            partition.state.journal_passed(&mut entry);
            let random = &mut || fastrand::u64(..);
            partition.state.expire(now, random, &self.rules, &mut entry);
            if !entry.is_empty() {
                entries.push((index, entry));
            }
        }
        if !entries.is_empty() {
            self.journal_unheard(entries).await;
            self.start_moves();
        }
    }

    /// Journals what is true already. Nobody waits for it: if it is lost, a message comes back with
    /// one attempt less, or a gap is found again.
    pub(super) async fn journal_unheard(&mut self, entries: Vec<(usize, JournalEntry)>) {
        let entries = entries.into_iter().filter(|(_, entry)| !entry.is_empty());
        let operation = |(partition, entry): (usize, JournalEntry)| Operation::Journal {
            journal: self.partitions[partition].journal,
            entry,
        };
        let operations: Few<Operation> = entries.map(operation).collect();
        if !operations.is_empty() {
            drop(self.committer.submit(operations, Few::new()).await);
        }
    }
}
