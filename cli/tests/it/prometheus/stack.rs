//! Broker, agent and weir-ui as processes, and Debian's Prometheus and node_exporter beside them.

use crate::support::{binaries, eventually, installed, root};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

pub(super) const NODE: &str = "host-1";

/// A process that says in its log where it listens, ended when dropped.
struct Listening {
    process: Child,
    address: String,
}

impl Listening {
    /// Waits until the line with `announcement` tells the address in the field `field`.
    fn start(command: &mut Command, log: &Path, announcement: &str, field: &str) -> Self {
        let mut listening = Self {
            process: spawn(command, log),
            address: String::new(),
        };
        listening.address = eventually(&format!("{announcement:?} in {}", log.display()), || {
            let text = fs::read_to_string(log).unwrap();
            let ended = listening.process.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended: {text}");
            let line = text.lines().find(|line| line.contains(announcement))?;
            let address = line.split_once(&format!(" {field}="))?.1;
            let address = address.split_whitespace().next()?;
            Some(address.trim_matches('"').to_owned())
        });
        listening
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// All that Prometheus scrapes here; its fields end in this order.
pub(super) struct Stack {
    node_exporter: Listening,
    agent: Child,
    ui: Listening,
    broker: Listening,
    directory: TempDir,
}

impl Stack {
    pub(super) fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let log = |name: &str| directory.path().join(format!("{name}.log"));
        let broker = Listening::start(
            weir("weir-broker")
                .arg("--data-dir")
                .arg(directory.path().join("data"))
                .args([
                    "--min-free-bytes",
                    "0",
                    "--http",
                    "127.0.0.1:0",
                    "--grpc",
                    "off",
                ]),
            &log("broker"),
            "weir-broker is ready",
            "http",
        );
        let ui = Listening::start(
            weir("weir-ui")
                .args(["--broker", &broker.url("")])
                .args(["--http", "127.0.0.1:0"]),
            &log("ui"),
            "weir-ui is ready",
            "http",
        );
        let node_exporter = Listening::start(
            Command::new(installed("prometheus-node-exporter"))
                .arg("--web.listen-address=127.0.0.1:0"),
            &log("node-exporter"),
            "Listening on",
            "address",
        );
        let agent = spawn(
            weir("weir-agent")
                .args(["--broker", &broker.url("")])
                .args(["--node", NODE]),
            &log("agent"),
        );
        Self {
            node_exporter,
            agent,
            ui,
            broker,
            directory,
        }
    }

    /// Prometheus with the configuration we ship, as `edit` changes it, and node_exporter as one
    /// more job.
    pub(super) fn prometheus(&self, edit: impl FnOnce(&str) -> String) -> Prometheus {
        let directory = TempDir::new().unwrap();
        let rules = "prometheus-rules.yaml";
        fs::copy(dashboards().join(rules), directory.path().join(rules)).unwrap();
        let configuration = directory.path().join("prometheus.yaml");
        fs::write(&configuration, edit(&self.configuration())).unwrap();
        let mut command = Command::new(installed("prometheus"));
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.path().display()
            ))
            .arg("--web.listen-address=127.0.0.1:0");
        let log = directory.path().join("log");
        let server = Listening::start(&mut command, &log, "Listening on", "address");
        // It listens before it has read its own log, and answers nothing until then.
        eventually("Prometheus that is ready", || {
            curl(&[&server.url("/-/ready")])
                .contains("Ready")
                .then_some(())
        });
        Prometheus {
            server,
            _directory: directory,
        }
    }

    fn configuration(&self) -> String {
        let shipped = fs::read_to_string(dashboards().join("prometheus.yaml")).unwrap();
        let node_exporter = &self.node_exporter.address;
        let node_exporter = format!(
            "  - job_name: node\n    static_configs: [{{ targets: [\"{node_exporter}\"] }}]\n"
        );
        let replaced = [
            ("127.0.0.1:5000", self.broker.address.as_str()),
            ("127.0.0.1:8080", &self.ui.address),
            ("broker-1", NODE),
            ("interval: 15s", "interval: 1s"),
            (
                "scrape_configs:\n",
                &format!("scrape_configs:\n{node_exporter}"),
            ),
        ];
        replaced.iter().fold(shipped, |text, (from, to)| {
            assert!(text.contains(from), "prometheus.yaml has no {from:?}");
            text.replace(from, to)
        })
    }

    /// One message under a lease of a group, one that was damaged on disk and then met, and a worker
    /// where nobody listens.
    pub(super) fn work(&self) {
        let publish = |topic: &str| {
            let path = format!("/v1/topics/{topic}/messages");
            curl(&["-d", r#"{"total":12345}"#, &self.broker.url(&path)]);
        };
        publish("orders");
        let lease = "/v1/topics/orders/groups/billing/lease?max=1";
        curl(&["-X", "POST", &self.broker.url(lease)]);
        let worker = r#"{"topic":"orders","target":"tcp://127.0.0.1:1"}"#;
        curl(&["-d", worker, &self.broker.url("/v1/workers")]);
        publish("damaged");
        let segment = "data/damaged/partition-0/00000000000000000000.log";
        let segment = self.directory.path().join(segment);
        let line = fs::read_to_string(&segment).unwrap();
        fs::write(&segment, line.replace("12345", "12346")).unwrap();
        curl(&[&self.broker.url("/v1/topics/damaged/messages?from=earliest")]);
    }

    pub(super) fn stop_agent(&mut self) {
        end(&mut self.agent);
    }

    pub(super) fn broker_page(&self) -> String {
        curl(&[&self.broker.url("/metrics")])
    }

    pub(super) fn ui_page(&self) -> String {
        curl(&[&self.ui.url("/metrics")])
    }

    pub(super) fn node_exporter_page(&self) -> String {
        curl(&[&self.node_exporter.url("/metrics")])
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.stop_agent();
    }
}

/// A running Prometheus.
pub(super) struct Prometheus {
    server: Listening,
    _directory: TempDir,
}

impl Prometheus {
    /// The series that `query` gives now: labels and value. An error fails the test.
    pub(super) fn series(&self, query: &str) -> Vec<(Value, f64)> {
        let data = self.api("/api/v1/query", query);
        assert_eq!(data["resultType"], "vector", "{query}");
        let series = data["result"].as_array().unwrap().iter();
        let value = |one: &Value| one["value"][1].as_str().unwrap().parse().unwrap();
        series
            .map(|one| (one["metric"].clone(), value(one)))
            .collect()
    }

    /// Every rule, as Prometheus knows it.
    pub(super) fn rules(&self) -> Vec<Value> {
        let data = self.api("/api/v1/rules", "");
        let groups = data["groups"].as_array().unwrap().iter();
        let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
        rules.cloned().collect()
    }

    /// Waits until `query` gives series.
    pub(super) fn wait_for(&self, query: &str) -> Vec<(Value, f64)> {
        eventually(query, || {
            let series = self.series(query);
            (!series.is_empty()).then_some(series)
        })
    }

    fn api(&self, path: &str, query: &str) -> Value {
        let query = format!("query={query}");
        let url = self.server.url(path);
        let answer = curl(&["-G", "--data-urlencode", &query, &url]);
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"].take()
    }
}

pub(super) fn dashboards() -> PathBuf {
    root().join("dashboards")
}

fn weir(binary: &str) -> Command {
    let path = binaries().join(binary);
    assert!(path.exists(), "build it first: cargo build -p {binary}");
    let mut command = Command::new(path);
    let foreign = std::env::vars_os().map(|(name, _)| name);
    for name in foreign.filter(|name| name.to_string_lossy().starts_with("WEIR_")) {
        command.env_remove(name);
    }
    command
}

fn spawn(command: &mut Command, log: &Path) -> Child {
    let log = File::create(log).unwrap();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Sends SIGTERM and waits. Ending twice is fine.
fn end(process: &mut Child) {
    if matches!(process.try_wait(), Ok(None)) {
        let pid = process.id().to_string();
        let _gone = Command::new("kill").arg(pid).status();
    }
    let _reaped = process.wait();
}

fn curl(arguments: &[&str]) -> String {
    let curl = Command::new("curl")
        .args(["-sS", "--max-time", "20"])
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&curl.stderr);
    assert!(curl.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(curl.stdout).unwrap()
}
