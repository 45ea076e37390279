//! The load generator counts what really happened.

use crate::support::Up;

fn bench(broker: &Up, more: &[&str]) -> serde_json::Value {
    let arguments = [&["--output", "json", "bench", "publish"], more].concat();
    serde_json::from_str(&broker.prints(&arguments)).unwrap()
}

#[test]
fn a_bounded_run_publishes_exactly_what_it_says() {
    let broker = Up::start();
    broker.prints(&["topics", "create", "load", "--partitions", "2"]);
    let run = [
        "--messages",
        "200",
        "--clients",
        "3",
        "--seconds",
        "30",
        "--warmup",
        "0",
        "--topic",
        "load",
    ];
    let report = bench(&broker, &run);
    assert_eq!(report["messages"], 200, "{report}");
    assert_eq!(report["durability"], "fsync", "{report}");
    let shown = broker.prints(&["--output", "json", "topics", "show", "load"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["records"], 200, "{shown}");
}

#[test]
fn its_own_topic_is_gone_afterwards() {
    let broker = Up::start();
    let run = [
        "--messages",
        "40",
        "--batch",
        "10",
        "--clients",
        "1",
        "--seconds",
        "30",
        "--warmup",
        "0",
    ];
    let report = bench(&broker, &run);
    assert_eq!(report["messages"], 40, "{report}");
    assert!(report["broker"]["cpu_seconds"].is_number(), "{report}");
    assert!(
        broker
            .prints(&["--output", "json", "topics"])
            .contains("[]")
    );
}
