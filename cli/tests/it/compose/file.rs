//! docker-compose.yaml and the files it mounts, read as data.

use crate::support::root;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A program that turns YAML, anchors and merges included, into JSON.
const TO_JSON: &str = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";

/// A YAML file of the checkout.
pub(super) fn read_yaml(path: &str) -> Value {
    let file = std::fs::File::open(root().join(path)).unwrap();
    let output = python().args(["-c", TO_JSON]).stdin(file).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{path}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Python with the packages that `cargo xtask python` installs.
pub(super) fn python() -> Command {
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", root().join("target/tools/python"));
    python
}

/// The services of docker-compose.yaml.
pub(super) fn services() -> Vec<Service> {
    let mut file = read_yaml("docker-compose.yaml");
    let Value::Object(services) = file["services"].take() else {
        panic!("docker-compose.yaml has no services");
    };
    let services = services.into_iter();
    services
        .map(|(name, value)| Service { name, value })
        .collect()
}

/// The service of that name.
pub(super) fn service(name: &str) -> Service {
    let found = services().into_iter().find(|service| service.name == name);
    found.unwrap_or_else(|| panic!("docker-compose.yaml has no service {name}"))
}

/// One service, as the file describes it.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) name: String,
    value: Value,
}

/// What lies where in a service's container.
pub(super) struct Mount {
    /// A path of the machine, a path of the checkout that begins with `./`, or the name of a volume.
    pub(super) source: String,
    pub(super) target: String,
    pub(super) is_read_only: bool,
}

impl Service {
    pub(super) fn field(&self, key: &str) -> &Value {
        &self.value[key]
    }

    pub(super) fn text(&self, key: &str) -> &str {
        let text = self.value[key].as_str();
        text.unwrap_or_else(|| panic!("{} has no {key}", self.name))
    }

    pub(super) fn list(&self, key: &str) -> Vec<String> {
        strings(&self.value[key])
    }

    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        let variables = self.value["environment"].as_object();
        let variables = variables.into_iter().flatten();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        variables
            .map(|(name, value)| (name.clone(), text(value).expect("values are in quotes")))
            .collect()
    }

    /// Whether the image is made from this checkout.
    pub(super) fn is_ours(&self) -> bool {
        self.value["build"].is_object()
    }

    /// The command that asks whether it is well, without Docker's word `CMD`.
    pub(super) fn health_check(&self) -> Option<Vec<String>> {
        let words = strings(&self.value["healthcheck"]["test"]);
        let (first, command) = words.split_first()?;
        assert_eq!(first, "CMD", "{}: a shell is not in every image", self.name);
        Some(command.to_vec())
    }

    /// The services that it waits for, and for which state of theirs.
    pub(super) fn waits_for(&self) -> Map<String, Value> {
        self.value["depends_on"]
            .as_object()
            .cloned()
            .unwrap_or_default()
    }

    pub(super) fn seconds(&self, key: &str) -> Duration {
        seconds(self.text(key))
    }

    /// The same service with another file where `source` is mounted.
    pub(super) fn with_source(mut self, source: &str, other: &Path) -> Self {
        let mounts = self.value["volumes"].as_array_mut().unwrap().iter_mut();
        let short = mounts.filter(|mount| mount.as_str().is_some_and(|it| it.starts_with(source)));
        for mount in short {
            let changed = mount
                .as_str()
                .unwrap()
                .replace(source, other.to_str().unwrap());
            *mount = Value::String(changed);
        }
        self
    }

    pub(super) fn mounts(&self) -> Vec<Mount> {
        let mounts = self.value["volumes"].as_array();
        mounts.into_iter().flatten().map(mount).collect()
    }
}

/// A mount, of the long or of the short form.
fn mount(value: &Value) -> Mount {
    if let Some(short) = value.as_str() {
        let mut parts = short.split(':').map(str::to_owned);
        return Mount {
            source: parts.next().unwrap(),
            target: parts.next().unwrap(),
            is_read_only: parts.next().is_some_and(|options| options == "ro"),
        };
    }
    let text = |key: &str| value[key].as_str().unwrap().to_owned();
    Mount {
        source: text("source"),
        target: text("target"),
        is_read_only: value["read_only"] == true,
    }
}

impl Mount {
    /// Where it comes from on this machine; `None` for a volume.
    pub(super) fn path(&self) -> Option<PathBuf> {
        let source = &self.source;
        if source.starts_with('/') {
            return Some(PathBuf::from(source));
        }
        source.strip_prefix("./").map(|path| root().join(path))
    }
}

/// `25s`, as a duration.
pub(super) fn seconds(text: &str) -> Duration {
    let number = text.strip_suffix('s').and_then(|text| text.parse().ok());
    Duration::from_secs(number.unwrap_or_else(|| panic!("{text} is not a number of seconds")))
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.map(|one| one.as_str().unwrap().to_owned()).collect()
}
