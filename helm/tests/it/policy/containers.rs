//! Images, resources and probes of all containers.

use super::{Policy, bad, each};
use crate::releases::{list, text};
use serde_json::Value;
use std::collections::BTreeSet;
use weir_chart::{Object, Request, render};

pub(super) const POLICIES: &[Policy] = &[
    Policy {
        name: "images have a version",
        check: |objects| each(objects, unversioned_images),
        bad: &[
            bad(
                "Deployment/weir-ui",
                "/spec/template/spec/containers/0/image",
                "\"weir-ui:latest\"",
            ),
            bad(
                "Deployment/weir-ui",
                "/spec/template/spec/containers/0/image",
                "\"registry:5000/weir-ui\"",
            ),
            bad(
                "Deployment/weir-ui",
                "/spec/template/spec/containers/0/image",
                "\"weir-ui:\"",
            ),
        ],
    },
    Policy {
        name: "CPU and memory are requested, memory is limited",
        check: |objects| each(objects, resources),
        bad: &[
            bad(
                "StatefulSet/weir-broker",
                "/spec/template/spec/containers/0/resources/limits/memory",
                "",
            ),
            bad(
                "StatefulSet/weir-broker",
                "/spec/template/spec/containers/0/resources/requests/cpu",
                "",
            ),
        ],
    },
    Policy {
        name: "three probes, each with an endpoint of its own, by the port's name",
        check: |objects| each(objects, probes),
        bad: &[
            bad(
                "DaemonSet/weir-agent",
                "/spec/template/spec/containers/0/startupProbe",
                "",
            ),
            bad(
                "Deployment/weir-ui",
                "/spec/template/spec/containers/0/livenessProbe/httpGet/path",
                "\"/ready\"",
            ),
            bad(
                "Deployment/weir-ui",
                "/spec/template/spec/containers/0/readinessProbe/httpGet/port",
                "\"htp\"",
            ),
            bad(
                "Deployment/weir-ui",
                "/spec/template/spec/containers/0/readinessProbe/httpGet/port",
                "8080",
            ),
        ],
    },
    Policy {
        name: "container ports are named, each name and number once",
        check: |objects| each(objects, container_ports),
        bad: &[
            bad(
                "StatefulSet/weir-broker",
                "/spec/template/spec/containers/0/ports/1/name",
                "\"http\"",
            ),
            bad(
                "StatefulSet/weir-broker",
                "/spec/template/spec/containers/0/ports/1/containerPort",
                "5000",
            ),
        ],
    },
    Policy {
        name: "each variable once",
        check: |objects| each(objects, repeated_variables),
        bad: &[bad(
            "DaemonSet/weir-agent",
            "/spec/template/spec/containers/0/env/-",
            "{\"name\": \"NODE_NAME\", \"value\": \"x\"}",
        )],
    },
];

fn unversioned_images(object: &Object) -> Vec<String> {
    let images = object
        .containers()
        .map(|container| text(container, "image"));
    let unversioned = images.filter(|image| !has_version(image));
    unversioned
        .map(|image| format!("image {image:?}"))
        .collect()
}

/// Whether an image has a digest, or a tag that is not `latest`. A colon before the last slash belongs to
/// the registry's port.
fn has_version(image: &str) -> bool {
    if let Some((_, digest)) = image.split_once('@') {
        return digest.starts_with("sha256:");
    }
    let name = image.rsplit('/').next().unwrap_or_default();
    let tag = name.split_once(':').map_or("", |(_, tag)| tag);
    !tag.is_empty() && tag != "latest"
}

fn resources(object: &Object) -> Vec<String> {
    let mut violations = Vec::new();
    for container in object.containers() {
        let resources = &container["resources"];
        for key in ["cpu", "memory"] {
            if resources["requests"][key].is_null() {
                violations.push(format!("requests no {key}"));
            }
        }
        if resources["limits"]["memory"].is_null() {
            violations.push("its memory has no limit".to_owned());
        }
    }
    violations
}

/// Pods that end by themselves are not asked.
fn probes(object: &Object) -> Vec<String> {
    if ["Pod", "Job"].contains(&object.kind()) {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for container in object.containers() {
        let names: BTreeSet<_> = port_names(container).collect();
        let mut paths = BTreeSet::new();
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let get = &container[probe]["httpGet"];
            if !paths.insert(text(get, "path")) || text(get, "path").is_empty() {
                violations.push(format!("{probe} has no endpoint of its own"));
            }
            if !names.contains(text(get, "port")) {
                violations.push(format!("{probe} asks port {}", get["port"]));
            }
        }
    }
    violations
}

fn container_ports(object: &Object) -> Vec<String> {
    let mut violations = Vec::new();
    for container in object.containers() {
        let ports = list(container, "ports");
        let names: BTreeSet<_> = port_names(container).collect();
        let numbers: BTreeSet<_> = ports
            .iter()
            .map(|port| port["containerPort"].as_u64())
            .collect();
        if names.len() < ports.len() || numbers.len() < ports.len() || names.contains("") {
            violations.push(format!("ports {ports:?}"));
        }
    }
    violations
}

fn port_names(container: &Value) -> impl Iterator<Item = &str> {
    list(container, "ports")
        .iter()
        .map(|port| text(port, "name"))
}

fn repeated_variables(object: &Object) -> Vec<String> {
    let mut violations = Vec::new();
    for container in object.containers() {
        let mut seen = BTreeSet::new();
        let names = list(container, "env")
            .iter()
            .map(|variable| text(variable, "name"));
        let repeated = names.filter(|name| !seen.insert(*name));
        violations.extend(repeated.map(|name| format!("{name} is set twice")));
    }
    violations
}

#[test]
fn only_a_users_values_limit_the_cpu() {
    let rendered = render(&Request::default_values()).unwrap();
    for container in rendered.objects.iter().flat_map(Object::containers) {
        let limit = &container["resources"]["limits"]["cpu"];
        assert!(limit.is_null(), "{container}: it would only be late");
    }
}
