//! What is synced when, read from the disk's own log.

use crate::rig::{DATA, NOW, Rig, append_op, finished, settings, topic, try_open};
use std::time::Duration;
use weir_commitlog::faulty::{Call, Event, FaultyDisk};
use weir_types::{Durability, Incarnation, Offset, Timestamp, TopicSettings};

fn with(durability: Durability) -> Rig {
    Rig::with(TopicSettings {
        durability,
        ..settings(1, 1 << 20)
    })
}

fn calls(events: &[Event], call: Call) -> usize {
    events.iter().filter(|event| event.is(call, "")).count()
}

/// Every write is followed by a sync of the same file.
fn assert_all_synced(events: &[Event]) {
    for (at, write) in events
        .iter()
        .enumerate()
        .filter(|(_, event)| event.call == Call::Write)
    {
        let synced = |event: &Event| event.call == Call::Sync && event.path == write.path;
        assert!(
            events[at..].iter().any(synced),
            "{write:?} was not synced: {events:?}"
        );
    }
}

fn order(events: &[Event]) -> Vec<Call> {
    events.iter().map(|event| event.call).collect()
}

#[test]
fn with_fsync_a_round_returns_after_one_write_a_file_and_one_to_the_commit_log() {
    let mut rig = Rig::with(settings(2, 1 << 20));
    let journal = rig.new_group("g")[0];
    rig.append(&["0"]);
    rig.disk.take_events();
    let entry = finished(0, 1);
    let round = [
        append_op(rig.key(0), &["1"]),
        append_op(rig.key(1), &["2"]),
        weir_commitlog::Operation::Journal { journal, entry },
        append_op(rig.key(0), &["3"]),
    ];
    assert!(rig.commit_round(&round, NOW).iter().all(Result::is_ok));
    let events = rig.disk.take_events();
    assert_eq!(
        order(&events),
        [Call::Write, Call::Write, Call::Write, Call::WriteThrough]
    );
    assert!(events[3].is(Call::WriteThrough, "data/__weir/commit-"));
}

#[test]
fn a_large_round_is_synced_in_its_file_and_leaves_the_commit_log_alone() {
    let mut rig = Rig::new();
    let large = format!("\"{}\"", "x".repeat(300_000));
    rig.append(&[&large]);
    let events = rig.disk.take_events();
    assert_eq!(order(&events), [Call::Write, Call::Sync]);
    for seed in 0..20 {
        let found = rig.disk.cut_power(&mut fastrand::Rng::with_seed(seed));
        assert_eq!(Rig::on(found).contents(0).len(), 1, "seed {seed}");
    }
}

#[test]
fn a_new_segment_has_its_entry_synced_before_anything_in_it_is_acknowledged() {
    let mut rig = Rig::with(settings(1, 10));
    rig.append(&["1"]);
    rig.disk.take_events();
    rig.append(&["2"]);
    assert_eq!(
        order(&rig.disk.take_events()),
        [Call::Create, Call::SyncDir, Call::Write, Call::WriteThrough]
    );
}

#[test]
fn without_fsync_the_old_segment_is_synced_before_the_new_one_appears() {
    let mut rig = Rig::with(TopicSettings {
        durability: Durability::Os,
        ..settings(1, 10)
    });
    rig.append(&["1"]);
    rig.disk.take_events();
    rig.append(&["2"]);
    assert_eq!(
        order(&rig.disk.take_events()),
        [Call::Sync, Call::Create, Call::SyncDir, Call::Write]
    );
}

#[test]
fn a_created_topic_is_synced_with_every_directory_on_the_way() {
    let mut rig = Rig::new();
    rig.create_topic(&topic("u"), settings(2, 1_000), Incarnation(2), NOW)
        .unwrap();
    let events = rig.disk.take_events();
    assert_all_synced(&events);
    for dir in ["data", "data/u", "data/u/partition-0", "data/u/partition-1"] {
        let last = events.iter().rposition(|e| {
            e.path.parent() == Some(dir.as_ref())
                && matches!(e.call, Call::Create | Call::CreateDir | Call::Rename)
        });
        let synced = events
            .iter()
            .rposition(|e| e.call == Call::SyncDir && e.path.as_os_str() == dir);
        assert!(synced > last, "{dir}: {events:?}");
    }
}

#[test]
fn a_new_data_directory_is_durable_itself() {
    let disk = FaultyDisk::new();
    let path = "srv/weir/data";
    let open =
        |disk: &FaultyDisk| crate::rig::open_on(std::sync::Arc::new(disk.clone()), path.as_ref());
    let mut opened = open(&disk).unwrap();
    opened
        .store
        .create_topic(&topic("t"), settings(1, 1_000), Incarnation(1), NOW)
        .unwrap();
    for seed in 0..50 {
        let found = disk.cut_power(&mut fastrand::Rng::with_seed(seed));
        assert_eq!(open(&found).unwrap().topics.len(), 1, "seed {seed}");
    }
    assert!(
        try_open(&disk).unwrap().topics.is_empty(),
        "{DATA} is another place"
    );
}

#[test]
fn with_an_interval_the_sync_waits_for_it_and_no_longer() {
    let mut rig = with(Durability::Interval(Duration::from_secs(1)));
    rig.append_at("1", NOW);
    rig.append_at("2", Timestamp(NOW.0 + 900));
    assert_eq!(calls(&rig.disk.events(), Call::Sync), 0);
    assert_eq!(
        rig.contents(0).len(),
        2,
        "acknowledged and readable all the same"
    );
    let due = Timestamp(NOW.0 + 1_000);
    assert_eq!(rig.next_sync_due(), Some(due));
    rig.sync_due(Timestamp(due.0 - 1)).unwrap();
    assert_eq!(calls(&rig.disk.events(), Call::Sync), 0);
    rig.sync_due(due).unwrap();
    assert_eq!(calls(&rig.disk.events(), Call::Sync), 1);
    assert_eq!(rig.next_sync_due(), None);
    assert_eq!(rig.reopen().contents(0).len(), 2);
}

#[test]
fn a_clock_that_goes_back_does_not_put_a_sync_off() {
    let mut rig = with(Durability::Interval(Duration::from_secs(1)));
    rig.append_at("1", NOW);
    rig.sync_due(Timestamp(NOW.0 - 3_600_000)).unwrap();
    assert_eq!(calls(&rig.disk.events(), Call::Sync), 1);
}

#[test]
fn with_os_nothing_is_synced_before_the_end() {
    let mut rig = with(Durability::Os);
    rig.append(&["1"]);
    rig.sync_due(Timestamp(u64::MAX)).unwrap();
    assert_eq!(
        (rig.next_sync_due(), calls(&rig.disk.events(), Call::Sync)),
        (None, 0)
    );
    assert_eq!(rig.reopen().contents(0).len(), 1, "survives kill -9");
    let disk = rig.disk.clone();
    rig.opened.store.close().unwrap();
    assert!(
        disk.events()
            .iter()
            .any(|e| e.is(Call::Sync, "partition-0"))
    );
}

#[test]
fn a_topic_altered_from_os_to_an_interval_is_synced_in_time() {
    let mut rig = with(Durability::Os);
    rig.append(&["1"]);
    let changed = TopicSettings {
        durability: Durability::Interval(Duration::from_secs(1)),
        ..settings(1, 1 << 20)
    };
    rig.alter_topic(&topic("t"), changed).unwrap();
    rig.append(&["2"]);
    assert_eq!(rig.next_sync_due(), Some(Timestamp(NOW.0 + 1_000)));
    rig.delete_topic(&topic("t")).unwrap();
    assert_eq!(rig.next_sync_due(), None);
}

#[test]
fn a_late_sync_that_fails_stops_the_partition_and_is_not_repeated() {
    let mut rig = with(Durability::Interval(Duration::from_secs(1)));
    rig.append(&["1"]);
    rig.disk
        .fail(weir_commitlog::faulty::Fault::on(Call::Sync).once());
    rig.sync_due(Timestamp(u64::MAX)).unwrap_err();
    rig.try_append(0, &["2"]).unwrap_err();
    rig.sync_due(Timestamp(u64::MAX)).unwrap();
    assert_eq!(calls(&rig.disk.events(), Call::Sync), 0);
}

#[test]
fn what_a_restart_serves_is_durable_from_then_on() {
    let mut rig = with(Durability::Os);
    rig.append(&["1"]);
    let reopened = rig.reopen();
    for seed in 0..50 {
        let found = Rig::on(reopened.disk.cut_power(&mut fastrand::Rng::with_seed(seed)));
        assert_eq!(found.reader(0).high_watermark(), Offset(1), "seed {seed}");
    }
}

#[test]
fn a_power_cut_between_syncs_costs_records_but_never_order_or_offsets() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut rig = with(Durability::Interval(Duration::from_secs(1)));
        let mut below = 0;
        for life in 0..3 {
            for payload in 0..rng.u64(1..6) {
                let appended = rig.append_at(&format!("{}", life * 10 + payload), NOW);
                assert!(
                    appended.first_offset.0 >= below,
                    "seed {seed}: an offset was reused"
                );
            }
            rig = Rig::on(rig.disk.cut_power(&mut rng));
            let found = rig.contents(0);
            assert!(
                found.is_sorted_by(|a, b| a.0 < b.0),
                "seed {seed}: {found:?}"
            );
            below = rig.reader(0).high_watermark().0;
            assert!(found.iter().all(|(offset, _)| *offset < below));
        }
    }
}
