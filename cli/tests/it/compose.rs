//! docker-compose.yaml: accepted by Compose, hardened, and its services run as it says. It lies with
//! the command line's tests because these have the binaries of all its services, and a Prometheus.

mod file;
mod machine;

use crate::support::{eventually, installed, printed, root};
use file::{Mount, Service, python, read_yaml, seconds, service, services};
use machine::Machine;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const FOLDER: &str = "dashboards/compose";

#[test]
fn compose_accepts_the_file_and_so_does_its_schema() {
    let compose = Command::new(installed("docker-compose"))
        .args(["--profile", "monitoring", "config", "--quiet"])
        .current_dir(root())
        .output();
    printed(&compose.unwrap());
    let schema = python()
        .args(["-m", "check_jsonschema"])
        .args(["--builtin-schema", "vendor.compose-spec"])
        .arg(root().join("docker-compose.yaml"))
        .output();
    printed(&schema.unwrap());
}

#[test]
fn every_service_is_hardened_and_published_on_loopback_only() {
    for service in services() {
        let name = &service.name;
        assert_eq!(service.field("read_only"), true, "{name}");
        assert_eq!(service.list("cap_drop"), ["ALL"], "{name}");
        assert_eq!(service.list("security_opt"), ["no-new-privileges:true"]);
        let logs = &service.field("logging")["options"];
        assert!(logs["max-size"].is_string() && logs["max-file"].is_string());
        for key in ["privileged", "network_mode", "pid", "ipc", "cap_add"] {
            assert!(service.field(key).is_null(), "{name} has {key}");
        }
        for port in service.list("ports") {
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port}");
        }
        if service.is_ours() {
            let (user, _group) = service.text("user").split_once(':').unwrap();
            assert_ne!(user.parse(), Ok(0), "{name}");
        }
    }
}

#[test]
fn images_have_a_version_and_ours_has_this_one() {
    for service in services() {
        let (image, tag) = service.text("image").rsplit_once(':').unwrap();
        if service.is_ours() {
            assert_eq!(tag, env!("CARGO_PKG_VERSION"), "{image}");
            assert_eq!(service.field("build")["target"], image);
        } else {
            let digits = tag.chars().filter(char::is_ascii_digit).count();
            assert!(
                tag.matches('.').count() == 2 && digits >= 3,
                "{image}:{tag}"
            );
        }
    }
}

#[test]
fn nobody_waits_for_a_service_that_cannot_become_healthy() {
    for service in services() {
        for (other, state) in service.waits_for() {
            assert_eq!(state["condition"], "service_healthy", "{other}");
            let other = file::service(&other);
            assert!(other.health_check().is_some(), "{}", other.name);
            let of_the_other = other.list("profiles");
            let is_started = of_the_other.is_empty() || of_the_other == service.list("profiles");
            assert!(is_started, "{} is not there", other.name);
        }
    }
}

#[test]
fn a_service_is_killed_only_after_its_grace_period() {
    for service in services() {
        if let Some(grace_period) = service.environment().get("WEIR_GRACE_PERIOD") {
            let killed_after = service.seconds("stop_grace_period");
            assert!(killed_after > seconds(grace_period), "{}", service.name);
        }
    }
}

#[test]
fn what_is_mounted_is_there_and_cannot_be_changed() {
    for service in services() {
        for mount in service.mounts() {
            if let Some(path) = mount.path() {
                assert!(path.exists(), "{} mounts {}", service.name, mount.source);
                assert!(mount.is_read_only, "{} may change it", mount.source);
            }
        }
    }
}

#[test]
fn prometheus_has_the_jobs_of_the_plain_configuration() {
    let plain = read_yaml("dashboards/prometheus.yaml");
    let ours = read_yaml(&format!("{FOLDER}/prometheus.yaml"));
    assert_eq!(ours["rule_files"], plain["rule_files"]);
    let jobs = |file: &Value| file["scrape_configs"].as_array().unwrap().clone();
    for job in jobs(&plain) {
        let same = jobs(&ours)
            .into_iter()
            .find(|one| one["job_name"] == job["job_name"]);
        let same = same.unwrap_or_else(|| panic!("there is no job {}", job["job_name"]));
        assert_eq!(same["honor_labels"], job["honor_labels"]);
    }
    let node = &service("agent").environment()["NODE_NAME"];
    let broker = &jobs(&ours)[0]["static_configs"][0];
    assert_eq!(broker["labels"]["node"], node.as_str());
}

/// Every target is a service and a port on which it listens.
#[test]
fn prometheus_scrapes_services_where_they_listen() {
    let configuration = read_yaml(&format!("{FOLDER}/prometheus.yaml"));
    for job in configuration["scrape_configs"].as_array().unwrap() {
        let target = job["static_configs"][0]["targets"][0].as_str().unwrap();
        let (name, port) = target.split_once(':').unwrap();
        let variables = service(name).environment();
        let listens = format!("0.0.0.0:{port}");
        assert!(
            variables.values().any(|value| *value == listens),
            "{target}"
        );
    }
}

#[test]
fn grafana_finds_its_data_source_and_its_dashboards() {
    let grafana = service("grafana");
    let sources = provisioned("grafana-datasources.yaml", "datasources", SOURCE_KEYS);
    assert_eq!(sources.len(), 1);
    assert_eq!(sources[0]["type"], "prometheus");
    assert_eq!(sources[0]["isDefault"], true);
    let prometheus = service("prometheus");
    let published = &prometheus.list("ports")[0];
    let port = published.rsplit(':').next().unwrap();
    assert_eq!(sources[0]["url"], format!("http://prometheus:{port}"));

    let providers = provisioned("grafana-dashboards.yaml", "providers", PROVIDER_KEYS);
    let path = providers[0]["options"]["path"].as_str().unwrap();
    let folder = mounted_at(&grafana, path).path().unwrap();
    let home = &grafana.environment()["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    let home = home.strip_prefix(&format!("{path}/")).unwrap();
    let home = fs::read_to_string(folder.join(home)).unwrap();
    let home: Value = serde_json::from_str(&home).unwrap();
    assert_eq!(home["uid"], "weir-hosts");
    for (file, place) in [
        ("grafana-datasources.yaml", "datasources"),
        ("grafana-dashboards.yaml", "dashboards"),
    ] {
        let target = format!("/etc/grafana/provisioning/{place}/weir.yaml");
        let mount = mounted_at(&grafana, &target);
        assert_eq!(mount.source, format!("./{FOLDER}/{file}"));
    }
}

/// The keys of one data source, by Grafana's page "Provision Grafana".
const SOURCE_KEYS: &[&str] = &[
    "name",
    "type",
    "access",
    "orgId",
    "uid",
    "url",
    "user",
    "database",
    "basicAuth",
    "basicAuthUser",
    "withCredentials",
    "isDefault",
    "jsonData",
    "secureJsonData",
    "version",
    "editable",
];

/// The keys of one provider of dashboards, by the same page.
const PROVIDER_KEYS: &[&str] = &[
    "name",
    "orgId",
    "folder",
    "folderUid",
    "type",
    "disableDeletion",
    "updateIntervalSeconds",
    "allowUiUpdates",
    "options",
];

/// The entries of a provisioning file, which Grafana reads without a word about unknown keys.
fn provisioned(file: &str, list: &str, known: &[&str]) -> Vec<Value> {
    let file = read_yaml(&format!("{FOLDER}/{file}"));
    assert_eq!(file["apiVersion"], 1);
    let entries = file[list].as_array().unwrap().clone();
    for key in entries
        .iter()
        .flat_map(|entry| entry.as_object().unwrap().keys())
    {
        assert!(known.contains(&key.as_str()), "{list} know no {key}");
    }
    entries
}

fn mounted_at(service: &Service, target: &str) -> Mount {
    let mounts = service.mounts();
    let found = mounts.into_iter().find(|mount| mount.target == target);
    found.unwrap_or_else(|| panic!("nothing lies at {target}"))
}

/// What `docker compose --profile monitoring up` and `run` start, as far as we have the programs: as the
/// file's users, on read-only roots, under the services' names and ports.
#[test]
fn slow_the_services_run_as_the_file_says() {
    let [broker, agent, ui, weir, prometheus] =
        ["broker", "agent", "ui", "weir", "prometheus"].map(service);
    let machine = Machine::start(&[&broker, &agent, &ui, &prometheus]);
    let mut running = Vec::new();
    for service in [&broker, &ui, &agent] {
        let mut started = machine.start_service(service);
        machine.wait_until_healthy(&mut started);
        running.push(started);
    }

    let node = &agent.environment()["NODE_NAME"];
    let words = ["check", "--ui", "http://ui:8080", "--node", node.as_str()].map(str::to_owned);
    printed(&machine.run(&weir, &words));

    let configuration = TempDir::new().unwrap();
    let prometheus = scraping_each_second(prometheus, configuration.path());
    let prometheus = machine.start_service(&prometheus);
    for series in [
        format!(r#"up{{job="weir-broker",node="{node}"}}==1"#),
        r#"up{job="weir-ui"}==1"#.to_owned(),
        r#"up{job="weir-agent"}==1"#.to_owned(),
        format!(r#"node_filesystem_size_bytes{{instance="{node}",mountpoint="/"}}"#),
        format!(r#"node_network_receive_bytes_total{{instance="{node}",job="weir-ui"}}"#),
    ] {
        eventually(&series, || has_series(&machine, &series).then_some(()));
    }
    all_rules_are_well(&machine);

    for service in running.into_iter().rev() {
        assert!(service.stop().success());
    }
    assert!(prometheus.stop().success());
}

/// So that the test does not wait for the 15 s of the file.
fn scraping_each_second(prometheus: Service, folder: &Path) -> Service {
    let file = format!("{FOLDER}/prometheus.yaml");
    let text = fs::read_to_string(root().join(&file)).unwrap();
    let changed = text.replace("_interval: 15s", "_interval: 1s");
    assert_ne!(text, changed);
    let path = folder.join("prometheus.yaml");
    fs::write(&path, changed).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    prometheus.with_source(&format!("./{file}"), &path)
}

fn has_series(machine: &Machine, query: &str) -> bool {
    let found = ask_prometheus(machine, &format!("query?query={}", encoded(query)));
    found.is_some_and(|found| found["result"] != Value::Array(Vec::new()))
}

fn all_rules_are_well(machine: &Machine) {
    let rules = eventually("rules", || ask_prometheus(machine, "rules"));
    let groups = rules["groups"].as_array().unwrap().iter();
    let names: BTreeSet<_> = groups
        .map(|group| group["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, BTreeSet::from(["weir-broker", "weir-hosts"]));
}

/// `None` while it does not answer.
fn ask_prometheus(machine: &Machine, path: &str) -> Option<Value> {
    let answer = machine.get(&format!("http://127.0.0.1:9090/api/v1/{path}"))?;
    let mut answer: Value = serde_json::from_str(&answer).unwrap();
    Some(answer["data"].take())
}

fn encoded(query: &str) -> String {
    let one = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || byte == b'_' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    query.bytes().map(one).collect()
}
