//! The load generators count what really happened.

use crate::support::Up;
use serde_json::Value;

/// Runs a load that takes no longer than its messages.
fn bench(broker: &Up, load: &str) -> Value {
    let mut arguments = vec!["--output", "json", "bench"];
    arguments.extend(load.split(' '));
    serde_json::from_str(&broker.prints(&arguments)).unwrap()
}

fn topics(broker: &Up) -> Value {
    serde_json::from_str(&broker.prints(&["--output", "json", "topics"])).unwrap()
}

#[test]
fn a_bounded_run_publishes_exactly_what_it_says() {
    let broker = Up::start();
    broker.prints(&["topics", "create", "load", "--partitions", "2"]);
    let report = bench(
        &broker,
        "publish --messages 200 --clients 3 --warmup 0 --topic load",
    );
    assert_eq!(report["messages"], 200, "{report}");
    assert_eq!(report["requests"], 200, "{report}");
    assert_eq!(report["durability"], "fsync", "{report}");
    assert_eq!(report["partitions"], 2, "{report}");
    let shown = broker.prints(&["--output", "json", "topics", "show", "load"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["records"], 200, "{shown}");
}

#[test]
fn messages_are_numbered_and_of_the_size_that_was_asked_for() {
    let broker = Up::start();
    broker.prints(&["topics", "create", "load"]);
    for load in ["publish", "publish-batch --batch 4"] {
        let run = "--messages 6 --clients 1 --warmup 0 --payload-bytes 150 --topic load";
        bench(&broker, &format!("{load} {run}"));
    }
    let payloads = broker.prints(&["tail", "load", "--from", "earliest", "--no-follow"]);
    let numbers: Vec<Value> = payloads
        .lines()
        .inspect(|payload| assert_eq!(payload.len(), 150, "{payload}"))
        .map(|payload| serde_json::from_str::<Value>(payload).unwrap()["number"].clone())
        .collect();
    let expected: Vec<_> = (0..6).chain(0..6).map(|n| format!("{n:012}")).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn a_batch_run_ends_with_the_batch_that_is_left() {
    let broker = Up::start();
    let report = bench(
        &broker,
        "publish-batch --messages 45 --batch 10 --clients 1 --warmup 0",
    );
    assert_eq!(report["messages"], 45, "{report}");
    assert_eq!(report["requests"], 5, "{report}");
    assert!(report["errors"].as_object().unwrap().is_empty(), "{report}");
}

#[test]
fn the_topic_that_was_made_is_gone_afterwards_unless_kept() {
    let broker = Up::start();
    bench(&broker, "publish --messages 5 --clients 1 --warmup 0");
    assert_eq!(topics(&broker)["topics"], Value::Array(Vec::new()));
    let report = bench(&broker, "fetch --messages 7 --keep");
    let kept = topics(&broker);
    assert_eq!(kept["topics"][0]["topic"], report["topic"], "{kept}");
    assert_eq!(kept["topics"][0]["records"], 7, "{kept}");
}

#[test]
fn what_broker_and_generator_used_is_told() {
    let broker = Up::start();
    let report = bench(&broker, "publish --messages 20 --clients 1 --warmup 0");
    assert!(report["generator_cpu_seconds"].is_number(), "{report}");
    let used = &report["broker"];
    assert!(used["cpu_seconds"].is_number(), "{report}");
    assert!(used["peak_rss_bytes"].as_u64() > Some(0), "{report}");
    assert!(used["disk_write_bytes"].is_number(), "{report}");
}

#[test]
fn every_reader_fetches_every_message() {
    let broker = Up::start();
    let report = bench(
        &broker,
        "fetch --messages 1001 --clients 3 --partitions 2 --limit 100",
    );
    assert_eq!(report["topic_messages"], 1001, "{report}");
    assert_eq!(report["messages"], 3 * 1001, "{report}");
    // 501 and 500 messages by 100, three times.
    assert_eq!(report["requests"], 3 * (6 + 5), "{report}");
}

#[test]
fn a_group_consumes_every_message_once() {
    let broker = Up::start();
    for load in [
        "consume --messages 1001 --consumers 3 --partitions 2 --lease 100",
        "consume --messages 101 --lease 7 --pipeline off",
        "consume --messages 301 --keys 10 --partitions 3",
    ] {
        let report = bench(&broker, load);
        let delivery = &report["delivery"];
        assert_eq!(report["messages"], delivery["expected"], "{report}");
        assert_eq!(delivery["missing"], 0, "{report}");
        assert_eq!(delivery["twice"], 0, "{report}");
        let is_keyed = load.contains("keys");
        assert_eq!(delivery["out_of_order"] == 0, is_keyed, "{report}");
        assert!(report["errors"].as_object().unwrap().is_empty(), "{report}");
        assert!(
            report["ack_latency_us"]["p50"].as_f64() > Some(0.0),
            "{report}"
        );
    }
}

/// Whether it acknowledged.
fn reaches_the_waiting_consumer(via: &str) -> bool {
    let broker = Up::start();
    let run = "e2e --rate 300 --seconds 1 --publishers 3 --partitions 2 --via";
    let report = bench(&broker, &format!("{run} {via}"));
    assert_eq!(report["messages"], 300, "{report}");
    assert_eq!(report["delivery"]["missing"], 0, "{report}");
    assert_eq!(report["delivery"]["twice"], 0, "{report}");
    assert!(report["latency_us"]["p50"].as_f64() > Some(0.0), "{report}");
    assert!(report["errors"].as_object().unwrap().is_empty(), "{report}");
    report["ack_latency_us"]["p50"].is_number()
}

#[test]
fn every_message_reaches_who_follows_the_topic() {
    assert!(!reaches_the_waiting_consumer("stream"));
}

#[test]
fn every_message_reaches_who_waits_for_leases() {
    assert!(reaches_the_waiting_consumer("lease"));
}

#[test]
fn a_batch_that_no_broker_takes_is_wrong_usage() {
    let broker = Up::start();
    let output = broker.weir(&["bench", "publish-batch", "--payload-bytes", "1000000"]);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("lower --batch"), "{errors}");
}
