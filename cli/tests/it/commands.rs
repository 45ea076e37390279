//! What people and scripts do with `weir`.

use crate::support::{Up, WEIR, printed};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn status(output: &std::process::Output) -> i32 {
    output.status.code().expect("it exits by itself")
}

#[test]
fn produced_messages_are_consumed_once() {
    let broker = Up::start();
    assert!(
        broker
            .prints(&["produce", "orders", "{\"n\":1}"])
            .starts_with("orders/0@0 ")
    );
    let lines = printed(&broker.weir_with_input(&["produce", "orders", "-"], "{\"n\":2}\n3\n"));
    assert!(!lines.is_empty());
    let consumed = broker.prints(&["consume", "orders", "--group", "g", "--wait", "10ms"]);
    assert_eq!(consumed, "{\"n\":1}\n{\"n\":2}\n3\n");
    assert_eq!(
        broker.prints(&["consume", "orders", "--group", "g", "--wait", "10ms"]),
        ""
    );
}

#[test]
fn without_ack_messages_stay() {
    let broker = Up::start();
    broker.prints(&["produce", "t", "1"]);
    let looked = broker.prints(&["consume", "t", "--group", "g", "--max", "1", "--no-ack"]);
    assert_eq!(looked, "1\n");
    let groups = broker.prints(&["--output", "json", "groups", "t"]);
    let groups: serde_json::Value = serde_json::from_str(&groups).unwrap();
    let group = &groups["groups"][0];
    assert_eq!(
        (&group["lag_records"], &group["in_flight"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn tail_shows_what_is_there_and_what_comes() {
    let broker = Up::start();
    broker.prints(&["produce", "t", "\"before\""]);
    let mut tail = Command::new(WEIR)
        .args(["tail", "t", "--from", "earliest"])
        .env("WEIR_BROKER", format!("http://{}", broker.address()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "\"before\"");
    broker.prints(&["produce", "t", "\"after\""]);
    assert_eq!(lines.next().unwrap().unwrap(), "\"after\"");
    tail.kill().unwrap();
    tail.wait().unwrap();
    assert_eq!(
        broker.prints(&["tail", "t", "--from", "earliest", "--no-follow"]),
        "\"before\"\n\"after\"\n"
    );
}

#[test]
fn topics_are_created_shown_altered_purged_and_deleted() {
    let broker = Up::start();
    broker.prints(&["topics", "create", "t", "--partitions", "2"]);
    broker.prints(&["produce", "t", "1"]);
    let shown = broker.prints(&["--output", "json", "topics", "show", "t"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["records"], &shown["settings"]["partitions"]),
        (&1.into(), &2.into())
    );
    broker.prints(&["topics", "alter", "t", "--retention-age", "1h"]);
    assert!(broker.prints(&["topics", "show", "t"]).contains("1h"));
    broker.prints(&["topics", "purge", "t", "--yes"]);
    assert!(
        broker
            .prints(&["--output", "json", "topics"])
            .contains("\"records\":0")
    );
    broker.prints(&["topics", "delete", "t", "--yes"]);
    assert_eq!(status(&broker.weir(&["topics", "show", "t"])), 3);
}

#[test]
fn exit_statuses_tell_scripts_what_happened() {
    let broker = Up::start();
    assert_eq!(status(&broker.weir(&["produce", "t", "{\"broken\":"])), 4);
    assert_eq!(status(&broker.weir(&["produce", "../x", "1"])), 2);
    assert_eq!(status(&broker.weir(&["tail", "nowhere", "--no-follow"])), 3);
    assert_eq!(status(&broker.weir(&["no-such-command"])), 2);
    let unreachable = Command::new(WEIR)
        .args(["--broker", "http://127.0.0.1:1", "topics"])
        .output()
        .unwrap();
    assert_eq!(status(&unreachable), 5);
    let error = String::from_utf8(unreachable.stderr).unwrap();
    assert!(
        error.starts_with("weir: ") && error.contains("127.0.0.1:1"),
        "{error}"
    );
}

#[test]
fn errors_are_json_on_request() {
    let broker = Up::start();
    let output = broker.weir(&["--output", "json", "topics", "show", "nowhere"]);
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["code"], "unknown_topic");
}

#[test]
fn nonsense_settings_of_up_are_refused_at_once() {
    let output = Command::new(WEIR)
        .args(["up", "--http", "here", "--durability", "sometimes"])
        .output()
        .unwrap();
    assert_eq!(status(&output), 2);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("--http") && error.contains("--durability"),
        "{error}"
    );
}
