//! One partition of a group: which records are fresh, held back, leased, waiting or finished. Pure:
//! no I/O, `now` and randomness are arguments, every change that must survive is returned as a
//! journal entry.
//!
//! ```text
//!  finished … | unfinished and finished mixed … | not read yet, but for a few known ones … | end
//!             ^ committed offset                ^ next fresh offset
//! ```
//!
//! A record below `next_fresh` is finished unless it is in `unfinished`. Records above it were not
//! looked at since the broker started or the group was moved; what is known of them from the journal,
//! or from acks of an earlier start, waits in the `ahead` members until reading arrives there.

mod rules;
mod terms;

pub(crate) use rules::Rules;
pub use terms::Redelivery;
pub(crate) use terms::{Exhausted, LeaseToken, NackTerms, Terms, Totals};

use super::unfinished::{Active, Holder, KeyHash, Phase, Unfinished};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use terms::LeaseEnd;
use weir_commitlog::{JournalEntry, Progress, Returned};
use weir_protocol::shapes::ReceiptStatus;
use weir_types::{GroupOrdering, Offset, OffsetRange, OffsetSet, Timestamp};

/// The state of one partition of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartitionState {
    next_fresh: Offset,
    unfinished: Unfinished,
    finished_ahead: OffsetSet,
    /// Deliveries of before, of records that were not read yet or are held back.
    returned_ahead: BTreeMap<Offset, Returned>,
    /// Records that were not read yet and are on their way to the dead-letter topic.
    moving_ahead: BTreeMap<Offset, u32>,
    /// Records that were not read yet or are held back, and whose late ack is on its way to the disk.
    finishing_ahead: BTreeSet<Offset>,
    exhausted: Vec<Exhausted>,
    /// Finished without a consumer, and not in the journal yet.
    passed: Vec<OffsetRange>,
    totals: Totals,
}

impl PartitionState {
    /// Continues where the journal ends; leases of before are over.
    pub(crate) fn new(progress: Progress, rules: &Rules) -> Self {
        let mut state = Self {
            next_fresh: progress.committed,
            finished_ahead: progress.finished,
            ..Self::default()
        };
        for (offset, returned) in progress.returned {
            if rules.must_move(&returned) && !progress.dead_letters.contains_key(&offset) {
                state.exhaust(returned);
            } else {
                state.returned_ahead.insert(offset, returned);
            }
        }
        for (offset, intent) in progress.dead_letters {
            state.moving_ahead.insert(offset, intent.attempts);
            state.returned_ahead.remove(&offset);
            state.exhausted.push(Exhausted {
                offset,
                attempts: intent.attempts,
                reason: intent.reason.clone(),
                intent: Some(intent),
            });
        }
        state.settle();
        state
    }

    /// Counts on from `totals`.
    pub(crate) fn with_totals(self, totals: Totals) -> Self {
        Self { totals, ..self }
    }

    /// Notes a message, not read yet, that must move.
    fn exhaust(&mut self, returned: Returned) {
        self.moving_ahead.insert(returned.offset, returned.attempts);
        self.exhausted.push(Exhausted {
            offset: returned.offset,
            attempts: returned.attempts,
            reason: returned.reason,
            intent: None,
        });
    }

    /// All below are finished.
    pub(crate) fn committed_offset(&self) -> Offset {
        self.unfinished.first().unwrap_or(self.next_fresh)
    }

    /// Messages under a lease.
    pub(crate) fn in_flight(&self) -> u64 {
        self.unfinished.leased() as u64
    }

    /// Messages under a lease of `holder`.
    pub(crate) fn leased_by(&self, holder: Holder) -> u32 {
        self.unfinished.leased_by(holder)
    }

    /// Messages that wait for their next delivery, and for nothing else.
    pub(crate) fn waiting(&self) -> u64 {
        self.unfinished.waiting() as u64
    }

    /// Messages that wait behind an earlier one of their key.
    pub(crate) fn held_back(&self) -> u64 {
        self.unfinished.held_back() as u64
    }

    /// Messages on their way to the dead-letter topic.
    pub(crate) fn moving(&self) -> u64 {
        let others = self.unfinished.leased() + self.unfinished.waiting();
        let read = self.unfinished.active().saturating_sub(others);
        (read + self.moving_ahead.len()) as u64
    }

    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// Unfinished records below `high_watermark`.
    pub(crate) fn lag_records(&self, high_watermark: Offset) -> u64 {
        let unread = high_watermark.since(self.next_fresh);
        unread.saturating_sub(self.finished_ahead.len()) + self.unfinished.len()
    }

    /// How many records the group is done with.
    fn finished_records(&self) -> u64 {
        self.next_fresh.0 + self.finished_ahead.len() - self.unfinished.len()
    }

    /// Whether the group is done with a record.
    pub(crate) fn is_finished(&self, offset: Offset) -> bool {
        match offset < self.next_fresh {
            true => !self.unfinished.contains(offset),
            false => self.finished_ahead.contains(offset),
        }
    }

    /// Where to read on.
    pub(crate) fn next_fresh(&self) -> Offset {
        self.next_fresh
    }

    /// Whether a bound keeps the group from reading further, until something is finished.
    pub(crate) fn is_full(&self, rules: &Rules) -> bool {
        self.unfinished.held_back() >= rules.max_held_back
            || self.unfinished.active() >= rules.max_active
    }

    /// Whether nothing may be handed out before all that is leased is finished or back: with order by
    /// partition, one consumer at a time has a partition's next messages.
    pub(crate) fn is_taken(&self, rules: &Rules) -> bool {
        rules.ordering == GroupOrdering::Partition && self.unfinished.leased() > 0
    }

    /// Whether records that were not read yet may be handed out with those that were leased just
    /// now.
    pub(crate) fn may_read_on(&self, rules: &Rules) -> bool {
        let in_turn = rules.ordering != GroupOrdering::Partition
            || self.unfinished.active() == self.unfinished.leased();
        in_turn && !self.is_full(rules)
    }

    /// Messages that may be delivered again, at most `max`: the longest waiting first, with order by
    /// partition the lowest offset first.
    pub(crate) fn due(&self, now: Timestamp, max: usize, rules: &Rules) -> Vec<Offset> {
        if rules.ordering != GroupOrdering::Partition {
            return self.unfinished.available(now).take(max).collect();
        }
        let is_due = |active: Active| active.phase == Phase::Waiting && active.at <= now;
        self.unfinished
            .iter()
            .take_while(|&offset| self.unfinished.get(offset).is_some_and(is_due))
            .take(max)
            .collect()
    }

    /// When the next lease ends.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.unfinished.first_expiry().map(|(at, _)| at)
    }

    /// When the next waiting message becomes available; past if it waits for a consumer.
    pub(crate) fn next_available(&self) -> Option<Timestamp> {
        self.unfinished.first_available()
    }

    /// Hands out the next record, unless it has to wait: behind an earlier one of its key, for its
    /// time, or for the dead-letter topic. Returns its delivery attempt. The record is the one at
    /// [`Self::next_fresh`]; what lies between was passed over.
    pub(crate) fn lease_fresh(
        &mut self,
        offset: Offset,
        key: Option<KeyHash>,
        now: Timestamp,
        terms: Terms,
        rules: &Rules,
    ) -> Option<u32> {
        debug_assert_eq!(offset, self.next_fresh, "what lies between was passed over");
        let key = key.filter(|_| rules.ordering == GroupOrdering::Key);
        let is_held_back = self.unfinished.add(offset, key);
        self.next_fresh = offset.next();
        let attempt = match is_held_back {
            true => None,
            false => self.begin(offset, now, Some(terms)),
        };
        self.settle();
        attempt
    }

    /// Gives a message its first phase since it was read, or since it is held back no longer.
    /// Returns the delivery attempt if it is leased.
    fn begin(&mut self, offset: Offset, now: Timestamp, terms: Option<Terms>) -> Option<u32> {
        if let Some(attempts) = self.moving_ahead.remove(&offset) {
            self.unfinished.set_moving(offset, attempts);
            return None;
        }
        let before = self.returned_ahead.remove(&offset);
        let attempts = before.as_ref().map_or(0, |before| before.attempts);
        let available_at = before.map_or(now, |before| before.available_at);
        if self.finishing_ahead.remove(&offset) {
            self.unfinished.wait(offset, attempts, available_at);
            self.unfinished.settle(offset, Phase::FinishingLate);
            return None;
        }
        let Some(terms) = terms.filter(|_| available_at <= now) else {
            self.unfinished
                .wait(offset, attempts, available_at.max(now));
            return None;
        };
        Some(self.give(offset, attempts, terms))
    }

    /// Hands out a message that is due. Returns its delivery attempt.
    pub(crate) fn lease_due(&mut self, offset: Offset, terms: Terms) -> Option<u32> {
        let waiting = self.unfinished.get(offset)?;
        (waiting.phase == Phase::Waiting).then(|| self.give(offset, waiting.attempts, terms))
    }

    fn give(&mut self, offset: Offset, attempts: u32, terms: Terms) -> u32 {
        self.totals.redelivered += u64::from(attempts > 0);
        let attempt = attempts.saturating_add(1);
        self.unfinished
            .lease(offset, attempt, terms.until, terms.holder);
        attempt
    }

    /// Decides on finishing a message; `entry` becomes true with [`Self::apply`], or void with
    /// [`Self::revert`]. Counts also when the lease is over, unless someone newer holds it.
    pub(crate) fn ack(
        &mut self,
        token: LeaseToken,
        high_watermark: Offset,
        entry: &mut JournalEntry,
    ) -> ReceiptStatus {
        let offset = token.offset;
        if offset >= high_watermark {
            return ReceiptStatus::Unknown;
        }
        match self.unfinished.get(offset) {
            None if self.is_finished(offset) => return ReceiptStatus::Acked,
            // Never handed out here: nobody can have a receipt for it.
            None if token.current_start => return ReceiptStatus::Unknown,
            None if self.moving_ahead.contains_key(&offset) => return ReceiptStatus::LeaseExpired,
            None => {
                self.finishing_ahead.insert(offset);
            }
            Some(active) => match active.phase {
                _ if token.current_start && active.attempts < token.attempt => {
                    return ReceiptStatus::Unknown;
                }
                Phase::Moving | Phase::Returning => return ReceiptStatus::LeaseExpired,
                Phase::Leased if !self.holds(token) => return ReceiptStatus::LeaseExpired,
                Phase::Leased => self.unfinished.settle(offset, Phase::Finishing),
                Phase::Waiting => self.unfinished.settle(offset, Phase::FinishingLate),
                Phase::Finishing | Phase::FinishingLate => {}
            },
        }
        push(&mut entry.finished, OffsetRange::single(offset));
        ReceiptStatus::Acked
    }

    /// Decides on giving a message back; `entry` becomes true with [`Self::apply`], or void with
    /// [`Self::revert`].
    pub(crate) fn nack(
        &mut self,
        token: LeaseToken,
        terms: NackTerms<'_>,
        rules: &Rules,
        entry: &mut JournalEntry,
    ) -> ReceiptStatus {
        if !self.holds(token) {
            return ReceiptStatus::LeaseExpired;
        }
        let available_at =
            rules.available_at(terms.now, token.attempt, terms.redelivery, terms.random);
        entry.returned.push(Returned {
            offset: token.offset,
            attempts: token.attempt,
            available_at,
            reason: terms.reason.map(Into::into),
        });
        self.unfinished.settle(token.offset, Phase::Returning);
        ReceiptStatus::Nacked
    }

    /// Prolongs a lease to `until`.
    pub(crate) fn extend(&mut self, token: LeaseToken, until: Timestamp) -> ReceiptStatus {
        if !self.holds(token) {
            return ReceiptStatus::LeaseExpired;
        }
        self.unfinished.extend(token.offset, until);
        ReceiptStatus::Extended
    }

    /// Takes back a message that its holder could not pass on: the attempt does not count.
    pub(crate) fn give_up(&mut self, token: LeaseToken, now: Timestamp) -> ReceiptStatus {
        if !self.holds(token) {
            return ReceiptStatus::LeaseExpired;
        }
        self.release(token.offset, now);
        ReceiptStatus::Nacked
    }

    fn holds(&self, token: LeaseToken) -> bool {
        let held =
            |active: Active| active.phase == Phase::Leased && active.attempts == token.attempt;
        token.current_start && self.unfinished.get(token.offset).is_some_and(held)
    }

    /// Makes a journaled decision true; returns how many messages it finished.
    pub(crate) fn apply(&mut self, entry: &JournalEntry, now: Timestamp, rules: &Rules) -> u64 {
        let before = self.finished_records();
        for &range in &entry.finished {
            self.finish(range, now);
        }
        let newly = self.finished_records() - before;
        for returned in &entry.returned {
            let active = self.unfinished.get(returned.offset);
            if active.is_some_and(|active| active.phase == Phase::Returning) {
                self.put_back(returned.clone(), now, rules);
            }
        }
        newly
    }

    /// A decision did not reach the disk: everything is as it was before.
    pub(crate) fn revert(&mut self, entry: &JournalEntry) {
        let finished = entry.finished.iter();
        let finished = finished.flat_map(|range| (range.start.0..range.end.0).map(Offset));
        let returned = entry.returned.iter().map(|returned| returned.offset);
        for offset in finished.chain(returned) {
            self.finishing_ahead.remove(&offset);
            self.unfinished.unsettle(offset);
        }
    }

    /// Ends every lease whose time is over.
    pub(crate) fn expire(
        &mut self,
        now: Timestamp,
        random: &mut dyn FnMut() -> u64,
        rules: &Rules,
        entry: &mut JournalEntry,
    ) {
        while let Some((expires_at, offset)) = self.unfinished.first_expiry()
            && expires_at <= now
        {
            let end = LeaseEnd {
                reason: "lease expired",
                at: expires_at,
                redelivery: Redelivery::ByBackoff,
                random: random(),
            };
            self.end_lease(offset, end, rules, entry);
        }
    }

    /// Ends every lease of a consumer that went away; others may have the messages at once.
    pub(crate) fn give_back(
        &mut self,
        holder: Holder,
        now: Timestamp,
        rules: &Rules,
        entry: &mut JournalEntry,
    ) {
        for offset in self.unfinished.held_by(holder) {
            let end = LeaseEnd {
                reason: "consumer disconnected",
                at: now,
                redelivery: Redelivery::After(Duration::ZERO),
                random: 0,
            };
            self.end_lease(offset, end, rules, entry);
        }
    }

    fn end_lease(
        &mut self,
        offset: Offset,
        end: LeaseEnd,
        rules: &Rules,
        entry: &mut JournalEntry,
    ) {
        let lease = self.unfinished.get(offset);
        let attempts = lease.map_or(1, |lease| lease.attempts);
        let returned = Returned {
            offset,
            attempts,
            available_at: rules.available_at(end.at, attempts, end.redelivery, end.random),
            reason: Some(end.reason.into()),
        };
        entry.returned.push(returned.clone());
        self.put_back(returned, end.at, rules);
    }

    /// A lease ended without an ack.
    fn put_back(&mut self, returned: Returned, now: Timestamp, rules: &Rules) {
        let Returned {
            offset, attempts, ..
        } = returned;
        if rules.must_move(&returned) {
            self.unfinished.set_moving(offset, attempts);
            self.exhausted.push(Exhausted {
                offset,
                attempts,
                reason: returned.reason,
                intent: None,
            });
            return;
        }
        self.unfinished
            .wait(offset, attempts, returned.available_at.max(now));
    }

    /// Takes back a message that never reached its consumer: the attempt does not count.
    pub(crate) fn release(&mut self, offset: Offset, now: Timestamp) {
        let lease = self.unfinished.get(offset);
        if let Some(lease) = lease.filter(|lease| lease.phase == Phase::Leased) {
            let attempts = lease.attempts - 1;
            self.totals.redelivered -= u64::from(attempts > 0);
            self.unfinished.wait(offset, attempts, now);
        }
    }

    /// Messages that have to move to the dead-letter topic; each is returned once.
    pub(crate) fn take_exhausted(&mut self) -> Vec<Exhausted> {
        let mut exhausted = std::mem::take(&mut self.exhausted);
        exhausted.retain(|message| !self.is_finished(message.offset));
        exhausted
    }

    /// A message is in the dead-letter topic, durably, and finished in the journal.
    pub(crate) fn moved(&mut self, offset: Offset, now: Timestamp) {
        self.totals.dead_lettered += 1;
        self.finish(OffsetRange::single(offset), now);
    }

    /// Passes over offsets that no record carries any more: trimmed, damaged or never written.
    pub(crate) fn pass_over(&mut self, missing: OffsetRange, now: Timestamp) {
        let before = self.finished_records();
        self.finish(missing, now);
        self.totals.lost_records += self.finished_records() - before;
        push(&mut self.passed, missing);
    }

    /// Whether a record, not read yet, is on its way to the dead-letter topic, and must not be skipped.
    pub(crate) fn is_moving_ahead(&self, offset: Offset) -> bool {
        self.moving_ahead.contains_key(&offset)
    }

    /// Passes over a record that this group is not to have; `is_expired` if because its time to live
    /// is over.
    pub(crate) fn skip(&mut self, offset: Offset, is_expired: bool, now: Timestamp) {
        self.totals.expired += u64::from(is_expired);
        self.finish(OffsetRange::single(offset), now);
        push(&mut self.passed, OffsetRange::single(offset));
    }

    /// Adds what was passed over to an entry, so that the journal has no holes for ever. If it is
    /// lost, the same is passed over again.
    pub(crate) fn journal_passed(&mut self, entry: &mut JournalEntry) {
        entry.finished.append(&mut self.passed);
    }

    /// Gives memory back that nobody needs at the moment.
    pub(crate) fn shrink(&mut self) {
        self.unfinished.shrink();
    }

    fn finish(&mut self, range: OffsetRange, now: Timestamp) {
        if range.is_empty() {
            return;
        }
        let (released, _) = self.unfinished.finish(range);
        let ahead = OffsetRange {
            start: range.start.max(self.next_fresh),
            end: range.end.max(self.next_fresh),
        };
        self.finished_ahead.insert(ahead);
        forget(&mut self.returned_ahead, range);
        forget(&mut self.moving_ahead, range);
        while let Some(&late) = self.finishing_ahead.range(range.start..range.end).next() {
            self.finishing_ahead.remove(&late);
        }
        for offset in released {
            self.begin(offset, now, None);
        }
        self.settle();
    }

    /// Passes over what is known to be finished.
    fn settle(&mut self) {
        if let Some(range) = self.finished_ahead.range_of(self.next_fresh) {
            self.next_fresh = range.end;
            self.finished_ahead.remove_below(range.end);
        }
    }
}

/// Adds a range to a list in which it mostly continues the last one.
fn push(ranges: &mut Vec<OffsetRange>, range: OffsetRange) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

fn forget<T>(ahead: &mut BTreeMap<Offset, T>, range: OffsetRange) {
    while let Some((&offset, _)) = ahead.range(range.start..range.end).next() {
        ahead.remove(&offset);
    }
}

#[cfg(test)]
mod tests;
