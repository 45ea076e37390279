//! Instructions to encode a record: the same on every run, so that a small regression shows. How to
//! run it: docs/development.md.

#![allow(
    missing_docs,
    unused_qualifications,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the macros make what they like; a bench fails loudly"
)]

mod record;

use gungraun::prelude::*;
use record::record;
use std::hint::black_box;
use weir_commitlog::RecordDraft;
use weir_types::{Headers, Key, Offset, Timestamp};

fn with_everything() -> RecordDraft {
    RecordDraft {
        key: Some(Key::parse("node-1").unwrap()),
        headers: Headers::new([("source".to_owned(), "till".to_owned())].into()).unwrap(),
        ..record()
    }
}

#[library_benchmark]
#[bench::plain(record())]
#[bench::with_everything(with_everything())]
fn encode(record: RecordDraft) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    black_box(&record).encode(Offset(1_234_567), Timestamp(1_763_712_000_000), &mut out);
    black_box(out)
}

library_benchmark_group!(name = encoding, benchmarks = [encode]);
main!(library_benchmark_groups = encoding);
