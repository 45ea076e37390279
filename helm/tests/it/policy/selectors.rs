//! Who selects whom: selectors that cannot change later, and that find what they are for.

use super::{Policy, Violation, bad, each};
use crate::releases::{list, text};
use serde_json::{Map, Value};
use weir_chart::Object;

pub(super) const POLICIES: &[Policy] = &[
    Policy {
        name: "selectors of workloads are what never changes",
        check: |objects| each(objects, changing_selectors),
        bad: &[
            bad(
                "Deployment/weir-ui",
                "/spec/selector/matchLabels/app.kubernetes.io~1version",
                "\"0.1.0\"",
            ),
            bad(
                "StatefulSet/weir-broker",
                "/spec/selector/matchLabels/app.kubernetes.io~1component",
                "",
            ),
        ],
    },
    Policy {
        name: "a workload selects its own pods, and no other's",
        check: own_pods,
        bad: &[
            bad(
                "Deployment/weir-ui",
                "/spec/template/metadata/labels/app.kubernetes.io~1component",
                "\"gui\"",
            ),
            bad(
                "DaemonSet/weir-agent",
                "/spec/template/metadata/labels/app.kubernetes.io~1component",
                "\"ui\"",
            ),
        ],
    },
    Policy {
        name: "what selects pods finds some",
        check: idle_pod_selectors,
        bad: &[
            bad(
                "Service/weir-ui",
                "/spec/selector/app.kubernetes.io~1component",
                "\"gui\"",
            ),
            bad(
                "PodDisruptionBudget/weir-broker",
                "/spec/selector/matchLabels/app.kubernetes.io~1instance",
                "\"other\"",
            ),
            bad(
                "PodMonitor/weir-agent",
                "/spec/selector/matchLabels/app.kubernetes.io~1instance",
                "\"other\"",
            ),
            bad(
                "PodMonitor/weir-agent",
                "/spec/namespaceSelector/matchNames/0",
                "\"other\"",
            ),
            bad(
                "NetworkPolicy/weir-broker",
                "/metadata/namespace",
                "\"other\"",
            ),
        ],
    },
    Policy {
        name: "who names a port of pods names one that they have",
        check: unknown_ports,
        bad: &[bad(
            "PodMonitor/weir-agent",
            "/spec/podMetricsEndpoints/0/port",
            "\"http\"",
        )],
    },
    Policy {
        name: "a ServiceMonitor finds a service, and its port",
        check: idle_service_monitors,
        bad: &[
            bad(
                "ServiceMonitor/weir-ui",
                "/spec/selector/matchLabels/app.kubernetes.io~1component",
                "\"gui\"",
            ),
            bad(
                "ServiceMonitor/weir-ui",
                "/spec/endpoints/0/port",
                "\"metrics\"",
            ),
        ],
    },
];

const IMMUTABLE: [&str; 3] = [
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/name",
];
/// What Kubernetes itself says of a StatefulSet's pods.
const OF_KUBERNETES: [&str; 2] = [
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
];

fn changing_selectors(object: &Object) -> Vec<String> {
    if object.pod().is_none() || ["Pod", "Job"].contains(&object.kind()) {
        return Vec::new();
    }
    let selector = object.at("/spec/selector");
    let labels = labels(selector);
    let mut keys: Vec<_> = labels.keys().map(String::as_str).collect();
    keys.sort_unstable();
    if keys == IMMUTABLE && selector.get("matchExpressions").is_none() {
        return Vec::new();
    }
    vec![format!("selects by {keys:?}, not by {IMMUTABLE:?}")]
}

fn own_pods(objects: &[Object]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for object in objects
        .iter()
        .filter(|o| o.at("/spec/template").is_object())
    {
        let selector = labels(object.at("/spec/selector"));
        let selected = objects.iter().filter(|other| is_selected(&selector, other));
        let names: Vec<_> = selected.map(Object::name).collect();
        if names != [object.name()] {
            violations.push(Violation::new(object, format!("selects pods of {names:?}")));
        }
    }
    violations
}

fn idle_pod_selectors(objects: &[Object]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for object in objects {
        let Some((selector, namespaces)) = pods_of(object) else {
            continue;
        };
        let found = objects
            .iter()
            .filter(|pod| namespaces.contains(&pod.namespace()))
            .any(|pod| is_selected(selector, pod));
        if !found {
            let what = format!("nothing in {namespaces:?} is {selector:?}");
            violations.push(Violation::new(object, what));
        }
    }
    violations
}

/// The pods that an object is about: by which labels, in which namespaces.
fn pods_of(object: &Object) -> Option<(&Map<String, Value>, Vec<&str>)> {
    let selector = match object.kind() {
        "Service" => object.at("/spec/selector"),
        "PodDisruptionBudget" | "PodMonitor" => object.at("/spec/selector/matchLabels"),
        "NetworkPolicy" => object.at("/spec/podSelector/matchLabels"),
        _ => return None,
    };
    let others = object.at("/spec/namespaceSelector/matchNames").as_array();
    let namespaces = match others {
        Some(names) => names.iter().filter_map(Value::as_str).collect(),
        None => vec![object.namespace()],
    };
    Some((selector.as_object()?, namespaces))
}

/// A PodMonitor that names a port which its pods do not have.
fn unknown_ports(objects: &[Object]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for object in objects.iter().filter(|o| o.kind() == "PodMonitor") {
        let wanted = list(object.at("/spec"), "podMetricsEndpoints");
        let Some((selector, _)) = pods_of(object) else {
            continue;
        };
        let names = port_names(objects, selector);
        let unknown = wanted
            .iter()
            .filter(|port| !names.contains(&text(port, "port")));
        violations
            .extend(unknown.map(|port| Violation::new(object, format!("port {}", port["port"]))));
    }
    violations
}

/// The names of the ports that selected pods have.
pub(super) fn port_names<'a>(objects: &'a [Object], selector: &Map<String, Value>) -> Vec<&'a str> {
    let pods = objects.iter().filter(|pod| is_selected(selector, pod));
    let ports = pods
        .flat_map(Object::containers)
        .flat_map(|container| list(container, "ports"));
    ports.map(|port| text(port, "name")).collect()
}

fn idle_service_monitors(objects: &[Object]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for monitor in objects.iter().filter(|o| o.kind() == "ServiceMonitor") {
        let selector = labels(monitor.at("/spec/selector"));
        let found: Vec<_> = objects
            .iter()
            .filter(|o| o.kind() == "Service" && has_all(&selector, o.at("/metadata/labels")))
            .collect();
        let ports = found.iter().map(|service| service.at("/spec/ports"));
        let names: Vec<_> = ports
            .flat_map(|ports| ports.as_array().into_iter().flatten())
            .map(|port| text(port, "name"))
            .collect();
        let endpoints = monitor.at("/spec/endpoints").as_array();
        for endpoint in endpoints.into_iter().flatten() {
            if !names.contains(&text(endpoint, "port")) {
                let what = format!("no service has what {endpoint} asks");
                violations.push(Violation::new(monitor, what));
            }
        }
    }
    violations
}

fn labels(selector: &Value) -> Map<String, Value> {
    let labels = selector["matchLabels"].as_object();
    labels.cloned().unwrap_or_default()
}

pub(super) fn is_selected(selector: &Map<String, Value>, pod: &Object) -> bool {
    let known = selector
        .iter()
        .filter(|(key, _)| !OF_KUBERNETES.contains(&key.as_str()));
    let known = known.map(|(k, v)| (k.clone(), v.clone())).collect();
    pod.pod()
        .is_some_and(|pod| has_all(&known, &pod["metadata"]["labels"]))
}

fn has_all(selector: &Map<String, Value>, labels: &Value) -> bool {
    selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}
