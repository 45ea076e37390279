//! Instructions that a publish over HTTP costs the thread that serves it, from the parsed request to
//! the answer: hyper and the kernel are left out, and so is the committer's thread.
//! How to run it: docs/development.md.

#![allow(
    missing_docs,
    unused_qualifications,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the macros make what they like; a bench fails loudly"
)]

use bytes::Bytes;
use futures_util::future::join_all;
use gungraun::prelude::*;
use http::{Request, StatusCode};
use http_body_util::Full;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower_service::Service;
use weir_broker::http::{HttpState, service};
use weir_broker::metrics::Exporter;
use weir_broker::{Broker, Settings, settings};
use weir_commitlog::Disk;
use weir_service::clock::Clock;
use weir_service::http::InFlight;
use weir_service::presence::Presence;

const REQUESTS: usize = 256;

/// A broker with one topic, and requests for it.
struct Bench {
    runtime: Runtime,
    state: Arc<HttpState>,
    requests: Vec<Request<Full<Bytes>>>,
    _data_dir: TempDir,
}

fn bench(content_type: &str, body: &str) -> Bench {
    let data_dir = TempDir::new().unwrap();
    let path = data_dir.path().to_str().unwrap();
    let flags = ["weir-broker", "--durability", "os", "--data-dir", path];
    let flags = settings::command().get_matches_from(flags);
    let settings = Settings::read(&flags, &|_| None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let (broker, _closing) =
        Broker::open(settings.broker, Arc::new(Disk), Clock::system()).unwrap();
    let state = Arc::new(HttpState {
        broker,
        body_limits: settings.body_limits,
        in_flight: InFlight::new(settings.max_bytes_in_flight),
        metrics: Exporter::install().unwrap(),
        presence: Presence::default(),
    });
    let request = || {
        Request::post("/v1/topics/bench/messages")
            .header("host", "127.0.0.1:5000")
            .header("content-type", content_type)
            .header("content-length", body.len())
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .unwrap()
    };
    let bench = Bench {
        requests: (0..REQUESTS).map(|_| request()).collect(),
        runtime,
        state,
        _data_dir: data_dir,
    };
    let first = publish_all(&bench, vec![request()], 1);
    assert_eq!(first, 1);
    bench
}

/// Sends the requests, so many at a time, and returns how many were acknowledged.
fn publish_all(bench: &Bench, requests: Vec<Request<Full<Bytes>>>, at_a_time: usize) -> usize {
    let mut service = service(&bench.state);
    let mut requests = requests.into_iter();
    let all = async {
        let mut created = 0;
        loop {
            let together = requests.by_ref().take(at_a_time);
            let answers = join_all(together.map(|request| service.call(request))).await;
            if answers.is_empty() {
                return created;
            }
            let is_created = |answer: &&_| matches!(answer, Ok(answer) if http::Response::status(answer) == StatusCode::CREATED);
            created += answers.iter().filter(is_created).count();
        }
    };
    let patient = async { tokio::time::timeout(Duration::from_secs(60), all).await };
    bench.runtime.block_on(patient).unwrap()
}

fn one_message() -> Bench {
    bench("application/json", &sample())
}

fn batch() -> Bench {
    let line = format!("{{\"payload\":{}}}\n", sample());
    bench("application/x-ndjson", &line.repeat(64))
}

fn sample() -> String {
    format!(
        "{{\"device\":\"sensor-0042\",\"value\":21.4375,\"ok\":true,\"pad\":\"{}\"}}",
        "x".repeat(136)
    )
}

#[library_benchmark]
#[bench::one_by_one(one_message(), 1)]
#[bench::sixteen_at_a_time(one_message(), 16)]
#[bench::batches_of_64(batch(), 1)]
fn publish_256_times(mut bench: Bench, at_a_time: usize) -> Bench {
    let requests = std::mem::take(&mut bench.requests);
    assert_eq!(publish_all(&bench, requests, at_a_time), REQUESTS);
    bench
}

library_benchmark_group!(name = publish, benchmarks = [publish_256_times]);
main!(library_benchmark_groups = publish);
