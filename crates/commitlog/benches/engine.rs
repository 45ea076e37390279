//! Time of the engine's work: encode, append, read, recover. How to run it: docs/development.md.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "the macros make what they like; a bench fails loudly"
)]

mod record;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use record::record;
use std::hint::black_box;
use std::sync::Arc;
use tempfile::TempDir;
use weir_commitlog::{
    Disk, JournalEntry, OpenOptions, Opened, Operation, Outcome, PartitionKey, ReadLimits,
    RecordDraft, RecordHead, Store, TopicFiles,
};
use weir_types::{
    Durability, GroupName, GroupSettings, Headers, Incarnation, Key, MessageId, Offset,
    OffsetRange, Timestamp, TopicName, TopicSettings,
};

const NOW: Timestamp = Timestamp(1_763_712_000_000);

fn append(partition: PartitionKey, records: usize) -> Operation {
    Operation::Append {
        partition,
        records: vec![record(); records],
    }
}

fn open(dir: &TempDir) -> Opened {
    Store::open(Arc::new(Disk), dir.path(), OpenOptions::new(1)).unwrap()
}

fn create(store: &mut Store, partitions: u32, durability: Durability) -> TopicFiles {
    let settings = TopicSettings {
        partitions,
        durability,
        ..TopicSettings::default()
    };
    let name = TopicName::parse("bench").unwrap();
    store
        .create_topic(&name, settings, Incarnation(1), NOW)
        .unwrap()
}

fn encode(c: &mut Criterion) {
    let (record, mut out) = (record(), Vec::new());
    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements(1));
    group.bench_function("200 bytes", |b| {
        b.iter(|| {
            out.clear();
            black_box(&record).encode(Offset(1_234_567), NOW, &mut out);
        });
    });
}

/// What a group pays for each record that it looks at.
fn heads(c: &mut Criterion) {
    let headers = [("source", "till"), ("trace", "00-4bf92f3577b34da6-01")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let full = RecordDraft {
        key: Some(Key::parse("node-1").unwrap()),
        headers: Headers::new(headers.into()).unwrap(),
        expires_at: Some(NOW),
        ..record()
    };
    let mut group = c.benchmark_group("head");
    group.throughput(Throughput::Elements(1));
    for (name, draft) in [("id only", record()), ("key, headers, expiry", full)] {
        let mut line = Vec::new();
        draft.encode(Offset(1_234_567), NOW, &mut line);
        group.bench_function(name, |b| {
            b.iter(|| RecordHead::of(black_box(&line)).unwrap().payload.len());
        });
    }
}

/// A round as the committer makes it: `operations` of one record each, over `partitions`.
fn rounds(c: &mut Criterion) {
    for (name, durability) in [("os", Durability::Os), ("fsync", Durability::Fsync)] {
        let mut group = c.benchmark_group(format!("round with {name}"));
        group.sample_size(30);
        for partitions in [1, 16, 64, 256] {
            let dir = TempDir::new().unwrap();
            let mut opened = open(&dir);
            let topic = create(&mut opened.store, partitions, durability);
            let keys: Vec<_> = topic.partitions.iter().map(|(key, _)| *key).collect();
            let round: Vec<_> = (0..256)
                .map(|at| append(keys[at % keys.len()], 1))
                .collect();
            group.throughput(Throughput::Elements(round.len() as u64));
            let what = format!("256 records over {partitions} partitions");
            group.bench_function(what, |b| {
                b.iter(|| {
                    let outcomes = opened.store.commit_round(black_box(&round), NOW);
                    assert!(outcomes.iter().all(Result::is_ok));
                    while let Some(mut checkpoint) = opened.store.take_checkpoint() {
                        checkpoint.run();
                        opened.store.finish_checkpoint(&checkpoint).unwrap();
                    }
                });
            });
        }
    }
}

fn read(c: &mut Criterion) {
    let dir = TempDir::new().unwrap();
    let mut opened = open(&dir);
    let topic = create(&mut opened.store, 1, Durability::Os);
    let (key, reader) = &topic.partitions[0];
    for _ in 0..40 {
        opened.store.commit_round(&[append(*key, 1_000)], NOW);
    }
    let limits = ReadLimits {
        max_records: 3_000,
        max_bytes: 1 << 20,
    };
    let mut group = c.benchmark_group("read 3000 records from the middle");
    group.throughput(Throughput::Elements(3_000));
    let from = Offset(20_000);
    group.bench_function("line by line", |b| {
        b.iter(|| reader.read(black_box(from), limits).unwrap());
    });
    group.bench_function("as stored", |b| {
        b.iter(|| reader.read_raw(black_box(from), limits).unwrap());
    });
}

/// What the first record with an id costs after a start: the end of the log is read.
fn first_id(c: &mut Criterion) {
    let dir = TempDir::new().unwrap();
    let mut opened = open(&dir);
    let topic = create(&mut opened.store, 1, Durability::Os);
    for _ in 0..120 {
        opened
            .store
            .commit_round(&[append(topic.partitions[0].0, 1_000)], NOW);
    }
    opened.store.close().unwrap();
    let with_id = RecordDraft {
        dedupe: true,
        ..record()
    };
    let mut group = c.benchmark_group("first id after a start");
    group.sample_size(10);
    group.bench_function("behind 100,000 records", |b| {
        b.iter_batched(
            || open(&dir),
            |mut opened| {
                let round = [Operation::Append {
                    partition: opened.topics[0].partitions[0].0,
                    records: vec![with_id.clone()],
                }];
                let outcome = opened.store.commit_round(&round, NOW).remove(0);
                assert!(matches!(outcome, Ok(Outcome::Appended(one)) if one.duplicates == 1));
                opened
            },
            BatchSize::PerIteration,
        );
    });
}

/// Records with ids of their publisher, each another one, against those without.
fn ids(c: &mut Criterion) {
    let mut group = c.benchmark_group("append 1000 records");
    group.throughput(Throughput::Elements(1_000));
    for (name, dedupe) in [
        ("ids made by the broker", false),
        ("ids of publishers", true),
    ] {
        let dir = TempDir::new().unwrap();
        let mut opened = open(&dir);
        let topic = create(&mut opened.store, 1, Durability::Os);
        let mut count = 0;
        let mut batch = || {
            let records = (0..1_000).map(|_| {
                count += 1;
                RecordDraft {
                    id: MessageId::from_bits(count),
                    dedupe,
                    ..record()
                }
            });
            [Operation::Append {
                partition: topic.partitions[0].0,
                records: records.collect(),
            }]
        };
        group.bench_function(name, |b| {
            b.iter_batched(
                &mut batch,
                |round| opened.store.commit_round(&round, NOW),
                BatchSize::SmallInput,
            );
        });
    }
}

/// What a start costs for each 16 MiB of a last segment after a crash.
fn recover(c: &mut Criterion) {
    let dir = TempDir::new().unwrap();
    let mut opened = open(&dir);
    let topic = create(&mut opened.store, 1, Durability::Os);
    let mut bytes = 0;
    while bytes < 16 << 20 {
        let round = [append(topic.partitions[0].0, 1_000)];
        opened.store.commit_round(&round, NOW);
        bytes = topic.partitions[0].1.bytes();
    }
    drop(opened);
    let mut group = c.benchmark_group("start after a crash");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("16 MiB of one partition", |b| {
        b.iter_batched(|| (), |()| open(&dir), BatchSize::PerIteration);
    });
}

/// A group that has finished every second of two million messages.
fn gaps(c: &mut Criterion) {
    let dir = TempDir::new().unwrap();
    let mut opened = open(&dir);
    let topic = create(&mut opened.store, 1, Durability::Os);
    let (group, chosen) = (GroupName::parse("g").unwrap(), GroupSettings::default());
    let created =
        opened
            .store
            .create_group(&topic.name, &group, Incarnation(2), &chosen, &[Offset(0)]);
    let journal = created.unwrap().partitions[0].journal;
    let odd = (0..1_000_000).map(|nth| OffsetRange::single(Offset(2 * nth + 1)));
    let entry = JournalEntry {
        finished: odd.collect(),
        ..JournalEntry::default()
    };
    let round = [Operation::Journal { journal, entry }];
    let mut group = c.benchmark_group("a million gaps");
    group.sample_size(10);
    group.bench_function("journaled and compacted", |b| {
        b.iter(|| opened.store.commit_round(black_box(&round), NOW));
    });
    drop(opened);
    group.bench_function("start", |b| {
        b.iter_batched(|| (), |()| open(&dir), BatchSize::PerIteration);
    });
}

criterion_group!(
    benches, encode, heads, ids, first_id, read, recover, rounds, gaps
);
criterion_main!(benches);
