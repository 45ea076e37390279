//! Time to check a payload and to parse a batch. How to run it: docs/development.md.

#![allow(
    missing_docs,
    unused_qualifications,
    clippy::unwrap_used,
    reason = "the macros make what they like; a bench fails loudly"
)]

mod documents;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use documents::{batch, rare_sample, sample};
use weir_protocol::{NewMessage, Payload, check_json, parse_batch};

const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

fn payloads(c: &mut Criterion) {
    let mut group = c.benchmark_group("payload");
    for (name, document) in [("plain", sample()), ("rare", rare_sample())] {
        group.throughput(Throughput::Bytes(document.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| Payload::parse(&document, MAX_PAYLOAD_BYTES).unwrap());
        });
    }
    let document = String::from_utf8(sample().to_vec()).unwrap();
    group.bench_function("plain, by the judge alone", |b| {
        b.iter(|| check_json(&document).unwrap());
    });
    group.finish();
}

fn batches(c: &mut Criterion) {
    let mut group = c.benchmark_group("batch of 256");
    group.throughput(Throughput::Elements(256));
    for (name, body) in [
        ("plain", batch(256, "")),
        ("headers", batch(256, r#""headers":{"h":"v"},"#)),
    ] {
        group.bench_function(name, |b| {
            b.iter_batched(
                || body.clone(),
                |body| parse_batch::<NewMessage>(&body, MAX_PAYLOAD_BYTES).unwrap(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, payloads, batches);
criterion_main!(benches);
