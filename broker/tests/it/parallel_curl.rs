//! A thousand separate processes publish at once, as shell scripts do.

use crate::broker;
use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

const MESSAGES: usize = 1000;
/// Processes at a time.
const PARALLEL: usize = 64;

#[tokio::test]
async fn slow_a_thousand_parallel_curls_make_a_thousand_lines() {
    let setup = broker();
    let running = setup.start().await;
    let numbers: String = (0..MESSAGES).map(|number| format!("{number}\n")).collect();
    let input = setup.scratch_dir().join("numbers");
    fs::write(&input, numbers).unwrap();
    let curls = Command::new("xargs")
        .arg(format!("-P{PARALLEL}"))
        .args(["-I{}", "curl", "-sS", "--fail", "--max-time", "60"])
        .args(["-o", "/dev/null", "-w", "%{http_code}\n"])
        .args(["-d", r#"{"topic":"curls","message":"number {}: \"ok\""}"#])
        .arg(format!("{}/produce", running.url()))
        .stdin(fs::File::open(&input).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(curls.status.success(), "{}", curls.status);
    let answers = String::from_utf8(curls.stdout).unwrap();
    assert_eq!(answers.lines().count(), MESSAGES);
    assert!(answers.lines().all(|code| code == "201"), "{answers}");

    let log = setup.data_dir().join("curls/partition-0");
    let log = log.join("00000000000000000000.log");
    let text = fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().count(), MESSAGES);
    assert!(text.ends_with('\n'));

    let jq = Command::new("jq")
        .args(["-r", ".payload"])
        .arg(&log)
        .output();
    let jq = jq.unwrap();
    let errors = String::from_utf8_lossy(&jq.stderr);
    assert!(jq.status.success() && errors.is_empty(), "{errors}");
    let messages = String::from_utf8(jq.stdout).unwrap();
    assert_eq!(messages.lines().count(), MESSAGES);
    let found: BTreeSet<_> = messages.lines().map(str::to_owned).collect();
    let sent = (0..MESSAGES).map(|number| format!(r#"number {number}: "ok""#));
    assert_eq!(found, sent.collect());

    let offsets = weir_testkit::read_data_dir(&setup.data_dir());
    let offsets = offsets.iter().map(|found| found.place.offset.0);
    assert!(offsets.eq(0..MESSAGES as u64));
}
