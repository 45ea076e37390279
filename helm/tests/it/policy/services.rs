//! Services and their ports.

use super::selectors::is_selected;
use super::{Policy, Violation, bad, each};
use crate::releases::{list, text};
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
];

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
        let pods = objects.iter().filter(|pod| is_selected(selector, pod));
        let containers = pods.flat_map(Object::containers);
        let ports = containers.flat_map(|container| list(container, "ports"));
        let names: BTreeSet<_> = ports.map(|port| text(port, "name")).collect();
        for port in list(service.at("/spec"), "ports") {
            if !names.contains(text(port, "targetPort")) {
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
