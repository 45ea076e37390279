//! Services and their ports.

use super::selectors::port_names;
use super::{Policy, Violation, bad, each};
use crate::releases::{list, text};
use serde_json::Value;
use std::collections::BTreeSet;
use weir_chart::Object;

pub(super) const POLICIES: &[Policy] = &[
    Policy {
        name: "service ports are named",
        check: |objects| each(objects, unnamed_ports),
        bad: &[
            bad("Service/weir-ui", "/spec/ports/0/name", ""),
            bad("Service/weir-broker", "/spec/ports/1/name", "\"http\""),
        ],
    },
    Policy {
        name: "a service leads to a port that its pods have, by name",
        check: missing_ports,
        bad: &[
            bad("Service/weir-ui", "/spec/ports/0/targetPort", "\"web\""),
            bad("Service/weir-ui", "/spec/ports/0/targetPort", "8080"),
        ],
    },
    Policy {
        name: "no service opens ports of the nodes or of the world by itself",
        check: |objects| each(objects, open_ports),
        bad: &[
            bad("Service/weir-ui", "/spec/type", "\"NodePort\""),
            bad("Service/weir-ui", "/spec/ports/0/nodePort", "30080"),
            bad("Service/weir-ui", "/spec/externalIPs", "[\"10.0.0.1\"]"),
        ],
    },
    Policy {
        name: "ways in lead to a port of a service",
        check: |objects| dead_ends(objects, ways_in),
        bad: &[
            bad("Ingress/weir-ui", INGRESS_NAME, "\"weir-gui\""),
            bad("Ingress/weir-ui", INGRESS_PORT, "{\"name\": \"web\"}"),
            bad(
                "HTTPRoute/weir-ui",
                "/spec/rules/0/backendRefs/0/name",
                "\"weir-gui\"",
            ),
            bad(
                "HTTPRoute/weir-ui",
                "/spec/rules/0/backendRefs/0/port",
                "80",
            ),
        ],
    },
    Policy {
        name: "the broker that a component talks to is a service of the release",
        check: |objects| dead_ends(objects, brokers),
        bad: &[
            bad("DaemonSet/weir-agent", BROKER_FLAG, WRONG_NAMESPACE),
            bad("Deployment/weir-ui", BROKER_FLAG, WRONG_PORT),
        ],
    },
];

const INGRESS_NAME: &str = "/spec/rules/0/http/paths/0/backend/service/name";
const INGRESS_PORT: &str = "/spec/rules/0/http/paths/0/backend/service/port";
const BROKER_FLAG: &str = "/spec/template/spec/containers/0/args/1";
const WRONG_NAMESPACE: &str = "\"--broker=http://weir-broker.other.svc:5000\"";
const WRONG_PORT: &str = "\"--broker=http://weir-broker.weir.svc:80\"";

fn unnamed_ports(object: &Object) -> Vec<String> {
    if object.kind() != "Service" {
        return Vec::new();
    }
    let ports = list(object.at("/spec"), "ports");
    let names: BTreeSet<_> = ports.iter().map(|port| text(port, "name")).collect();
    if ports.is_empty() || names.contains("") || names.len() < ports.len() {
        return vec![format!("ports {ports:?}")];
    }
    Vec::new()
}

fn missing_ports(objects: &[Object]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for service in objects.iter().filter(|o| o.kind() == "Service") {
        let Some(selector) = service.at("/spec/selector").as_object() else {
            continue;
        };
        let names = port_names(objects, selector);
        for port in list(service.at("/spec"), "ports") {
            if !names.contains(&text(port, "targetPort")) {
                let what = format!("leads to {}, pods have {names:?}", port["targetPort"]);
                violations.push(Violation::new(service, what));
            }
        }
    }
    violations
}

/// No case asks for more; a user's values may.
fn open_ports(object: &Object) -> Vec<String> {
    if object.kind() != "Service" {
        return Vec::new();
    }
    let mut violations = Vec::new();
    if object.text_at("/spec/type") != "ClusterIP" {
        violations.push(format!("type {}", object.at("/spec/type")));
    }
    if object.at("/spec").get("externalIPs").is_some() {
        violations.push("has external addresses".to_owned());
    }
    let ports = list(object.at("/spec"), "ports").iter();
    let opened = ports.filter(|port| port.get("nodePort").is_some());
    violations.extend(opened.map(|port| format!("node port {}", port["nodePort"])));
    violations
}

/// A service as somebody refers to it: namespace, name, and the name or number of a port.
struct Reference {
    namespace: String,
    name: String,
    port: Value,
}

fn dead_ends(objects: &[Object], references: fn(&Object) -> Vec<Reference>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for object in objects {
        let dead = references(object)
            .into_iter()
            .filter(|reference| !objects.iter().any(|service| is_meant(reference, service)));
        violations.extend(dead.map(|Reference { name, port, .. }| {
            Violation::new(
                object,
                format!("leads to port {port} of {name}, which is not there"),
            )
        }));
    }
    violations
}

fn is_meant(reference: &Reference, service: &Object) -> bool {
    let mut ports = list(service.at("/spec"), "ports").iter();
    service.kind() == "Service"
        && service.name() == reference.name
        && service.namespace() == reference.namespace
        && ports.any(|port| [&port["name"], &port["port"]].contains(&&reference.port))
}

fn ways_in(object: &Object) -> Vec<Reference> {
    let rules = list(object.at("/spec"), "rules").iter();
    let reference = |name: &Value, port: &Value| Reference {
        namespace: object.namespace().to_owned(),
        name: name.as_str().unwrap_or_default().to_owned(),
        port: port.clone(),
    };
    match object.kind() {
        "Ingress" => rules
            .flat_map(|rule| list(&rule["http"], "paths"))
            .map(|path| &path["backend"]["service"])
            .map(|service| {
                let port = &service["port"];
                reference(
                    &service["name"],
                    port.get("name").unwrap_or(&port["number"]),
                )
            })
            .collect(),
        "HTTPRoute" => rules
            .flat_map(|rule| list(rule, "backendRefs"))
            .map(|backend| reference(&backend["name"], &backend["port"]))
            .collect(),
        _ => Vec::new(),
    }
}

/// What `--broker` says, if it is a name in the cluster: `http://<service>.<namespace>.svc:<port>`.
fn brokers(object: &Object) -> Vec<Reference> {
    let arguments = object.containers().flat_map(|c| list(c, "args"));
    let flags = arguments.filter_map(|argument| argument.as_str()?.strip_prefix("--broker="));
    flags.filter_map(in_the_cluster).collect()
}

fn in_the_cluster(url: &str) -> Option<Reference> {
    let (host, port) = url.strip_prefix("http://")?.rsplit_once(':')?;
    let (name, namespace) = host.strip_suffix(".svc")?.split_once('.')?;
    Some(Reference {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        port: port.parse::<u64>().ok()?.into(),
    })
}
