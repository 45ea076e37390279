//! The data directory: lock, identity, format; on the real disk where that matters.

use crate::rig::{
    NOW, Rig, contents, finished, open_on, settings, topic, try_append, try_journal, try_open,
};
use std::sync::Arc;
use weir_commitlog::faulty::FaultyDisk;
use weir_commitlog::{Disk, StorageError};
use weir_types::{BrokerStart, GroupSettings, Incarnation, Offset};

const NODE: &str = "data/__weir/node.json";

#[test]
fn a_second_broker_is_refused_with_the_process_id_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/data");
    let first = open_on(Arc::new(Disk), &path).unwrap();
    let second = open_on(Arc::new(Disk), &path).unwrap_err();
    let message = second.to_string();
    assert!(
        message.contains(&format!("(process {})", std::process::id())),
        "{message}"
    );
    assert!(message.contains("deep/data"), "{message}");
    drop(first);
    open_on(Arc::new(Disk), &path).unwrap();
}

#[test]
fn the_real_disk_keeps_records_groups_and_topics() {
    let dir = tempfile::tempdir().unwrap();
    let open = || open_on(Arc::new(Disk), dir.path()).unwrap();
    let mut store = open().store;
    let files = store
        .create_topic(&topic("t"), settings(2, 150), Incarnation(1), NOW)
        .unwrap();
    let group = store
        .create_group(
            &topic("t"),
            &crate::rig::group("g/ü"),
            Incarnation(5),
            &GroupSettings::default(),
            &[Offset(0); 2],
        )
        .unwrap();
    for payload in ["1", "2", "3"] {
        try_append(&mut store, files.partitions[1].0, &[payload], NOW).unwrap();
    }
    try_journal(&mut store, group.partitions[1].journal, finished(0, 2)).unwrap();
    store
        .create_topic(&topic("u"), settings(1, 150), Incarnation(2), NOW)
        .unwrap();
    store.delete_topic(&topic("u")).unwrap();
    assert!(store.available_bytes().unwrap() > 0);
    store.close().unwrap();
    let mut opened = open();
    assert!(opened.findings.is_empty());
    let files = opened.topics.remove(0);
    assert!(opened.topics.is_empty());
    assert_eq!(contents(&files.partitions[1].1).len(), 3);
    assert_eq!(files.groups[0].partitions[1].progress.committed, Offset(2));
    opened.store.purge_topic(&topic("t")).unwrap();
    assert!(contents(&files.partitions[1].1).is_empty());
}

#[test]
fn a_topic_behind_a_link_is_opened() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = open_on(Arc::new(Disk), dir.path()).unwrap().store;
    store
        .create_topic(&topic("t"), settings(1, 150), Incarnation(1), NOW)
        .unwrap();
    drop(store);
    let moved = elsewhere.path().join("t");
    std::fs::rename(dir.path().join("t"), &moved).unwrap();
    std::os::unix::fs::symlink(&moved, dir.path().join("t")).unwrap();
    assert_eq!(open_on(Arc::new(Disk), dir.path()).unwrap().topics.len(), 1);
}

#[test]
fn the_node_keeps_its_identity_and_counts_its_starts() {
    let disk = FaultyDisk::new();
    for start in 1..4 {
        let identity = try_open(&disk).unwrap().store.identity();
        assert_eq!(
            (identity.node_id, identity.broker_start),
            (7, BrokerStart(start))
        );
    }
}

#[test]
fn a_newer_format_is_refused_whatever_else_it_says() {
    let disk = FaultyDisk::new();
    disk.set_content(NODE, b"{\"format_version\": 2, \"node\": {}}")
        .unwrap();
    let refused = try_open(&disk).unwrap_err();
    assert!(matches!(
        refused,
        StorageError::NewerFormat {
            found: 2,
            supported: 1,
            ..
        }
    ));
    assert!(refused.to_string().contains(NODE), "{refused}");
    assert_eq!(disk.files().len(), 1, "nothing was added");
}

#[test]
fn damage_in_small_files_is_named() {
    let nodes = [
        "",
        "{",
        "{\"format_version\": 1}",
        "{\"format_version\":1,\"node_id\":\"x\",\"broker_start\":1}",
    ];
    for damaged in nodes {
        let disk = FaultyDisk::new();
        disk.set_content(NODE, damaged.as_bytes()).unwrap();
        let error = try_open(&disk).unwrap_err().to_string();
        assert!(
            error.starts_with("data/__weir/node.json is damaged: "),
            "{error}"
        );
        assert_eq!(
            disk.content(NODE).unwrap(),
            damaged.as_bytes(),
            "left as evidence"
        );
    }
    let disk = Rig::new().disk.kill();
    disk.set_content("data/t/topic.json", b"{\"incarnation\": 5}")
        .unwrap();
    let error = try_open(&disk).unwrap_err().to_string();
    assert!(
        error.starts_with("data/t/topic.json is damaged: "),
        "{error}"
    );
}
