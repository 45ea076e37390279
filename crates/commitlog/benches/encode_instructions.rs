//! Instructions to encode a record: the same on every run, so that a small regression shows. How to
//! run it: docs/development.md.

#![allow(
    missing_docs,
    unused_qualifications,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the macros make what they like; a bench fails loudly"
)]

use bytes::Bytes;
use gungraun::prelude::*;
use std::hint::black_box;
use weir_commitlog::RecordDraft;
use weir_types::{Headers, Key, MessageId, Offset, Timestamp};

fn plain() -> RecordDraft {
    RecordDraft {
        id: MessageId::from_bits(1 << 90),
        key: None,
        headers: Headers::default(),
        reply_to: None,
        payload: Bytes::from(format!("{{\"text\":\"{}\"}}", "x".repeat(189))),
    }
}

fn with_everything() -> RecordDraft {
    RecordDraft {
        key: Some(Key::parse("node-1").unwrap()),
        headers: Headers::new([("source".to_owned(), "till".to_owned())].into()).unwrap(),
        ..plain()
    }
}

#[library_benchmark]
#[bench::plain(plain())]
#[bench::with_everything(with_everything())]
fn encode(record: RecordDraft) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    black_box(&record).encode(Offset(1_234_567), Timestamp(1_763_712_000_000), &mut out);
    black_box(out)
}

library_benchmark_group!(name = record, benchmarks = [encode]);
main!(library_benchmark_groups = record);
