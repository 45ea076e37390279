//! What the state decides, one behaviour a test; `simulation` plays whole lives.

mod rig;
mod simulation;

use super::*;
use rig::{Rig, at, keyed, plain, token};
use weir_types::GroupOrdering::{Key, None as Unordered, Partition};

#[test]
fn acks_in_any_order_move_the_committed_offset() {
    let mut rig = Rig::with(plain(10), Unordered);
    assert_eq!(rig.lease(3), [(0, 1), (1, 1), (2, 1)]);
    assert_eq!(rig.ack(2, 1), ReceiptStatus::Acked);
    assert_eq!(rig.place(), (0, 9));
    assert_eq!(rig.ack(0, 1), ReceiptStatus::Acked);
    assert_eq!(rig.ack(1, 1), ReceiptStatus::Acked);
    assert_eq!(rig.place(), (3, 7));
    assert_eq!(rig.state.in_flight(), 0);
}

#[test]
fn neighbouring_acks_are_one_range_in_the_journal() {
    let mut rig = Rig::with(plain(10), Unordered);
    rig.lease(5);
    let mut entry = JournalEntry::default();
    for offset in [0, 1, 2, 4] {
        rig.state.ack(token(offset, 1), Offset(10), &mut entry);
    }
    let range = |start, end| OffsetRange {
        start: Offset(start),
        end: Offset(end),
    };
    assert_eq!(entry.finished, [range(0, 3), range(4, 5)]);
}

#[test]
fn nothing_is_finished_before_it_is_applied() {
    let mut rig = Rig::with(plain(1), Unordered);
    rig.lease(1);
    let mut entry = JournalEntry::default();
    for _ in 0..2 {
        let status = rig.state.ack(token(0, 1), Offset(1), &mut entry);
        assert_eq!(status, ReceiptStatus::Acked);
    }
    assert_eq!(rig.place(), (0, 1));
    let newly = rig.state.apply(&entry, at(0), &rig.rules);
    assert_eq!(newly, 1, "one message, however often it was acked");
    assert_eq!(rig.place(), (1, 0));
}

#[test]
fn a_second_ack_changes_nothing_and_says_acked() {
    let mut rig = Rig::with(plain(1), Unordered);
    rig.lease(1);
    rig.ack(0, 1);
    let mut entry = JournalEntry::default();
    let status = rig.state.ack(token(0, 1), Offset(1), &mut entry);
    assert_eq!((status, entry.is_empty()), (ReceiptStatus::Acked, true));
}

#[test]
fn an_expired_lease_comes_back_with_the_next_attempt() {
    let mut rig = Rig::with(plain(1), Unordered);
    rig.lease(1);
    rig.pass_to(29);
    assert!(rig.lease(1).is_empty());
    rig.pass_to(30);
    assert_eq!(rig.disk.returned[&Offset(0)].attempts, 1);
    assert_eq!(rig.lease(1), [(0, 2)]);
    assert_eq!(rig.state.totals().redelivered, 1);
}

#[test]
fn a_late_ack_counts_unless_someone_newer_holds_the_message() {
    let mut rig = Rig::with(plain(2), Unordered);
    rig.lease(2);
    rig.pass_to(30);
    assert_eq!(rig.ack(0, 1), ReceiptStatus::Acked);
    assert_eq!(rig.lease(2), [(1, 2)]);
    assert_eq!(rig.ack(1, 1), ReceiptStatus::LeaseExpired);
    assert_eq!(rig.ack(1, 2), ReceiptStatus::Acked);
}

#[test]
fn a_restart_ends_leases_but_a_late_ack_still_counts() {
    let mut rig = Rig::with(plain(2), Unordered);
    rig.lease(2);
    rig.restart();
    let before = |offset| LeaseToken {
        current_start: false,
        ..token(offset, 1)
    };
    assert_eq!(rig.ack_token(before(0)), ReceiptStatus::Acked);
    assert_eq!(rig.lease(2), [(1, 1)], "a restart is no attempt");
    assert_eq!(rig.ack_token(before(1)), ReceiptStatus::LeaseExpired);
}

#[test]
fn receipts_for_what_was_never_handed_out_are_unknown() {
    let mut rig = Rig::with(keyed("aab"), Key);
    rig.lease(1);
    for offset in [1, 2, 3, 99] {
        assert_eq!(rig.ack(offset, 1), ReceiptStatus::Unknown, "{offset}");
    }
    assert_eq!(rig.nack(1, 1, None), ReceiptStatus::LeaseExpired);
}

#[test]
fn a_nacked_message_waits_for_its_delay() {
    let mut rig = Rig::with(plain(1), Unordered);
    rig.lease(1);
    assert_eq!(rig.nack(0, 1, Some(5)), ReceiptStatus::Nacked);
    assert_eq!(rig.state.next_available(), Some(at(5)));
    assert_eq!(rig.state.next_expiry(), None);
    assert_eq!((rig.state.waiting(), rig.place()), (1, (0, 1)));
    rig.pass_to(4);
    assert!(rig.lease(1).is_empty());
    rig.pass_to(5);
    assert_eq!(rig.lease(1), [(0, 2)]);
    assert_eq!(rig.nack(0, 1, None), ReceiptStatus::LeaseExpired);
}

#[test]
fn without_a_delay_the_backoff_says_how_long() {
    let mut rig = Rig::with(plain(1), Unordered);
    rig.rules.retry_backoff = serde_json::from_str(r#"["1s","10s"]"#).unwrap();
    for (attempt, until) in [(1, 1), (2, 11), (3, 21)] {
        assert_eq!(rig.lease(1), [(0, attempt)]);
        rig.nack(0, attempt, None);
        assert_eq!(rig.state.next_available(), Some(at(until)));
        rig.pass_to(until);
    }
}

#[test]
fn a_lease_does_not_end_while_what_was_said_of_it_is_on_its_way_to_the_disk() {
    let mut rig = Rig::with(plain(2), Unordered);
    rig.lease(2);
    let mut entry = JournalEntry::default();
    rig.state.ack(token(0, 1), Offset(2), &mut entry);
    let terms = rig.nack_terms(Some(99));
    rig.state.nack(token(1, 1), terms, &rig.rules, &mut entry);
    rig.pass_to(30);
    assert!(rig.lease(2).is_empty());
    assert_eq!(rig.state.in_flight(), 2);
    let mut second = JournalEntry::default();
    let statuses = [0, 1].map(|offset| rig.state.ack(token(offset, 1), Offset(2), &mut second));
    assert_eq!(
        statuses,
        [ReceiptStatus::Acked, ReceiptStatus::LeaseExpired]
    );
    rig.state.revert(&entry);
    rig.pass_to(30);
    assert_eq!(rig.lease(2), [(0, 2), (1, 2)], "the disk has refused both");
}

#[test]
fn extending_moves_the_end_of_the_lease() {
    let mut rig = Rig::with(plain(1), Unordered);
    rig.lease(1);
    let extended = rig.state.extend(token(0, 1), at(60));
    assert_eq!(extended, ReceiptStatus::Extended);
    rig.pass_to(59);
    assert_eq!(rig.state.in_flight(), 1);
    rig.pass_to(60);
    let too_late = rig.state.extend(token(0, 1), at(90));
    assert_eq!(too_late, ReceiptStatus::LeaseExpired);
}

#[test]
fn a_released_message_keeps_its_attempts() {
    let mut rig = Rig::with(plain(1), Unordered);
    rig.lease(1);
    rig.state.release(Offset(0), at(0));
    assert_eq!(rig.lease(1), [(0, 1)]);
    assert_eq!(rig.state.totals().redelivered, 0);
}

#[test]
fn a_message_waits_behind_an_earlier_one_of_its_key_and_others_flow_on() {
    let mut rig = Rig::with(keyed("abaacb"), Key);
    assert_eq!(rig.lease(9), [(0, 1), (1, 1), (4, 1)]);
    assert_eq!((rig.state.held_back(), rig.place()), (3, (0, 6)));
    rig.ack(1, 1);
    assert_eq!(rig.lease(9), [(5, 1)]);
    rig.nack(0, 1, Some(7));
    assert!(
        rig.lease(9).is_empty(),
        "the key waits with its first message"
    );
    rig.pass_to(7);
    assert_eq!(rig.lease(9), [(0, 2)]);
    rig.ack(0, 2);
    assert_eq!(rig.lease(9), [(2, 1)]);
    rig.ack(2, 1);
    assert_eq!(rig.lease(9), [(3, 1)]);
}

#[test]
fn after_a_restart_a_returned_message_still_waits_behind_its_key() {
    let mut rig = Rig::with(keyed("ab a"), Key);
    rig.lease(9);
    rig.nack(0, 1, None);
    rig.restart();
    assert_eq!(rig.lease(9), [(0, 2), (1, 1), (2, 1)]);
    rig.restart();
    assert_eq!(rig.lease(1), [(0, 2)], "what came back once came back once");
}

#[test]
fn at_the_bound_nothing_further_is_read_until_something_is_finished() {
    let mut rig = Rig::with(keyed("aaaabc"), Key);
    rig.rules.max_held_back = 3;
    assert_eq!(rig.lease(9), [(0, 1)]);
    assert!(rig.state.is_full(&rig.rules));
    assert_eq!(rig.state.next_fresh(), Offset(4));
    rig.ack(0, 1);
    assert_eq!(rig.lease(9), [(1, 1), (4, 1), (5, 1)]);

    let mut rig = Rig::with(plain(9), Unordered);
    rig.rules.max_active = 4;
    assert_eq!(rig.lease(9).len(), 4);
    assert!(rig.lease(9).is_empty());
    rig.ack(3, 1);
    assert_eq!(rig.lease(9), [(4, 1)]);
}

#[test]
fn after_the_last_delivery_a_message_has_to_move() {
    let mut rig = Rig::with(keyed("aa"), Key);
    rig.rules.max_deliveries = 2;
    rig.lease(1);
    rig.nack(0, 1, None);
    rig.lease(1);
    rig.pass_to(60);
    let exhausted = rig.state.take_exhausted();
    assert_eq!((exhausted[0].offset, exhausted[0].attempts), (Offset(0), 2));
    assert_eq!(exhausted[0].reason.as_deref(), Some("lease expired"));
    assert!(rig.state.take_exhausted().is_empty(), "each is told once");
    assert_eq!((rig.state.moving(), rig.place()), (1, (0, 2)));
    assert_eq!(rig.ack(0, 2), ReceiptStatus::LeaseExpired);
    assert!(rig.lease(9).is_empty(), "its key waits until it has moved");
    rig.moved(0);
    assert_eq!(rig.lease(9), [(1, 1)]);
    assert_eq!(rig.state.totals().dead_lettered, 1);
}

#[test]
fn what_is_refused_for_good_has_to_move_after_its_first_delivery() {
    let mut rig = Rig::with(keyed("aa"), Key);
    rig.lease(1);
    assert_eq!(rig.reject(0, 1), ReceiptStatus::Nacked);
    for _restart in 0..2 {
        let exhausted = rig.state.take_exhausted();
        assert_eq!((exhausted[0].offset, exhausted[0].attempts), (Offset(0), 1));
        assert_eq!(exhausted[0].reason.as_deref(), Some("broken"));
        assert!(rig.lease(9).is_empty(), "its key waits until it has moved");
        rig.restart();
    }
    rig.state.take_exhausted();
    rig.moved(0);
    assert_eq!(rig.lease(9), [(1, 1)]);
}

#[test]
fn who_reads_dead_letters_tries_again_at_the_cap_what_it_refused_for_good() {
    let mut rig = Rig::with(plain(1), Unordered);
    rig.rules.moves_dead_letters = false;
    rig.lease(1);
    rig.reject(0, 1);
    assert!(rig.state.take_exhausted().is_empty());
    assert_eq!(rig.state.next_available(), Some(at(30)));
}

#[test]
fn what_could_not_be_passed_on_is_there_at_once_and_its_attempt_does_not_count() {
    let mut rig = Rig::with(plain(2), Unordered);
    rig.lease(1);
    let given_up = rig.state.give_up(token(0, 1), rig.now);
    assert_eq!(given_up, ReceiptStatus::Nacked);
    assert_eq!(rig.lease(1), [(0, 1)], "as if it had never been leased");
    rig.nack(0, 1, None);
    assert_eq!(rig.lease(1), [(0, 2)]);
    let late = rig.state.give_up(token(0, 1), rig.now);
    assert_eq!(late, ReceiptStatus::LeaseExpired);
}

#[test]
fn a_move_goes_on_after_a_restart() {
    let mut rig = Rig::with(keyed("aab"), Key);
    rig.rules.max_deliveries = 1;
    rig.lease(1);
    rig.nack(0, 1, None);
    rig.restart();
    let again = rig.state.take_exhausted();
    assert_eq!((again[0].offset, &again[0].intent), (Offset(0), &None));
    let intent = rig.note_intent(0);
    rig.restart();
    let again = rig.state.take_exhausted();
    assert_eq!(again[0].intent.as_ref(), Some(&intent));
    assert_eq!(rig.state.moving(), 1);
    assert_eq!(rig.lease(9), [(2, 1)], "the key waits");
    rig.moved(0);
    assert_eq!(rig.lease(9), [(1, 1)]);
    assert_eq!(rig.place(), (1, 2));
}

#[test]
fn who_reads_dead_letters_keeps_trying_at_the_cap() {
    let mut rig = Rig::with(plain(1), Unordered);
    (rig.rules.max_deliveries, rig.rules.moves_dead_letters) = (2, false);
    rig.rules.retry_backoff = serde_json::from_str(r#"["1s","2m"]"#).unwrap();
    rig.lease(1);
    rig.nack(0, 1, None);
    rig.pass_to(1);
    rig.lease(1);
    rig.nack(0, 2, Some(0));
    assert!(rig.state.take_exhausted().is_empty());
    assert_eq!(rig.state.next_available(), Some(at(121)));
}

#[test]
fn with_order_by_partition_one_batch_is_out_at_a_time_and_comes_back_in_order() {
    let mut rig = Rig::with(plain(6), Partition);
    assert_eq!(rig.lease(3), [(0, 1), (1, 1), (2, 1)]);
    assert!(rig.lease(3).is_empty());
    rig.nack(1, 1, None);
    rig.ack(2, 1);
    assert!(rig.lease(3).is_empty(), "the first one is still out");
    rig.nack(0, 1, None);
    assert_eq!(rig.lease(9), [(0, 2), (1, 2), (3, 1), (4, 1), (5, 1)]);
}

#[test]
fn with_order_by_partition_a_delay_holds_up_what_follows() {
    let mut rig = Rig::with(plain(3), Partition);
    rig.lease(2);
    rig.nack(0, 1, Some(5));
    rig.nack(1, 1, None);
    assert!(rig.lease(9).is_empty());
    rig.pass_to(5);
    assert_eq!(rig.lease(9), [(0, 2), (1, 2), (2, 1)]);
}

#[test]
fn what_a_consumer_held_is_available_at_once_when_it_is_gone() {
    let mut rig = Rig::with(plain(3), Unordered);
    rig.holder = Holder(7);
    rig.lease(2);
    assert_eq!(rig.state.leased_by(Holder(7)), 2);
    rig.holder = Holder::ANONYMOUS;
    rig.rules.retry_backoff = serde_json::from_str(r#"["10s"]"#).unwrap();
    assert_eq!(rig.lease(9), [(2, 1)]);
    rig.give_back(Holder(7));
    assert_eq!(rig.state.leased_by(Holder(7)), 0);
    assert_eq!(rig.lease(9), [(0, 2), (1, 2)]);
}

#[test]
fn expired_messages_are_passed_over_and_counted() {
    let mut rig = Rig::with(keyed("aab"), Key);
    rig.expires_at(1, 20);
    rig.lease(1);
    rig.pass_to(20);
    rig.ack(0, 1);
    assert_eq!(rig.lease(9), [(2, 1)]);
    assert_eq!(rig.state.totals().expired, 1);
    rig.ack(2, 1);
    assert_eq!(rig.place(), (3, 0));
    assert_eq!(rig.disk.committed, Offset(3), "the journal has no holes");
}

#[test]
fn trimmed_records_count_as_finished_and_are_told() {
    let mut rig = Rig::with(keyed("aabbb"), Key);
    rig.lease(2);
    rig.trim(3);
    assert_eq!((rig.place(), rig.state.in_flight()), ((3, 2), 0));
    assert_eq!(rig.state.totals().lost_records, 3);
    assert_eq!(rig.lease(9), [(3, 1)], "nobody waits behind what is gone");
    assert_eq!(rig.ack(1, 1), ReceiptStatus::Acked);
}

#[test]
fn progress_is_continued_after_a_restart() {
    let mut rig = Rig::with(plain(6), Unordered);
    rig.lease(5);
    rig.ack(0, 1);
    rig.ack(1, 1);
    rig.nack(3, 1, Some(7));
    rig.ack(4, 1);
    rig.restart();
    assert_eq!(rig.place(), (2, 3));
    assert_eq!(rig.lease(9), [(2, 1), (5, 1)]);
    rig.pass_to(7);
    assert_eq!(rig.lease(9), [(3, 2)]);
}
