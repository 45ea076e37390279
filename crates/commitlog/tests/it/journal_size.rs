//! Journals stay as small as what they mean, at every moment.

use crate::rig::{Rig, finished, settings, topic};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_commitlog::faulty::{Call, Fault};
use weir_commitlog::{Disk, JournalEntry, JournalKey, OpenOptions, Opened, Operation, Store};
use weir_types::{Durability, GroupSettings, Incarnation, Offset, OffsetRange, TopicSettings};

const NOW: weir_types::Timestamp = crate::rig::NOW;

fn open(path: &Path) -> Opened {
    Store::open(Arc::new(Disk), path, OpenOptions::new(7)).unwrap()
}

/// A group on the real disk; nothing waits for the disk.
fn new_group(store: &mut Store) -> JournalKey {
    let relaxed = TopicSettings {
        durability: Durability::Os,
        ..settings(1, 1 << 20)
    };
    let name = topic("t");
    store
        .create_topic(&name, relaxed, Incarnation(1), NOW)
        .unwrap();
    let (group, chosen) = (crate::rig::group("g"), GroupSettings::default());
    let created = store.create_group(&name, &group, Incarnation(5), &chosen, &[Offset(0)]);
    created.unwrap().partitions[0].journal
}

fn ack(journal: JournalKey, offset: u64) -> Operation {
    Operation::Journal {
        journal,
        entry: finished(offset, offset + 1),
    }
}

/// Acks come one by one, as far from their order as half a million messages in flight allow.
#[test]
fn slow_ten_million_acks_leave_a_bounded_file() {
    const ACKS: u64 = 10_000_000;
    const BLOCK: u64 = 500_000;
    const ROUND: u64 = 4_000;
    // A quarter of a million disjoint ranges are 4.5 MB; twice that, and what one round brings.
    const MOST_BYTES: u64 = 10_000_000;
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).store;
    let journal = new_group(&mut store);
    let path = dir.path().join("t/partition-0/groups/g.journal");
    let place = |nth: u64| nth / BLOCK * BLOCK + (nth % BLOCK) * 7_919 % BLOCK;
    let (mut largest, mut longest) = (0, Duration::ZERO);
    for first in (0..ACKS).step_by(usize::try_from(ROUND).unwrap()) {
        let round: Vec<_> = (first..first + ROUND)
            .map(|nth| ack(journal, place(nth)))
            .collect();
        let began = Instant::now();
        let outcomes = store.commit_round(&round, NOW);
        longest = longest.max(began.elapsed());
        assert!(outcomes.iter().all(Result::is_ok));
        largest = largest.max(std::fs::metadata(&path).unwrap().len());
    }
    eprintln!("largest file: {largest} bytes; longest round: {longest:?}");
    assert!(largest < MOST_BYTES, "{largest}");
    drop(store);
    let progress = open(dir.path()).topics[0].groups[0].partitions[0]
        .progress
        .clone();
    assert_eq!(progress.committed, Offset(ACKS));
}

#[test]
fn slow_a_million_gaps_are_compacted_and_opened_quickly() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).store;
    let journal = new_group(&mut store);
    let gaps = (0..1_000_000).map(|nth| OffsetRange::single(Offset(2 * nth + 1)));
    let entry = JournalEntry {
        finished: gaps.collect(),
        ..JournalEntry::default()
    };
    let operation = Operation::Journal { journal, entry };
    let began = Instant::now();
    store.commit_round(&[operation], NOW).remove(0).unwrap();
    eprintln!("a round that compacts: {:?}", began.elapsed());
    store.close().unwrap();
    let began = Instant::now();
    let opened = open(dir.path());
    eprintln!("a start: {:?}", began.elapsed());
    let progress = &opened.topics[0].groups[0].partitions[0].progress;
    assert_eq!(progress.finished.len(), 1_000_000);
    assert_eq!(progress.committed, Offset(0));
}

#[test]
fn a_journal_is_compacted_by_the_round_that_makes_it_too_large() {
    let mut rig = Rig::small_journals(2_000);
    let journal = rig.new_group("g")[0];
    let size = |rig: &Rig| {
        let content = rig.disk.content("data/t/partition-0/groups/g.journal");
        content.unwrap().len()
    };
    let mut largest = 0;
    for offset in 0..1_000 {
        rig.journal(journal, finished(offset, offset + 1));
        largest = largest.max(size(&rig));
    }
    assert!((1_900..2_100).contains(&largest), "{largest}");
    assert_eq!(rig.reopen().progress("g")[0].committed, Offset(1_000));
}

#[test]
fn a_compaction_that_fails_is_not_tried_in_every_round() {
    let mut rig = Rig::small_journals(2_000);
    let journal = rig.new_group("g")[0];
    let refused = Fault::on(Call::Write);
    rig.disk.fail(refused.path("g.tmp").from_nth(1));
    rig.disk.take_events();
    for offset in 0..1_000 {
        rig.journal(journal, finished(offset, offset + 1));
    }
    let tried = rig.disk.take_events();
    let tried = tried.iter().filter(|event| event.path.ends_with("g.tmp"));
    assert!((1..40).contains(&tried.count()));
    rig.disk.heal();
    rig.maintain_topic(&topic("t"), &[], NOW).unwrap();
    let content = rig.disk.content("data/t/partition-0/groups/g.journal");
    assert!(content.unwrap().len() < 200);
    assert_eq!(rig.reopen().progress("g")[0].committed, Offset(1_000));
}
