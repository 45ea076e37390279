//! Topics come, change and go.

use crate::rig::{
    DATA, NOW, Rig, contents, finished, pairs, settings, topic, try_append, try_open,
};
use std::time::Duration;
use weir_commitlog::faulty::{Call, Fault};
use weir_commitlog::{FileSystem, StorageError};
use weir_types::{ByteCount, DurationText, Incarnation, Offset, TopicName, TopicSettings};

#[test]
fn topics_and_their_settings_survive_a_restart() {
    let mut rig = Rig::with(settings(3, 1_000));
    let changed = settings(3, 2_000);
    rig.alter_topic(&topic("t"), changed.clone()).unwrap();
    let files = &rig.reopen().opened.topics[0];
    assert_eq!(
        (files.name.as_str(), files.incarnation),
        ("t", Incarnation(1))
    );
    assert_eq!(files.settings, changed);
    assert_eq!(files.partitions.len(), 3);
}

#[test]
fn the_number_of_partitions_is_fixed() {
    let mut rig = Rig::with(settings(3, 1_000));
    rig.alter_topic(&topic("t"), settings(5, 1_000)).unwrap();
    assert_eq!(rig.reopen().opened.topics[0].settings.partitions, 3);
}

#[test]
fn a_topic_exists_once() {
    let mut rig = Rig::new();
    let again = rig.create_topic(&topic("t"), settings(1, 1_000), Incarnation(2), NOW);
    assert!(matches!(again, Err(StorageError::TopicExists { .. })));
    assert!(matches!(
        rig.purge_topic(&topic("u")),
        Err(StorageError::NoSuchTopic { .. })
    ));
}

#[test]
fn a_topic_that_was_deleted_and_created_again_has_nothing_of_the_old_one() {
    let mut rig = Rig::new();
    rig.append(&["1", "2"]);
    let journal = rig.new_group("g")[0];
    rig.journal(journal, finished(0, 1));
    rig.delete_topic(&topic("t")).unwrap();
    assert!(rig.reopen().opened.topics.is_empty());
    let left = rig.disk.files().into_iter();
    let left: Vec<_> = left
        .filter(|path| !path.starts_with("data/__weir"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    rig.create_topic(&topic("t"), settings(1, 1_000), Incarnation(2), NOW)
        .unwrap();
    let mut reopened = rig.reopen();
    assert_eq!(reopened.opened.topics[0].incarnation, Incarnation(2));
    assert!(reopened.contents(0).is_empty());
    assert!(reopened.progress("g").is_empty());
    assert_eq!(reopened.append(&["3"]).first_offset, Offset(0));
}

#[test]
fn a_deletion_cut_short_after_the_renaming_is_finished_at_the_next_start() {
    let mut rig = Rig::new();
    rig.append(&["1"]);
    rig.disk.fail(Fault::on(Call::RemoveDir));
    rig.delete_topic(&topic("t")).unwrap_err();
    assert!(
        rig.disk
            .files()
            .iter()
            .any(|path| path.starts_with("data/__weir/trash"))
    );
    let next = rig.reopen();
    assert!(next.opened.topics.is_empty());
    assert!(
        !next
            .disk
            .files()
            .iter()
            .any(|path| path.starts_with("data/__weir/trash"))
    );
}

#[test]
fn a_purge_removes_all_records_and_offsets_go_on() {
    let mut rig = Rig::with(settings(1, 200));
    (0..7).for_each(|_| {
        rig.append(&["1"]);
    });
    assert_eq!(rig.purge_topic(&topic("t")).unwrap(), 7);
    assert_eq!(rig.purge_topic(&topic("t")).unwrap(), 0);
    assert!(rig.contents(0).is_empty());
    assert_eq!(rig.reader(0).log_start_offset(), Offset(7));
    let mut reopened = rig.reopen();
    assert!(reopened.contents(0).is_empty());
    assert_eq!(reopened.append(&["2"]).first_offset, Offset(7));
    assert_eq!(reopened.contents(0), pairs(&[(7, "2")]));
}

#[test]
fn a_directory_without_topic_json_is_no_topic_and_may_become_one() {
    let rig = Rig::new();
    let disk = rig.disk.kill();
    disk.set_content("data/half/partition-0/00000000000000000000.log", b"old\n")
        .unwrap();
    disk.set_content("data/half/notes.txt", b"mine").unwrap();
    disk.set_content("data/lost+found/x", b"found").unwrap();
    let mut opened = try_open(&disk).unwrap();
    assert_eq!(opened.topics.len(), 1);
    opened
        .store
        .create_topic(&topic("half"), settings(1, 1_000), Incarnation(2), NOW)
        .unwrap();
    let mut next = Rig::on(disk.kill());
    let half = next
        .opened
        .topics
        .iter()
        .find(|files| files.name == topic("half"))
        .unwrap();
    assert!(contents(&half.partitions[0].1).is_empty());
    assert_eq!(next.disk.content("data/half/notes.txt").unwrap(), b"mine");
    assert_eq!(next.disk.content("data/lost+found/x").unwrap(), b"found");
    next.delete_topic(&topic("t")).unwrap();
    assert!(
        next.disk
            .read_dir(DATA.as_ref())
            .unwrap()
            .contains(&("lost+found".to_owned(), true))
    );
}

#[test]
fn the_broker_s_own_log_survives_restarts_and_is_trimmed_up_to_what_still_waits() {
    let log = TopicName::schedule_log();
    let own = TopicSettings {
        retention_age: DurationText(Duration::from_secs(1)),
        retention_bytes: ByteCount(u64::MAX),
        ..settings(1, 150)
    };
    let mut rig = Rig::new();
    let files = rig.create_topic(&log, own, Incarnation(9), NOW).unwrap();
    for payload in ["1", "2", "3", "4"] {
        try_append(&mut rig, files.partitions[0].0, &[payload], NOW).unwrap();
    }
    let mut rig = rig.reopen();
    let reader = rig.opened.topics[0].partitions[0].1.clone();
    assert_eq!(rig.opened.topics[0].name, log);
    assert_eq!(contents(&reader).len(), 4);
    let later = NOW.plus(Duration::from_secs(10));
    rig.maintain_topic(&log, &[Offset(2)], later).unwrap();
    assert!(reader.log_start_offset() > Offset(0));
    assert!(reader.log_start_offset() <= Offset(2));
}
