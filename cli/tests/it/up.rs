//! `weir up`: three parts in one process.

use crate::support::{Up, binaries, root};
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

/// Far longer than it takes; nothing depends on it in a healthy run.
const PATIENCE: Duration = Duration::from_secs(60);

fn get(url: &str) -> Option<Value> {
    let output = Command::new("curl")
        .args(["-sf", "--max-time", "5", url])
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).ok()
}

/// Asks until `wanted` finds what it wants in the answer.
fn eventually<T>(url: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = get(url).as_ref().and_then(&wanted) {
            return found;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "{url} never shows it: {:?}",
            get(url)
        );
        std::thread::yield_now();
    }
}

#[test]
fn slow_the_dashboard_shows_this_host_with_figures_from_the_kernel() {
    let up = Up::start_all();
    let fleet = format!("http://{}/api/fleet", up.dashboard());
    let node = eventually(&fleet, |fleet| {
        let node = fleet["nodes"].get(0)?.clone();
        let complete = node["cpu_busy_ratio"].is_number() && node["disk_used_ratio"].is_number();
        complete.then_some(node)
    });
    assert_eq!(node["state"], "live");
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total_kib = memory
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap();
    let total_kib: u64 = total_kib.parse().unwrap();
    assert_eq!(node["memory_total_bytes"], total_kib * 1024);
    let topics = up.prints(&["topics"]);
    assert!(topics.contains("host.cpu"), "{topics}");
    assert_eq!(up.terminate().code(), Some(0));
}

/// What an agent sends for a node that is called like an attack.
const HOSTILE: &str = "<img src=x onerror=alert(1)>";

fn publish_hostile_samples(up: &Up) {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let now = u64::try_from(now.as_millis()).unwrap();
    let sample = |seq: u64| {
        let (timestamp, busy) = (now - 3000 + 1000 * seq, seq * 2);
        serde_json::json!({
            "node": HOSTILE, "timestamp": timestamp, "boot_id": "b", "seq": seq, "interval_seconds": 1,
            "cpus": [{"cpu": 0, "user": busy, "nice": 0, "system": 0, "idle": seq, "iowait": 0,
                      "irq": 0, "softirq": 0, "steal": 0}],
            "busy_ratio": 0.5,
        })
    };
    for seq in 1..=3 {
        up.prints(&[
            "produce",
            "host.cpu",
            &sample(seq).to_string(),
            "--key",
            HOSTILE,
        ]);
    }
}

/// A worker at a port where nobody listens; its address would be another as markup.
fn register_absent_worker(up: &Up) {
    let worker = r#"{"topic":"orders","target":"http://127.0.0.1:1/&lt;img&gt;"}"#;
    let registered = Command::new("curl")
        .args(["-sf", "--max-time", "5", "-d", worker])
        .arg(format!("http://{}/v1/workers", up.address()))
        .output()
        .unwrap();
    assert!(registered.status.success(), "{registered:?}");
    let topics = format!("http://{}/api/topics", up.dashboard());
    eventually(&topics, |page| {
        (page["delivery"]["workers"]["total"] == 1).then_some(())
    });
}

#[test]
fn slow_the_page_works_in_a_real_browser() {
    let script = root().join("consumer-ui/web/tests/browser.mjs");
    let packages = root().join("consumer-ui/web/node_modules");
    assert!(packages.exists(), "build the page first: cargo xtask web");
    let up = Up::start_all();
    up.prints(&["produce", "orders", "{\"item\":\"tea\"}"]);
    up.prints(&["consume", "orders", "--group", "kitchen", "--max", "1"]);
    let fleet = format!("http://{}/api/fleet", up.dashboard());
    eventually(&fleet, |fleet| {
        fleet["nodes"][0]["network_receive_bytes_per_second"].as_f64()
    });
    register_absent_worker(&up);
    publish_hostile_samples(&up);
    eventually(&fleet, |fleet| {
        let mut nodes = fleet["nodes"].as_array()?.iter();
        nodes.find(|node| node["node"] == HOSTILE).cloned()
    });
    let shots = binaries().join("screenshots");
    let output = Command::new("node")
        .arg(script)
        .arg(format!("http://{}", up.dashboard()))
        .arg(&shots)
        .output()
        .unwrap();
    let (printed, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{printed}\n{errors}");
    assert!(
        printed.contains("a hostile node name stays text"),
        "{printed}"
    );
    assert!(printed.contains("workers are shown"), "{printed}");
    assert_eq!(up.terminate().code(), Some(0));
}

/// A client of MiniMQ as its dashboard is one: polls /nodes, then consumes each node's topics. It
/// shares no code with us.
const MINIMQ_CLIENT: &str = r#"
import json, sys, time, urllib.parse, urllib.request
base, seen = sys.argv[1], {}
def get(path):
    with urllib.request.urlopen(base + path, timeout=5) as answer:
        return answer.status, answer.read()
until = time.monotonic() + 60
while len(seen) < 3 and time.monotonic() < until:
    for node in json.loads(get("/nodes")[1]):
        for metric in ("cpu", "mem", "disk"):
            query = urllib.parse.urlencode({"topic": f"{node}-{metric}", "consumer_id": "web-ui"})
            status, body = get("/consume?" + query)
            if status == 200:
                seen[metric] = float(json.loads(body)["message"])
assert set(seen) == {"cpu", "mem", "disk"}, seen
assert all(0 <= value <= 100 for value in seen.values()), seen
print(json.dumps(seen))
"#;

#[test]
fn slow_a_minimq_client_shows_what_the_agent_publishes() {
    let up = Up::start();
    let produce = format!("http://{}/produce", up.address());
    let mut agent = Command::new(binaries().join("weir-agent"))
        .args(["--dialect", "minimq", "--log-filter", "warn"])
        .envs([("BROKER_URL", produce.as_str()), ("NODE_NAME", "node-1")])
        .spawn()
        .expect("build it first: cargo build -p weir-agent");
    let client = Command::new("python3")
        .args(["-c", MINIMQ_CLIENT, &format!("http://{}", up.address())])
        .output()
        .unwrap();
    agent.kill().unwrap();
    agent.wait().unwrap();
    let errors = String::from_utf8_lossy(&client.stderr);
    assert!(client.status.success(), "{errors}");
}
