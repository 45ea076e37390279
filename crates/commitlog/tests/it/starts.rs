//! Starts that are cut short, and what failures before a stop mean for the start after it.

use crate::rig::{NOW, Rig, finished, pairs, settings, topic, try_append, try_open};
use weir_commitlog::JournalEntry;
use weir_commitlog::faulty::{Call, Fault, FaultyDisk};
use weir_types::Offset;

/// Cuts a start short at every call it makes, and then the power; `check` looks at the next one.
fn cut_every_start_short(found: &FaultyDisk, seeds: u64, check: impl Fn(&Rig, &str)) {
    for nth in 1.. {
        let disk = found.kill();
        disk.fail(Fault::on_any().from_nth(nth));
        let stopped = try_open(&disk);
        for seed in 0..seeds {
            let mut rng = fastrand::Rng::with_seed(nth * 1_000 + seed);
            let next = Rig::on(disk.cut_power(&mut rng));
            check(&next, &format!("call {nth}, seed {seed}"));
        }
        if stopped.is_ok() {
            assert!(nth > 10, "{nth}");
            return;
        }
    }
}

#[test]
fn a_start_cut_short_at_any_call_loses_nothing_that_the_commit_log_holds() {
    let mut rig = Rig::with(settings(2, 300));
    let journal = rig.new_group("g")[1];
    for number in 1..8 {
        rig.append(&["1", "2"]);
        rig.try_append(1, &["3"]).unwrap();
        rig.journal(journal, finished(0, number));
    }
    cut_every_start_short(&rig.disk.kill(), 6, |next, what| {
        assert_eq!(next.contents(0).len(), 14, "{what}");
        assert_eq!(next.contents(1).len(), 7, "{what}");
        assert_eq!(next.progress("g")[1].committed, Offset(7), "{what}");
    });
}

#[test]
fn a_start_cut_short_after_an_interrupted_compaction_loses_no_ack() {
    let mut rig = Rig::new();
    rig.append(&["1"; 20]);
    let journal = rig.new_group("g")[0];
    let back = JournalEntry {
        committed: Some(Offset(0)),
        ..JournalEntry::default()
    };
    (0..2_000).for_each(|_| rig.journal(journal, back.clone()));
    rig.journal(journal, finished(0, 7));
    // The new journal is in place, but its entry may still be lost.
    rig.disk.fail(Fault::on(Call::SyncDir).path("groups"));
    rig.maintain_topic(&topic("t"), &[], NOW).unwrap_err();
    cut_every_start_short(&rig.disk.kill(), 12, |next, what| {
        assert_eq!(next.progress("g")[0].committed, Offset(7), "{what}");
    });
}

#[test]
fn a_stop_after_a_failed_roll_is_not_a_clean_one() {
    let mut rig = Rig::with(settings(1, 10));
    rig.append(&["1"]);
    let mut rig = Rig::on(rig.close());
    rig.disk
        .fail(Fault::on(Call::SyncDir).path("partition-0").once());
    rig.try_append(0, &["2"]).unwrap_err();
    let disk = rig.disk.clone();
    let _stopped = rig.opened.store.close();
    let mut next = Rig::on(disk.kill());
    assert_eq!(next.contents(0), pairs(&[(0, "1")]));
    assert_eq!(next.append(&["3"]).first_offset, Offset(1));
}

#[test]
fn a_stop_after_a_removal_that_may_be_undone_is_not_a_clean_one() {
    for seed in 0..20 {
        let mut rig = Rig::with(settings(1, 10));
        (0..3).for_each(|_| {
            rig.append(&["1"]);
        });
        let mut rig = Rig::on(rig.close());
        // Of the removal only: the roll before it needs its own.
        rig.append(&["2"]);
        rig.disk
            .fail(Fault::on(Call::SyncDir).path("partition-0").nth(2));
        rig.purge_topic(&topic("t")).unwrap_err();
        let disk = rig.disk.clone();
        let _stopped = rig.opened.store.close();
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut next = Rig::on(disk.cut_power(&mut rng));
        let kept: Vec<u64> = next.contents(0).into_iter().map(|(o, _)| o).collect();
        let start = next.reader(0).log_start_offset();
        assert!(kept.iter().all(|&o| o >= start.0), "seed {seed}: {kept:?}");
        next.purge_topic(&topic("t")).unwrap();
        assert_eq!(next.reader(0).bytes(), 0, "seed {seed}");
        assert_eq!(next.append(&["3"]).first_offset, Offset(4));
    }
}

#[test]
fn a_group_that_could_not_be_created_is_not_there_after_a_restart() {
    let mut rig = Rig::with(settings(2, 1_000));
    rig.disk
        .fail(Fault::on(Call::Write).path("partition-0/groups").once());
    let starts = [Offset(0); 2];
    let group = crate::rig::group("g");
    let (incarnation, chosen) = (
        weir_types::Incarnation(5),
        weir_types::GroupSettings::default(),
    );
    rig.create_group(&topic("t"), &group, incarnation, &chosen, &starts)
        .unwrap_err();
    assert!(rig.reopen().progress("g").is_empty());
    rig.create_group(&topic("t"), &group, incarnation, &chosen, &starts)
        .unwrap();
    assert_eq!(rig.reopen().progress("g").len(), 2);
}

#[test]
fn a_commit_log_without_size_still_takes_a_round() {
    let disk = FaultyDisk::new();
    let options = weir_commitlog::OpenOptions {
        commit_log_bytes: 0,
        ..weir_commitlog::OpenOptions::new(7)
    };
    let fs = std::sync::Arc::new(disk.clone());
    let mut opened = weir_commitlog::Store::open(fs, crate::rig::DATA.as_ref(), options).unwrap();
    let created = opened.store.create_topic(
        &topic("t"),
        settings(1, 1_000),
        weir_types::Incarnation(1),
        NOW,
    );
    let key = created.unwrap().partitions[0].0;
    for _ in 0..20 {
        try_append(&mut opened.store, key, &["1"], NOW).unwrap();
    }
    let found = disk.cut_power(&mut fastrand::Rng::with_seed(1));
    assert_eq!(Rig::on(found).contents(0).len(), 20);
}
