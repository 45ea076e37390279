//! A container as a runtime is told to run it (the Open Container Initiative's `config.json`).

use super::image::Image;
use super::node;
use super::spec::{Container, PodSpec, Variable};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Who a pod is, as far as its containers may ask.
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) address: String,
}

/// Everything in the container's file system but its volumes: the rest of its image is empty.
pub(super) struct Files {
    /// Bind mounts that only read.
    pub(super) read_only: Vec<(String, String)>,
    pub(super) volumes: Vec<Value>,
}

/// What containerd hides of the kernel, and what it protects.
const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];
const PROTECTED: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The runtime's configuration of a pod's only container.
pub(super) fn config(
    identity: &Identity,
    spec: &PodSpec,
    container: &Container,
    files: &Files,
    network: &Path,
) -> Value {
    let image = Image::named(&container.image);
    let variables = variables(identity, &image, &container.env);
    let arguments = container.args.iter().map(|text| expand(text, &variables));
    let mut command = image.entrypoint;
    command.extend(arguments);
    let network = json!({"type": "network", "path": network});
    let mut namespaces: Vec<_> = ["pid", "ipc", "uts", "mount"]
        .map(|kind| json!({"type": kind}))
        .into();
    namespaces.push(network);
    json!({
        "ociVersion": "1.0.0",
        "hostname": identity.name,
        "process": process(spec, container, &command, &variables),
        "root": {
            "path": "root",
            "readonly": container.security_context.read_only_root_filesystem,
        },
        "mounts": mounts(files),
        "linux": {"namespaces": namespaces, "maskedPaths": MASKED, "readonlyPaths": PROTECTED},
    })
}

/// A process in the container: its first, or one that is run in it later.
pub(super) fn process(
    spec: &PodSpec,
    container: &Container,
    command: &[String],
    variables: &BTreeMap<String, String>,
) -> Value {
    let security = &spec.security_context;
    let root_is_refused = security.run_as_non_root && security.run_as_user == 0;
    assert!(!root_is_refused, "runAsNonRoot, and runAsUser 0");
    let dropped = &container.security_context.capabilities.drop;
    assert_eq!(*dropped, ["ALL"], "other capabilities are not known here");
    let variables = variables
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    json!({
        "user": {
            "uid": security.run_as_user,
            "gid": security.run_as_group,
            "additionalGids": security.fs_group.iter().collect::<Vec<_>>(),
        },
        "args": command,
        "env": variables.collect::<Vec<_>>(),
        "cwd": "/",
        "capabilities": {"bounding": [], "effective": [], "inheritable": [], "permitted": []},
        "noNewPrivileges": !container.security_context.allow_privilege_escalation,
    })
}

/// The image's variables, then those that every pod has, then the pod's own: later ones win.
pub(super) fn variables(
    identity: &Identity,
    image: &Image,
    own: &[Variable],
) -> BTreeMap<String, String> {
    let mut variables = image.variables.clone();
    let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
    set(
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
    );
    set("HOSTNAME", identity.name.clone());
    set("KUBERNETES_SERVICE_HOST", "10.96.0.1".to_owned());
    set("KUBERNETES_SERVICE_PORT", "443".to_owned());
    for variable in own {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), None) => value.clone(),
            (None, Some(from)) => field(identity, &from.field_ref.field_path),
            _ => panic!("{variable:?}"),
        };
        set(&variable.name, value);
    }
    variables
}

/// The downward API.
fn field(identity: &Identity, path: &str) -> String {
    let label = path.strip_prefix("metadata.labels['");
    match (path, label.and_then(|label| label.strip_suffix("']"))) {
        (_, Some(label)) => identity.labels.get(label).cloned().unwrap_or_default(),
        ("metadata.name", _) => identity.name.clone(),
        ("metadata.namespace", _) => identity.namespace.clone(),
        ("spec.nodeName", _) => node::NAME.to_owned(),
        ("status.podIP", _) => identity.address.clone(),
        _ => panic!("fieldPath {path}"),
    }
}

/// `$(NAME)` in arguments; an unknown name stays as it is.
fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let replaced = |text: String, (name, value): (&String, &String)| {
        text.replace(&format!("$({name})"), value)
    };
    variables.iter().fold(text.to_owned(), replaced)
}

fn mounts(files: &Files) -> Vec<Value> {
    let kernel = json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs",
            "options": ["ro", "nosuid", "noexec", "nodev"]},
    ]);
    let bind = |(source, destination): &(String, String)| {
        json!({"destination": destination, "source": source, "type": "bind",
            "options": ["bind", "ro", "rprivate"]})
    };
    let mut mounts = kernel.as_array().cloned().unwrap_or_default();
    mounts.extend(files.read_only.iter().map(bind));
    mounts.extend(files.volumes.iter().cloned());
    mounts
}

#[test]
fn a_pods_own_variables_win_and_arguments_name_them() {
    let identity = Identity {
        name: "tea-0".to_owned(),
        namespace: "shop".to_owned(),
        labels: BTreeMap::from([("a/index".to_owned(), "3".to_owned())]),
        address: "10.0.0.7".to_owned(),
    };
    let image = Image {
        variables: BTreeMap::from(
            [("KIND", "green"), ("CUPS", "1")].map(|(k, v)| (k.into(), v.into())),
        ),
        ..Image::default()
    };
    let own = json!([
        {"name": "CUPS", "value": "2"},
        {"name": "INDEX", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a/index']"}}},
    ]);
    let own: Vec<Variable> = serde_json::from_value(own).unwrap();
    let variables = variables(&identity, &image, &own);
    let text = expand("$(KIND) $(CUPS) $(INDEX) $(HOSTNAME) $(ZONE)", &variables);
    assert_eq!(text, "green 2 3 tea-0 $(ZONE)");
}
