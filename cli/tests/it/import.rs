//! Files as the old brokers write them, imported, and read by their clients.

use crate::support::{Up, WEIR, printed, run_curl};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// An old broker's directory.
struct Old(TempDir);

impl Old {
    fn with(files: &[(&str, &str)]) -> Self {
        let old = Self(TempDir::new().unwrap());
        files
            .iter()
            .for_each(|(name, content)| old.write(name, content));
        old
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn import(&self, broker: &Up, dialect: &str, options: &[&str]) -> Output {
        let directory = self.path().to_str().unwrap();
        let command = [&["import", dialect, directory], options].concat();
        broker.weir(&command)
    }

    /// Imports, which must succeed, and returns what became of each partition.
    fn imports(&self, broker: &Up, dialect: &str, options: &[&str]) -> Vec<Value> {
        let options = [options, &["--output", "json"]].concat();
        let printed = printed(&self.import(broker, dialect, &options));
        let report: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
        report["imported"].as_array().unwrap().clone()
    }

    /// What the import says when it is refused with `status`.
    fn refused(&self, broker: &Up, dialect: &str, options: &[&str], status: i32) -> String {
        let output = self.import(broker, dialect, options);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{errors}");
        errors
    }
}

/// How a partition fared: in the files, there before, imported, verified.
fn counts(row: &Value) -> [u64; 4] {
    ["in_files", "there_before", "imported", "verified"].map(|name| row[name].as_u64().unwrap())
}

/// As publish/consume brokers and their Python write it.
fn queued(id: &str, topic: &str, payload: &str) -> String {
    format!("{{\"id\": \"{id}\", \"topic\": \"{topic}\", \"payload\": {payload}}}\n")
}

/// As the partitioned queue and its Go write it.
fn partitioned(id: &str, payload: &str, topic: &str, partition: u32) -> String {
    format!(
        "{{\"id\":\"{id}\",\"payload\":{payload},\"created_at\":\"2025-11-21T08:00:00.123456789Z\",\
         \"topic\":\"{topic}\",\"partition\":{partition}}}\n"
    )
}

fn get(broker: &Up, path: &str) -> String {
    run_curl(&[&format!("http://{}{path}", broker.address())])
}

fn get_json(broker: &Up, path: &str) -> Value {
    serde_json::from_str(&get(broker, path)).unwrap()
}

/// Payloads of a partition, in order.
fn payloads(broker: &Up, topic: &str, partition: u32) -> Vec<Value> {
    let path =
        format!("/v1/topics/{topic}/messages?partition={partition}&from=earliest&limit=10000");
    let fetched = get_json(broker, &path);
    let messages = fetched["messages"].as_array().unwrap().iter();
    messages.map(|message| message["payload"].clone()).collect()
}

fn records(broker: &Up, topic: &str) -> u64 {
    let topics = get_json(broker, "/v1/topics");
    let mut topics = topics["topics"].as_array().unwrap().iter();
    let found = topics.find(|found| found["topic"] == topic);
    found.map_or(0, |found| found["records"].as_u64().unwrap())
}

/// All that a MiniMQ consumer gets.
fn minimq_messages(broker: &Up, topic: &str, consumer: &str) -> Vec<String> {
    let path = format!("/consume?topic={topic}&consumer_id={consumer}");
    let mut messages = Vec::new();
    loop {
        let answer = get(broker, &path);
        if answer.is_empty() {
            return messages;
        }
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["offset"], messages.len());
        messages.push(answer["message"].as_str().unwrap().to_owned());
    }
}

/// The first `count` events of a partition, as a consumer of server-sent events gets them.
fn events(broker: &Up, topic: &str, partition: u32, group: &str, count: usize) -> Vec<Value> {
    let query = format!("topic={topic}&partition={partition}&group={group}");
    let mut curl = Command::new("curl")
        .args([
            "-sN",
            &format!("http://{}/consume?{query}", broker.address()),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(curl.stdout.take().unwrap()).lines();
    let events = lines
        .map_while(Result::ok)
        .filter_map(|line| Some(serde_json::from_str(line.strip_prefix("data: ")?).unwrap()))
        .take(count)
        .collect();
    curl.kill().unwrap();
    curl.wait().unwrap();
    events
}

/// Content, time of change, inode and mode of everything below a directory.
fn tree(directory: &Path) -> BTreeMap<PathBuf, (Vec<u8>, i64, i64, u64, u32)> {
    let mut tree = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::metadata(&path).unwrap();
        let content = match metadata.is_dir() {
            true => Vec::new(),
            false => fs::read(&path).unwrap(),
        };
        if metadata.is_dir() {
            tree.extend(self::tree(&path));
        }
        let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
        tree.insert(
            path,
            (content, seconds, nanos, metadata.ino(), metadata.mode()),
        );
    }
    tree
}

fn set_mode(directory: &Path, folder: u32, file: u32) {
    for path in tree(directory).keys() {
        let mode = if path.is_dir() { folder } else { file };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(folder)).unwrap();
}

#[test]
fn minimq_consumers_get_every_line_from_the_start() {
    let broker = Up::start();
    let old = Old::with(&[
        ("demo.log", "hello\n\nsay \"hi\"\r\n{\"a\": 1}\ncafé\n"),
        ("nodes.log", "node-1\nnode-2\nnode-1\n"),
        ("never-used.log", ""),
    ]);
    let rows = old.imports(&broker, "minimq", &[]);
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row["topic"].clone(), counts(row)))
        .collect();
    assert_eq!(
        found,
        [
            (json!("demo"), [5, 0, 5, 5]),
            (json!("nodes"), [3, 0, 3, 3])
        ]
    );
    let expected = ["hello", "", "say \"hi\"\r", "{\"a\": 1}", "café"];
    assert_eq!(minimq_messages(&broker, "demo", "web-ui"), expected);
    assert_eq!(get_json(&broker, "/nodes"), json!(["node-1", "node-2"]));
    assert_eq!(records(&broker, "never-used"), 0);
}

#[test]
fn a_queue_comes_out_oldest_first_under_its_ids() {
    let broker = Up::start();
    let with_reply = "{\"id\": \"id-3\", \"topic\": \"orders\", \"payload\": [1, \"caf\\u00e9\"], \"reply_to\": \"answers\"}\n";
    let without_reply =
        "{\"id\": \"id-4\", \"topic\": \"orders\", \"payload\": {}, \"reply_to\": null}";
    let orders = [
        &queued("id-1", "orders", "{\"item\": \"tea\"}"),
        "\n",
        &queued("id-2", "orders", "{\"item\": \"milk\"}"),
        with_reply,
        without_reply,
    ]
    .concat();
    let letter = |topic: &str, n: u32| {
        format!(
            "{{\"id\": \"l-{n}\", \"source_service\": \"a\", \"target_service\": \"b\", \"topic\": \"{topic}\", \
             \"payload\": {{\"n\": {n}}}, \"reason\": \"boom\", \"attempt_count\": 3, \"timestamp_ms\": {n}}}\n"
        )
    };
    let old = Old::with(&[
        ("orders.jsonl", &orders),
        ("orders.mail.jsonl", ""),
        (
            "dead_letters/orders.jsonl",
            &(letter("orders", 1) + &letter("orders", 3)),
        ),
        ("dead_letters/invoices.jsonl", &letter("invoices", 2)),
    ]);
    let rows = old.imports(&broker, "publish-consume", &[]);
    assert_eq!(
        rows.iter().map(counts).collect::<Vec<_>>(),
        [[3, 0, 3, 3], [4, 0, 4, 4]]
    );
    let consumed = get_json(&broker, "/consume/orders?max_messages=10");
    let expected = json!([
        {"id": "id-1", "topic": "orders", "payload": {"item": "tea"}},
        {"id": "id-2", "topic": "orders", "payload": {"item": "milk"}},
        {"id": "id-3", "topic": "orders", "payload": [1, "café"], "reply_to": "answers"},
        {"id": "id-4", "topic": "orders", "payload": {}},
    ]);
    assert_eq!(consumed["messages"], expected);
    let ids = |path: &str| -> Vec<Value> {
        let listed = get_json(&broker, path);
        let items = listed["items"].as_array().unwrap().iter();
        items.map(|item| item["id"].clone()).collect()
    };
    assert_eq!(ids("/deadletter/list").len(), 3);
    assert_eq!(ids("/deadletter/list/orders"), ["l-3", "l-1"]);
    assert_eq!(ids("/deadletter/list/invoices"), ["l-2"]);
}

#[test]
fn each_partition_goes_into_its_own_in_order() {
    let broker = Up::start();
    let old = Old::with(&[
        (
            "events/partition-0.log",
            &(partitioned("a-0", "\"zero\"", "events", 0)
                + &partitioned("a-1", "\"one\"", "events", 0)),
        ),
        (
            "events/partition-5.log",
            &partitioned("b-0", "\"\\u003cb\\u003e \\\"c\\\"\"", "events", 5),
        ),
        (
            "metrics/partition-2.log",
            &partitioned("m", "\"{\\\"cpu\\\":1}\"", "metrics", 2),
        ),
    ]);
    let rows = old.imports(&broker, "partitioned", &[]);
    assert_eq!(
        rows.iter()
            .map(|row| row["partition"].clone())
            .collect::<Vec<_>>(),
        [json!(0), json!(5), json!(2)]
    );
    assert!(rows.iter().all(|row| row["verified"] == row["in_files"]));
    let topics = get_json(&broker, "/topics");
    assert_eq!(topics["events"].as_array().unwrap().len(), 8);
    assert_eq!(topics["metrics"].as_array().unwrap().len(), 3);
    let shown = |topic: &str, partition, count| -> Vec<(Value, Value)> {
        let events = events(&broker, topic, partition, "readers", count).into_iter();
        events
            .map(|event| (event["id"].clone(), event["payload"].clone()))
            .collect()
    };
    let expected = [(json!("a-0"), json!("zero")), (json!("a-1"), json!("one"))];
    assert_eq!(shown("events", 0, 2), expected);
    assert_eq!(shown("events", 5, 1), [(json!("b-0"), json!("<b> \"c\""))]);
    assert_eq!(shown("metrics", 2, 1), [(json!("m"), json!("{\"cpu\":1}"))]);
    let stored = get_json(&broker, "/v1/topics/events/messages?partition=5&from=0");
    let headers = json!({
        "created-at": "2025-11-21T08:00:00.123456789Z",
        "imported-from": "partitioned/events/partition-5.log@0",
    });
    assert_eq!(stored["messages"][0]["headers"], headers);
}

#[test]
fn a_group_that_has_seen_everything_gets_only_what_is_new() {
    let broker = Up::start();
    let old = Old::with(&[(
        "events/partition-1.log",
        &partitioned("a", "\"old\"", "events", 1),
    )]);
    let imported = old.import(&broker, "partitioned", &["--caught-up", "telemetry"]);
    printed(&imported);
    let url = format!(
        "http://{}/produce?topic=events&partition=1",
        broker.address()
    );
    run_curl(&[&url, "-d", "new"]);
    let next = events(&broker, "events", 1, "telemetry", 1);
    assert_eq!(next[0]["payload"], "new");
    let again = old.import(
        &broker,
        "partitioned",
        &["--caught-up", "telemetry", "--append"],
    );
    let errors = String::from_utf8(again.stderr).unwrap();
    assert!(errors.contains("it stays where it is"), "{errors}");

    let old = Old::with(&[("demo.log", "old\n")]);
    printed(&old.import(&broker, "minimq", &["--caught-up", "web-ui"]));
    assert_eq!(minimq_messages(&broker, "demo", "web-ui"), [""; 0]);
    assert_eq!(minimq_messages(&broker, "demo", "other"), ["old"]);
}

#[test]
fn the_files_are_not_touched() {
    let broker = Up::start();
    for (dialect, file, content) in [
        ("minimq", "touch.log", "one\ntwo\n".to_owned()),
        ("publish-consume", "queue.jsonl", queued("i", "queue", "{}")),
        (
            "partitioned",
            "parts/partition-0.log",
            partitioned("i", "\"p\"", "parts", 0),
        ),
    ] {
        let old = Old::with(&[(file, &content)]);
        set_mode(old.path(), 0o555, 0o444);
        let before = tree(old.path());
        old.imports(&broker, dialect, &[]);
        assert_eq!(tree(old.path()), before, "{dialect}");
        set_mode(old.path(), 0o755, 0o644);
    }
}

#[test]
fn a_dry_run_shows_the_plan_and_writes_nothing() {
    let broker = Up::start();
    let old = Old::with(&[("demo.log", "a\nb\n"), ("notes.txt", "")]);
    let output = old.import(&broker, "minimq", &["--dry-run"]);
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(
        errors.contains("notes.txt is none of its files"),
        "{errors}"
    );
    assert!(errors.contains("nothing was written"), "{errors}");
    let plan = printed(&output);
    let row: Vec<_> = plan.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[1..], ["4", "B", "2", "0", "demo", "0"], "{plan}");
    assert_eq!(get_json(&broker, "/v1/topics")["topics"], json!([]));
}

#[test]
fn run_again_it_imports_only_the_rest() {
    let broker = Up::start();
    let old = Old::with(&[("demo.log", "a\nb\n")]);
    assert_eq!(
        counts(&old.imports(&broker, "minimq", &[])[0]),
        [2, 0, 2, 2]
    );
    assert_eq!(
        counts(&old.imports(&broker, "minimq", &[])[0]),
        [2, 2, 0, 2]
    );
    old.write("demo.log", "a\nb\nc\n");
    assert_eq!(
        counts(&old.imports(&broker, "minimq", &[])[0]),
        [3, 2, 1, 3]
    );
    assert_eq!(payloads(&broker, "demo", 0), ["a", "b", "c"]);
}

#[test]
fn other_files_than_before_are_refused() {
    let broker = Up::start();
    let old = Old::with(&[("demo.log", "a\nb\nc\n")]);
    old.imports(&broker, "minimq", &[]);
    for (content, reason) in [
        (
            "a\nX\nc\n",
            "demo/0@1 is not what the file has at minimq/demo.log@2",
        ),
        ("a\n", "which is not in the file any more"),
        ("aa\nb\nc\n", "demo/0@0 is not what the file has"),
        ("a\n\nb\nc\n", "demo/0@1 is not what"),
    ] {
        old.write("demo.log", content);
        let errors = old.refused(&broker, "minimq", &[], 4);
        assert!(errors.contains(reason), "{content:?}: {errors}");
    }
    assert_eq!(payloads(&broker, "demo", 0), ["a", "b", "c"]);
}

#[test]
fn a_topic_with_other_messages_is_refused_or_appended_to() {
    let broker = Up::start();
    broker.prints(&["produce", "demo", "\"mine\""]);
    let old = Old::with(&[("demo.log", "a\nb\n")]);
    let errors = old.refused(&broker, "minimq", &[], 4);
    assert!(
        errors.contains("the topic demo holds 1 other messages"),
        "{errors}"
    );
    assert_eq!(
        counts(&old.imports(&broker, "minimq", &["--append"])[0]),
        [2, 0, 2, 2]
    );
    broker.prints(&["produce", "demo", "\"between\""]);
    old.write("demo.log", "a\nb\nc\n");
    assert_eq!(
        counts(&old.imports(&broker, "minimq", &["--append"])[0]),
        [3, 2, 1, 3]
    );
    assert_eq!(
        payloads(&broker, "demo", 0),
        ["mine", "a", "b", "between", "c"]
    );
    printed(&old.import(&broker, "minimq", &["--rename", "demo=demo-2"]));
    assert_eq!(payloads(&broker, "demo-2", 0), ["a", "b", "c"]);
}

#[test]
fn a_bad_line_stops_before_anything_is_written_or_is_passed_over() {
    let broker = Up::start();
    let bad = queued("a", "q", "1")
        + "{\"id\": \"b\", \"topic\": \"q\", \"payl\n"
        + &queued("c", "q", "3");
    let torn = bad + "{\"id\": \"d\", \"to";
    let old = Old::with(&[
        ("good.jsonl", &queued("g", "good", "0")),
        ("q.jsonl", &torn),
    ]);
    let errors = old.refused(&broker, "publish-consume", &[], 4);
    let first = "q.jsonl: line 2, 31 bytes from byte 40 on: EOF while parsing";
    assert!(errors.contains(first), "{errors}");
    assert!(
        errors.contains("line 4, 15 bytes from byte 112 on"),
        "{errors}"
    );
    assert!(
        errors.contains("2 lines are no messages, nothing was imported"),
        "{errors}"
    );
    assert_eq!(get_json(&broker, "/v1/topics")["topics"], json!([]));
    let rows = old.imports(&broker, "publish-consume", &["--on-bad-line", "skip"]);
    assert_eq!(
        rows.iter().map(counts).collect::<Vec<_>>(),
        [[1, 0, 1, 1], [2, 0, 2, 2]]
    );
    assert_eq!(payloads(&broker, "q", 0), [1, 3]);
}

#[test]
fn names_that_no_topic_can_have_are_told_with_a_way_out() {
    let broker = Up::start();
    let old = Old::with(&[
        ("order created.log", "a\n"),
        ("__weir.log", "b\n"),
        ("...log", "c\n"),
        ("good.log", "d\n"),
    ]);
    let errors = old.refused(&broker, "minimq", &[], 4);
    for name in ["order created", "__weir", ".."] {
        let way_out = format!("--rename '{name}=NEW'");
        assert!(errors.contains(&way_out), "{errors}");
    }
    let both = [
        "--rename",
        "order created=same",
        "--rename",
        "__weir=same",
        "--rename",
        "..=dots",
    ];
    let errors = old.refused(&broker, "minimq", &both, 4);
    assert!(
        errors.contains("would both go to the topic same"),
        "{errors}"
    );
    let misspelt = old.refused(&broker, "minimq", &["--topic", "goood"], 4);
    assert!(
        misspelt.contains("there is no file of a topic \"goood\""),
        "{misspelt}"
    );
    let one = [
        "--topic",
        "order created",
        "--rename",
        "order created=order.created",
    ];
    assert_eq!(old.imports(&broker, "minimq", &one).len(), 1);
    assert_eq!(payloads(&broker, "order.created", 0), ["a"]);
    assert_eq!(records(&broker, "good"), 0);
}

#[test]
fn a_repeated_id_is_no_reason_to_lose_a_message() {
    let broker = Up::start();
    let twice = queued("same", "q", "1") + &queued("same", "q", "2");
    let old = Old::with(&[("q.jsonl", &twice)]);
    assert_eq!(
        counts(&old.imports(&broker, "publish-consume", &[])[0]),
        [2, 0, 2, 2]
    );
    assert_eq!(payloads(&broker, "q", 0), [1, 2]);
}

#[test]
fn without_a_broker_it_says_so() {
    let old = Old::with(&[("demo.log", "a\n")]);
    let directory = old.path().to_str().unwrap();
    let output = Command::new(WEIR)
        .args([
            "import",
            "minimq",
            directory,
            "--broker",
            "http://127.0.0.1:1",
        ])
        .output();
    assert_eq!(output.unwrap().status.code(), Some(5));
}

fn start_import(broker: &Up, old: &Old, options: &[&str]) -> Child {
    Command::new(WEIR)
        .args(["import", "minimq", old.path().to_str().unwrap()])
        .args(options)
        .env("WEIR_BROKER", format!("http://{}", broker.address()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn slow_killed_again_and_again_it_imports_everything_once() {
    const MESSAGES: usize = 3_000;
    let broker = Up::start();
    let lines: Vec<String> = (0..MESSAGES).map(|n| format!("message {n}")).collect();
    let old = Old::with(&[("demo.log", &(lines.join("\n") + "\n"))]);
    let mut kills = 0;
    for goal in (1..=20).map(|n| n * MESSAGES as u64 / 25) {
        let batch = ["1", "2", "7"][kills % 3];
        let mut import = start_import(&broker, &old, &["--batch", batch]);
        while records(&broker, "demo") < goal && import.try_wait().unwrap().is_none() {}
        kills += usize::from(import.try_wait().unwrap().is_none());
        import.kill().unwrap();
        import.wait().unwrap();
    }
    assert!(kills >= 5, "killed only {kills} times");
    let rows = old.imports(&broker, "minimq", &[]);
    let count = MESSAGES as u64;
    assert_eq!(counts(&rows[0])[3], count);
    assert_eq!(records(&broker, "demo"), count);
    assert_eq!(payloads(&broker, "demo", 0), lines);
}

#[test]
fn what_does_not_arrive_is_told() {
    let broker = Up::start();
    broker.prints(&["produce", "q", "0", "--id", "b"]);
    let content = queued("a", "q", "1") + &queued("b", "q", "2") + &queued("c", "q", "3");
    let old = Old::with(&[("q.jsonl", &content), ("z.jsonl", &queued("z", "z", "4"))]);
    let errors = old.refused(&broker, "publish-consume", &["--append"], 1);
    let difference = "publish-consume/q.jsonl@40 is the file's next message";
    assert!(
        errors.contains("the broker had 1 of the messages"),
        "{errors}"
    );
    assert!(errors.contains(difference), "{errors}");
    assert_eq!(payloads(&broker, "z", 0), [4]);
}

#[test]
fn a_topic_that_cannot_take_the_files_is_refused() {
    let broker = Up::start();
    let old = Old::with(&[("few/partition-3.log", &partitioned("a", "\"x\"", "few", 3))]);
    broker.prints(&["topics", "create", "few", "--partitions", "2"]);
    let errors = old.refused(&broker, "partitioned", &["--dry-run"], 4);
    assert!(errors.contains("few has 2 partitions"), "{errors}");

    let line = format!("{}\n", "x".repeat(9_999));
    let old = Old::with(&[("full.log", &line.repeat(100))]);
    let limits = ["--retention-bytes", "1MiB", "--segment-bytes", "1MiB"];
    broker.prints(&[&["topics", "create", "full"], &limits[..]].concat());
    old.imports(&broker, "minimq", &[]);
    let old = Old::with(&[("full.log", &line.repeat(110))]);
    let errors = old.refused(&broker, "minimq", &[], 4);
    assert!(
        errors.contains("full/0 would get about 1.1 MiB and keeps at most 1.0 MiB"),
        "{errors}"
    );

    // As JSON a quotation mark takes two bytes.
    let quotes = format!("{}\n", "\"".repeat(999));
    let old = Old::with(&[("quotes.log", &quotes.repeat(600))]);
    broker.prints(&[&["topics", "create", "quotes"], &limits[..]].concat());
    let errors = old.refused(&broker, "minimq", &[], 4);
    assert!(errors.contains("quotes/0 would get about 1."), "{errors}");
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_look_the_same_are_not_one_file() {
    use std::os::unix::ffi::OsStrExt;
    let broker = Up::start();
    let old = Old::with(&[]);
    for name in [&b"a\xff.log"[..], b"a\xfe.log"] {
        let path = old.path().join(std::ffi::OsStr::from_bytes(name));
        fs::write(path, "x\n").unwrap();
    }
    let errors = old.refused(&broker, "minimq", &["--rename", "a\u{fffd}=a"], 4);
    assert!(errors.contains("would both go to the topic a"), "{errors}");
}

#[test]
fn what_the_broker_refuses_in_the_middle_is_a_failure() {
    let broker = Up::start();
    let content = format!("first\n{}\n", "x".repeat(2_000_000));
    let old = Old::with(&[("demo.log", &content)]);
    let options = ["--max-payload-bytes", "4000000", "--batch", "1"];
    let errors = old.refused(&broker, "minimq", &options, 1);
    assert!(
        errors.contains("refused 1 messages from minimq/demo.log@6 on: ")
            && errors.contains("at most 1048576 are allowed"),
        "{errors}"
    );
    assert_eq!(payloads(&broker, "demo", 0), ["first"]);
}

#[test]
fn an_id_or_a_header_that_differs_is_told() {
    let broker = Up::start();
    let place = "imported-from=partitioned/events/partition-0.log@0";
    let right_time = "created-at=2025-11-21T08:00:00.123456789Z";
    for (topic, id, time) in [
        ("another-id", "b", right_time),
        ("another-time", "a", "created-at=2024-11-21T08:00:00Z"),
    ] {
        let place = place.replace("events", topic);
        let named = ["produce", topic, "\"x\"", "--partition", "0", "--id", id];
        broker.prints(&[&named[..], &["--header", &place, "--header", time]].concat());
        let file = format!("{topic}/partition-0.log");
        let old = Old::with(&[(&file, &partitioned("a", "\"x\"", topic, 0))]);
        let errors = old.refused(&broker, "partitioned", &[], 4);
        let difference = format!("{topic}/0@0 is not what the file has");
        assert!(errors.contains(&difference), "{errors}");
    }
}

#[test]
fn a_topic_that_was_trimmed_since_is_said_to_be() {
    let broker = Up::start();
    let old = Old::with(&[("demo.log", "a\nb\n")]);
    old.imports(&broker, "minimq", &[]);
    let purge = format!("http://{}/v1/topics/demo/purge", broker.address());
    run_curl(&["-X", "POST", &purge]);
    old.write("demo.log", "a\nb\nc\n");
    broker.prints(&[
        "produce",
        "demo",
        "\"c\"",
        "--id",
        "import:minimq/demo.log@4",
    ]);
    let errors = old.refused(&broker, "minimq", &[], 4);
    let trimmed = "demo/0 begins at offset 2: what was there before was trimmed or purged";
    assert!(errors.contains(trimmed), "{errors}");
}

#[test]
fn a_group_that_an_interrupted_import_left_at_the_start_is_moved() {
    let broker = Up::start();
    let old = Old::with(&[("demo.log", "a\nb\n")]);
    old.imports(&broker, "minimq", &[]);
    let group = format!("http://{}/v1/topics/demo/groups/web-ui", broker.address());
    run_curl(&["-X", "PUT", &group]);
    printed(&old.import(&broker, "minimq", &["--caught-up", "web-ui"]));
    assert_eq!(minimq_messages(&broker, "demo", "web-ui"), [""; 0]);

    // There are messages of others among those that it would pass over.
    broker.prints(&["produce", "mixed", "\"new\""]);
    let group = group.replace("demo", "mixed");
    run_curl(&["-X", "PUT", &group]);
    let old = Old::with(&[("mixed.log", "a\n")]);
    let options = ["--append", "--caught-up", "web-ui"];
    printed(&old.import(&broker, "minimq", &options));
    assert_eq!(records(&broker, "mixed"), 2);
    let stayed = get_json(&broker, "/v1/topics/mixed/groups/web-ui");
    assert_eq!(stayed["partitions"][0]["committed_offset"], 0);
}
