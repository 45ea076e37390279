//! Groups and their journals.

use crate::rig::{NOW, Rig, finished, group, settings, topic};
use weir_commitlog::{FindingKind, JournalEntry, Progress, Returned, StorageError};
use weir_types::{GroupSettings, Incarnation, Offset, Timestamp};

fn committed(offset: u64) -> JournalEntry {
    JournalEntry {
        committed: Some(Offset(offset)),
        ..JournalEntry::default()
    }
}

fn returned(offset: u64, attempts: u32) -> JournalEntry {
    let returned = Returned {
        offset: Offset(offset),
        attempts,
        available_at: Timestamp(9),
        reason: Some("too \"busy\"\n".into()),
    };
    JournalEntry {
        returned: vec![returned],
        ..JournalEntry::default()
    }
}

fn rig_with_records(partitions: u32) -> Rig {
    let mut rig = Rig::with(settings(partitions, 1 << 20));
    for partition in 0..partitions {
        rig.try_append(partition as usize, &["1"; 20]).unwrap();
    }
    rig
}

/// Some progress, and the journal lines that lead to it.
fn write_progress(rig: &mut Rig, name: &str) -> Progress {
    let journal = rig.new_group(name)[0];
    let mut progress = Progress::default();
    for entry in [
        finished(0, 2),
        finished(5, 7),
        returned(3, 1),
        returned(6, 1),
        committed(2),
        finished(9, 10),
        returned(3, 2),
    ] {
        progress.apply(&entry);
        rig.journal(journal, entry);
    }
    progress
}

#[test]
fn progress_survives_a_restart_whatever_the_group_is_called() {
    for name in [
        "g",
        "münchen/eins",
        "../..",
        "a b%2F",
        "ünï",
        &"é".repeat(40),
        &"%".repeat(80),
    ] {
        let mut rig = rig_with_records(1);
        let progress = write_progress(&mut rig, name);
        let reopened = rig.reopen();
        assert!(reopened.findings().is_empty());
        assert_eq!(reopened.progress(name), [progress]);
        let parents: Vec<_> = reopened
            .disk
            .files()
            .into_iter()
            .filter(|path| path.extension().is_some_and(|e| e == "journal"))
            .collect();
        assert!(
            parents[0].starts_with("data/t/partition-0/groups"),
            "{parents:?}"
        );
    }
}

#[test]
fn a_seek_back_and_forth_is_kept() {
    let mut rig = rig_with_records(1);
    let journal = rig.new_group("g")[0];
    rig.journal(journal, committed(15));
    rig.journal(journal, committed(4));
    assert_eq!(rig.reopen().progress("g")[0].committed, Offset(4));
}

#[test]
fn a_torn_journal_costs_redelivery_only() {
    let mut rig = rig_with_records(1);
    let whole = write_progress(&mut rig, "g");
    let path = "data/t/partition-0/groups/g.journal";
    let content = rig.disk.content(path).unwrap();
    for cut in 0..=content.len() {
        let disk = rig.killed_without_commit_log();
        disk.set_content(path, &content[..cut]).unwrap();
        let mut torn = Rig::on(disk);
        let progress = torn.progress("g").remove(0);
        assert!((0..20).all(|o| !progress.is_finished(Offset(o)) || whole.is_finished(Offset(o))));
        let journal = torn.opened.topics[0].groups[0].partitions[0].journal;
        torn.journal(journal, finished(0, 20));
        assert_eq!(torn.reopen().progress("g")[0].committed, Offset(20));
    }
}

#[test]
fn damage_in_a_journal_costs_redelivery_only_and_is_found() {
    let mut rig = rig_with_records(1);
    let whole = write_progress(&mut rig, "g");
    let path = "data/t/partition-0/groups/g.journal";
    let content = rig.disk.content(path).unwrap();
    for at in 0..content.len() - 1 {
        for mask in [1, 0x80, content[at], content[at] ^ b'\n'] {
            let mut damaged = content.clone();
            damaged[at] ^= mask;
            let disk = rig.killed_without_commit_log();
            disk.set_content(path, &damaged).unwrap();
            let reopened = Rig::on(disk);
            let progress = reopened.progress("g").remove(0);
            let lost =
                (0..20).find(|&o| progress.is_finished(Offset(o)) && !whole.is_finished(Offset(o)));
            assert_eq!(lost, None, "byte {at}");
            let found = matches!(reopened.findings(), [found] if matches!(found.kind, FindingKind::DamagedJournal { .. }));
            assert!(
                found || damaged == content,
                "byte {at}: {:?}",
                reopened.findings()
            );
        }
    }
}

#[test]
fn compaction_keeps_the_meaning_and_bounds_the_size_over_restarts() {
    let mut rig = rig_with_records(1);
    let mut expected = write_progress(&mut rig, "g");
    let size = |rig: &Rig| {
        rig.disk
            .content("data/t/partition-0/groups/g.journal")
            .unwrap()
            .len()
    };
    let mut largest = 0;
    for _ in 0..8 {
        let journal = rig.opened.topics[0]
            .groups
            .first()
            .map(|group| group.partitions[0].journal);
        for attempts in 0..400 {
            let Some(journal) = journal else { break };
            let entry = returned(4, attempts);
            expected.apply(&entry);
            rig.journal(journal, entry);
        }
        rig.maintain_topic(&topic("t"), &[], NOW).unwrap();
        largest = largest.max(size(&rig));
        rig = rig.reopen();
        assert_eq!(rig.progress("g"), [expected.clone()]);
    }
    assert!(largest < 130_000, "{largest}");
}

#[test]
fn the_missing_journal_of_a_partition_begins_anew_and_durably() {
    let mut rig = rig_with_records(3);
    let journals = rig.new_group("g");
    journals
        .iter()
        .for_each(|&journal| rig.journal(journal, finished(0, 20)));
    let disk = rig.disk.kill();
    let fs: &dyn weir_commitlog::FileSystem = &disk;
    fs.remove_file("data/t/partition-1/groups/g.journal".as_ref())
        .unwrap();
    fs.remove_dir_all("data/t/partition-2/groups".as_ref())
        .unwrap();
    let mut reopened = Rig::on(disk);
    let at = |rig: &Rig| {
        rig.progress("g")
            .iter()
            .map(|progress| progress.committed.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(at(&reopened), [20, 0, 0]);
    for partition in [1, 2] {
        let journal = reopened.opened.topics[0].groups[0].partitions[partition].journal;
        reopened.journal(journal, finished(0, 5));
    }
    for seed in 0..20 {
        let after_cut = Rig::on(reopened.disk.cut_power(&mut fastrand::Rng::with_seed(seed)));
        assert_eq!(at(&after_cut), [20, 5, 5]);
    }
}

#[test]
fn a_deleted_group_is_gone_and_a_new_one_of_its_name_begins_anew() {
    let mut rig = rig_with_records(2);
    let journals = rig.new_group("g");
    rig.journal(journals[1], finished(0, 9));
    let again = rig.create_group(
        &topic("t"),
        &group("g"),
        Incarnation(6),
        &GroupSettings::default(),
        &[Offset(0); 2],
    );
    assert!(matches!(again, Err(StorageError::GroupExists { .. })));
    rig.delete_group(&topic("t"), &group("g")).unwrap();
    assert!(rig.reopen().progress("g").is_empty());
    rig.create_group(
        &topic("t"),
        &group("g"),
        Incarnation(6),
        &GroupSettings::default(),
        &[Offset(3), Offset(4)],
    )
    .unwrap();
    let committed: Vec<_> = rig
        .reopen()
        .progress("g")
        .iter()
        .map(|p| p.committed.0)
        .collect();
    assert_eq!(committed, [3, 4]);
}
