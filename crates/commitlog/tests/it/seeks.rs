//! A group begins anew somewhere else, and its journal says so whatever happens.

use crate::rig::{Rig, finished, settings, topic};
use std::collections::BTreeSet;
use weir_commitlog::faulty::{Call, Fault};
use weir_commitlog::{JournalEntry, Progress, Seek};
use weir_types::{GroupSettings, Incarnation, Offset};

const PATH: &str = "data/t/partition-0/groups/g.journal";

fn seek(to: u64, incarnation: u64) -> JournalEntry {
    JournalEntry {
        seek: Some(Seek {
            to: Offset(to),
            incarnation: Incarnation(incarnation),
        }),
        ..JournalEntry::default()
    }
}

fn rig_with_records() -> Rig {
    let mut rig = Rig::with(settings(1, 1 << 20));
    rig.append(&["1"; 20]);
    rig
}

fn incarnation(rig: &Rig) -> Incarnation {
    rig.opened.topics[0].groups[0].partitions[0].incarnation
}

fn finished_in(progress: &Progress) -> BTreeSet<u64> {
    let offsets = (0..40).filter(|&offset| progress.is_finished(Offset(offset)));
    offsets.collect()
}

#[test]
fn a_seek_voids_what_was_before_and_gives_a_new_incarnation() {
    for to in [0, 3, 12, 16] {
        let mut rig = rig_with_records();
        let journal = rig.new_group("g")[0];
        rig.journal(journal, finished(0, 5));
        rig.journal(journal, finished(8, 15));
        rig.journal(journal, seek(to, 6));
        rig.journal(journal, finished(to + 2, to + 4));
        let reopened = rig.reopen();
        let progress = reopened.progress("g").remove(0);
        assert_eq!(progress.committed, Offset(to));
        assert_eq!(progress.finished.len(), 2);
        assert_eq!(incarnation(&reopened), Incarnation(6));
        assert!(reopened.findings().is_empty());
    }
}

#[test]
fn a_seek_stands_in_the_first_line_when_its_round_is_over() {
    let mut rig = rig_with_records();
    let journal = rig.new_group("g")[0];
    rig.journal(journal, finished(0, 5));
    rig.journal(journal, seek(2, 6));
    let content = rig.disk.content(PATH).unwrap();
    assert_eq!(content.iter().filter(|&&byte| byte == b'\n').count(), 1);
    let line: serde_json::Value = serde_json::from_slice(&content).unwrap();
    assert_eq!(line["committed"], 2);
    assert_eq!(line["incarnation"], Incarnation(6).to_string());
}

/// A lost seek back would leave finished what was asked for again.
#[test]
fn damage_after_a_seek_finishes_nothing_of_before() {
    for to in [2, 18] {
        let mut rig = rig_with_records();
        let journal = rig.new_group("g")[0];
        rig.journal(journal, finished(0, 15));
        rig.journal(journal, seek(to, 6));
        rig.journal(journal, finished(to + 1, to + 2));
        let whole = finished_in(&rig.reopen().progress("g")[0]);
        let content = rig.disk.content(PATH).unwrap();
        for at in 0..content.len() {
            for mask in [1, 0x80, content[at] ^ b'\n'] {
                let mut damaged = content.clone();
                damaged[at] ^= mask;
                let disk = rig.killed_without_commit_log();
                disk.set_content(PATH, &damaged).unwrap();
                let found = finished_in(&Rig::on(disk).progress("g")[0]);
                assert!(found.is_subset(&whole), "byte {at}: {found:?}");
            }
        }
    }
}

#[test]
fn a_seek_that_could_not_be_compacted_holds_and_is_compacted_later() {
    let mut rig = rig_with_records();
    let journal = rig.new_group("g")[0];
    rig.journal(journal, finished(0, 15));
    let refused = Fault::on(Call::Write).path("g.tmp");
    rig.disk.fail(refused.from_nth(1));
    rig.journal(journal, seek(2, 6));
    rig.journal(journal, finished(4, 5));
    rig.disk.heal();
    let mut reopened = rig.reopen();
    let progress = reopened.progress("g").remove(0);
    assert_eq!(progress.committed, Offset(2));
    assert_eq!(progress.finished.len(), 1);
    assert_eq!(incarnation(&reopened), Incarnation(6));
    let lines = |rig: &Rig| {
        let content = rig.disk.content(PATH).unwrap();
        content.iter().filter(|&&byte| byte == b'\n').count()
    };
    assert_eq!(lines(&reopened), 4);
    reopened
        .maintain_topic(&topic("t"), &[], crate::rig::NOW)
        .unwrap();
    assert_eq!(lines(&reopened), 1);
    let again = reopened.reopen();
    assert_eq!(again.progress("g"), [progress]);
    assert_eq!(incarnation(&again), Incarnation(6));
}

#[test]
fn a_power_cut_leaves_the_group_before_or_after_a_seek() {
    for seed in 0..200 {
        let mut rig = rig_with_records();
        let journal = rig.new_group("g")[0];
        rig.journal(journal, finished(0, 15));
        rig.disk.fail(Fault::on_any().from_nth(seed % 12 + 1));
        let operation = weir_commitlog::Operation::Journal {
            journal,
            entry: seek(2, 6),
        };
        let outcome = rig
            .commit_round(&[operation], crate::rig::NOW)
            .remove(0)
            .is_ok();
        let after = Rig::on(rig.disk.cut_power(&mut fastrand::Rng::with_seed(seed)));
        let found = (after.progress("g").remove(0).committed, incarnation(&after));
        let sought = (Offset(2), Incarnation(6));
        let stayed = (Offset(15), Incarnation(5));
        assert!(found == sought || found == stayed, "seed {seed}: {found:?}");
        assert!(
            found == sought || !outcome,
            "seed {seed}: the seek was lost"
        );
    }
}

#[test]
fn the_settings_of_a_group_are_kept_through_changes_seeks_and_compaction() {
    let mut rig = Rig::with(settings(2, 1 << 20));
    let chosen = GroupSettings {
        max_deliveries: Some(3),
        ..GroupSettings::default()
    };
    let (name, starts) = (crate::rig::group("g"), [Offset(0); 2]);
    let created = rig.create_group(&topic("t"), &name, Incarnation(5), &chosen, &starts);
    let created = created.unwrap();
    assert_eq!(created.settings, chosen);
    let of = |rig: &Rig| rig.opened.topics[0].groups[0].settings.clone();
    assert_eq!(of(&rig.reopen()), chosen);
    let changed = GroupSettings {
        max_deliveries: Some(4),
        ..GroupSettings::default()
    };
    let journal = created.partitions[0].journal;
    rig.journal(
        journal,
        JournalEntry {
            settings: Some(changed.clone()),
            ..JournalEntry::default()
        },
    );
    assert_eq!(of(&rig.reopen()), changed);
    rig.journal(journal, seek(0, 6));
    assert_eq!(of(&rig.reopen()), changed);
}
