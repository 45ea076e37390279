use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const VISIBILITY: Duration = Duration::from_secs(30);
const HIGH_WATERMARK: Offset = Offset(10);

fn at(seconds: u64) -> Timestamp {
    Timestamp(seconds * 1000)
}

fn token(offset: u64, attempt: u32) -> LeaseToken {
    LeaseToken {
        offset: Offset(offset),
        attempt,
        current_start: true,
    }
}

fn leased(offsets: &[u64]) -> PartitionState {
    let mut state = PartitionState::default();
    for &offset in offsets {
        state.grant(Offset(offset), at(0), VISIBILITY);
    }
    state
}

fn ack(state: &mut PartitionState, token: LeaseToken) -> ReceiptStatus {
    let mut entry = JournalEntry::default();
    let status = state.ack(token, HIGH_WATERMARK, &mut entry);
    state.apply(&entry);
    status
}

#[test]
fn acks_in_any_order_move_the_committed_offset() {
    let mut state = leased(&[0, 1, 2]);
    assert_eq!(ack(&mut state, token(2, 1)), ReceiptStatus::Acked);
    assert_eq!(
        (state.committed_offset(), state.lag_records(HIGH_WATERMARK)),
        (Offset(0), 9)
    );
    assert_eq!(ack(&mut state, token(0, 1)), ReceiptStatus::Acked);
    assert_eq!(ack(&mut state, token(1, 1)), ReceiptStatus::Acked);
    assert_eq!(
        (state.committed_offset(), state.lag_records(HIGH_WATERMARK)),
        (Offset(3), 7)
    );
    assert_eq!(state.in_flight(), 0);
}

#[test]
fn after_a_restart_a_returned_message_does_not_hide_fresh_ones_before_it() {
    let mut before = leased(&[0, 1]);
    let mut entry = JournalEntry::default();
    before.nack(token(1, 1), at(0), None, &mut entry);
    before.apply(&entry);
    let mut journal = Progress::default();
    journal.apply(&entry);

    let mut state = PartitionState::new(journal);
    assert_eq!(state.due(at(0), 1), [Offset(1)]);
    state.grant(Offset(1), at(0), VISIBILITY);
    assert_eq!(state.next_fresh(), Offset(0));
    assert!(state.is_deliverable(Offset(0)));
    assert!(!state.is_deliverable(Offset(1)));
}

#[test]
fn neighbouring_acks_are_one_range_in_the_journal() {
    let state = leased(&[0, 1, 2, 4]);
    let mut entry = JournalEntry::default();
    for offset in [0, 1, 2, 4] {
        state.ack(token(offset, 1), HIGH_WATERMARK, &mut entry);
    }
    let range = |start, end| OffsetRange {
        start: Offset(start),
        end: Offset(end),
    };
    assert_eq!(entry.finished, [range(0, 3), range(4, 5)]);
}

#[test]
fn nothing_is_finished_before_it_is_applied() {
    let mut state = leased(&[0]);
    let mut entry = JournalEntry::default();
    for _ in 0..2 {
        assert_eq!(
            state.ack(token(0, 1), HIGH_WATERMARK, &mut entry),
            ReceiptStatus::Acked
        );
    }
    assert_eq!(
        (state.in_flight(), state.committed_offset()),
        (1, Offset(0))
    );
    assert_eq!(
        state.apply(&entry),
        1,
        "one message, however often it was acked"
    );
    assert_eq!(
        (state.in_flight(), state.committed_offset()),
        (0, Offset(1))
    );
}

#[test]
fn a_nack_that_is_durable_after_its_lease_ended_comes_too_late() {
    let mut state = leased(&[0]);
    let mut entry = JournalEntry::default();
    state.nack(token(0, 1), at(99), None, &mut entry);
    state.expire(at(30), &mut JournalEntry::default());
    state.grant(Offset(0), at(31), VISIBILITY);
    state.apply(&entry);
    assert_eq!(state.in_flight(), 1);
}

#[test]
fn a_second_ack_changes_nothing_and_says_acked() {
    let mut state = leased(&[0]);
    let mut entry = JournalEntry::default();
    ack(&mut state, token(0, 1));
    assert_eq!(
        state.ack(token(0, 1), HIGH_WATERMARK, &mut entry),
        ReceiptStatus::Acked
    );
    assert!(entry.is_empty());
}

#[test]
fn an_expired_lease_comes_back_with_the_next_attempt() {
    let mut state = leased(&[0]);
    let mut entry = JournalEntry::default();
    state.expire(at(29), &mut entry);
    assert!(entry.is_empty());
    state.expire(at(30), &mut entry);
    assert_eq!(
        (entry.returned[0].offset, entry.returned[0].attempts),
        (Offset(0), 1)
    );
    assert_eq!(state.due(at(30), 10), [Offset(0)]);
    assert_eq!(state.grant(Offset(0), at(31), VISIBILITY).attempt, 2);
    assert_eq!(state.redelivered(), 1);
}

#[test]
fn a_late_ack_counts_unless_someone_newer_holds_the_message() {
    let mut state = leased(&[0, 1]);
    state.expire(at(30), &mut JournalEntry::default());
    assert_eq!(ack(&mut state, token(0, 1)), ReceiptStatus::Acked);
    state.grant(Offset(1), at(31), VISIBILITY);
    assert_eq!(ack(&mut state, token(1, 1)), ReceiptStatus::LeaseExpired);
    assert_eq!(ack(&mut state, token(1, 2)), ReceiptStatus::Acked);
    assert!(state.due(at(99), 10).is_empty());
}

#[test]
fn a_restart_ends_leases_but_a_late_ack_still_counts() {
    let before = LeaseToken {
        current_start: false,
        ..token(0, 1)
    };
    let mut state = PartitionState::default();
    state.grant(Offset(0), at(0), VISIBILITY);
    assert_eq!(ack(&mut state, before), ReceiptStatus::LeaseExpired);
    let mut state = PartitionState::default();
    assert_eq!(ack(&mut state, before), ReceiptStatus::Acked);
    assert!(!state.is_deliverable(Offset(0)));
}

#[test]
fn an_ack_beyond_the_log_is_unknown() {
    assert_eq!(
        ack(&mut PartitionState::default(), token(10, 1)),
        ReceiptStatus::Unknown
    );
}

#[test]
fn a_nacked_message_waits_for_its_delay() {
    let mut state = leased(&[0]);
    let mut entry = JournalEntry::default();
    let status = state.nack(token(0, 1), at(5), Some("broken"), &mut entry);
    state.apply(&entry);
    assert_eq!(status, ReceiptStatus::Nacked);
    assert_eq!(entry.returned[0].reason.as_deref(), Some("broken"));
    assert!(state.due(at(4), 10).is_empty());
    assert_eq!(state.next_available(), Some(at(5)));
    assert_eq!(
        state.next_expiry(),
        None,
        "who waits for nothing is not woken"
    );
    assert_eq!(state.due(at(5), 10), [Offset(0)]);
    assert!(
        !state.is_deliverable(Offset(0)),
        "it is returned, not fresh"
    );
    let again = state.nack(token(0, 1), at(9), None, &mut entry);
    assert_eq!(again, ReceiptStatus::LeaseExpired);
}

#[test]
fn extending_moves_the_end_of_the_lease() {
    let mut state = leased(&[0]);
    assert_eq!(state.extend(token(0, 1), at(60)), ReceiptStatus::Extended);
    state.expire(at(59), &mut JournalEntry::default());
    assert_eq!(state.in_flight(), 1);
    state.expire(at(60), &mut JournalEntry::default());
    assert_eq!(
        state.extend(token(0, 1), at(90)),
        ReceiptStatus::LeaseExpired
    );
}

#[test]
fn a_released_message_keeps_its_attempts() {
    let mut state = leased(&[0]);
    state.release(Offset(0), at(1));
    assert_eq!(state.due(at(1), 10), [Offset(0)]);
    assert_eq!(state.grant(Offset(0), at(2), VISIBILITY).attempt, 1);
}

#[test]
fn progress_is_continued_after_a_restart() {
    let mut progress = Progress::default();
    progress.apply(&JournalEntry {
        committed: Some(Offset(2)),
        finished: vec![OffsetRange::single(Offset(4))],
        returned: vec![Returned {
            offset: Offset(3),
            attempts: 2,
            available_at: at(7),
            reason: None,
        }],
        ..JournalEntry::default()
    });
    let mut state = PartitionState::new(progress);
    let fresh: Vec<u64> = (0..10)
        .filter(|&o| state.is_deliverable(Offset(o)))
        .collect();
    assert_eq!(fresh, [2, 5, 6, 7, 8, 9]);
    assert_eq!(state.due(at(7), 10), [Offset(3)]);
    assert_eq!(state.grant(Offset(3), at(8), VISIBILITY).attempt, 3);
}

#[test]
fn trimmed_records_count_as_finished() {
    let mut state = leased(&[0, 1]);
    state.pass_over(OffsetRange {
        start: Offset(0),
        end: Offset(5),
    });
    assert_eq!(
        (state.committed_offset(), state.in_flight()),
        (Offset(5), 0)
    );
    assert_eq!(state.lag_records(HIGH_WATERMARK), 5);
    assert_eq!(ack(&mut state, token(1, 1)), ReceiptStatus::Acked);
}

#[derive(Clone, Debug)]
enum Step {
    Lease(usize),
    Ack(usize),
    Nack(usize, u64),
    Release(usize),
    Pass(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_usize..4).prop_map(Step::Lease),
        3 => (0_usize..20).prop_map(Step::Ack),
        1 => (0_usize..20, 0_u64..40).prop_map(|(which, delay)| Step::Nack(which, delay)),
        1 => (0_usize..20).prop_map(Step::Release),
        2 => (0_u64..20).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// Drives a state as the owner task does, and keeps its journal.
struct Harness {
    state: PartitionState,
    journal: Progress,
    now: u64,
    held: HashMap<Offset, (LeaseToken, Timestamp)>,
    acked: Vec<Offset>,
}

impl Harness {
    fn lease(&mut self, max: usize) {
        let now = at(self.now);
        let mut entry = JournalEntry::default();
        self.state.expire(now, &mut entry);
        self.journal.apply(&entry);
        let fresh = (0..HIGH_WATERMARK.0)
            .map(Offset)
            .filter(|&o| self.state.is_deliverable(o));
        let offsets: Vec<_> = self
            .state
            .due(now, max)
            .into_iter()
            .chain(fresh)
            .take(max)
            .collect();
        for offset in offsets {
            let overlapping = self.held.get(&offset).is_some_and(|(_, ends)| *ends > now);
            assert!(!overlapping, "two leases of {offset} at once");
            assert!(!self.acked.contains(&offset), "{offset} was finished");
            let granted = self.state.grant(offset, now, VISIBILITY);
            self.held.insert(
                offset,
                (token(offset.0, granted.attempt), granted.expires_at),
            );
        }
    }

    fn pick(&self, which: usize) -> Option<LeaseToken> {
        let mut offsets: Vec<_> = self.held.keys().copied().collect();
        offsets.sort_unstable();
        offsets
            .get(which % offsets.len().max(1))
            .map(|offset| self.held[offset].0)
    }

    fn apply(&mut self, step: &Step) {
        let mut entry = JournalEntry::default();
        match *step {
            Step::Lease(max) => self.lease(max),
            Step::Ack(which) => {
                let Some(held) = self.pick(which) else { return };
                if self.state.ack(held, HIGH_WATERMARK, &mut entry) == ReceiptStatus::Acked {
                    self.acked.push(held.offset);
                }
            }
            Step::Nack(which, delay) => {
                let Some(held) = self.pick(which) else { return };
                let until = at(self.now + delay);
                if self.state.nack(held, until, None, &mut entry) == ReceiptStatus::Nacked {
                    self.held.remove(&held.offset);
                }
            }
            Step::Release(which) => {
                let Some(held) = self.pick(which) else { return };
                self.state.release(held.offset, at(self.now));
                self.held.remove(&held.offset);
            }
            Step::Pass(seconds) => self.now += seconds,
            Step::Restart => {
                self.state = PartitionState::new(self.journal.clone());
                self.held.clear();
            }
        }
        self.state.apply(&entry);
        self.journal.apply(&entry);
    }

    /// Whatever happened: with patience, every record is finished exactly once.
    fn drain(&mut self) {
        for _ in 0..100 {
            self.now += 60;
            self.lease(3);
            for held in self
                .held
                .values()
                .map(|(held, _)| *held)
                .collect::<Vec<_>>()
            {
                let mut entry = JournalEntry::default();
                self.state.ack(held, HIGH_WATERMARK, &mut entry);
                self.state.apply(&entry);
                self.journal.apply(&entry);
            }
            self.held.clear();
        }
    }
}

proptest! {
    #[test]
    fn no_record_is_lost_held_twice_or_delivered_after_its_ack(
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut harness = Harness {
            state: PartitionState::default(),
            journal: Progress::default(),
            now: 0,
            held: HashMap::new(),
            acked: Vec::new(),
        };
        for step in &steps {
            harness.apply(step);
        }
        harness.drain();
        prop_assert_eq!(harness.state.committed_offset(), HIGH_WATERMARK);
        prop_assert_eq!(harness.state.lag_records(HIGH_WATERMARK), 0);
        prop_assert_eq!(harness.journal.committed, HIGH_WATERMARK);
    }
}
