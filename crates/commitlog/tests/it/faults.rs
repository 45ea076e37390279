//! One test for each way in which the disk can refuse.

use crate::rig::{
    NOW, Rig, append_op, contents, draft, finished, group, pairs, settings, topic, try_append,
    try_journal,
};
use std::io;
use weir_commitlog::faulty::{Call, Fault};
use weir_commitlog::{Operation, StorageError};
use weir_types::{Incarnation, Offset};

fn is_fail_stopped<T>(result: &Result<T, StorageError>) -> bool {
    matches!(result, Err(StorageError::FailStopped { .. }))
}

#[test]
fn a_failed_write_gives_its_offsets_back_and_the_next_append_works() {
    for written in [0, 1, 50, 10_000] {
        let mut rig = Rig::new();
        rig.append(&["1"]);
        rig.disk.fail(
            Fault::on(Call::Write)
                .path(".log")
                .once()
                .after_bytes(written),
        );
        let refused = rig.try_append(0, &["2", "3"]).unwrap_err();
        assert!(
            refused.to_string().contains("00000000000000000000.log"),
            "{refused}"
        );
        assert_eq!(rig.reader(0).high_watermark(), Offset(1));
        assert_eq!(rig.append(&["4"]).first_offset, Offset(1));
        assert_eq!(rig.contents(0), pairs(&[(0, "1"), (1, "4")]));
        let reopened = rig.reopen();
        assert!(reopened.findings().is_empty());
        assert_eq!(reopened.contents(0), pairs(&[(0, "1"), (1, "4")]));
    }
}

#[test]
fn a_full_disk_is_reported_as_full_and_appends_go_on_once_there_is_room() {
    let mut rig = Rig::new();
    rig.append(&["1"]);
    rig.disk.set_capacity(Some(rig.disk.used_bytes() + 20));
    assert_eq!(rig.available_bytes().unwrap(), 20);
    assert!(rig.try_append(0, &["2"]).unwrap_err().is_full());
    assert_eq!(
        rig.available_bytes().unwrap(),
        20,
        "what was written is cut again"
    );
    assert!(
        rig.create_topic(&topic("u"), settings(2, 1_000), Incarnation(2), NOW)
            .unwrap_err()
            .is_full()
    );
    rig.disk.set_capacity(None);
    rig.append(&["3"]);
    rig.create_topic(&topic("u"), settings(2, 1_000), Incarnation(2), NOW)
        .unwrap();
    assert_eq!(rig.reopen().contents(0), pairs(&[(0, "1"), (1, "3")]));
}

/// Syncs of plain files only happen at a checkpoint, or where much is written at once.
fn large() -> String {
    format!("\"{}\"", "x".repeat(300_000))
}

#[test]
fn a_failed_sync_stops_its_partition_and_no_other() {
    let mut rig = Rig::with(settings(2, 1 << 20));
    rig.disk
        .fail(Fault::on(Call::Sync).path("partition-0").once());
    let round = [
        append_op(rig.key(0), &[&large()]),
        append_op(rig.key(1), &["2"]),
    ];
    let outcomes = rig.commit_round(&round, NOW);
    assert!(outcomes[0].is_err() && outcomes[1].is_ok(), "{outcomes:?}");
    assert!(
        rig.contents(0).is_empty(),
        "nothing unacknowledged is shown"
    );
    assert!(rig.reader(0).has_failed() && !rig.reader(1).has_failed());
    let failed = rig.failures().paths();
    assert!(
        failed
            .iter()
            .all(|path| path.ends_with("partition-0/00000000000000000000.log"))
    );
    assert_eq!(failed.len(), 1);
    assert!(is_fail_stopped(&rig.try_append(0, &["3"])));
    rig.try_append(1, &["4"]).unwrap();
    let mut reopened = Rig::on(rig.disk.cut_power(&mut fastrand::Rng::with_seed(1)));
    assert_eq!(reopened.contents(1), pairs(&[(0, "2"), (1, "4")]));
    reopened.append(&["5"]);
}

#[test]
fn a_failed_write_to_the_commit_log_stops_all_that_depends_on_it_and_nothing_else() {
    let mut rig = Rig::new();
    let os = weir_types::TopicSettings {
        durability: weir_types::Durability::Os,
        ..settings(1, 1 << 20)
    };
    let relaxed = rig.create_topic(&topic("os"), os, Incarnation(2), NOW);
    let relaxed = relaxed.unwrap().partitions[0].0;
    rig.append(&["1"]);
    rig.disk.fail(Fault::on(Call::WriteThrough).once());
    rig.try_append(0, &["2"]).unwrap_err();
    assert!(rig.commit_log_stats().failed);
    assert!(is_fail_stopped(&rig.try_append(0, &["3"])));
    assert!(is_fail_stopped(&rig.try_append(0, &[&large()])));
    assert_eq!(rig.contents(0), pairs(&[(0, "1")]), "reads go on");
    try_append(&mut rig, relaxed, &["4"], NOW).unwrap();
    let failed = rig.failures().paths();
    assert!(
        failed.iter().any(|path| path.ends_with("__weir/commit-0")),
        "{failed:?}"
    );
    for seed in 0..50 {
        let found = rig.disk.cut_power(&mut fastrand::Rng::with_seed(seed));
        let found = Rig::on(found);
        let (_, reader) = &found.opened.topics[1].partitions[0];
        assert_eq!(contents(reader)[..1], pairs(&[(0, "1")]), "seed {seed}");
    }
}

#[test]
fn what_a_failed_checkpoint_left_behind_is_in_the_commit_log_at_the_next_start() {
    let mut rig = Rig::with(settings(2, 1 << 20));
    rig.disk
        .fail(Fault::on(Call::Sync).path("partition-0").once());
    let mut acknowledged = 0;
    // Many turns of the commit log: its parts would be used anew many times.
    for _ in 0..300 {
        acknowledged += u64::from(rig.try_append(0, &["1"]).is_ok());
        rig.try_append(1, &["2"]).unwrap();
    }
    assert!(rig.reader(0).has_failed() && acknowledged < 300);
    for seed in 0..50 {
        let found = rig.disk.cut_power(&mut fastrand::Rng::with_seed(seed));
        let mut reopened = Rig::on(found);
        assert_eq!(
            reopened.contents(0).len() as u64,
            acknowledged,
            "seed {seed}"
        );
        assert_eq!(reopened.contents(1).len(), 300, "seed {seed}");
        reopened.append(&["3"]);
        let parts = reopened.disk.files().into_iter();
        let parts = parts.filter(|path| path.to_string_lossy().contains("__weir/commit-"));
        assert_eq!(
            parts.count(),
            2,
            "what was kept is removed when it is replayed"
        );
    }
}

#[test]
fn a_write_that_cannot_be_cut_stops_the_partition() {
    let mut rig = Rig::new();
    rig.append(&["1"]);
    rig.disk
        .fail(Fault::on(Call::Write).path(".log").once().after_bytes(30));
    rig.disk.fail(Fault::on(Call::SetLen).once());
    rig.try_append(0, &["2"]).unwrap_err();
    assert!(is_fail_stopped(&rig.try_append(0, &["3"])));
    assert_eq!(rig.reopen().contents(0), pairs(&[(0, "1")]));
}

#[test]
fn a_failed_directory_sync_at_a_roll_stops_the_partition() {
    let mut rig = Rig::with(settings(2, 10));
    rig.append(&["1"]);
    rig.disk
        .fail(Fault::on(Call::SyncDir).path("partition-0").once());
    rig.try_append(0, &["2"]).unwrap_err();
    assert!(is_fail_stopped(&rig.try_append(0, &["3"])));
    rig.try_append(1, &["4"]).unwrap();
    let mut reopened = rig.reopen();
    assert_eq!(reopened.contents(0), pairs(&[(0, "1")]));
    assert_eq!(reopened.append(&["5"]).first_offset, Offset(1));
}

#[test]
fn a_segment_that_cannot_be_created_is_tried_again() {
    let mut rig = Rig::with(settings(1, 10));
    rig.append(&["1"]);
    rig.disk.fail(
        Fault::on(Call::Create)
            .once()
            .error(io::ErrorKind::StorageFull),
    );
    assert!(rig.try_append(0, &["2"]).unwrap_err().is_full());
    assert_eq!(rig.append(&["3"]).first_offset, Offset(1));
    assert_eq!(rig.reopen().contents(0), pairs(&[(0, "1"), (1, "3")]));
}

#[test]
fn whatever_fails_while_a_topic_is_created_leaves_none_and_harms_no_start() {
    for nth in 1.. {
        let mut rig = Rig::new();
        rig.disk.fail(Fault::on_any().path("data").nth(nth));
        let created = rig.create_topic(&topic("u"), settings(2, 1_000), Incarnation(2), NOW);
        if created.is_ok() {
            assert!(nth > 10, "{nth}");
            break;
        }
        assert!(matches!(
            rig.purge_topic(&topic("u")),
            Err(StorageError::NoSuchTopic { .. })
        ));
        let mut rng = fastrand::Rng::with_seed(nth);
        for disk in [
            rig.disk.kill(),
            rig.disk.cut_power(&mut rng),
            rig.disk.cut_power(&mut rng),
        ] {
            let mut next = Rig::on(disk);
            let _maybe_there = next.delete_topic(&topic("u"));
            next.create_topic(&topic("u"), settings(3, 1_000), Incarnation(3), NOW)
                .unwrap();
            assert_eq!(next.reopen().opened.topics[1].partitions.len(), 3);
        }
    }
}

#[test]
fn after_a_failed_sync_of_the_data_directory_no_topic_is_acknowledged_until_a_restart() {
    let mut rig = Rig::new();
    // Within the data directory itself, topics are told from it by their longer path.
    for nth in 1.. {
        rig.disk.fail(Fault::on(Call::SyncDir).nth(nth));
        let created = rig.create_topic(&topic("u"), settings(1, 1_000), Incarnation(2), NOW);
        rig.disk.heal();
        match created {
            Ok(_) => panic!("the sync of the data directory comes last"),
            Err(error) if error.to_string().starts_with("cannot sync data:") => break,
            Err(_) => rig = Rig::new(),
        }
    }
    for name in ["u", "v"] {
        rig.create_topic(&topic(name), settings(1, 1_000), Incarnation(3), NOW)
            .unwrap_err();
    }
    rig.append(&["1"]);
    let mut next = rig.reopen();
    next.create_topic(&topic("v"), settings(1, 1_000), Incarnation(3), NOW)
        .unwrap();
}

#[test]
fn journals_fail_like_partitions_each_for_itself() {
    let mut rig = Rig::new();
    rig.append(&["1", "2", "3"]);
    let (g, h) = (rig.new_group("g")[0], rig.new_group("h")[0]);
    rig.disk.fail(
        Fault::on(Call::Write)
            .path("g.journal")
            .once()
            .after_bytes(5),
    );
    try_journal(&mut rig, g, finished(0, 1)).unwrap_err();
    try_journal(&mut rig, g, finished(0, 1)).unwrap();
    rig.disk
        .fail(Fault::on(Call::Write).path("g.journal").once());
    rig.disk.fail(Fault::on(Call::SetLen).once());
    try_journal(&mut rig, g, finished(1, 2)).unwrap_err();
    assert!(is_fail_stopped(&try_journal(&mut rig, g, finished(1, 2))));
    try_journal(&mut rig, h, finished(0, 3)).unwrap();
    rig.append(&["4"]);
    let next = rig.reopen();
    assert!(next.findings().is_empty());
    assert!(next.progress("g")[0].committed >= Offset(1));
    assert_eq!(next.progress("h")[0].committed, Offset(3));
}

#[test]
fn a_failed_sync_while_a_journal_is_compacted_stops_it() {
    for call in [Call::Sync, Call::SyncDir] {
        let mut rig = Rig::new();
        rig.append(&["1", "2", "3"]);
        let journal = rig.new_group("g")[0];
        let back = || weir_commitlog::JournalEntry {
            committed: Some(Offset(0)),
            ..Default::default()
        };
        (0..2_000).for_each(|_| rig.journal(journal, back()));
        rig.disk.fail(Fault::on(call).path("groups").once());
        rig.maintain_topic(&topic("t"), &[], NOW).unwrap_err();
        assert!(is_fail_stopped(&try_journal(
            &mut rig,
            journal,
            finished(0, 1)
        )));
        assert_eq!(rig.reopen().progress("g")[0].committed, Offset(0));
    }
}

#[test]
fn a_segment_that_cannot_be_removed_stays_readable_and_is_tried_again() {
    let mut rig = Rig::with(settings(1, 10));
    rig.append(&["1"]);
    rig.append(&["2"]);
    rig.disk.fail(Fault::on(Call::Remove).once());
    rig.purge_topic(&topic("t")).unwrap_err();
    assert_eq!(rig.contents(0).len(), 2);
    assert_eq!(rig.purge_topic(&topic("t")).unwrap(), 2);
    assert!(rig.reopen().contents(0).is_empty());
}

#[test]
fn maintenance_goes_on_behind_a_stopped_partition() {
    let mut rig = Rig::with(settings(2, 10));
    for partition in [0, 1] {
        rig.try_append(partition, &["1"]).unwrap();
    }
    rig.disk
        .fail(Fault::on(Call::Sync).path("partition-0").once());
    rig.try_append(0, &[&large()]).unwrap_err();
    let later = NOW.plus(std::time::Duration::from_secs(30 * 86_400));
    rig.maintain_topic(&topic("t"), &[], later).unwrap_err();
    assert_eq!(rig.reader(1).log_start_offset(), Offset(1));
}

#[test]
fn a_read_error_is_an_error_and_not_the_end() {
    let mut rig = Rig::new();
    rig.append(&["1"]);
    rig.disk.fail(Fault::on(Call::Read).once());
    assert!(rig.reader(0).read(Offset(0), crate::rig::ALL).is_err());
    assert_eq!(rig.contents(0).len(), 1);
}

#[test]
fn operations_on_what_was_deleted_are_gone() {
    let mut rig = Rig::new();
    let journal = rig.new_group("g")[0];
    let key = rig.key(0);
    rig.delete_topic(&topic("t")).unwrap();
    assert!(matches!(
        try_append(&mut rig, key, &["1"], NOW),
        Err(StorageError::Gone)
    ));
    assert!(matches!(
        try_journal(&mut rig, journal, finished(0, 1)),
        Err(StorageError::Gone)
    ));
    let operation = Operation::Append {
        partition: key,
        records: vec![draft("1")],
    };
    assert_eq!(rig.commit_round(&[operation], NOW).len(), 1);
    let chosen = weir_types::GroupSettings::default();
    assert!(
        rig.create_group(&topic("t"), &group("g"), Incarnation(6), &chosen, &[])
            .is_err()
    );
}

#[test]
fn a_segment_whose_index_cannot_be_removed_stays_readable() {
    let mut rig = Rig::with(settings(1, 10));
    rig.append(&["1"]);
    rig.append(&["2"]);
    rig.disk.fail(Fault::on(Call::Remove).path(".index").once());
    rig.purge_topic(&topic("t")).unwrap_err();
    assert_eq!(rig.contents(0).len(), 2);
    assert_eq!(rig.purge_topic(&topic("t")).unwrap(), 2);
}

#[test]
fn a_file_is_not_closed_between_a_write_and_its_sync() {
    let disk = weir_commitlog::faulty::FaultyDisk::new();
    let options = weir_commitlog::OpenOptions {
        max_open_files: 1,
        direct_above_bytes: 100,
        ..crate::rig::small_options()
    };
    let mut opened = crate::rig::open_with(&disk, options).unwrap();
    let created = opened
        .store
        .create_topic(&topic("t"), settings(8, 1 << 20), Incarnation(1), NOW);
    let keys: Vec<_> = created.unwrap().partitions.iter().map(|p| p.0).collect();
    let payload = format!("\"{}\"", "x".repeat(200));
    let round: Vec<_> = keys
        .iter()
        .map(|&key| append_op(key, &[&payload]))
        .collect();
    disk.take_events();
    let outcomes = opened.store.commit_round(&round, NOW);
    assert!(outcomes.iter().all(Result::is_ok));
    let events = disk.take_events();
    for key in 0..8 {
        let path = format!("partition-{key}");
        let of = events
            .iter()
            .filter(|e| e.path.to_string_lossy().contains(&path));
        let calls: Vec<_> = of.map(|event| event.call).collect();
        assert_eq!(calls[calls.len() - 2..], [Call::Write, Call::Sync]);
    }
}

#[test]
fn what_was_taken_back_does_not_come_back_behind_what_follows() {
    let mut rig = Rig::new();
    rig.append(&["1"]);
    let journal = rig.new_group("g")[0];
    let fault = Fault::on(Call::Write).once().after_bytes(10_000);
    rig.disk.fail(fault.clone().path(".log"));
    let refused = ["\"a\"", "\"b\"", "\"c\"", "\"d\"", "\"e\""];
    rig.try_append(0, &refused).unwrap_err();
    rig.append(&["\"a longer one that covers the first of them, and then some\""]);
    rig.disk.fail(fault.path(".journal"));
    try_journal(&mut rig, journal, finished(0, 1)).unwrap_err();
    for seed in 0..50 {
        let found = rig.disk.cut_power(&mut fastrand::Rng::with_seed(seed));
        let found = Rig::on(found);
        assert_eq!(found.contents(0).len(), 2, "seed {seed}");
        assert_eq!(found.progress("g")[0].committed, Offset(0), "seed {seed}");
        assert!(found.findings().is_empty(), "{:?}", found.findings());
    }
}

/// Fills the current part of the commit log, so that the next round needs the other one.
fn fill_a_part(rig: &mut Rig, partition: usize) {
    for _ in 0..8 {
        rig.try_append(partition, &["1"]).unwrap();
    }
}

#[test]
fn a_commit_log_that_cannot_grow_refuses_a_round_and_takes_the_next() {
    for error in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
        let mut rig = Rig::with(settings(2, 1 << 20));
        let journal = rig.new_group("g")[0];
        // Zeros come first, where a part was never written to.
        fill_a_part(&mut rig, 0);
        rig.disk
            .fail(Fault::on(Call::WriteThrough).once().error(error));
        let (mut refused, mut taken) = (0, 8);
        for _ in 0..8 {
            match rig.try_append(0, &["2"]) {
                Err(_) if rig.commit_log_stats().failed => break,
                Err(_) => refused += 1,
                Ok(_) => taken += 1,
            }
        }
        if rig.commit_log_stats().failed {
            continue; // It struck a frame, of which nobody knows how much is there.
        }
        assert_eq!(refused, 1);
        assert!(rig.failures().paths().is_empty());
        try_journal(&mut rig, journal, finished(0, 3)).unwrap();
        let found = Rig::on(rig.disk.cut_power_hard());
        assert_eq!(found.contents(0).len(), taken);
        assert_eq!(found.progress("g")[0].committed, Offset(3));
    }
}

#[test]
fn a_full_disk_stops_the_filling_of_a_new_part_and_nothing_else() {
    let mut rig = Rig::with(settings(2, 1 << 20));
    let journal = rig.new_group("g")[0];
    // Room for the plain file, but not for zeros in the second part.
    rig.disk.set_capacity(Some(rig.disk.used_bytes() + 40_000));
    let mut taken = 0;
    let refused = loop {
        match rig.try_append(0, &["1"]) {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert!(refused.is_full(), "{refused}");
    assert!(!rig.commit_log_stats().failed && !rig.reader(0).has_failed());
    assert!(try_journal(&mut rig, journal, finished(0, 1)).is_err());
    rig.disk.set_capacity(None);
    rig.append(&["2"]);
    try_journal(&mut rig, journal, finished(0, 2)).unwrap();
    let found = Rig::on(rig.disk.cut_power_hard());
    assert_eq!(found.contents(0).len(), taken + 1);
    assert_eq!(found.progress("g")[0].committed, Offset(2));
}

#[test]
fn a_checkpoint_that_was_handed_out_and_failed_keeps_its_part() {
    let mut rig = Rig::with(settings(2, 1 << 20));
    let mut checkpoint = loop {
        rig.try_append(0, &["1"]).unwrap();
        rig.try_append(1, &["2"]).unwrap();
        if let Some(checkpoint) = rig.take_checkpoint() {
            break checkpoint;
        }
    };
    let (first, second) = (rig.contents(0).len(), rig.contents(1).len());
    rig.disk
        .fail(Fault::on(Call::Sync).path("partition-0").once());
    checkpoint.run();
    assert!(checkpoint.failure().is_some());
    rig.finish_checkpoint(&checkpoint).unwrap();
    assert!(is_fail_stopped(&rig.try_append(0, &["3"])));
    assert_eq!(rig.commit_log_stats().checkpoints, 0);
    for _ in 0..40 {
        rig.try_append(1, &["2"]).unwrap();
        if let Some(mut checkpoint) = rig.take_checkpoint() {
            checkpoint.run();
            rig.finish_checkpoint(&checkpoint).unwrap();
        }
    }
    assert!(rig.commit_log_stats().checkpoints > 0, "the rest goes on");
    let found = Rig::on(rig.disk.cut_power_hard());
    assert_eq!(found.contents(0).len(), first);
    assert_eq!(found.contents(1).len(), second + 40);
}

#[test]
fn a_part_that_cannot_be_replaced_stops_the_commit_log_and_loses_nothing() {
    let mut rig = Rig::with(settings(2, 1 << 20));
    rig.disk
        .fail(Fault::on(Call::Sync).path("partition-0").once());
    rig.disk
        .fail(Fault::on(Call::Create).path("__weir/commit-").once());
    let mut taken = 0;
    while rig.try_append(0, &["1"]).is_ok() {
        taken += 1;
    }
    assert!(rig.commit_log_stats().failed);
    assert!(is_fail_stopped(&rig.try_append(1, &["2"])));
    let found = Rig::on(rig.disk.cut_power_hard());
    assert_eq!(found.contents(0).len(), taken);
}

#[test]
fn only_so_many_parts_are_kept() {
    let mut rig = Rig::with(settings(16, 1 << 20));
    let mut taken = [0; 16];
    for (partition, taken) in taken.iter_mut().enumerate() {
        let path = format!("partition-{partition}/");
        rig.disk.fail(Fault::on(Call::Sync).path(&path));
        while rig.try_append(partition, &["1"]).is_ok() {
            *taken += 1;
        }
        if rig.commit_log_stats().failed {
            break;
        }
    }
    assert!(rig.commit_log_stats().failed, "it does not grow for ever");
    let found = Rig::on(rig.disk.cut_power_hard());
    for (partition, taken) in taken.into_iter().enumerate() {
        assert_eq!(found.contents(partition).len(), taken, "{partition}");
    }
}

#[test]
fn a_file_that_was_synced_and_removed_does_not_fail_a_checkpoint() {
    let disk = weir_commitlog::faulty::FaultyDisk::new();
    let options = weir_commitlog::OpenOptions {
        max_open_files: 1,
        ..crate::rig::small_options()
    };
    let mut opened = crate::rig::open_with(&disk, options).unwrap();
    let with = |durability| weir_types::TopicSettings {
        durability,
        ..settings(2, 10)
    };
    let interval = weir_types::Durability::Interval(std::time::Duration::from_secs(1));
    let store = &mut opened.store;
    let created = store.create_topic(&topic("t"), settings(2, 10_000), Incarnation(1), NOW);
    let keys: Vec<_> = created.unwrap().partitions.iter().map(|p| p.0).collect();
    try_append(store, keys[0], &["1"], NOW).unwrap();
    store.alter_topic(&topic("t"), with(interval)).unwrap();
    try_append(store, keys[0], &["2"], NOW).unwrap();
    store.sync_due(weir_types::Timestamp(u64::MAX)).unwrap();
    store.purge_topic(&topic("t")).unwrap();
    store
        .alter_topic(&topic("t"), with(weir_types::Durability::Fsync))
        .unwrap();
    for _ in 0..40 {
        try_append(store, keys[1], &["3"], NOW).unwrap();
    }
    let kept = |path: &std::path::PathBuf| path.ends_with("commit-2");
    assert!(!disk.files().iter().any(kept), "no part had to be kept");
    assert!(store.failures().is_empty());
}

#[test]
fn a_clean_stop_that_fails_at_any_call_loses_nothing() {
    for nth in 1.. {
        let mut rig = Rig::with(settings(2, 300));
        let journal = rig.new_group("g")[0];
        for _ in 0..5 {
            rig.append(&["1"]);
            rig.try_append(1, &["2"]).unwrap();
        }
        rig.journal(journal, finished(0, 4));
        let disk = rig.disk.clone();
        disk.take_events();
        disk.fail(Fault::on_any().nth(nth));
        let _stopped = rig.opened.store.close();
        let struck = disk.events().iter().any(|event| !event.succeeded);
        for found in [disk.kill(), disk.cut_power_hard()] {
            let mut next = Rig::on(found);
            assert_eq!(next.contents(0).len(), 5, "{nth}");
            assert_eq!(next.contents(1).len(), 5, "{nth}");
            assert_eq!(next.progress("g")[0].committed, Offset(4), "{nth}");
            assert_eq!(next.append(&["3"]).first_offset, Offset(5), "{nth}");
        }
        if !struck {
            assert!(nth > 5, "{nth}");
            return;
        }
    }
}

#[test]
fn a_file_that_cannot_be_opened_for_want_of_descriptors_is_tried_again() {
    const EMFILE: i32 = 24;
    let mut rig = Rig::with(weir_types::TopicSettings {
        durability: weir_types::Durability::Os,
        ..settings(1, 10)
    });
    rig.append(&["1"]);
    let mut rig = Rig::on(rig.close());
    rig.disk
        .fail(Fault::on(Call::Open).path(".log").os_error(EMFILE));
    rig.try_append(0, &["2"]).unwrap_err();
    assert!(!rig.reader(0).has_failed());
    rig.disk.heal();
    assert_eq!(rig.append(&["3"]).first_offset, Offset(1));
}
