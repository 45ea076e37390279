//! The Pod Security Standards of Kubernetes, both levels, written down rule by rule:
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>
//!
//! Everything keeps "restricted". Agents that mount parts of their node break exactly one of its rules,
//! the one on volumes, and these mounts are judged by `volumes`.

use super::{Policy, Violation, bad, each};
use crate::releases::{list, text};
use serde_json::{Value, json};
use weir_chart::{Object, Request, render, render_all};

pub(super) const POLICIES: &[Policy] = &[
    Policy {
        name: "baseline: host namespaces",
        check: |objects| each(objects, host_namespaces),
        bad: &[
            bad(BROKER, "/spec/template/spec/hostNetwork", "true"),
            bad(BROKER, "/spec/template/spec/hostPID", "true"),
            bad(AGENT, "/spec/template/spec/hostIPC", "true"),
        ],
    },
    Policy {
        name: "baseline: privileged, HostProcess, /proc mounts",
        check: |objects| each(objects, privileged),
        bad: &[
            bad(AGENT, CONTAINER_PRIVILEGED, "true"),
            bad(
                AGENT,
                "/spec/template/spec/containers/0/securityContext/procMount",
                "\"Unmasked\"",
            ),
            bad(
                UI,
                "/spec/template/spec/securityContext/windowsOptions",
                "{\"hostProcess\": true}",
            ),
        ],
    },
    Policy {
        name: "baseline: host ports, host of probes and hooks",
        check: |objects| each(objects, host_ports),
        bad: &[
            bad(
                BROKER,
                "/spec/template/spec/containers/0/ports/0/hostPort",
                "5000",
            ),
            bad(
                UI,
                "/spec/template/spec/containers/0/livenessProbe/httpGet/host",
                "\"10.0.0.1\"",
            ),
        ],
    },
    Policy {
        name: "baseline: AppArmor, SELinux, sysctls",
        check: |objects| each(objects, kernel_options),
        bad: &[
            bad(
                BROKER,
                "/spec/template/spec/securityContext/appArmorProfile",
                "{\"type\": \"Unconfined\"}",
            ),
            bad(
                BROKER,
                "/spec/template/spec/securityContext/seLinuxOptions",
                "{\"type\": \"spc_t\"}",
            ),
            bad(
                BROKER,
                "/spec/template/spec/containers/0/securityContext/seLinuxOptions",
                "{\"user\": \"root\"}",
            ),
            bad(
                BROKER,
                "/spec/template/spec/securityContext/sysctls",
                "[{\"name\": \"kernel.msgmax\", \"value\": \"1\"}]",
            ),
            bad(
                AGENT,
                "/spec/template/metadata/annotations/container.apparmor.security.beta.kubernetes.io~1agent",
                "\"unconfined\"",
            ),
        ],
    },
    Policy {
        name: "restricted: capabilities",
        check: |objects| each(objects, capabilities),
        bad: &[
            bad(
                AGENT,
                "/spec/template/spec/containers/0/securityContext/capabilities/drop",
                "",
            ),
            bad(
                UI,
                "/spec/template/spec/containers/0/securityContext/capabilities/drop",
                "[\"NET_RAW\"]",
            ),
            bad(
                AGENT,
                "/spec/template/spec/containers/0/securityContext/capabilities/add",
                "[\"SYS_PTRACE\"]",
            ),
        ],
    },
    Policy {
        name: "restricted: privilege escalation",
        check: |objects| each(objects, escalation),
        bad: &[bad(AGENT, ESCALATION, ""), bad(BROKER, ESCALATION, "true")],
    },
    Policy {
        name: "restricted: not root",
        check: |objects| each(objects, root_user),
        bad: &[
            bad(
                BROKER,
                "/spec/template/spec/securityContext/runAsNonRoot",
                "",
            ),
            bad(
                UI,
                "/spec/template/spec/containers/0/securityContext/runAsNonRoot",
                "false",
            ),
            bad(AGENT, "/spec/template/spec/securityContext/runAsUser", "0"),
            bad(
                AGENT,
                "/spec/template/spec/containers/0/securityContext/runAsUser",
                "0",
            ),
        ],
    },
    Policy {
        name: "restricted: seccomp",
        check: |objects| each(objects, seccomp),
        bad: &[
            bad(
                BROKER,
                "/spec/template/spec/securityContext/seccompProfile",
                "",
            ),
            bad(
                AGENT,
                "/spec/template/spec/containers/0/securityContext/seccompProfile",
                "{\"type\": \"Unconfined\"}",
            ),
        ],
    },
    Policy {
        name: "restricted: volume types",
        check: volume_types,
        bad: &[
            bad(
                BROKER,
                "/spec/template/spec/volumes/-",
                "{\"name\": \"x\", \"hostPath\": {\"path\": \"/\"}}",
            ),
            bad(
                AGENT,
                "/spec/template/spec/volumes/-",
                "{\"name\": \"x\", \"nfs\": {\"server\": \"x\", \"path\": \"/\"}}",
            ),
        ],
    },
    Policy {
        name: "beyond the standard: the root file system is read-only",
        check: |objects| each(objects, writable_root),
        bad: &[bad(
            UI,
            "/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem",
            "",
        )],
    },
    Policy {
        name: "a namespace of the release admits its pods",
        check: admission,
        bad: &[bad(
            "Namespace/weir",
            "/metadata/labels/pod-security.kubernetes.io~1enforce",
            "\"restricted\"",
        )],
    },
];

const BROKER: &str = "StatefulSet/weir-broker";
const AGENT: &str = "DaemonSet/weir-agent";
const UI: &str = "Deployment/weir-ui";
const CONTAINER_PRIVILEGED: &str = "/spec/template/spec/containers/0/securityContext/privileged";
const ESCALATION: &str =
    "/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation";

const SAFE_SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
];
const SELINUX_TYPES: &[&str] = &[
    "",
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];
const VOLUME_TYPES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

fn host_namespaces(object: &Object) -> Vec<String> {
    let namespaces = ["hostNetwork", "hostPID", "hostIPC"];
    let shared = namespaces
        .iter()
        .filter(|key| pod_spec(object)[**key] == true);
    shared.map(|key| format!("{key} is true")).collect()
}

fn privileged(object: &Object) -> Vec<String> {
    let mut violations = Vec::new();
    for context in security_contexts(object) {
        if context["privileged"] == true {
            violations.push("privileged".to_owned());
        }
        if context["windowsOptions"]["hostProcess"] == true {
            violations.push("a HostProcess container".to_owned());
        }
        if !["", "Default"].contains(&text(context, "procMount")) {
            violations.push("procMount is not Default".to_owned());
        }
    }
    violations
}

fn host_ports(object: &Object) -> Vec<String> {
    let mut violations = Vec::new();
    for container in object.containers() {
        let ports = list(container, "ports").iter();
        let host_ports = ports.filter(|port| port["hostPort"].as_u64().unwrap_or(0) != 0);
        violations.extend(host_ports.map(|port| format!("hostPort {}", port["hostPort"])));
        let hosts = handlers(container).filter(|handler| !text(handler, "host").is_empty());
        violations.extend(hosts.map(|handler| format!("a probe asks {}", handler["host"])));
    }
    violations
}

/// Where probes and lifecycle hooks connect to.
fn handlers(container: &Value) -> impl Iterator<Item = &Value> {
    let lifecycle = &container["lifecycle"];
    let callers = [
        &container["livenessProbe"],
        &container["readinessProbe"],
        &container["startupProbe"],
        &lifecycle["preStop"],
        &lifecycle["postStart"],
    ];
    let handlers = callers
        .into_iter()
        .flat_map(|caller| [&caller["httpGet"], &caller["tcpSocket"]]);
    handlers.filter(|handler| handler.is_object())
}

fn kernel_options(object: &Object) -> Vec<String> {
    let mut violations = Vec::new();
    for context in security_contexts(object) {
        let profile = text(&context["appArmorProfile"], "type");
        if !["", "RuntimeDefault", "Localhost"].contains(&profile) {
            violations.push(format!("AppArmor profile {profile}"));
        }
        let selinux = &context["seLinuxOptions"];
        let kind = text(selinux, "type");
        let named = ["user", "role"]
            .iter()
            .any(|key| !text(selinux, key).is_empty());
        if named || !SELINUX_TYPES.contains(&kind) {
            violations.push(format!("SELinux options {selinux}"));
        }
        let names = list(context, "sysctls")
            .iter()
            .map(|sysctl| text(sysctl, "name"));
        let unsafe_names = names.filter(|name| !SAFE_SYSCTLS.contains(name));
        violations.extend(unsafe_names.map(|name| format!("sysctl {name}")));
    }
    let annotations = object
        .pod()
        .and_then(|pod| pod["metadata"]["annotations"].as_object());
    for (key, value) in annotations.into_iter().flatten() {
        let profile = value.as_str().unwrap_or_default();
        let allowed = profile == "runtime/default" || profile.starts_with("localhost/");
        if key.starts_with(APPARMOR_ANNOTATION) && !allowed {
            violations.push(format!("AppArmor profile {profile}"));
        }
    }
    violations
}

fn capabilities(object: &Object) -> Vec<String> {
    let mut violations = Vec::new();
    for container in object.containers() {
        let capabilities = &container["securityContext"]["capabilities"];
        if !list(capabilities, "drop").contains(&Value::from("ALL")) {
            violations.push("does not drop ALL capabilities".to_owned());
        }
        let added = list(capabilities, "add").iter();
        let too_many = added.filter(|name| **name != "NET_BIND_SERVICE");
        violations.extend(too_many.map(|name| format!("adds {name}")));
    }
    violations
}

fn escalation(object: &Object) -> Vec<String> {
    let contexts = object.containers().map(|c| &c["securityContext"]);
    let allowed = contexts.filter(|context| context["allowPrivilegeEscalation"] != false);
    allowed
        .map(|_| "allowPrivilegeEscalation is not false".to_owned())
        .collect()
}

fn root_user(object: &Object) -> Vec<String> {
    let mut violations = Vec::new();
    let pod = &pod_spec(object)["securityContext"];
    for container in object.containers() {
        let own = &container["securityContext"];
        let effective = own.get("runAsNonRoot").unwrap_or(&pod["runAsNonRoot"]);
        if effective != true {
            violations.push("runAsNonRoot is not true".to_owned());
        }
        if own["runAsUser"] == 0 || pod["runAsUser"] == 0 {
            violations.push("runAsUser is 0".to_owned());
        }
    }
    violations
}

fn seccomp(object: &Object) -> Vec<String> {
    let pod = &pod_spec(object)["securityContext"]["seccompProfile"];
    let profiles = object.containers().map(|container| {
        let own = container["securityContext"].get("seccompProfile");
        text(own.unwrap_or(pod), "type")
    });
    let bad = profiles.filter(|profile| !["RuntimeDefault", "Localhost"].contains(profile));
    bad.map(|profile| format!("seccomp profile {profile:?}"))
        .collect()
}

fn volume_types(objects: &[Object]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for object in objects {
        let mounts_its_node = object.kind() == "DaemonSet";
        let foreign = foreign_volumes(object)
            .filter(|volume| !(mounts_its_node && volume["hostPath"].is_object()));
        violations.extend(foreign.map(|volume| Violation::new(object, format!("volume {volume}"))));
    }
    violations
}

/// Volumes that "restricted" does not know.
fn foreign_volumes(object: &Object) -> impl Iterator<Item = &Value> {
    let volumes = list(pod_spec(object), "volumes").iter();
    volumes.filter(|volume| !VOLUME_TYPES.iter().any(|kind| volume[*kind].is_object()))
}

fn writable_root(object: &Object) -> Vec<String> {
    let contexts = object.containers().map(|c| &c["securityContext"]);
    let writable = contexts.filter(|context| context["readOnlyRootFilesystem"] != true);
    writable
        .map(|_| "readOnlyRootFilesystem is not true".to_owned())
        .collect()
}

/// Whether "restricted" is asked of a namespace into which pods go that mount their node.
fn admission(objects: &[Object]) -> Vec<Violation> {
    let namespaces = objects.iter().filter(|o| o.kind() == "Namespace");
    let strict = namespaces
        .filter(|namespace| namespace.label("pod-security.kubernetes.io/enforce") != "privileged");
    let refused = strict.flat_map(|namespace| {
        let pods = objects.iter().filter(|o| o.namespace() == namespace.name());
        pods.filter(|pod| foreign_volumes(pod).next().is_some())
    });
    refused
        .map(|pod| Violation::new(pod, "its namespace refuses its volumes"))
        .collect()
}

/// `Null` for what makes no pods.
fn pod_spec(object: &Object) -> &Value {
    object.pod().map_or(&Value::Null, |pod| &pod["spec"])
}

/// The pod's security context and those of its containers.
fn security_contexts(object: &Object) -> impl Iterator<Item = &Value> {
    let own = std::iter::once(&pod_spec(object)["securityContext"]);
    own.chain(object.containers().map(|c| &c["securityContext"]))
}

#[test]
fn on_openshift_pods_ask_for_no_user_and_no_mount() {
    let objects = render(&Request::case("openshift")).unwrap().objects;
    let pods: Vec<_> = objects.iter().filter(|o| o.pod().is_some()).collect();
    assert_eq!(pods.len(), 4);
    for pod in pods {
        for context in security_contexts(pod) {
            for key in ["runAsUser", "runAsGroup", "fsGroup"] {
                assert!(context.get(key).is_none(), "{} {key}", pod.name());
            }
        }
        assert_eq!(foreign_volumes(pod).count(), 0, "{}", pod.name());
    }
}

#[test]
fn a_namespace_is_no_more_privileged_than_its_pods_need() {
    let separate = json!({"agent": {"namespace": {"name": "weir-agents", "create": true}}});
    let expected = [
        (json!({}), &["privileged"][..]),
        (json!({"agent": {"access": "minimal"}}), &["restricted"]),
        (json!({"agent": {"enabled": false}}), &["restricted"]),
        (separate, &["privileged", "restricted"]),
    ];
    let requests = expected.clone().map(|(values, _)| {
        let request = Request::default_values().with(json!({"namespace": {"create": true}}));
        request.with(values)
    });
    let rendered = render_all(&requests).unwrap();
    for ((values, levels), rendered) in expected.iter().zip(rendered) {
        let rendered = rendered.unwrap();
        let namespaces = rendered.objects.iter().filter(|o| o.kind() == "Namespace");
        let mut found: Vec<_> = namespaces
            .map(|namespace| namespace.label("pod-security.kubernetes.io/enforce"))
            .collect();
        found.sort_unstable();
        assert_eq!(found, *levels, "{values}");
    }
}
