//! A store on a faulty disk, and short words for what tests do with it.

use bytes::Bytes;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;
use weir_commitlog::faulty::FaultyDisk;
use weir_commitlog::{
    Appended, FileSystem, Finding, JournalEntry, JournalKey, OpenOptions, Opened, Operation,
    Outcome, PartitionKey, PartitionReader, Progress, ReadLimits, RecordDraft, StorageError, Store,
    StoredLine,
};
use weir_types::{
    ByteCount, GroupName, GroupSettings, Headers, Incarnation, MessageId, Offset, OffsetRange,
    Timestamp, TopicName, TopicSettings,
};

pub(crate) const DATA: &str = "data";
pub(crate) const NOW: Timestamp = Timestamp(1_763_712_000_000);
pub(crate) const ALL: ReadLimits = ReadLimits {
    max_records: usize::MAX,
    max_bytes: usize::MAX,
};

/// A store with one topic, `t`.
pub(crate) struct Rig {
    pub(crate) disk: FaultyDisk,
    pub(crate) opened: Opened,
}

impl Deref for Rig {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.opened.store
    }
}

impl DerefMut for Rig {
    fn deref_mut(&mut self) -> &mut Store {
        &mut self.opened.store
    }
}

pub(crate) fn try_open(disk: &FaultyDisk) -> Result<Opened, StorageError> {
    open_on(Arc::new(disk.clone()), Path::new(DATA))
}

pub(crate) fn open_on(fs: Arc<dyn FileSystem>, path: &Path) -> Result<Opened, StorageError> {
    Store::open(fs, path, small_options())
}

pub(crate) fn open_with(disk: &FaultyDisk, options: OpenOptions) -> Result<Opened, StorageError> {
    Store::open(Arc::new(disk.clone()), Path::new(DATA), options)
}

/// A commit log that takes many turns.
pub(crate) fn small_options() -> OpenOptions {
    OpenOptions {
        commit_log_bytes: 64 * 1024,
        ..OpenOptions::new(7)
    }
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

pub(crate) fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

pub(crate) fn settings(partitions: u32, segment_bytes: u64) -> TopicSettings {
    TopicSettings {
        partitions,
        segment_bytes: ByteCount(segment_bytes),
        ..TopicSettings::default()
    }
}

pub(crate) fn draft(payload: &str) -> RecordDraft {
    RecordDraft {
        id: MessageId::parse("i").unwrap(),
        key: None,
        headers: Headers::default(),
        reply_to: None,
        expires_at: None,
        dedupe: false,
        payload: Bytes::from(payload.to_owned()),
    }
}

/// The operation that appends these payloads.
pub(crate) fn append_op(partition: PartitionKey, payloads: &[&str]) -> Operation {
    let records = payloads.iter().map(|payload| draft(payload)).collect();
    Operation::Append { partition, records }
}

pub(crate) fn try_append(
    store: &mut Store,
    partition: PartitionKey,
    payloads: &[&str],
    now: Timestamp,
) -> Result<Appended, StorageError> {
    match store
        .commit_round(&[append_op(partition, payloads)], now)
        .remove(0)?
    {
        Outcome::Appended(appended) => Ok(appended),
        Outcome::Journaled => panic!("an append is no journal entry"),
    }
}

pub(crate) fn try_journal(
    store: &mut Store,
    journal: JournalKey,
    entry: JournalEntry,
) -> Result<(), StorageError> {
    let operation = Operation::Journal { journal, entry };
    store.commit_round(&[operation], NOW).remove(0).map(drop)
}

pub(crate) fn finished(start: u64, end: u64) -> JournalEntry {
    let range = OffsetRange {
        start: Offset(start),
        end: Offset(end),
    };
    JournalEntry {
        finished: vec![range],
        ..JournalEntry::default()
    }
}

pub(crate) fn payload(line: &StoredLine) -> String {
    let value: serde_json::Value = serde_json::from_slice(&line.bytes).unwrap();
    assert_eq!(value["offset"], line.offset.0, "{value}");
    assert_eq!(value["timestamp"], line.timestamp.0, "{value}");
    value["payload"].to_string()
}

/// Offsets and payloads of everything readable.
pub(crate) fn contents(reader: &PartitionReader) -> Vec<(u64, String)> {
    let batch = reader.read(Offset::ZERO, ALL).unwrap();
    let place = |line: &StoredLine| (line.offset.0, payload(line));
    batch.lines.iter().map(place).collect()
}

pub(crate) fn pairs(records: &[(u64, &str)]) -> Vec<(u64, String)> {
    let pair = |&(offset, payload): &(u64, &str)| (offset, payload.to_owned());
    records.iter().map(pair).collect()
}

impl Rig {
    /// A new disk with one partition and large segments.
    pub(crate) fn new() -> Self {
        Self::with(settings(1, 1 << 20))
    }

    pub(crate) fn with(settings: TopicSettings) -> Self {
        Self::with_options(settings, small_options())
    }

    /// Journals are compacted by the round that brings them beyond `bytes`.
    pub(crate) fn small_journals(bytes: u64) -> Self {
        let options = OpenOptions {
            compact_above_bytes: bytes,
            compact_at_once_above_bytes: bytes,
            ..small_options()
        };
        Self::with_options(settings(1, 1 << 20), options)
    }

    fn with_options(settings: TopicSettings, options: OpenOptions) -> Self {
        let disk = FaultyDisk::new();
        let mut opened = open_with(&disk, options).unwrap();
        let created = opened
            .store
            .create_topic(&topic("t"), settings, Incarnation(1), NOW);
        opened.topics = vec![created.unwrap()];
        disk.take_events();
        Self { disk, opened }
    }

    pub(crate) fn on(disk: FaultyDisk) -> Self {
        let opened = try_open(&disk).unwrap();
        Self { disk, opened }
    }

    /// The next life of the broker, after `kill -9`.
    pub(crate) fn reopen(&self) -> Self {
        Self::on(self.disk.kill())
    }

    /// The disk after `kill -9`, and without the commit log, which would mend what tests damage.
    pub(crate) fn killed_without_commit_log(&self) -> FaultyDisk {
        let disk = self.disk.kill();
        for part in ["data/__weir/commit-0", "data/__weir/commit-1"] {
            disk.set_content(part, b"").unwrap();
        }
        disk
    }

    /// Stops cleanly; returns what the next start finds.
    pub(crate) fn close(self) -> FaultyDisk {
        self.opened.store.close().unwrap();
        self.disk.kill()
    }

    pub(crate) fn findings(&self) -> &[Finding] {
        &self.opened.findings
    }

    pub(crate) fn key(&self, partition: usize) -> PartitionKey {
        self.opened.topics[0].partitions[partition].0
    }

    pub(crate) fn reader(&self, partition: usize) -> Arc<PartitionReader> {
        self.opened.topics[0].partitions[partition].1.clone()
    }

    pub(crate) fn contents(&self, partition: usize) -> Vec<(u64, String)> {
        contents(&self.reader(partition))
    }

    pub(crate) fn append(&mut self, payloads: &[&str]) -> Appended {
        self.try_append(0, payloads).unwrap()
    }

    pub(crate) fn try_append(
        &mut self,
        partition: usize,
        payloads: &[&str],
    ) -> Result<Appended, StorageError> {
        let key = self.key(partition);
        try_append(&mut self.opened.store, key, payloads, NOW)
    }

    pub(crate) fn append_at(&mut self, payload: &str, now: Timestamp) -> Appended {
        let key = self.key(0);
        try_append(&mut self.opened.store, key, &[payload], now).unwrap()
    }

    /// Creates group `g` from the start of every partition.
    pub(crate) fn new_group(&mut self, name: &str) -> Vec<JournalKey> {
        let starts = vec![Offset::ZERO; self.opened.topics[0].partitions.len()];
        let created = self.opened.store.create_group(
            &topic("t"),
            &group(name),
            Incarnation(5),
            &GroupSettings::default(),
            &starts,
        );
        created
            .unwrap()
            .partitions
            .iter()
            .map(|one| one.journal)
            .collect()
    }

    pub(crate) fn journal(&mut self, journal: JournalKey, entry: JournalEntry) {
        try_journal(&mut self.opened.store, journal, entry).unwrap();
    }

    /// What was read from the journals of a group when the store was opened.
    pub(crate) fn progress(&self, name: &str) -> Vec<Progress> {
        let groups = &self.opened.topics[0].groups;
        let found = groups.iter().find(|found| found.group == group(name));
        let partitions = found.map(|found| found.partitions.clone());
        partitions
            .unwrap_or_default()
            .into_iter()
            .map(|one| one.progress)
            .collect()
    }

    /// The last segment of partition 0.
    pub(crate) fn segment(&self) -> String {
        let files = self.disk.files();
        let mut segments = files.iter().map(|path| path.to_string_lossy().into_owned());
        let is_segment = |path: &String| path.contains("t/partition-0/") && path.ends_with(".log");
        segments.rfind(is_segment).unwrap()
    }
}
