//! Settings as an operator meets them: in values, and changed under running pods.

use serde_json::{Value, json};
use weir_chart::{Object, Rendered, Request, render_all};

/// For each component: its workload, and a change of one of its settings.
const CHANGES: [(&str, &str, &str); 3] = [
    ("broker", "StatefulSet", "max_topics"),
    ("agent", "DaemonSet", "interval_seconds"),
    ("ui", "Deployment", "max_connections"),
];

#[test]
fn a_changed_setting_restarts_the_pods_that_read_it_and_no_others() {
    let mut requests = vec![Request::default_values()];
    for (component, _, setting) in CHANGES {
        let values = json!({component: {"settings": {setting: 77}}});
        requests.push(Request::default_values().with(values));
    }
    let mut rendered = render_all(&requests)
        .unwrap()
        .into_iter()
        .map(Result::unwrap);
    let before = rendered.next().unwrap();
    for ((component, _, setting), after) in CHANGES.iter().zip(rendered) {
        let file = config_map(&after, component);
        assert!(file.contains(&format!("{setting} = 77\n")), "{file}");
        for (other, kind, _) in CHANGES {
            let changed = pod_of(&before, kind) != pod_of(&after, kind);
            assert_eq!(changed, other == *component, "{other} after {setting}");
        }
    }
}

#[test]
fn what_the_pod_does_not_read_does_not_restart_it() {
    let requests = [
        Request::default_values(),
        Request::default_values().with(json!({
            "broker": {"pdb": {"enabled": false}, "service": {"annotations": {"a": "b"}}},
            "commonAnnotations": {"owner": "us"},
        })),
    ];
    let rendered = render_all(&requests)
        .unwrap()
        .into_iter()
        .map(Result::unwrap);
    let rendered: Vec<Rendered> = rendered.collect();
    for (_, kind, _) in CHANGES {
        assert_eq!(pod_of(&rendered[0], kind), pod_of(&rendered[1], kind));
    }
}

#[test]
fn longer_drains_and_grace_periods_reach_the_process_and_the_pod() {
    let request = Request::default_values().with(json!({
        "broker": {"drainSeconds": 30, "gracePeriodSeconds": 90},
        "ui": {"drainSeconds": 0},
    }));
    let rendered = weir_chart::render(&request).unwrap();
    let broker = pod_of(&rendered, "StatefulSet");
    let container = &broker["spec"]["containers"][0];
    assert!(broker["spec"]["terminationGracePeriodSeconds"].as_u64() >= Some(120));
    assert!(container["args"].to_string().contains("--grace-period=90s"));
    assert!(container["lifecycle"].to_string().contains("--drain=30s"));
    let ui = pod_of(&rendered, "Deployment");
    assert!(ui["spec"]["containers"][0].get("lifecycle").is_none());
}

fn pod_of<'a>(rendered: &'a Rendered, kind: &str) -> &'a Value {
    let workload = rendered.objects.iter().find(|object| object.kind() == kind);
    workload.and_then(Object::pod).unwrap()
}

fn config_map<'a>(rendered: &'a Rendered, component: &str) -> &'a str {
    let maps = rendered.objects.iter().filter(|o| o.kind() == "ConfigMap");
    let mut maps = maps.filter(|map| map.label("app.kubernetes.io/component") == component);
    let map = maps.find(|map| map.at("/data/weir.toml").is_string());
    map.unwrap().text_at("/data/weir.toml")
}
