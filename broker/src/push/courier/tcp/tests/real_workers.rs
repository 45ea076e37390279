//! Workers as people write them, in the languages that they write them in.

use super::any;
use crate::push::courier::Courier;
use crate::push::courier::tests::{PATIENT, courier, task};
use crate::push::task::Outcome;
use std::fs::{File, read_to_string};
use std::process::{Child, Command};
use std::time::Duration;
use weir_testkit::eventually;

/// A worker of `broker/tests/workers`, killed at the end.
struct Process {
    child: Child,
    /// With what it printed.
    directory: tempfile::TempDir,
}

impl Process {
    /// One that gives back every third task.
    async fn start(interpreter: &str, script: &str) -> (Self, Courier) {
        let directory = tempfile::tempdir().unwrap();
        let port_file = directory.path().join("port");
        let workers = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/workers");
        let printed = File::create(directory.path().join("printed")).unwrap();
        let child = Command::new(interpreter)
            .arg(format!("{workers}/{script}"))
            .args(["--fail-every", "3", "--slow", "1", "--port-file"])
            .arg(&port_file)
            .stdout(printed)
            .spawn()
            .unwrap_or_else(|error| panic!("{interpreter}: {error}"));
        let process = Self { child, directory };
        let port = eventually("the worker listens", async || {
            read_to_string(&port_file).ok()
        });
        let target = format!("tcp://127.0.0.1:{}", port.await.trim());
        (process, courier(&target, 10))
    }

    /// What it printed.
    fn stop(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        read_to_string(self.directory.path().join("printed")).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _stopped_before = self.child.kill();
        let _reaped = self.child.wait();
    }
}

async fn works(interpreter: &str, script: &str) {
    let (process, courier) = Process::start(interpreter, script).await;
    let given_back = Outcome::Returned {
        delay: Some(Duration::from_millis(100)),
        reason: "every so often".to_owned(),
    };
    let text = "\"ä/\\u2028\"";
    assert_eq!(courier.deliver(any(0)).await, Outcome::Done);
    assert_eq!(
        courier.deliver(task(1, text.as_bytes(), PATIENT)).await,
        Outcome::Done
    );
    assert_eq!(courier.deliver(any(2)).await, given_back);
    assert_eq!(
        courier.deliver(task(3, b"\x00\xff", PATIENT)).await,
        Outcome::Done
    );
    // More than fits into one packet, and as many at a time as there is room for.
    let large = format!("\"{}\"", "x".repeat(200_000));
    let (a, b) = (task(4, large.as_bytes(), PATIENT), any(5));
    let outcomes: [_; 2] = tokio::join!(courier.deliver(a), courier.deliver(b)).into();
    assert!(
        outcomes.contains(&Outcome::Done) && outcomes.contains(&given_back),
        "{outcomes:?}"
    );

    let printed = process.stop();
    let printed: Vec<serde_json::Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let n = serde_json::json!({"n": 1});
    assert_eq!(printed[..3], [n, "ä/\u{2028}".into(), "AP8=".into()]);
    assert_eq!(printed.len(), 4);
}

#[tokio::test]
async fn slow_a_worker_in_python() {
    Box::pin(works("python3", "tcp_worker.py")).await;
}

#[tokio::test]
async fn slow_a_worker_in_javascript() {
    Box::pin(works("node", "tcp_worker.js")).await;
}

#[tokio::test]
async fn slow_a_worker_in_php() {
    Box::pin(works("php", "tcp_worker.php")).await;
}
