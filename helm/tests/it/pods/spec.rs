//! A pod's specification, as far as it means something to one node.
//!
//! A field that is not known here is an error: a pod must not run without what it asks for.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// One that is in no image.
pub(super) const ASSIGNED_USER: u32 = 1_000_650_000;
/// Fields of a pod that the scheduler and the API server read.
const FOR_THE_SCHEDULER: [&str; 9] = [
    "affinity",
    "imagePullSecrets",
    "nodeSelector",
    "priorityClassName",
    "restartPolicy",
    "serviceAccountName",
    "tolerations",
    "topologySpreadConstraints",
    "automountServiceAccountToken",
];
/// Fields of a container that are not tried: there are no control groups and no registry here.
const NOT_TRIED: [&str; 2] = ["resources", "imagePullPolicy"];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PodSpec {
    pub(super) security_context: PodSecurity,
    pub(super) enable_service_links: bool,
    #[serde(default = "thirty")]
    pub(super) termination_grace_period_seconds: u64,
    pub(super) containers: Vec<Value>,
    #[serde(default)]
    pub(super) volumes: Vec<Volume>,
}

/// As Kubernetes has it.
fn thirty() -> u64 {
    30
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PodSecurity {
    pub(super) run_as_user: u32,
    pub(super) run_as_group: u32,
    pub(super) run_as_non_root: bool,
    pub(super) fs_group: Option<u32>,
    #[serde(rename = "fsGroupChangePolicy")]
    _fs_group_change_policy: Option<String>,
    /// Not tried: the runtime's own list of system calls differs from runtime to runtime.
    #[serde(rename = "seccompProfile")]
    _seccomp_profile: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Container {
    #[serde(rename = "name")]
    _name: String,
    pub(super) image: String,
    #[serde(default)]
    pub(super) args: Vec<String>,
    #[serde(default)]
    pub(super) env: Vec<Variable>,
    #[serde(default)]
    pub(super) ports: Vec<Port>,
    pub(super) security_context: ContainerSecurity,
    #[serde(default)]
    pub(super) volume_mounts: Vec<VolumeMount>,
    pub(super) startup_probe: Option<Probe>,
    pub(super) readiness_probe: Option<Probe>,
    pub(super) liveness_probe: Option<Probe>,
    pub(super) lifecycle: Option<Lifecycle>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ContainerSecurity {
    pub(super) allow_privilege_escalation: bool,
    pub(super) read_only_root_filesystem: bool,
    pub(super) capabilities: Capabilities,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Capabilities {
    pub(super) drop: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: Option<String>,
    pub(super) value_from: Option<ValueFrom>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ValueFrom {
    pub(super) field_ref: FieldRef,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FieldRef {
    pub(super) field_path: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) container_port: u16,
    #[serde(rename = "protocol")]
    _protocol: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VolumeMount {
    pub(super) name: String,
    pub(super) mount_path: String,
    #[serde(default)]
    pub(super) read_only: bool,
    pub(super) mount_propagation: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Volume {
    pub(super) name: String,
    pub(super) config_map: Option<ConfigMapVolume>,
    pub(super) host_path: Option<HostPath>,
    pub(super) empty_dir: Option<BTreeMap<String, Value>>,
    pub(super) persistent_volume_claim: Option<Claim>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigMapVolume {
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostPath {
    pub(super) path: String,
    #[serde(rename = "type")]
    _kind: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Claim {
    pub(super) claim_name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Probe {
    pub(super) http_get: HttpGet,
    pub(super) timeout_seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpGet {
    pub(super) path: String,
    /// The name of one of the container's ports.
    pub(super) port: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Lifecycle {
    pub(super) pre_stop: PreStop,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PreStop {
    pub(super) exec: Exec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exec {
    pub(super) command: Vec<String>,
}

impl PodSpec {
    /// Reads `spec` of a pod.
    pub(super) fn of(spec: &Value) -> Self {
        let spec: Self = read(&admitted(spec), &FOR_THE_SCHEDULER);
        let links = spec.enable_service_links;
        assert!(!links, "variables of service links are not made here");
        spec
    }

    /// Its only container.
    pub(super) fn container(&self) -> Container {
        let [container] = &*self.containers else {
            panic!("{} containers", self.containers.len());
        };
        read(container, &NOT_TRIED)
    }
}

impl Container {
    /// The number of the port that a probe names.
    pub(super) fn port(&self, name: &str) -> u16 {
        let port = self.ports.iter().find(|port| port.name == name);
        port.unwrap_or_else(|| panic!("no port is named {name}"))
            .container_port
    }

    /// All probes, and what each is for.
    pub(super) fn probes(&self) -> [(&'static str, &Option<Probe>); 3] {
        [
            ("startup", &self.startup_probe),
            ("readiness", &self.readiness_probe),
            ("liveness", &self.liveness_probe),
        ]
    }
}

/// The pod as a cluster admits it that has a user and a group for whoever asks for none: OpenShift.
fn admitted(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if spec["securityContext"].get("runAsUser").is_none() {
        let security = &mut spec["securityContext"];
        security["runAsUser"] = ASSIGNED_USER.into();
        security["runAsGroup"] = 0.into();
        security["fsGroup"] = ASSIGNED_USER.into();
    }
    spec
}

fn read<T: DeserializeOwned>(value: &Value, without: &[&str]) -> T {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|field, _| !without.contains(&field.as_str()));
    }
    serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{e} in {value:#}"))
}
