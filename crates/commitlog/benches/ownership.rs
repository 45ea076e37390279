//! Who should encode a record: the thread that owns the log, or whoever publishes, under a lock of
//! the partition? Both ways, without a disk: publishers hand records over, a committer makes
//! rounds of what has arrived. What came out stands in ARCHITECTURE.md.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "the macros make what they like; a bench fails loudly"
)]

mod record;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use record::record;
use std::hint::black_box;
use std::sync::{Condvar, Mutex};
use weir_commitlog::RecordDraft;
use weir_types::{Offset, Timestamp};

const RECORDS: usize = 20_000;

/// What publishers and the committer share.
struct Shared<T> {
    queued: Mutex<(T, usize)>,
    arrived: Condvar,
}

impl<T: Default> Shared<T> {
    fn new() -> Self {
        Self {
            queued: Mutex::new((T::default(), 0)),
            arrived: Condvar::new(),
        }
    }

    /// A publisher adds to what is queued.
    fn add(&self, change: impl FnOnce(&mut T)) {
        let mut queued = self.queued.lock().unwrap();
        change(&mut queued.0);
        queued.1 += 1;
        if queued.1 == 1 {
            self.arrived.notify_one();
        }
    }

    /// The committer takes all that has arrived: at least one record.
    fn take(&self) -> (T, usize) {
        let queued = self.queued.lock().unwrap();
        let mut queued = self.arrived.wait_while(queued, |q| q.1 == 0).unwrap();
        std::mem::take(&mut *queued)
    }
}

fn publish_and_commit<T: Default + Send>(
    publishers: usize,
    add: impl Fn(&mut T, RecordDraft) + Sync,
    commit: impl Fn(T) -> usize,
) {
    let shared = Shared::<T>::new();
    std::thread::scope(|scope| {
        for _ in 0..publishers {
            scope.spawn(|| {
                for _ in 0..RECORDS / publishers {
                    let record = record();
                    shared.add(|queued| add(queued, record));
                }
            });
        }
        let mut committed = 0;
        while committed < RECORDS / publishers * publishers {
            let (queued, count) = shared.take();
            black_box(commit(queued));
            committed += count;
        }
    });
}

fn encode(record: &RecordDraft, out: &mut Vec<u8>) {
    record.encode(Offset(1_234_567), Timestamp(1_763_712_000_000), out);
}

fn ownership(c: &mut Criterion) {
    for publishers in [1, 2, 4] {
        let mut group = c.benchmark_group(format!("{publishers} publishers"));
        group.throughput(Throughput::Elements(RECORDS as u64));
        group.sample_size(20);
        group.bench_function("the owner encodes", |b| {
            b.iter(|| {
                publish_and_commit::<Vec<RecordDraft>>(publishers, Vec::push, |records| {
                    let mut lines = Vec::new();
                    records.iter().for_each(|record| encode(record, &mut lines));
                    lines.len()
                });
            });
        });
        group.bench_function("publishers encode under a lock", |b| {
            b.iter(|| {
                let add = |lines: &mut Vec<u8>, record: RecordDraft| encode(&record, lines);
                publish_and_commit::<Vec<u8>>(publishers, add, |lines| lines.len());
            });
        });
    }
}

criterion_group!(benches, ownership);
criterion_main!(benches);
