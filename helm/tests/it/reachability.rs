//! Who may connect to whom: network policies, and the ways from outside to the dashboard.

use serde_json::{Value, json};
use weir_chart::{Object, Request, render, render_all};

fn objects(values: Value) -> Vec<Object> {
    render(&Request::default_values().with(values))
        .unwrap()
        .objects
}

fn find<'a>(objects: &'a [Object], kind: &str, name: &str) -> &'a Object {
    let found = objects
        .iter()
        .find(|o| o.kind() == kind && o.name() == name);
    found.unwrap_or_else(|| panic!("no {kind}/{name}"))
}

/// The components, each with its namespace, that a list of peers names.
fn components(peers: &Value) -> Vec<(String, String)> {
    let peers = peers.as_array().unwrap().iter();
    let labels = |peer: &Value, selector: &str, label: &str| {
        peer[selector]["matchLabels"][label]
            .as_str()
            .map(str::to_owned)
    };
    peers
        .filter_map(|peer| {
            let component = labels(peer, "podSelector", "app.kubernetes.io/component")?;
            let namespace = labels(peer, "namespaceSelector", "kubernetes.io/metadata.name")?;
            Some((component, namespace))
        })
        .collect()
}

fn pair(component: &str, namespace: &str) -> (String, String) {
    (component.to_owned(), namespace.to_owned())
}

#[test]
fn every_component_is_limited_and_its_policy_selects_its_pods() {
    let objects = objects(json!({"networkPolicy": {"enabled": true}}));
    for (name, kind) in [
        ("weir-broker", "StatefulSet"),
        ("weir-agent", "DaemonSet"),
        ("weir-ui", "Deployment"),
    ] {
        let policy = find(&objects, "NetworkPolicy", name);
        let workload = find(&objects, kind, name);
        assert_eq!(
            policy.at("/spec/podSelector"),
            workload.at("/spec/selector")
        );
    }
}

#[test]
fn the_broker_is_open_to_the_release_and_to_who_is_named() {
    let objects = objects(json!({
        "agent": {"namespace": {"name": "agents", "create": true}},
        "networkPolicy": {"enabled": true, "broker": {"from": [{"podSelector": {}}]}},
    }));
    let policy = find(&objects, "NetworkPolicy", "weir-broker");
    let release = [
        pair("agent", "agents"),
        pair("ui", "weir"),
        pair("broker", "weir"),
        pair("check", "weir"),
    ];
    assert_eq!(components(policy.at("/spec/ingress/0/from")), release);
    assert_eq!(
        policy.at("/spec/ingress/1/from"),
        &json!([{"podSelector": {}}])
    );
    let ports = policy
        .at("/spec/ingress/1/ports")
        .as_array()
        .unwrap()
        .iter();
    assert_eq!(ports.map(|p| &p["port"]).collect::<Vec<_>>(), [5000, 50051]);
    // It pushes messages to targets that only its settings know.
    assert_eq!(policy.at("/spec/policyTypes"), &json!(["Ingress"]));
}

#[test]
fn agents_and_dashboard_may_ask_dns_and_the_broker_only() {
    let elsewhere = json!({
        "networkPolicy": {"enabled": true},
        "broker": {"enabled": false},
        "agent": {"brokerUrl": "http://broker.example.com:5001"},
        "ui": {"brokerUrl": "http://broker.example.com"},
    });
    let requests = [json!({"networkPolicy": {"enabled": true}}), elsewhere]
        .map(|values| Request::default_values().with(values));
    let mut rendered = render_all(&requests).unwrap().into_iter();
    let mut next = || rendered.next().unwrap().unwrap().objects;
    let (own, elsewhere) = (next(), next());
    for (name, port) in [("weir-agent", 5001), ("weir-ui", 80)] {
        let policy = find(&own, "NetworkPolicy", name);
        let egress = policy.at("/spec/egress").as_array().unwrap();
        assert_eq!(egress.len(), 2, "{egress:?}");
        assert_eq!(egress[0]["ports"][0]["port"], 53);
        assert_eq!(components(&egress[1]["to"]), [pair("broker", "weir")]);
        let policy = find(&elsewhere, "NetworkPolicy", name);
        let rule = policy.at("/spec/egress/1");
        assert_eq!(rule, &json!({"ports": [{"port": port, "protocol": "TCP"}]}));
    }
}

#[test]
fn ingress_and_route_lead_to_a_port_of_the_dashboards_service() {
    let objects = objects(json!({"ui": {
        "ports": {"http": 8081},
        "ingress": {"enabled": true, "hosts": [{"host": "a.example.com"}]},
        "httpRoute": {"enabled": true, "parentRefs": [{"name": "gateway"}]},
    }}));
    let service = find(&objects, "Service", "weir-ui");
    let path = find(&objects, "Ingress", "weir-ui").at("/spec/rules/0/http/paths/0");
    assert_eq!(
        (&path["path"], &path["pathType"]),
        (&json!("/"), &json!("Prefix"))
    );
    let to = &path["backend"]["service"];
    assert_eq!(
        to,
        &json!({"name": "weir-ui", "port": {"name": service.at("/spec/ports/0/name")}})
    );
    let to = find(&objects, "HTTPRoute", "weir-ui").at("/spec/rules/0/backendRefs/0");
    assert_eq!(to, &json!({"name": "weir-ui", "port": 8081}));
    assert_eq!(service.at("/spec/ports/0/port"), 8081);
}
