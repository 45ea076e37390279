//! Instructions to check a payload and to parse a batch: the same on every run, so that a small
//! regression shows. How to run it: docs/development.md.

#![allow(
    missing_docs,
    unused_qualifications,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the macros make what they like; a bench fails loudly"
)]

mod documents;

use bytes::Bytes;
use documents::{batch, rare_sample, sample};
use gungraun::prelude::*;
use std::hint::black_box;
use weir_protocol::{NewMessage, Payload, parse_batch};

const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

#[library_benchmark]
#[bench::plain(sample())]
#[bench::rare(rare_sample())]
fn payload(document: Bytes) -> Payload {
    black_box(Payload::parse(black_box(&document), MAX_PAYLOAD_BYTES).unwrap())
}

#[library_benchmark]
#[bench::plain(batch(256, ""))]
#[bench::headers(batch(256, r#""headers":{"h":"v"},"#))]
fn batch_of_256(body: Bytes) -> Vec<NewMessage> {
    black_box(parse_batch(black_box(&body), MAX_PAYLOAD_BYTES).unwrap())
}

library_benchmark_group!(name = parse, benchmarks = [payload, batch_of_256]);
main!(library_benchmark_groups = parse);
