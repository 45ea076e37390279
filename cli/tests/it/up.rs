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
    assert_eq!(up.terminate().code(), Some(0));
}
