//! Groups, looked after from the command line.

use crate::support::{Up, WEIR};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn status(output: &std::process::Output) -> i32 {
    output.status.code().expect("it exits by itself")
}

fn group(broker: &Up, name: &str) -> Value {
    let shown = broker.prints(&["--output", "json", "groups", "show", "t", name]);
    serde_json::from_str(&shown).unwrap()
}

#[test]
fn groups_are_created_shown_altered_and_deleted() {
    let broker = Up::start();
    let create = [
        "groups",
        "create",
        "t",
        "g",
        "--ordering",
        "partition",
        "--max-deliveries",
        "3",
        "--retry-backoff",
        "[\"1s\",\"1m\"]",
        "--expires-after",
        "1day",
    ];
    let shown = broker.prints(&create);
    assert!(
        shown.contains("ordering        partition\nmax deliveries  3\n"),
        "{shown}"
    );
    let again = broker.weir(&create);
    assert_eq!(status(&again), 4);
    let refusal = String::from_utf8(again.stderr).unwrap();
    assert!(refusal.contains("weir groups alter"), "{refusal}");
    broker.prints(&["groups", "alter", "t", "g", "--max-deliveries", "7"]);
    let altered = group(&broker, "g");
    assert_eq!(
        (&altered["max_deliveries"], &altered["retry_backoff"][1]),
        (&7.into(), &"1m".into())
    );
    assert!(broker.prints(&["groups", "t"]).contains("\ng "));
    assert_eq!(
        broker.prints(&["groups", "t"]),
        broker.prints(&["groups", "list", "t"])
    );
    assert_eq!(status(&broker.weir(&["groups", "delete", "t", "g"])), 2);
    broker.prints(&["groups", "delete", "t", "g", "--yes"]);
    for command in ["show", "alter"] {
        assert_eq!(status(&broker.weir(&["groups", command, "t", "g"])), 3);
    }
}

#[test]
fn a_group_is_moved_to_a_place() {
    let broker = Up::start();
    broker.weir_with_input(&["produce", "t", "-"], "1\n2\n3\n");
    let consume = ["consume", "t", "--group", "g", "--wait", "10ms"];
    assert_eq!(broker.prints(&consume), "1\n2\n3\n");
    let moved = broker.prints(&[
        "groups",
        "seek",
        "t",
        "g",
        "--partition",
        "0",
        "--offset",
        "1",
    ]);
    assert_eq!(moved, "moved g: 2 records of t to go\n");
    assert_eq!(broker.prints(&consume), "2\n3\n");
    broker.prints(&["groups", "seek", "t", "g", "--to", "earliest"]);
    assert_eq!(group(&broker, "g")["lag_records"], 3);
    broker.prints(&["groups", "seek", "t", "g", "--to", "latest"]);
    assert_eq!(broker.prints(&consume), "");
    let beyond = [
        "groups",
        "seek",
        "t",
        "g",
        "--partition",
        "0",
        "--offset",
        "9",
    ];
    assert_eq!(status(&broker.weir(&beyond)), 4);
}

#[test]
fn members_and_what_they_wait_for_are_shown() {
    let broker = Up::start();
    for n in ["1", "2"] {
        broker.prints(&["produce", "t", n, "--key", "k"]);
    }
    broker.prints(&[
        "consume", "t", "--group", "g", "--max", "1", "--no-ack", "--member", "till-1",
    ]);
    // Held back is known once a consumer asked for more.
    broker.prints(&["consume", "t", "--group", "g", "--wait", "0s"]);
    let shown = broker.prints(&["groups", "show", "t", "g"]);
    assert!(shown.contains("held back       1\n"), "{shown}");
    let member = shown.lines().find(|line| line.starts_with("till-1"));
    assert!(member.is_some(), "{shown}");
}

#[test]
fn pushed_messages_are_printed_and_acknowledged() {
    let broker = Up::start();
    broker.weir_with_input(&["produce", "t", "-"], "1\n2\n");
    let mut consume = Command::new(WEIR)
        .args(["consume", "t", "--group", "g", "--stream"])
        .env("WEIR_BROKER", format!("http://{}", broker.address()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(consume.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "1");
    assert_eq!(lines.next().unwrap().unwrap(), "2");
    broker.prints(&["produce", "t", "3"]);
    assert_eq!(lines.next().unwrap().unwrap(), "3");
    Command::new("kill")
        .args(["-INT", &consume.id().to_string()])
        .status()
        .unwrap();
    assert!(consume.wait().unwrap().success());
    // 3 was printed, and may have come back when its ack was interrupted; nothing before it.
    let consumed = broker.prints(&["consume", "t", "--group", "g", "--wait", "10ms"]);
    assert!(["", "3\n"].contains(&consumed.as_str()), "{consumed}");
}
