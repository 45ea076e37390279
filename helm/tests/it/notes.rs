//! What an operator reads after an install, and what `helm test` runs.

use serde_json::{Value, json};
use weir_chart::{Rendered, Request, render_all};

/// Renders the chart with each of these values, in one go.
fn all<const N: usize>(values: [Value; N]) -> Vec<Rendered> {
    let requests = values.map(|values| Request::default_values().with(values));
    let rendered = render_all(&requests).unwrap();
    rendered.into_iter().map(Result::unwrap).collect()
}

fn notes<const N: usize>(values: [Value; N]) -> Vec<String> {
    all(values)
        .into_iter()
        .map(|rendered| rendered.notes)
        .collect()
}

/// Values that surprise nobody, and `further` ones.
fn quiet(further: &Value) -> Value {
    let mut values =
        json!({"image": {"registry": "r.example.com"}, "agent": {"access": "minimal"}});
    for (section, changed) in further.as_object().unwrap() {
        values[section] = changed.clone();
    }
    values
}

#[test]
fn what_is_no_surprise_needs_no_warning() {
    let told = notes([quiet(&json!({}))]);
    assert!(
        !told[0].contains("WARNING") && !told[0].contains("NOTE"),
        "{}",
        told[0]
    );
}

#[test]
fn each_surprise_is_told() {
    let surprises = [
        (
            json!({"image": {"registry": ""}}),
            "image.registry is empty",
        ),
        (
            json!({"broker": {"persistence": {"enabled": false}}}),
            "gone with the pod",
        ),
        (json!({"broker": {"replicas": 3}}), "3 brokers share only"),
        (
            json!({"broker": {"service": {"type": "NodePort"}}}),
            "the broker can be reached from outside",
        ),
        (
            json!({"ui": {"ingress": {"enabled": true, "hosts": [{"host": "a.b"}]}}}),
            "the dashboard can be reached from outside",
        ),
        (json!({"agent": {"access": "standard"}}), "Pod Security"),
        (
            json!({"monitoring": {"rules": {"enabled": true}}}),
            "without monitoring.serviceMonitor",
        ),
    ];
    let told = notes(surprises.each_ref().map(|(values, _)| quiet(values)));
    for ((_, warning), told) in surprises.iter().zip(told) {
        assert!(told.contains(warning), "{warning}: {told}");
        let warnings = told.matches("WARNING: ").count() + told.matches("NOTE: ").count();
        assert_eq!(warnings, 1, "{told}");
    }
}

#[test]
fn commands_name_what_is_there() {
    let told = notes([
        json!({"agent": {"namespace": {"name": "agents"}}}),
        json!({"ui": {"enabled": false}, "tests": {"enabled": false}}),
    ]);
    for command in [
        "kubectl --namespace weir rollout status statefulset/weir-broker\n",
        "kubectl --namespace agents rollout status daemonset/weir-agent\n",
        "kubectl --namespace weir port-forward service/weir-ui 8080:8080 ",
        "helm test weir --namespace weir\n",
    ] {
        assert!(told[0].contains(command), "{command}: {}", told[0]);
    }
    let less = &told[1];
    assert!(
        !less.contains("weir-ui") && !less.contains("helm test"),
        "{less}"
    );
}

fn arguments(rendered: &Rendered) -> &Value {
    let mut objects = rendered.objects.iter();
    let pod = objects.find(|object| object.kind() == "Pod").unwrap();
    pod.at("/spec/containers/0/args")
}

#[test]
fn the_test_asks_for_what_the_release_has() {
    let rendered = all([
        json!({}),
        json!({"agent": {"enabled": false}}),
        json!({
            "broker": {"enabled": false},
            "ui": {"brokerUrl": "http://b:1"}, "agent": {"brokerUrl": "http://b:1"},
        }),
    ]);
    let whole = [
        "check",
        "--broker=http://weir-broker.weir.svc:5000",
        "--ui=http://weir-ui.weir.svc:8080",
        "--timeout=2m",
        "--topic=weir.check",
    ];
    assert_eq!(arguments(&rendered[0]), &json!(whole));
    let without_agents = arguments(&rendered[1]).to_string();
    assert!(!without_agents.contains("--ui"), "{without_agents}");
    assert_eq!(arguments(&rendered[2])[1], "--broker=http://b:1");
}
