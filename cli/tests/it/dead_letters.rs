//! Dead letters, looked at and moved back from the command line.

use crate::support::{Up, run_curl};
use serde_json::Value;

fn status(output: &std::process::Output) -> i32 {
    output.status.code().expect("it exits by itself")
}

/// Delivers each message of `t` once to the group `g` and gives it back with a reason: with
/// `max_deliveries` 1 it becomes a dead letter.
fn fail_all(broker: &Up, reason: &str) {
    let group = format!("http://{}/v1/topics/t/groups/g", broker.address());
    let leased = run_curl(&["-X", "POST", &format!("{group}/lease?max=100")]);
    let leased: Value = serde_json::from_str(&leased).unwrap();
    let messages = leased["messages"].as_array().unwrap().iter();
    let receipts: Vec<&Value> = messages.map(|message| &message["receipt"]).collect();
    let nack = serde_json::json!({"receipts": receipts, "reason": reason}).to_string();
    run_curl(&["-d", &nack, &format!("{group}/nack")]);
}

/// Dead letters, once there are as many as expected: moving them takes the broker a moment.
fn letters(broker: &Up, expected: usize) -> Vec<String> {
    loop {
        let listed = broker.prints(&["--output", "json", "dead-letters", "list", "t"]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let letters = listed["dead_letters"].as_array().unwrap();
        if letters.len() == expected {
            let id = |letter: &Value| letter["id"].as_str().unwrap().to_owned();
            return letters.iter().map(id).collect();
        }
    }
}

fn start() -> Up {
    let broker = Up::start();
    broker.prints(&[
        "groups",
        "create",
        "t",
        "g",
        "--max-deliveries",
        "1",
        "--ordering",
        "none",
    ]);
    for (payload, key) in [("1", "a"), ("2", "b"), ("3", "b")] {
        broker.prints(&["produce", "t", payload, "--key", key]);
    }
    fail_all(&broker, "boom:\nno milk");
    broker
}

#[test]
fn dead_letters_are_listed_and_shown() {
    let broker = start();
    assert_eq!(letters(&broker, 3), ["g/t/0/0", "g/t/0/1", "g/t/0/2"]);
    let listed = broker.prints(&["dead-letters", "list", "t", "--group", "g"]);
    let row = listed.lines().find(|line| line.starts_with("g/t/0/1"));
    assert!(row.unwrap().ends_with("1  b    boom:…"), "{listed}");
    let other = broker.prints(&["dead-letters", "list", "t", "--group", "other"]);
    assert_eq!(other.lines().count(), 1, "only the headings: {other}");
    let first = broker.weir(&["dead-letters", "list", "t", "--limit", "1"]);
    let note = String::from_utf8(first.stderr).unwrap();
    assert!(note.contains("--from "), "{note}");
    let shown = broker.prints(&["dead-letters", "show", "t", "g/t/0/1"]);
    assert!(shown.contains("from       t/0@1, stored 20"), "{shown}");
    assert!(shown.ends_with("\n\n2\n"), "{shown}");
    assert_eq!(
        status(&broker.weir(&["dead-letters", "show", "t", "g/t/0/7"])),
        3
    );
    assert_eq!(
        status(&broker.weir(&["dead-letters", "list", "nowhere"])),
        3
    );
}

#[test]
fn dead_letters_are_moved_back_once() {
    let broker = start();
    letters(&broker, 3);
    let redrive = |which: &[&str]| {
        let command = ["dead-letters", "redrive", "t", "--group", "g"];
        broker.weir(&[&command, which].concat())
    };
    let moved = |which: &[&str]| crate::support::printed(&redrive(which));
    let consumed = || broker.prints(&["consume", "t", "--group", "g", "--wait", "10ms"]);
    assert_eq!(
        moved(&["--id", "g/t/0/0"]),
        "moved 1 dead letters back to t, for g\n"
    );
    assert_eq!(consumed(), "1\n");
    assert_eq!(
        moved(&["--id", "g/t/0/0"]),
        "moved 0 dead letters back to t, for g\n"
    );
    assert_eq!(
        moved(&["--key", "b", "--reason", "milk", "--output", "json"]),
        "{\"examined\":3,\"group\":\"g\",\"redriven\":2,\"topic\":\"t\"}\n"
    );
    assert_eq!(consumed(), "2\n3\n");
    assert_eq!(moved(&["--all"]), "moved 0 dead letters back to t, for g\n");
    assert!(letters(&broker, 0).is_empty());
    assert_eq!(status(&redrive(&[])), 2);
}
