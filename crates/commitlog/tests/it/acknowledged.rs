//! Every success answers for something that is durable then: the power fails right after it, and
//! nothing is left but what was synced.

use crate::rig::{
    NOW, Rig, finished, group, open_with, pairs, settings, small_options, topic, try_append,
    try_journal,
};
use std::collections::BTreeMap;
use std::time::Duration;
use weir_commitlog::faulty::{Call, FaultyDisk};
use weir_commitlog::{OpenOptions, Opened};
use weir_types::{
    ByteCount, Durability, GroupSettings, Incarnation, Offset, Timestamp, TopicSettings,
};

/// What a success promised.
#[derive(Default)]
struct Promised {
    /// Records of a topic's first partition.
    records: BTreeMap<&'static str, Vec<(u64, String)>>,
    log_start: u64,
    committed: Option<u64>,
    segment_bytes: u64,
}

fn check(disk: &FaultyDisk, options: OpenOptions, promised: &Promised, after: &str) {
    let found = open_with(&disk.cut_power_hard(), options).unwrap();
    let names: Vec<_> = found
        .topics
        .iter()
        .map(|files| files.name.as_str())
        .collect();
    let expected: Vec<_> = promised.records.keys().copied().collect();
    assert_eq!(names, expected, "after {after}");
    for files in &found.topics {
        let reader = &files.partitions[0].1;
        let records = crate::rig::contents(reader);
        assert_eq!(
            records,
            promised.records[files.name.as_str()],
            "after {after}"
        );
    }
    let files = &found.topics[0];
    let start = files.partitions[0].1.log_start_offset();
    assert_eq!(start.0, promised.log_start, "after {after}");
    assert_eq!(files.settings.segment_bytes.0, promised.segment_bytes);
    let groups = files.groups.iter();
    let committed = groups
        .map(|found| found.partitions[0].progress.committed.0)
        .next();
    assert_eq!(committed, promised.committed, "after {after}");
}

fn each_success(options: OpenOptions) {
    let disk = FaultyDisk::new();
    let Opened { mut store, .. } = open_with(&disk, options).unwrap();
    let mut promised = Promised {
        segment_bytes: 300,
        ..Promised::default()
    };
    let created = store.create_topic(&topic("a"), settings(2, 300), Incarnation(1), NOW);
    let key = created.unwrap().partitions[0].0;
    promised.records.insert("a", Vec::new());
    check(&disk, options, &promised, "a creation");
    let starts = [Offset(0); 2];
    let chosen = GroupSettings::default();
    let created = store.create_group(&topic("a"), &group("g"), Incarnation(5), &chosen, &starts);
    let journal = created.unwrap().partitions[0].journal;
    promised.committed = Some(0);
    check(&disk, options, &promised, "the creation of a group");
    for number in 0..12 {
        let payload = format!("\"{}\"", "x".repeat(if number % 4 == 3 { 700 } else { 9 }));
        let appended = try_append(&mut store, key, &[&payload], NOW).unwrap();
        let records = promised.records.get_mut("a").unwrap();
        records.push((appended.first_offset.0, payload));
        check(&disk, options, &promised, "an append, or a roll");
        try_journal(&mut store, journal, finished(number, number + 1)).unwrap();
        promised.committed = Some(number + 1);
        check(&disk, options, &promised, "an ack");
        if let Some(mut checkpoint) = store.take_checkpoint() {
            checkpoint.run();
            store.finish_checkpoint(&checkpoint).unwrap();
            check(&disk, options, &promised, "a checkpoint");
        }
        store.maintain_topic(&topic("a"), &[], NOW).unwrap();
        check(&disk, options, &promised, "a compaction");
    }
    store
        .create_topic(&topic("b"), settings(1, 300), Incarnation(2), NOW)
        .unwrap();
    promised.records.insert("b", Vec::new());
    check(&disk, options, &promised, "a second creation");
    store.delete_topic(&topic("b")).unwrap();
    promised.records.remove("b");
    check(&disk, options, &promised, "a deletion");
    store.alter_topic(&topic("a"), settings(2, 5_000)).unwrap();
    promised.segment_bytes = 5_000;
    check(&disk, options, &promised, "an alteration");
    store.purge_topic(&topic("a")).unwrap();
    promised.records.insert("a", Vec::new());
    promised.log_start = 12;
    check(&disk, options, &promised, "a purge");
    store.delete_group(&topic("a"), &group("g")).unwrap();
    promised.committed = None;
    check(&disk, options, &promised, "the deletion of a group");
    try_append(&mut store, key, &["1"], NOW).unwrap();
    promised.records.insert("a", pairs(&[(12, "1")]));
    check(&disk, options, &promised, "an append behind a purge");
    store.close().unwrap();
    check(&disk, options, &promised, "a clean stop");
}

#[test]
fn all_that_a_success_answers_for_is_durable_when_it_is_returned() {
    for commit_log_bytes in [8 * 1024, 64 * 1024] {
        for max_open_files in [1, 1024] {
            each_success(OpenOptions {
                commit_log_bytes,
                max_open_files,
                direct_above_bytes: 600,
                compact_above_bytes: 200,
                ..small_options()
            });
        }
    }
}

#[test]
fn an_alteration_to_fsync_makes_durable_what_was_acknowledged_with_less() {
    for durability in [Durability::Os, Durability::Interval(Duration::from_secs(1))] {
        let relaxed = |durability| TopicSettings {
            durability,
            ..settings(1, 1 << 20)
        };
        let mut rig = Rig::with(relaxed(durability));
        rig.append(&["1"]);
        let journal = rig.new_group("g")[0];
        rig.journal(journal, finished(0, 1));
        assert!(Rig::on(rig.disk.cut_power_hard()).contents(0).is_empty());
        rig.alter_topic(&topic("t"), relaxed(Durability::Fsync))
            .unwrap();
        let found = Rig::on(rig.disk.cut_power_hard());
        assert_eq!(found.contents(0), pairs(&[(0, "1")]));
        assert_eq!(found.progress("g")[0].committed, Offset(1));
        rig.append(&["2"]);
        assert_eq!(Rig::on(rig.disk.cut_power_hard()).contents(0).len(), 2);
    }
}

#[test]
fn a_trim_is_durable_when_it_is_returned() {
    let mut rig = Rig::with(settings(1, 10));
    (0..5).for_each(|_| {
        rig.append(&["1"]);
    });
    let changed = TopicSettings {
        retention_bytes: ByteCount(1),
        ..settings(1, 10)
    };
    rig.alter_topic(&topic("t"), changed).unwrap();
    let trimmed = rig.maintain_topic(&topic("t"), &[], NOW).unwrap();
    assert_eq!(trimmed.records, 4);
    let found = Rig::on(rig.disk.cut_power_hard());
    assert_eq!(found.contents(0), pairs(&[(4, "1")]));
}

#[test]
fn no_reply_comes_before_the_call_that_makes_it_durable_has_returned() {
    let mut rig = Rig::new();
    rig.append(&["1"]);
    rig.disk.take_events();
    rig.append_at("2", Timestamp(NOW.0 + 1));
    let events = rig.disk.take_events();
    let last = events.last().unwrap();
    assert!(last.is(Call::WriteThrough, "__weir/commit-"), "{events:?}");
}
