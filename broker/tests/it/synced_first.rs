//! Acknowledged means on disk: what the kernel was asked for, in which order, by the real binary.

use crate::broker;
use std::collections::HashMap;
use std::path::Path;
use weir_client::PublishOptions;
use weir_testkit::eventually;
use weir_types::{TopicName, TopicSettingsChange};

/// Calls that write, sync, create or answer.
const CALLS: &str = "trace=openat,mkdir,mkdirat,rename,renameat,renameat2,pwrite64,pwritev,pwritev2,\
    fsync,fdatasync,write,writev,sendto,sendmsg";

/// A call that returned, with its arguments and result as strace writes them.
#[derive(Debug)]
struct Returned(String);

impl Returned {
    fn is(&self, name: &str, part: &str) -> bool {
        self.0.starts_with(&format!("{name}(")) && self.0.contains(part)
    }

    /// Whether it makes `part` durable: a write to the commit log, which is opened O_DSYNC.
    fn commits(&self, part: &str) -> bool {
        self.is("pwrite64", "__weir/commit-") && self.0.contains(part)
    }

    /// Whether it answers a client.
    fn answers(&self, part: &str) -> bool {
        let sends = ["write", "writev", "sendto", "sendmsg"];
        let on_socket = sends
            .iter()
            .any(|name| self.is(name, "socket:[") || self.is(name, "TCP:["));
        on_socket && self.0.contains("HTTP/1.1 201") && self.0.contains(part)
    }

    fn syncs_directory(&self, dir: &Path) -> bool {
        self.is("fsync", &format!("<{}>", dir.display()))
    }
}

/// The calls in the order in which they returned.
fn read_trace(path: &Path) -> Vec<Returned> {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let mut unfinished: HashMap<String, String> = HashMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread.to_owned(), begun.to_owned());
        } else if let Some((_, rest)) = call.split_once(" resumed>") {
            let begun = unfinished.remove(thread).unwrap_or_default();
            calls.push(Returned(begun + rest));
        } else {
            calls.push(Returned(call.to_owned()));
        }
    }
    calls
}

fn position(calls: &[Returned], what: &str, wanted: impl Fn(&Returned) -> bool) -> usize {
    let found = calls.iter().position(wanted);
    found.unwrap_or_else(|| panic!("{what} is not in the trace"))
}

#[tokio::test]
async fn every_answer_comes_after_what_makes_it_durable() {
    let setup = broker();
    let trace = setup.scratch_dir().join("trace");
    let trace_file = trace.to_str().unwrap();
    let setup = setup.run_by([
        "strace", "-D", "-f", "-y", "-s", "4096", "-e", CALLS, "-o", trace_file,
    ]);
    let broker = setup.start().await;
    let topic = TopicName::parse("orders").unwrap();
    let small_segments = TopicSettingsChange {
        segment_bytes: Some(weir_types::ByteCount(4096)),
        ..TopicSettingsChange::default()
    };
    let client = broker.client();
    client.put_topic(&topic, &small_segments).await.unwrap();
    let padding = "x".repeat(1_000);
    for number in 0..10 {
        let payload = format!("{{\"marker\":\"marker-{number}-\",\"padding\":\"{padding}\"}}");
        let published = client
            .publish(&topic, payload.into(), &PublishOptions::default())
            .await;
        assert_eq!(published.unwrap().offset.0, number);
    }
    broker.kill_9();
    let last = |text: &String| text.contains("+++ killed by SIGKILL");
    let read = || std::fs::read_to_string(&trace).ok().filter(last);
    eventually("the end of the trace", async || read()).await;
    let calls = read_trace(&trace);
    let data_dir = setup.data_dir().canonicalize().unwrap();

    let opened = position(&calls, "opening the commit log", |call| {
        call.is("openat", "__weir/commit-0") && call.0.contains("O_DSYNC")
    });
    let mut segments = 0;
    for number in 0..10 {
        let marker = format!("marker-{number}-");
        let durable = position(&calls, "the commit", |call| call.commits(&marker));
        // As strace writes the text of an answer.
        let offset = format!(r#"\"offset\":{number},"#);
        let answered = position(&calls, "the answer", |call| call.answers(&offset));
        assert!(opened < durable && durable < answered, "message {number}");
        let plain = position(&calls, "the plain file", |call| {
            call.is("pwrite64", "/partition-0/0") && call.0.contains(&marker)
        });
        // Where the message went to a new segment, its entry is durable before the answer.
        if let Some(created) = calls[..plain]
            .iter()
            .rposition(|call| call.is("openat", "/partition-0/0") && call.0.contains("O_CREAT"))
            && !calls[created..plain]
                .iter()
                .any(|call| call.is("pwrite64", "/partition-0/0"))
        {
            segments += 1;
            let partition = data_dir.join("orders/partition-0");
            let synced = calls[created..answered]
                .iter()
                .any(|call| call.syncs_directory(&partition));
            assert!(
                synced,
                "message {number} is in a segment whose entry was not synced"
            );
        }
    }
    assert!(segments >= 3, "{segments} segments: no roll was seen");

    let created = position(&calls, "the answer of the creation", |call| {
        call.answers(r#"\"topic\":\"orders\""#) && call.0.contains("segment_bytes")
    });
    for dir in ["", "orders", "orders/partition-0"] {
        let dir = data_dir.join(dir);
        let synced = position(&calls, "the directory's sync", |call| {
            call.syncs_directory(dir.components().as_path())
        });
        assert!(synced < created, "{}", dir.display());
    }
}
