//! From a time to an offset.

use crate::rig::{Rig, contents, settings, topic};
use weir_commitlog::PartitionReader;
use weir_types::{Offset, Timestamp};

/// Appends a record for each of `times`, and rolls after every third.
fn written_at(times: &[u64]) -> Rig {
    let mut rig = Rig::with(settings(1, 1 << 20));
    for (number, &time) in times.iter().enumerate() {
        let segment_bytes = if number % 3 == 0 { 10 } else { 1 << 20 };
        alter(&mut rig, segment_bytes);
        rig.append_at("1", Timestamp(time));
    }
    alter(&mut rig, 1 << 20);
    rig
}

fn alter(rig: &mut Rig, segment_bytes: u64) {
    rig.alter_topic(&topic("t"), settings(1, segment_bytes))
        .unwrap();
}

/// The answer by looking at every record.
fn expected(reader: &PartitionReader, time: u64) -> Offset {
    let batch = reader.read(Offset::ZERO, crate::rig::ALL).unwrap();
    let first = batch.lines.iter().find(|line| line.timestamp.0 >= time);
    first.map_or(reader.high_watermark(), |line| line.offset)
}

fn check_all_times(rig: &Rig, until: u64, what: &str) {
    let reader = rig.reader(0);
    for time in 0..=until {
        let found = reader.offset_at(Timestamp(time)).unwrap();
        assert_eq!(found, expected(&reader, time), "{what}: time {time}");
    }
}

const TIMES: [u64; 20] = [
    5, 5, 5, 5, 5, 8, 9, 9, 12, 12, 12, 12, 12, 12, 20, 21, 22, 22, 30, 30,
];

#[test]
fn the_first_record_that_is_not_older_is_found_in_any_segment() {
    let rig = written_at(&TIMES);
    check_all_times(&rig, 35, "as written");
    check_all_times(&rig.reopen(), 35, "after a kill");
    check_all_times(&Rig::on(rig.close()), 35, "unlisted, after a clean stop");
}

#[test]
fn an_empty_last_segment_hides_nothing() {
    let mut rig = written_at(&TIMES);
    let later = Timestamp(100 + 25 * 3_600_000);
    rig.maintain_topic(&topic("t"), &[], later).unwrap();
    assert_eq!(rig.disk.content(rig.segment()).unwrap(), b"");
    check_all_times(&rig, 35, "rolled by age");
    check_all_times(&Rig::on(rig.close()), 35, "after a clean stop");
}

#[test]
fn a_segment_without_an_intact_record_hides_nothing_around_it() {
    let rig = written_at(&TIMES);
    let files = rig.disk.files().into_iter();
    for path in files.filter(|path| path.extension().is_some_and(|e| e == "log")) {
        let disk = rig.killed_without_commit_log();
        let content = disk.content(&path).unwrap();
        let damaged = content.iter().map(|&byte| match byte {
            b'\n' => b'\n',
            _ => b'x',
        });
        disk.set_content(&path, &damaged.collect::<Vec<u8>>())
            .unwrap();
        check_all_times(&Rig::on(disk), 35, &path.to_string_lossy());
    }
}

#[test]
fn nothing_is_found_in_an_empty_partition_and_after_the_last_record() {
    let rig = Rig::new();
    assert_eq!(rig.reader(0).offset_at(Timestamp(0)).unwrap(), Offset(0));
    let rig = written_at(&[5, 6]);
    assert_eq!(rig.reader(0).offset_at(Timestamp(7)).unwrap(), Offset(2));
    assert_eq!(rig.reader(0).offset_at(Timestamp(0)).unwrap(), Offset(0));
}

#[test]
fn what_was_asked_before_a_segment_grew_is_not_answered_for_it_afterwards() {
    let mut rig = Rig::on(written_at(&[5, 6, 7]).close());
    // Its index is cached now.
    check_all_times(&rig, 10, "before");
    rig.append_at("1", Timestamp(20));
    check_all_times(&rig, 35, "grown");
    alter(&mut rig, 10);
    rig.append_at("1", Timestamp(30));
    check_all_times(&rig, 35, "sealed");
    assert_eq!(contents(&rig.reader(0)).len(), 5);
}

/// Segments with several places in their index.
fn indexed() -> Rig {
    let mut rig = Rig::with(settings(1, 300_000));
    let payload = format!("\"{}\"", "x".repeat(20_000));
    for number in 0..40 {
        rig.append_at(&payload, Timestamp(number / 3));
    }
    rig
}

#[test]
fn an_index_that_is_damaged_or_gone_costs_time_only() {
    let rig = indexed();
    check_all_times(&rig, 15, "as written");
    let index = "data/t/partition-0/00000000000000000000.index";
    let whole = rig.disk.content(index).unwrap();
    for (what, at, damaged) in crate::damage::damages(&whole) {
        let disk = rig.disk.kill();
        disk.set_content(index, &damaged).unwrap();
        let reopened = Rig::on(disk);
        let reader = reopened.reader(0);
        for time in [0, 2, 4] {
            let found = reader.offset_at(Timestamp(time)).unwrap();
            assert_eq!(found, Offset(3 * time), "{what} {at}, time {time}");
        }
        let batch = reader.read(Offset(7), crate::rig::ALL).unwrap();
        assert_eq!(batch.lines[0].offset, Offset(7));
        assert!(batch.gaps.is_empty() && batch.damage.is_empty(), "{what}");
    }
}
