//! What is trimmed, and what stays.

use crate::rig::{NOW, Rig, settings, topic};
use std::time::Duration;
use weir_commitlog::Trimmed;
use weir_types::{ByteCount, DurationText, Offset, Timestamp, TopicSettings};

const HOUR: u64 = 3_600_000;

fn hours(count: u64) -> DurationText {
    DurationText(Duration::from_millis(count * HOUR))
}

/// Ten records, an hour and a segment each; retention of three hours.
fn ten_hours() -> Rig {
    let mut rig = Rig::with(TopicSettings {
        retention_age: hours(3),
        ..settings(1, 10)
    });
    (0..10).for_each(|hour| {
        rig.append_at("1", at(hour));
    });
    rig
}

fn at(hour: u64) -> Timestamp {
    Timestamp(NOW.0 + hour * HOUR)
}

fn maintain(rig: &mut Rig, floors: &[Offset], now: Timestamp) -> u64 {
    let trimmed = rig.maintain_topic(&topic("t"), floors, now).unwrap();
    let trimmed = trimmed.records;
    let start = rig.reader(0).log_start_offset();
    assert_eq!(
        rig.contents(0).first().map_or(start.0, |first| first.0),
        start.0
    );
    assert_eq!(rig.reopen().reader(0).log_start_offset(), start);
    trimmed
}

#[test]
fn segments_go_when_their_newest_record_is_too_old() {
    for mut rig in [ten_hours(), ten_hours().reopen()] {
        assert_eq!(maintain(&mut rig, &[], at(3)), 0);
        // Records of hours 0 to 5 are older than three hours; what follows the segment counts.
        assert_eq!(maintain(&mut rig, &[], Timestamp(at(9).0 + 1)), 6);
        assert_eq!(rig.contents(0).len(), 4);
    }
}

#[test]
fn trimming_by_age_stops_at_what_a_live_group_needs() {
    let mut rig = ten_hours();
    assert_eq!(maintain(&mut rig, &[Offset(2)], at(20)), 2);
    assert_eq!(maintain(&mut rig, &[Offset(5)], at(20)), 3);
}

#[test]
fn bytes_are_bounded_whoever_needs_them() {
    let mut rig = ten_hours();
    let line = rig.reader(0).bytes() / 10;
    let changed = TopicSettings {
        retention_bytes: ByteCount(4 * line),
        ..settings(1, 10)
    };
    rig.alter_topic(&topic("t"), changed).unwrap();
    assert_eq!(maintain(&mut rig, &[Offset(0)], at(9)), 6);
    assert_eq!(rig.reader(0).bytes(), 4 * line);
}

#[test]
fn a_quiet_topic_rolls_by_age_and_is_trimmed_to_nothing() {
    let mut rig = Rig::with(TopicSettings {
        retention_age: hours(3),
        segment_age: hours(1),
        ..TopicSettings::default()
    });
    rig.append_at("1", at(0));
    assert_eq!(maintain(&mut rig, &[], Timestamp(at(1).0 - 1)), 0);
    assert_eq!(
        rig.disk
            .files()
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "log"))
            .count(),
        1
    );
    assert_eq!(maintain(&mut rig, &[], at(1)), 0);
    // Also by a broker that has seen nothing but the empty segment.
    let mut rig = rig.reopen();
    assert_eq!(maintain(&mut rig, &[], at(3)), 0);
    assert_eq!(rig.contents(0).len(), 1);
    assert_eq!(maintain(&mut rig, &[], Timestamp(at(3).0 + 1)), 1);
    assert_eq!(rig.append(&["2"]).first_offset, Offset(1));
}

#[test]
fn damage_in_a_timestamp_trims_nothing_early() {
    let rig = ten_hours();
    let disk = rig.disk.kill();
    let path = "data/t/partition-0/00000000000000000001.log";
    let content = disk.content(path).unwrap();
    let digit = content
        .windows(12)
        .position(|part| part == b"\"timestamp\":")
        .unwrap()
        + 12;
    let mut damaged = content;
    damaged[digit] = b'0';
    disk.set_content(path, &damaged).unwrap();
    let mut reopened = Rig::on(disk);
    assert_eq!(maintain(&mut reopened, &[], at(3)), 0);
}

#[test]
fn a_forced_trim_says_how_many_records_a_group_had_not_finished() {
    let mut rig = ten_hours();
    let line = rig.reader(0).bytes() / 10;
    let changed = TopicSettings {
        retention_bytes: ByteCount(4 * line),
        ..settings(1, 10)
    };
    rig.alter_topic(&topic("t"), changed).unwrap();
    let trimmed = rig.maintain_topic(&topic("t"), &[Offset(2)], at(9));
    let (records, forced) = (6, 4);
    assert_eq!(trimmed.unwrap(), Trimmed { records, forced });
    let mut others = ten_hours();
    let trimmed = others.maintain_topic(&topic("t"), &[Offset(7)], at(20));
    let (records, forced) = (7, 0);
    assert_eq!(trimmed.unwrap(), Trimmed { records, forced });
}

#[test]
fn age_and_bytes_together_trim_what_either_asks_for_also_when_changed_live() {
    let mut rig = ten_hours();
    let line = rig.reader(0).bytes() / 10;
    let with = |age, lines| TopicSettings {
        retention_age: hours(age),
        retention_bytes: ByteCount(lines * line),
        ..settings(1, 10)
    };
    rig.alter_topic(&topic("t"), with(100, 8)).unwrap();
    assert_eq!(maintain(&mut rig, &[], at(9)), 2, "bytes");
    rig.alter_topic(&topic("t"), with(4, 100)).unwrap();
    assert_eq!(maintain(&mut rig, &[], at(9)), 2, "age");
    rig.alter_topic(&topic("t"), with(2, 3)).unwrap();
    assert_eq!(maintain(&mut rig, &[], at(9)), 3, "both");
    rig.alter_topic(&topic("t"), with(100, 100)).unwrap();
    assert_eq!(maintain(&mut rig, &[], at(90)), 0);
    assert_eq!(rig.reader(0).log_start_offset(), Offset(7));
}

#[test]
fn a_partition_that_nobody_has_used_since_a_clean_stop_is_trimmed_too() {
    let mut rig = Rig::on(ten_hours().close());
    assert!(rig.opened.after_clean_stop);
    assert_eq!(maintain(&mut rig, &[Offset(8)], at(20)), 8);
    let mut rig = Rig::on(rig.close());
    assert_eq!(maintain(&mut rig, &[], at(200)), 2, "rolled by age, too");
    assert!(rig.contents(0).is_empty());
    assert_eq!(rig.append(&["2"]).first_offset, Offset(10));
}
