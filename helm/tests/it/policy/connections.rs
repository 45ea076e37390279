//! Network policies: what the components need goes through, what nobody needs does not.
//!
//! Ports are numbers. A name stands for whatever port of that name either end has, and network plugins
//! disagree about which end: AWS's drops the rule when the one that calls has no such port, Cilium's when
//! the one that calls has another.

use super::{Policy, bad, each};
use crate::releases::{self, list, text};
use serde_json::{Value, json};
use weir_chart::{Object, Request, render_all};

pub(super) const POLICIES: &[Policy] = &[Policy {
    name: "network policies say ports by number",
    check: |objects| each(objects, named_ports),
    bad: &[
        bad(BROKER, "/spec/ingress/0/ports/0/port", "\"http\""),
        bad(
            "NetworkPolicy/weir-agent",
            "/spec/egress/1/ports/0/port",
            "\"http\"",
        ),
    ],
}];

const BROKER: &str = "NetworkPolicy/weir-broker";

/// From whom to whom, and at which of its ports.
const NEEDED: &[(&str, &str, &str)] = &[
    ("agent", "broker", "http"),
    ("ui", "broker", "http"),
    ("check", "broker", "http"),
    ("broker", "broker", "http"),
    ("check", "ui", "http"),
    ("prometheus", "broker", "http"),
    ("prometheus", "ui", "http"),
    ("prometheus", "agent", "metrics"),
    ("agent", "dns", "dns"),
    ("ui", "dns", "dns"),
    ("broker", "dns", "dns"),
    ("agent", "dns", "dns-openshift"),
    ("ui", "dns", "dns-openshift"),
    ("broker", "dns", "dns-openshift"),
];
const UNNEEDED: &[(&str, &str, &str)] = &[
    ("stranger", "broker", "http"),
    ("stranger", "broker", "grpc"),
    ("stranger", "agent", "metrics"),
    ("agent", "broker", "grpc"),
    ("agent", "ui", "http"),
    ("agent", "agent", "metrics"),
    ("ui", "agent", "metrics"),
    ("broker", "ui", "http"),
    ("prometheus", "broker", "grpc"),
    ("agent", "stranger", "http"),
    ("ui", "stranger", "http"),
    ("broker", "stranger", "http"),
];

#[test]
fn what_is_needed_goes_through_and_nothing_else() {
    let limited = json!({"networkPolicy": {
        "enabled": true,
        "broker": {"restrictEgress": true},
        "ui": {"from": [{"namespaceSelector": {"matchLabels": {"gate": "yes"}}}]},
    }});
    let separate = json!({"agent": {"namespace": {"name": "weir-agents"}}});
    let ports = json!({"broker": {"ports": {"http": 6000}}, "ui": {"ports": {"http": 9000}}});
    let variants = [
        json!({}),
        separate,
        ports,
        json!({"broker": {"replicas": 3}}),
    ];
    let requests = variants.clone().map(|variant| {
        Request::default_values()
            .with(limited.clone())
            .with(variant)
    });
    for (variant, rendered) in variants.iter().zip(render_all(&requests).unwrap()) {
        let objects = rendered.unwrap().objects;
        for (wanted, flows) in [(true, NEEDED), (false, UNNEEDED)] {
            for (from, to, port) in flows {
                let goes = goes_through(&objects, &pod(&objects, from), &pod(&objects, to), port);
                assert_eq!(goes, wanted, "{variant}: {from} to {port} of {to}");
            }
        }
    }
}

#[test]
fn everybody_is_let_in_without_network_policies() {
    let objects = releases::all().swap_remove(0).1.objects;
    let [stranger, broker] = ["stranger", "broker"].map(|name| pod(&objects, name));
    assert!(goes_through(&objects, &stranger, &broker, "grpc"));
}

fn named_ports(object: &Object) -> Vec<String> {
    let spec = object.at("/spec");
    if object.kind() != "NetworkPolicy" {
        return Vec::new();
    }
    let rules = list(spec, "ingress").iter().chain(list(spec, "egress"));
    let ports = rules.flat_map(|rule| list(rule, "ports"));
    let named = ports.filter(|port| !port["port"].is_u64());
    named.map(|port| format!("port {}", port["port"])).collect()
}

/// One end of a connection.
struct Pod {
    namespace: String,
    labels: Value,
    ports: Vec<Value>,
}

/// A component's pod, or one of somebody else.
fn pod(objects: &[Object], component: &str) -> Pod {
    let elsewhere = |labels, ports: &[(&str, u64)]| Pod {
        namespace: "elsewhere".to_owned(),
        labels,
        ports: ports
            .iter()
            .map(|(name, number)| json!({"name": name, "containerPort": number}))
            .collect(),
    };
    let dns: &[(&str, u64)] = &[("dns", 53), ("dns-openshift", 5353)];
    match component {
        "stranger" => elsewhere(json!({"app.kubernetes.io/name": "shop"}), &[("http", 5000)]),
        "prometheus" => elsewhere(json!({"app.kubernetes.io/name": "prometheus"}), &[]),
        "dns" => elsewhere(json!({"k8s-app": "kube-dns"}), dns),
        component => own_pod(objects, component),
    }
}

fn own_pod(objects: &[Object], component: &str) -> Pod {
    let object = objects
        .iter()
        .filter(|object| object.pod().is_some())
        .find(|object| object.label("app.kubernetes.io/component") == component)
        .unwrap();
    let ports = object.containers().flat_map(|c| list(c, "ports"));
    Pod {
        namespace: object.namespace().to_owned(),
        labels: object.pod().unwrap()["metadata"]["labels"].clone(),
        ports: ports.cloned().collect(),
    }
}

/// As Kubernetes documents it: a pod that no policy selects is open; rules of several policies add up.
fn goes_through(objects: &[Object], from: &Pod, to: &Pod, port: &str) -> bool {
    let port = to.ports.iter().find(|known| text(known, "name") == port);
    let port = &port.unwrap()["containerPort"];
    lets_through(objects, ("Egress", "egress", "to"), from, to, port)
        && lets_through(objects, ("Ingress", "ingress", "from"), to, from, port)
}

type Direction = (&'static str, &'static str, &'static str);

fn lets_through(
    objects: &[Object],
    (kind, rules, peers): Direction,
    limited: &Pod,
    other: &Pod,
    port: &Value,
) -> bool {
    let policies = objects
        .iter()
        .filter(|object| object.kind() == "NetworkPolicy")
        .filter(|policy| policy.namespace() == limited.namespace)
        .filter(|policy| list(policy.at("/spec"), "policyTypes").contains(&kind.into()))
        .filter(|policy| selects(policy.at("/spec/podSelector"), &limited.labels));
    let mut policies = policies.peekable();
    let mut open = policies.peek().is_none();
    for rule in policies.flat_map(|policy| list(policy.at("/spec"), rules)) {
        let ports = list(rule, "ports");
        let whom = list(rule, peers);
        open |= (ports.is_empty() || ports.iter().any(|known| &known["port"] == port))
            && (whom.is_empty() || whom.iter().any(|peer| is_peer(peer, limited, other)));
    }
    open
}

fn is_peer(peer: &Value, limited: &Pod, other: &Pod) -> bool {
    let namespace = match peer.get("namespaceSelector") {
        Some(selector) => selects(
            selector,
            &json!({"kubernetes.io/metadata.name": other.namespace}),
        ),
        None => other.namespace == limited.namespace,
    };
    namespace
        && peer
            .get("podSelector")
            .is_none_or(|selector| selects(selector, &other.labels))
}

fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector["matchLabels"].as_object();
    wanted
        .into_iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value))
}
