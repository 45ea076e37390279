use super::*;
use std::path::Path;

fn read(flags: &[&str], env: &[(&str, &str)]) -> Result<Settings, String> {
    let matches = command()
        .try_get_matches_from([&["weir-agent"], flags].concat())
        .unwrap();
    let env = |name: &str| {
        env.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    };
    Settings::read(&matches, &env).map_err(|problems| problems.to_string())
}

#[test]
fn the_defaults_are_valid() {
    let settings = read(&[], &[]).unwrap();
    assert_eq!(settings.broker, "http://127.0.0.1:5000");
    assert_eq!(settings.interval_seconds, 1);
    assert_eq!(settings.topics, Topic::ALL);
    assert_eq!(settings.dialect, Dialect::Weir);
    assert_eq!(settings.roots, Roots::default());
    assert!(!settings.node.is_empty());
    command().debug_assert();
}

#[test]
fn a_minimq_agents_environment_is_understood() {
    let env = [
        ("BROKER_URL", "http://broker:5000/produce"),
        ("NODE_NAME", "node-1"),
        ("INTERVAL_SECONDS", "10"),
        ("METRIC_TYPE", "mem"),
        ("HOST_MODE", "True"),
    ];
    let settings = read(&["--dialect", "minimq"], &env).unwrap();
    assert_eq!(settings.node, "node-1");
    assert_eq!(settings.interval_seconds, 10);
    assert_eq!(settings.topics, [Topic::Memory]);
    assert_eq!(settings.roots.procfs, Path::new("/host/proc"));
    assert_eq!(settings.dialect, Dialect::MiniMq);
}

#[test]
fn a_flag_goes_before_the_environment_and_a_path_before_host_mode() {
    let env = [("NODE_NAME", "two"), ("WEIR_NODE", "three")];
    assert_eq!(read(&["--node", "one"], &env).unwrap().node, "one");
    assert_eq!(read(&[], &env).unwrap().node, "three");
    let env = [("HOST_MODE", "true"), ("HOST_ROOT", "/tmp")];
    let roots = read(&[], &env).unwrap().roots;
    assert_eq!(roots.rootfs, Path::new("/tmp"));
    assert_eq!(roots.sysfs, Path::new("/host/sys"));
}

#[test]
fn a_node_may_be_any_text_unless_it_becomes_a_topic() {
    let odd = "<img src=x onerror=alert(1)>";
    assert_eq!(read(&["--node", odd], &[]).unwrap().node, odd);
    let refused = read(&["--node", odd, "--dialect", "minimq"], &[]).unwrap_err();
    assert!(refused.contains("with dialect minimq"), "{refused}");
}

#[test]
fn labels_and_types_are_lists() {
    let flags = [
        "--labels",
        "zone=eu-1,rack=,pool=a=b",
        "--metric-type",
        "CPU, disk",
    ];
    let settings = read(&flags, &[]).unwrap();
    assert_eq!(settings.labels["pool"], "a=b");
    assert_eq!(settings.labels.len(), 2, "rack has no value");
    assert_eq!(settings.topics, [Topic::Cpu, Topic::Disk]);
    assert!(settings.filesystems);
    let without = read(&["--metric-type", "cpu,disk-io"], &[]).unwrap();
    assert_eq!(without.topics, [Topic::Cpu, Topic::Disk]);
    assert!(!without.filesystems);
}

#[test]
fn every_problem_is_listed_at_once() {
    let flags = [
        "--broker",
        "broker:5000",
        "--interval-seconds",
        "0",
        "--metric-type",
        "gpu",
        "--labels",
        "1=2",
        "--path.procfs",
        "/nowhere",
        "--buffer-bytes",
        "1KiB",
    ];
    let refused = read(&flags, &[("HOST_MODE", "maybe"), ("NODE_NAME", "a\u{7}b")]).unwrap_err();
    for part in [
        "--broker",
        "--interval-seconds",
        "--metric-type",
        "--labels",
        "HOST_MODE",
        "--buffer-bytes",
        "NODE_NAME",
    ] {
        assert!(refused.contains(part), "{part} is missing in {refused}");
    }
}

#[test]
fn the_settings_page_says_what_the_code_does() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings-agent.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(page, markdown()).unwrap();
    }
    let written = std::fs::read_to_string(page).unwrap();
    assert!(
        written == markdown(),
        "docs/settings-agent.md is old; it says how to renew it"
    );
}
