use crate::support::{command, fixture, looking_at, once};
use serde_json::Value;
use std::path::Path;

/// Replaces what depends on the machine that runs the test: the time, and what sysinfo and uname
/// say of the kernel, which no path leads away from.
fn hide_this_machine(samples: &mut Value) {
    for sample in samples.as_object_mut().unwrap().values_mut() {
        let sample = sample.as_object_mut().unwrap();
        for field in ["timestamp", "seq", "busy_ratio", "cpu_model", "cores"] {
            if let Some(value) = sample.get_mut(field) {
                *value = "…".into();
            }
        }
        if let Some(uname) = sample.get_mut("uname") {
            for (name, value) in uname.as_object_mut().unwrap() {
                if name != "nodename" {
                    *value = "…".into();
                }
            }
        }
    }
}

/// `UPDATE_GOLDEN=1` writes the file anew.
#[test]
fn a_recorded_machine_is_shown_as_the_golden_file_says() {
    let flags = ["--once", "--node=node-7", "--labels=zone=eu-1"];
    let (mut samples, log) = once(command(&flags).args(looking_at(&fixture("k8s-pod"))));
    assert_eq!(log, "");
    hide_this_machine(&mut samples);
    let shown = serde_json::to_string_pretty(&samples).unwrap() + "\n";
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/once-k8s-pod.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &shown).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        shown == expected,
        "it is not {}:\n{shown}",
        golden.display()
    );
}

#[test]
fn this_machine_is_shown_without_a_broker() {
    let (samples, _) = once(&mut command(&["--once", "--node=here"]));
    let cpus = samples["host.cpu"]["cpus"].as_array().unwrap();
    assert!(!cpus.is_empty());
    let busy = samples["host.cpu"]["busy_ratio"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&busy));
    let mut system = sysinfo::System::new().unwrap();
    system.refresh_memory();
    let total = samples["host.memory"]["bytes"]["MemTotal"].as_u64();
    assert_eq!(total, Some(system.total_memory()));
    let load = samples["host.system"]["load1"].as_f64().unwrap();
    assert!(load >= 0.0);
}

#[test]
fn only_what_was_asked_for_is_shown() {
    let (samples, _) = once(&mut command(&[
        "--once",
        "--node=n",
        "--metric-type=mem,disk",
    ]));
    let topics: Vec<&String> = samples.as_object().unwrap().keys().collect();
    assert_eq!(topics, ["host.disk", "host.memory"]);
}

#[test]
fn a_container_without_mounts_shows_disks_and_no_filesystems() {
    let asked = ["--once", "--node=n", "--metric-type=disk-io,system"];
    let (samples, _) = once(&mut command(&asked));
    let filesystems = &samples["host.disk"]["filesystems"];
    assert_eq!(filesystems.as_array().unwrap().len(), 0);
    let collectors = &samples["host.system"]["collectors"];
    assert!(collectors["disk_io"].is_boolean(), "{collectors}");
    assert!(collectors["filesystem"].is_null(), "{collectors}");
}

#[test]
fn help_has_lines_to_copy_and_nonsense_is_refused_with_2() {
    let help = command(&["--help"]).output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    for part in [
        "weir-agent --once",
        "BROKER_URL",
        "HOST_MODE",
        "--path.rootfs",
        "host.info",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let refused = command(&["--interval-seconds=0", "--metric-type=gpu"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(
        text.contains("interval-seconds") && text.contains("metric-type"),
        "{text}"
    );
}
