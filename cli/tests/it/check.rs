//! `weir check` against a real broker and dashboard, and against what is missing of them.

use crate::support::{Up, WEIR, printed, run_curl};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

fn steps(printed: &str) -> Vec<Value> {
    let lines = printed.lines();
    lines.map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn names(steps: &[Value]) -> Vec<&str> {
    let names = steps.iter().map(|step| step["step"].as_str().unwrap());
    names.collect()
}

/// The last step's detail; it must be the only one that failed.
fn failed_step(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let mut steps = steps(&String::from_utf8(output.stdout.clone()).unwrap());
    let last = steps.pop().unwrap();
    assert_eq!(last["ok"], false, "{last}");
    assert!(steps.iter().all(|step| step["ok"] == true), "{steps:?}");
    last
}

const ROUND_TRIP: [&str; 7] = [
    "ready", "group", "publish", "lease", "ack", "lag", "clean up",
];

#[test]
fn a_message_goes_in_and_out_and_leaves_no_group_behind() {
    let broker = Up::start();
    let checked = steps(&broker.prints(&["check", "--output", "json"]));
    assert_eq!(names(&checked), ROUND_TRIP);
    assert!(checked.iter().all(|step| step["ok"] == true), "{checked:?}");
    let topic = broker.prints(&["topics", "show", "weir.check", "--output", "json"]);
    let topic: Value = serde_json::from_str(&topic).unwrap();
    assert_eq!(topic["groups"], serde_json::json!([]));
    assert_eq!(topic["settings"]["expires_after"], "10m");
}

#[test]
fn another_topic_is_not_made() {
    let broker = Up::start();
    let checked = broker.weir(&["check", "--topic", "missing", "--output", "json"]);
    let failed = failed_step(&checked);
    assert_eq!(failed["step"], "group");
    let detail = failed["detail"].as_str().unwrap();
    assert!(detail.contains("unknown_topic"), "{detail}");
}

#[test]
fn a_topic_that_was_there_stays_with_its_groups() {
    let broker = Up::start();
    broker.prints(&["topics", "create", "t", "--partitions", "3"]);
    broker.prints(&["produce", "t", "1"]);
    broker.prints(&["groups", "create", "t", "mine"]);
    let text = broker.prints(&["check", "--topic", "t"]);
    assert!(text.lines().all(|line| line.starts_with("ok ")), "{text}");
    let listed = broker.prints(&["groups", "list", "t", "--output", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let groups = listed["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 1, "{listed}");
    // The older message and the check's own: the other group gets both.
    assert_eq!(groups[0]["lag_records"], 2);
}

#[test]
fn checks_do_not_disturb_one_another() {
    let broker = Up::start();
    let check = || {
        let mut command = Command::new(WEIR);
        command.args(["check", "--broker", &format!("http://{}", broker.address())]);
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = (0..8).map(|_| check()).collect();
    for one in running {
        printed(&one.wait_with_output().unwrap());
    }
}

#[test]
fn a_message_is_found_behind_many_of_others() {
    let broker = Up::start();
    let endless = Command::new("yes").arg("1").stdout(Stdio::piped()).spawn();
    let mut endless = endless.unwrap();
    let mut produce = Command::new(WEIR)
        .args(["produce", "t", "-", "--broker"])
        .arg(format!("http://{}", broker.address()))
        .stdin(endless.stdout.take().unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !broker.prints(&["topics"]).contains("\nt ") {}
    let checked = broker.weir(&["check", "--topic", "t", "--output", "json"]);
    endless.kill().unwrap();
    endless.wait().unwrap();
    produce.wait().unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn slow_the_figures_of_a_host_are_seen() {
    let up = Up::start_all();
    let ui = format!("http://{}", up.dashboard());
    let checked = steps(&up.prints(&["check", "--ui", &ui, "--output", "json"]));
    let node = checked.last().unwrap();
    assert_eq!(node["step"], "node");
    let detail = node["detail"].as_str().unwrap();
    let name = detail.rsplit(' ').next().unwrap();
    up.prints(&["check", "--ui", &ui, "--node", name]);
    let missing = up.weir(&[
        "check",
        "--ui",
        &ui,
        "--node",
        "elsewhere",
        "--timeout",
        "5s",
        "--output",
        "json",
    ]);
    let missing = failed_step(&missing);
    let detail = missing["detail"].as_str().unwrap();
    assert!(detail.ends_with("but not of elsewhere"), "{detail}");
}

#[test]
fn slow_a_dashboard_without_hosts_is_told() {
    let up = Up::start_without_agent();
    let ui = format!("http://{}", up.dashboard());
    let checked = up.weir(&["check", "--ui", &ui, "--timeout", "5s", "--output", "json"]);
    let failed = failed_step(&checked);
    assert_eq!(failed["step"], "node");
    let detail = failed["detail"].as_str().unwrap();
    assert!(
        detail.ends_with("has no current figures of any node"),
        "{detail}"
    );
    let errors = String::from_utf8(checked.stderr).unwrap();
    assert!(
        errors.contains("look at: whether an agent runs"),
        "{errors}"
    );
}

#[test]
fn something_else_in_the_place_of_the_dashboard_is_told_at_once() {
    let broker = Up::start();
    let nothing = format!("http://{}/nothing", broker.address());
    let checked = broker.weir(&["check", "--ui", &nothing, "--output", "json"]);
    assert_eq!(failed_step(&checked)["step"], "node");
}

#[test]
fn a_broker_that_is_down_is_named_after_the_time_given() {
    let checked = Command::new(WEIR)
        .args(["check", "--broker", "http://127.0.0.1:1", "--timeout", "1s"])
        .output()
        .unwrap();
    assert_eq!(checked.status.code(), Some(1));
    let text = String::from_utf8(checked.stdout).unwrap();
    assert!(text.starts_with("failed  ready "), "{text}");
    assert!(text.contains("127.0.0.1:1: Connection refused"), "{text}");
    let errors = String::from_utf8(checked.stderr).unwrap();
    assert!(errors.contains("the check failed at \"ready\""), "{errors}");
}

#[test]
fn slow_a_broker_that_is_not_ready_says_why() {
    let broker = Up::start();
    let drain = format!("http://{}/drain", broker.address());
    run_curl(&["-X", "POST", &drain]);
    let checked = broker.weir(&["check", "--timeout", "3s", "--output", "json"]);
    let failed = failed_step(&checked);
    assert_eq!(failed["step"], "ready");
    let detail = failed["detail"].as_str().unwrap();
    assert!(detail.contains("not ready: draining"), "{detail}");
}

#[test]
fn a_refused_publish_fails_and_is_cleaned_up_after() {
    let broker = Up::start_broker(&["--max-payload-bytes", "16"]);
    let checked = broker.weir(&["check", "--output", "json"]);
    assert_eq!(checked.status.code(), Some(1));
    let steps = steps(&String::from_utf8(checked.stdout).unwrap());
    assert_eq!(names(&steps), ["ready", "group", "publish", "clean up"]);
    assert_eq!(steps[2]["ok"], false);
    let detail = steps[2]["detail"].as_str().unwrap();
    assert!(detail.contains("exceeds 16 bytes"), "{detail}");
}

#[test]
fn an_address_that_is_none_is_wrong_usage() {
    let checked = Command::new(WEIR)
        .args(["check", "--ui", "ftp://ui"])
        .output()
        .unwrap();
    assert_eq!(checked.status.code(), Some(2));
    assert!(checked.stdout.is_empty());
}
