//! Data directories of earlier versions, kept as they were: every later version must open them.
//!
//! `tests/golden/<name>` is a data directory, `tests/golden/<name>.txt` what was in it.
//! `WEIR_WRITE_GOLDEN=1 cargo test -p weir-commitlog golden` writes both anew; that is for a new
//! directory only, never to make a test pass: what is on disks out there does not change.

use crate::rig::{ALL, finished, group, open_on, settings, topic, try_journal};
use bytes::Bytes;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use weir_commitlog::{
    DeadLetterIntent, Disk, JournalEntry, JournalKey, Operation, RecordDraft, Returned, Seek,
    Store, TopicFiles,
};
use weir_commitlog::{OpenOptions, Opened, Outcome, PartitionKey, PartitionProgress};
use weir_types::{
    DurationText, GroupOrdering, GroupSettings, Headers, Incarnation, Key, MessageId, Offset,
    PartitionId, RetryBackoff, Timestamp, TopicName,
};

/// Its name, how its last life ends, and what happens to it then.
const GOLDEN: [(&str, End); 4] = [
    ("clean-stop", End::Closed),
    ("power-loss", End::PowerLoss),
    ("damage", End::Damaged),
    ("delivery", End::AfterDeliveries),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    /// What the commit log holds is missing in the plain files.
    PowerLoss,
    Damaged,
    /// Power loss; its groups have sought, chosen settings and moved dead letters.
    AfterDeliveries,
}

fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

#[test]
fn directories_of_earlier_versions_are_opened() {
    let dir = golden_dir();
    for (name, end) in GOLDEN {
        if std::env::var_os("WEIR_WRITE_GOLDEN").is_some() {
            write(&dir.join(name), end);
        }
        let found = listing(&copy_of(&dir.join(name)).path().join("data"));
        let expected = dir.join(format!("{name}.txt"));
        if std::env::var_os("WEIR_WRITE_GOLDEN").is_some() {
            fs::write(&expected, &found).unwrap();
        }
        assert_eq!(found, fs::read_to_string(&expected).unwrap(), "{name}");
    }
}

#[test]
fn what_was_opened_once_is_opened_again_and_goes_on() {
    for (name, _) in GOLDEN {
        let copy = copy_of(&golden_dir().join(name));
        let data = copy.path().join("data");
        let mut opened = open_on(Arc::new(Disk), &data).unwrap();
        let files = &opened.topics[0];
        let (key, reader) = files.partitions[0].clone();
        let journal = files.groups[0].partitions[0].journal;
        let end = reader.high_watermark();
        let appended = append(&mut opened.store, key, "\"new\"", 9_000);
        assert_eq!(appended, end);
        try_journal(&mut opened.store, journal, finished(0, end.0)).unwrap();
        drop(opened);
        let again = open_on(Arc::new(Disk), &data).unwrap();
        let files = &again.topics[0];
        assert_eq!(files.partitions[0].1.high_watermark(), end.next());
        assert_eq!(files.groups[0].partitions[0].progress.committed, end);
    }
}

/// Everything there is to see, as text.
fn listing(data: &Path) -> String {
    let Opened {
        topics,
        findings,
        after_clean_stop,
        ..
    } = open_on(Arc::new(Disk), data).unwrap();
    let mut text = format!("after a clean stop: {after_clean_stop}\n");
    for finding in findings {
        let finding = finding.to_string();
        let finding = finding.replace(&data.display().to_string(), "data");
        writeln!(text, "finding: {finding}").unwrap();
    }
    topics.iter().for_each(|files| list_topic(files, &mut text));
    text
}

fn list_topic(files: &TopicFiles, text: &mut String) {
    let (name, incarnation) = (&files.name, files.incarnation);
    writeln!(text, "topic {name}, {incarnation}").unwrap();
    let (bytes, age) = (files.settings.segment_bytes, files.settings.retention_age);
    writeln!(text, "segment_bytes {}, retention_age {age:?}", bytes.0).unwrap();
    for (_, reader) in &files.partitions {
        let (id, start) = (reader.id(), reader.log_start_offset());
        let end = reader.high_watermark();
        writeln!(text, "partition {id}: {start} to {end}").unwrap();
        let batch = reader.read(Offset::ZERO, ALL).unwrap();
        for line in batch.lines {
            writeln!(text, "{}", String::from_utf8_lossy(&line.bytes)).unwrap();
        }
        for gap in batch.gaps {
            let (start, end) = (gap.range.start, gap.range.end);
            writeln!(text, "gap {start} to {end}: {:?}", gap.reason).unwrap();
        }
    }
    for found in &files.groups {
        let incarnation = found.partitions[0].incarnation;
        writeln!(text, "group {}, {incarnation}", found.group).unwrap();
        if found.settings != GroupSettings::default() {
            writeln!(text, "{}", as_json(&found.settings)).unwrap();
        }
        for PartitionProgress { progress, .. } in &found.partitions {
            write!(text, "committed {}", progress.committed).unwrap();
            for range in progress.finished.iter() {
                write!(text, ", {} to {}", range.start, range.end).unwrap();
            }
            for back in progress.returned.values() {
                write!(text, ", back: {}", as_json(back)).unwrap();
            }
            for intent in progress.dead_letters.values() {
                write!(text, ", dead: {}", as_json(intent)).unwrap();
            }
            text.push('\n');
        }
    }
}

fn as_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

fn copy_of(golden: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_all(golden, &dir.path().join("data"));
    dir
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_all(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), &target).unwrap()),
        }
    }
}

/// Two topics; the first with three partitions, sealed segments, a large one with an index, and two
/// groups.
fn write(data: &Path, end: End) {
    let _maybe_missing = fs::remove_dir_all(data);
    let options = OpenOptions {
        commit_log_bytes: 16 * 1024,
        direct_above_bytes: 4_000,
        ..OpenOptions::new(0x00C0_FFEE)
    };
    let mut store = Store::open(Arc::new(Disk), data, options).unwrap().store;
    let files = store
        .create_topic(
            &topic("orders"),
            settings(3, 600),
            Incarnation(0xA1),
            Timestamp(1_000),
        )
        .unwrap();
    let keys: Vec<_> = files.partitions.iter().map(|p| p.0).collect();
    let other = store.create_topic(
        &topic("orders.dead-letter"),
        settings(1, 400_000),
        Incarnation(0xA2),
        Timestamp(1_500),
    );
    let other = other.unwrap().partitions[0].0;
    let starts = [Offset(0); 3];
    let incarnation = Incarnation(0xB1);
    let created = store.create_group(
        &topic("orders"),
        &group("münchen/eins"),
        incarnation,
        &GroupSettings::default(),
        &starts,
    );
    let journals: Vec<_> = created
        .unwrap()
        .partitions
        .iter()
        .map(|p| p.journal)
        .collect();
    let large = format!("\"{}\"", "x".repeat(1_500));
    (0..3).for_each(|number| {
        append(&mut store, other, &large, 1_600 + number);
    });
    for number in 0..14 {
        let key = keys[usize::from(number % 2 == 1)];
        append(
            &mut store,
            key,
            &format!("{{\"n\":{number}}}"),
            2_000 + number,
        );
    }
    let back = Returned {
        offset: Offset(5),
        attempts: 2,
        available_at: Timestamp(4_000),
        reason: Some("busy \"again\"".into()),
    };
    let back = JournalEntry {
        returned: vec![back],
        ..JournalEntry::default()
    };
    for (journal, entry) in [
        (journals[0], finished(0, 2)),
        (journals[1], finished(1, 3)),
        (journals[0], finished(4, 5)),
        (journals[0], back),
    ] {
        try_journal(&mut store, journal, entry).unwrap();
    }
    if end == End::AfterDeliveries {
        deliver(&mut store, &journals);
    }
    // The last frame holds both.
    let operations = [
        append_of(keys[0], "\"last\"", 3_000),
        Operation::Journal {
            journal: journals[0],
            entry: finished(2, 3),
        },
    ];
    let outcomes = store.commit_round(&operations, Timestamp(3_000));
    assert!(outcomes.iter().all(Result::is_ok));
    match end {
        End::Closed => store.close().unwrap(),
        End::PowerLoss | End::Damaged | End::AfterDeliveries => drop(store),
    }
    fs::remove_file(data.join("__weir/lock")).unwrap();
    spoil(data, end);
}

/// What journals tell since groups have settings, seek and move dead letters.
fn deliver(store: &mut Store, journals: &[JournalKey]) {
    let settings = GroupSettings {
        ordering: GroupOrdering::Partition,
        max_deliveries: Some(3),
        retry_backoff: Some(RetryBackoff::List(vec![DurationText(Duration::from_secs(
            1,
        ))])),
        expires_after: None,
    };
    let seek = Seek {
        to: Offset(1),
        incarnation: Incarnation(0xB2),
    };
    let dead = DeadLetterIntent {
        offset: Offset(6),
        attempts: 3,
        incarnation: Incarnation(0xA2),
        partition: PartitionId(0),
        from: Offset(2),
        at: Timestamp(2_900),
        reason: Some("busy".into()),
    };
    let entries = [
        JournalEntry {
            settings: Some(settings),
            ..JournalEntry::default()
        },
        JournalEntry {
            seek: Some(seek),
            ..JournalEntry::default()
        },
        JournalEntry {
            dead_letters: vec![dead],
            ..JournalEntry::default()
        },
    ];
    for entry in entries {
        try_journal(store, journals[0], entry).unwrap();
    }
}

fn spoil(data: &Path, end: End) {
    let partition = data.join("orders/partition-0");
    let mut segments: Vec<_> = fs::read_dir(&partition)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    segments.retain(|path| path.extension().is_some_and(|e| e == "log"));
    segments.sort();
    let (first, last) = (&segments[0], &segments[segments.len() - 1]);
    match end {
        End::Closed => {}
        End::PowerLoss | End::AfterDeliveries => {
            // What was written since the last checkpoint never came to the disk.
            cut(last, 30);
            cut(&partition.join("groups/m%C3%BCnchen%2Feins.journal"), 40);
        }
        End::Damaged => {
            let mut content = fs::read(first).unwrap();
            content[300] ^= 1;
            fs::write(first, content).unwrap();
            cut(last, 9);
            for part in 0..2 {
                fs::write(data.join(format!("__weir/commit-{part}")), b"").unwrap();
            }
        }
    }
}

fn cut(path: &Path, bytes: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - bytes)
        .unwrap();
}

fn append(store: &mut Store, partition: PartitionKey, payload: &str, now: u64) -> Offset {
    let operation = append_of(partition, payload, now);
    let mut outcomes = store.commit_round(&[operation], Timestamp(now));
    match outcomes.remove(0).unwrap() {
        Outcome::Appended(appended) => appended.first_offset,
        Outcome::Journaled => panic!("an append is no journal entry"),
    }
}

/// With all members that a record may have, now and then.
fn append_of(partition: PartitionKey, payload: &str, now: u64) -> Operation {
    let record = RecordDraft {
        id: MessageId::parse(&format!("id-{now}")).unwrap(),
        key: Some(Key::parse("node \"ü\"").unwrap()).filter(|_| now.is_multiple_of(2)),
        headers: match now % 3 {
            0 => Headers::new([("trace".to_owned(), "ä".to_owned())].into()).unwrap(),
            _ => Headers::default(),
        },
        reply_to: now
            .is_multiple_of(5)
            .then(|| TopicName::parse("answers").unwrap()),
        expires_at: None,
        dedupe: false,
        payload: Bytes::from(payload.to_owned()),
    };
    Operation::Append {
        partition,
        records: vec![record],
    }
}
