//! Workers, registered and looked after from the command line.

use crate::support::Up;
use serde_json::Value;
use std::net::TcpListener;

fn status(output: &std::process::Output) -> i32 {
    output.status.code().expect("it exits by itself")
}

fn complaint(broker: &Up, arguments: &[&str]) -> (i32, String) {
    let output = broker.weir(&[&["workers"], arguments].concat());
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    (status(&output), errors)
}

/// Where nobody answers: somebody listens, and never accepts.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, target)
}

fn add(broker: &Up, topic: &str, target: &str) {
    broker.prints(&[
        "workers",
        "add",
        "--topic",
        topic,
        "--target",
        target,
        "--concurrency",
        "4",
    ]);
}

/// The rows of a table without its headings, in words.
fn rows(table: &str) -> Vec<Vec<&str>> {
    let rows = table.lines().skip(1);
    rows.map(|row| row.split_whitespace().collect()).collect()
}

#[test]
fn workers_are_added_listed_and_shown() {
    let broker = Up::start();
    let none = broker.prints(&["workers"]);
    assert_eq!(none.lines().count(), 1, "only the headings: {none}");
    let (_listener, target) = silent();
    add(&broker, "orders", &target);
    let added = broker.prints(&[
        "workers",
        "add",
        "--topic",
        "mails",
        "--group",
        "senders",
        "--target",
        "127.0.0.1:9",
        "--visibility-timeout",
        "5m",
        "--output",
        "json",
    ]);
    let added: Value = serde_json::from_str(&added).unwrap();
    assert_eq!(added["id"], 2);
    assert_eq!(added["target"], "grpc://127.0.0.1:9");
    let orders = [
        "1",
        "orders",
        "workers",
        target.as_str(),
        "CLOSED",
        "0/4",
        "0",
        "0",
    ];
    let mails = [
        "2",
        "mails",
        "senders",
        "grpc://127.0.0.1:9",
        "CLOSED",
        "0/1",
        "0",
        "0",
    ];
    assert_eq!(rows(&broker.prints(&["workers"])), [orders, mails]);
    let of_orders = broker.prints(&["workers", "list", "--topic", "orders"]);
    assert_eq!(rows(&of_orders), [orders]);
    let listed = broker.prints(&["workers", "list", "--topic", "mails", "--output", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["workers"], Value::Array(vec![added]));
    let shown = broker.prints(&["workers", "show", "2"]);
    for line in [
        "group               senders",
        "visibility timeout  5m",
        "in flight           0 of 1",
        "breaker             CLOSED; failures in a row: 0; opened: 0",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
}

#[test]
fn a_worker_is_paused_resumed_and_removed() {
    let broker = Up::start();
    let (_listener, target) = silent();
    add(&broker, "orders", &target);
    let paused = broker.prints(&["workers", "pause", "1"]);
    assert!(paused.contains("paused              yes\n"), "{paused}");
    let listed = broker.prints(&["workers"]);
    assert!(listed.contains("CLOSED, paused"), "{listed}");
    broker.prints(&["produce", "orders", "1"]);
    let resumed = broker.prints(&["workers", "resume", "1", "--output", "json"]);
    let resumed: Value = serde_json::from_str(&resumed).unwrap();
    assert_eq!(resumed["paused"], false);
    while !broker.prints(&["workers", "show", "1"]).contains("1 of 4") {}
    assert_eq!(
        broker.prints(&["workers", "remove", "1"]),
        "removed worker 1\n"
    );
    assert!(rows(&broker.prints(&["workers"])).is_empty());
    add(&broker, "orders", &target);
    assert_eq!(
        broker.prints(&["workers", "remove", "2", "--output", "json"]),
        "{\"id\":2,\"removed\":true}\n"
    );
}

#[test]
fn slow_a_breaker_that_opened_is_shown_with_its_reason() {
    let broker = Up::start();
    broker.prints(&["produce", "orders", "1"]);
    let (listener, target) = silent();
    drop(listener);
    add(&broker, "orders", &target);
    let failed = |shown: &str| shown.contains("last error          cannot connect to 127.0.0.1:");
    let shown = std::iter::repeat_with(|| broker.prints(&["workers", "show", "1"]))
        .find(|shown| failed(shown))
        .unwrap();
    assert!(!shown.contains("failed              0\n"), "{shown}");
    let opened = std::iter::repeat_with(|| broker.prints(&["workers", "show", "1"]))
        .find(|shown| shown.contains("next trial"))
        .unwrap();
    let breaker = "breaker             OPEN; failures in a row: 5; opened: 1\n";
    assert!(opened.contains(breaker), "{opened}");
    assert!(
        opened.contains("  CLOSED -> OPEN: 5 failures in a row, the last: cannot connect"),
        "{opened}"
    );
    assert!(broker.prints(&["workers"]).contains(" OPEN "));
}

#[test]
fn what_cannot_be_done_is_said_with_a_status_of_its_own() {
    let broker = Up::start();
    let target = "tcp://127.0.0.1:9";
    for (arguments, status, part) in [
        (&["show", "7"][..], 3, "there is no worker 7"),
        (&["pause", "7"], 3, "there is no worker 7"),
        (&["remove", "7"], 3, "unknown_worker"),
        (
            &["add", "--queue", "mails", "--target", target],
            3,
            "there is no queue \"mails\"",
        ),
        (
            &["add", "--topic", "t", "--target", "ftp://h:1"],
            4,
            "it begins with none of grpc://",
        ),
        (
            &["add", "--topic", "t", "--target", "tcp://169.254.1.1:9"],
            4,
            "is not allowed",
        ),
        (
            &[
                "add",
                "--topic",
                "t",
                "--target",
                target,
                "--concurrency",
                "1001",
            ],
            4,
            "allowed is 1 to 1000",
        ),
        (&["show", "x"], 2, "expected a worker's number"),
        (&["add", "--target", target], 2, "--topic <TOPIC>"),
        (
            &["add", "--topic", "t", "--queue", "q", "--target", target],
            2,
            "cannot be used with",
        ),
    ] {
        let (found, said) = complaint(&broker, arguments);
        assert_eq!(found, status, "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
    assert!(rows(&broker.prints(&["workers"])).is_empty());
}
