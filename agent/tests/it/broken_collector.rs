use crate::support::{Agent, Server, TAKEN, command, fixture, looking_at, once};
use std::path::Path;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A machine whose meminfo nobody understands.
fn machine() -> tempfile::TempDir {
    let machine = tempfile::tempdir().unwrap();
    copy(&fixture("plain-vm"), machine.path());
    std::fs::write(machine.path().join("proc/meminfo"), "sorry\n").unwrap();
    machine
}

#[test]
fn one_broken_collector_is_told_and_the_others_go_on() {
    let machine = machine();
    let mut command = command(&["--once", "--node=n"]);
    let (samples, log) = once(command.args(looking_at(machine.path())));
    assert!(samples["host.memory"].is_null());
    for topic in ["host.cpu", "host.disk", "host.network", "host.info"] {
        assert!(samples[topic].is_object(), "{topic} is missing");
    }
    let collectors = samples["host.system"]["collectors"].as_object().unwrap();
    for (name, success) in collectors {
        assert_eq!(success, &(name != "memory"), "{name}");
    }
    assert_eq!(log.matches("a collector fails").count(), 1, "{log}");
    assert!(log.contains("proc/meminfo"), "{log}");
}

#[tokio::test]
async fn it_is_told_in_every_sample_of_the_system() {
    let machine = machine();
    let server = Server::start(&[TAKEN]).await;
    let mut flags = looking_at(machine.path());
    flags.push(format!("--broker={}", server.url));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let agent = Agent::start(&[&flags[..], &["--node=n"]].concat());
    let asked = server.asked(|asked| !asked.is_empty()).await;
    agent.stop().await;
    let lines = asked[0].lines();
    assert!(lines.iter().all(|line| line["topic"] != "host.memory"));
    let system = lines.iter().find(|line| line["topic"] == "host.system");
    assert_eq!(system.unwrap()["payload"]["collectors"]["memory"], false);
}
