//! Append and read back.

use crate::rig::{ALL, NOW, Rig, append_op, pairs, settings};
use weir_commitlog::{Outcome, ReadLimits};
use weir_types::{Offset, Timestamp};

fn limits(max_records: usize, max_bytes: usize) -> ReadLimits {
    ReadLimits {
        max_records,
        max_bytes,
    }
}

#[test]
fn records_are_read_back_in_order_over_many_segments() {
    let mut rig = Rig::with(settings(1, 300));
    let expected: Vec<(u64, String)> = (0..50).map(|i| (i, format!("\"{i}\""))).collect();
    for (offset, payload) in &expected {
        assert_eq!(rig.append(&[payload]).first_offset, Offset(*offset));
    }
    assert!(rig.disk.files().len() > 10, "segments roll");
    assert_eq!(rig.contents(0), expected);
    for from in 0..50 {
        let batch = rig
            .reader(0)
            .read(Offset(from), limits(3, usize::MAX))
            .unwrap();
        let offsets: Vec<u64> = batch.lines.iter().map(|line| line.offset.0).collect();
        assert_eq!(offsets, (from..50.min(from + 3)).collect::<Vec<_>>());
        assert_eq!(batch.next_offset, Offset(50.min(from + 3)));
        assert!(batch.damage.is_empty());
    }
    assert_eq!(rig.reopen().contents(0), expected);
}

#[test]
fn records_larger_than_a_read_chunk_are_found_from_everywhere() {
    let mut rig = Rig::with(settings(1, 4 << 20));
    let sizes = [10, 100_000, 20, 3_000_000, 70_000, 1, 65_000, 900_000];
    let payloads: Vec<String> = sizes
        .iter()
        .map(|&size| format!("\"{}\"", "x".repeat(size)))
        .collect();
    payloads.iter().for_each(|payload| {
        rig.append(&[payload]);
    });
    for rig in [rig.reopen(), rig] {
        for from in 0..sizes.len() {
            let batch = rig.reader(0).read(Offset(from as u64), ALL).unwrap();
            assert_eq!(batch.lines.len(), sizes.len() - from);
            assert_eq!(batch.lines[0].offset, Offset(from as u64));
        }
    }
}

#[test]
fn a_read_keeps_to_its_limits_but_returns_at_least_one_record() {
    let mut rig = Rig::new();
    rig.append(&["1", "2", "3", "4"]);
    let count = |limits| {
        rig.reader(0)
            .read(Offset::ZERO, limits)
            .unwrap()
            .lines
            .len()
    };
    let line_bytes = rig
        .reader(0)
        .read(Offset::ZERO, limits(1, 1))
        .unwrap()
        .lines[0]
        .bytes
        .len();
    assert_eq!(count(limits(0, usize::MAX)), 0);
    assert_eq!(count(limits(2, usize::MAX)), 2);
    assert_eq!(count(limits(usize::MAX, 0)), 1);
    assert_eq!(count(limits(usize::MAX, 3 * line_bytes)), 3);
    assert_eq!(count(limits(usize::MAX, 3 * line_bytes - 1)), 2);
}

#[test]
fn nothing_is_read_at_or_beyond_the_high_watermark() {
    let mut rig = Rig::new();
    rig.append(&["1", "2"]);
    assert_eq!(rig.reader(0).high_watermark(), Offset(2));
    for from in [2, 3, 1_000] {
        let batch = rig.reader(0).read(Offset(from), ALL).unwrap();
        assert!(batch.lines.is_empty());
        assert_eq!(batch.next_offset, Offset(from));
    }
}

#[test]
fn one_round_serves_several_partitions_and_answers_in_order() {
    let mut rig = Rig::with(settings(3, 1 << 20));
    let round = [
        append_op(rig.key(2), &["1", "2"]),
        append_op(rig.key(0), &["3"]),
        append_op(rig.key(2), &["4"]),
    ];
    let outcomes = rig.commit_round(&round, NOW);
    let first: Vec<u64> = outcomes
        .into_iter()
        .map(|outcome| match outcome.unwrap() {
            Outcome::Appended(appended) => appended.first_offset.0,
            Outcome::Journaled => panic!("no journal here"),
        })
        .collect();
    assert_eq!(first, [0, 0, 2]);
    assert_eq!(rig.contents(0), pairs(&[(0, "3")]));
    assert!(rig.contents(1).is_empty());
    assert_eq!(rig.contents(2), pairs(&[(0, "1"), (1, "2"), (2, "4")]));
}

#[test]
fn timestamps_never_decrease_when_the_clock_goes_back() {
    let mut rig = Rig::with(settings(1, 150));
    assert_eq!(
        rig.append_at("1", Timestamp(5_000)).timestamp,
        Timestamp(5_000)
    );
    assert_eq!(
        rig.append_at("2", Timestamp(4_000)).timestamp,
        Timestamp(5_000)
    );
    rig.purge_topic(&crate::rig::topic("t")).unwrap();
    assert_eq!(
        rig.append_at("3", Timestamp(10)).timestamp,
        Timestamp(5_000)
    );
    let mut rig = rig.reopen();
    assert_eq!(
        rig.append_at("4", Timestamp(20)).timestamp,
        Timestamp(5_000)
    );
}

#[test]
fn timestamps_do_not_decrease_over_a_restart_behind_an_empty_segment() {
    let mut rig = Rig::new();
    rig.append_at("1", Timestamp(5_000));
    let later = Timestamp(5_000 + 25 * 3_600_000);
    rig.maintain_topic(&crate::rig::topic("t"), &[], later)
        .unwrap();
    let mut rig = rig.reopen();
    assert_eq!(
        rig.append_at("2", Timestamp(10)).timestamp,
        Timestamp(5_000)
    );
    assert_eq!(rig.contents(0), pairs(&[(0, "1"), (1, "2")]));
}

#[test]
fn time_does_not_run_backwards_behind_a_purge_or_a_trim_that_leaves_nothing() {
    let purge = |rig: &mut Rig| {
        rig.purge_topic(&crate::rig::topic("t")).unwrap();
    };
    let expire = |rig: &mut Rig| {
        for days in [2, 30] {
            let later = Timestamp(NOW.0 + days * 86_400_000);
            let maintained = rig.maintain_topic(&crate::rig::topic("t"), &[], later);
            maintained.unwrap();
        }
    };
    let empties: [&dyn Fn(&mut Rig); 2] = [&purge, &expire];
    for empty in empties {
        for end in 0..4 {
            let mut rig = Rig::new();
            rig.append_at("1", NOW);
            empty(&mut rig);
            assert!(rig.contents(0).is_empty());
            let mut rig = match end {
                0 => rig,
                1 => rig.reopen(),
                2 => Rig::on(rig.close()),
                _ => Rig::on(rig.disk.cut_power_hard()),
            };
            let appended = rig.append_at("2", Timestamp(10));
            assert_eq!(appended.timestamp, NOW, "end {end}");
            assert_eq!(appended.first_offset, Offset(1), "end {end}");
            assert_eq!(rig.reopen().contents(0), pairs(&[(1, "2")]));
        }
    }
}
