//! What the Prometheus operator gets, judged by Prometheus' own tool: targets are labelled as the rules
//! and dashboards need it, and these are the ones of dashboards/.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use tempfile::TempDir;
use weir_chart::{Object, Request, render, render_all, root};

fn monitored() -> Vec<Object> {
    let request = Request::default_values().with(json!({"monitoring": {
        "serviceMonitor": {"enabled": true},
        "podMonitor": {"enabled": true},
        "rules": {"enabled": true},
        "dashboards": {"enabled": true},
    }}));
    render(&request).unwrap().objects
}

fn find<'a>(objects: &'a [Object], kind: &str, name: &str) -> &'a Object {
    let found = objects
        .iter()
        .find(|o| o.kind() == kind && o.name() == name);
    found.unwrap_or_else(|| panic!("no {kind}/{name}"))
}

/// Runs `promtool` over a file; what it printed.
fn promtool(arguments: &[&str], content: &Value) -> String {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("input.yaml"), content.to_string()).unwrap();
    let ran = Command::new("promtool")
        .args(arguments)
        .current_dir(directory.path())
        .output()
        .expect("promtool is installed: apt-get install prometheus");
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(ran.stdout).unwrap()
}

/// A pod as the operator's discovery describes it.
fn discovered(component: &str, pod: usize) -> Value {
    json!({
        "targets": [format!("10.0.0.{pod}:8080")],
        "labels": {
            "namespace": "weir",
            "service": format!("weir-{component}"),
            "container": component,
            "endpoint": "http",
            "pod": format!("weir-{component}-{pod}"),
            "__meta_kubernetes_pod_name": format!("weir-{component}-{pod}"),
            "__meta_kubernetes_pod_node_name": format!("node-{pod}"),
        },
    })
}

/// What Prometheus makes of two pods of a component with the relabelings of its monitor: the labels of
/// each target that is left.
fn targets(endpoint: &Value, component: &str) -> BTreeSet<BTreeMap<String, String>> {
    let relabelings = endpoint["relabelings"].as_array().unwrap().iter();
    let configuration = json!({"scrape_configs": [{
        "job_name": "operator",
        "relabel_configs": relabelings.map(in_prometheus).collect::<Vec<_>>(),
        "static_configs": [discovered(component, 0), discovered(component, 1)],
    }]});
    let check = [
        "check",
        "service-discovery",
        "--timeout=1s",
        "input.yaml",
        "operator",
    ];
    let found: Vec<Value> = serde_json::from_str(&promtool(&check, &configuration)).unwrap();
    assert_eq!(found.len(), 2);
    // Prometheus scrapes targets with the same labels, their address included, once.
    let labels = found.into_iter().map(|target| target["labels"].clone());
    labels
        .map(|labels| serde_json::from_value(labels).unwrap())
        .collect()
}

/// A relabeling of the operator as Prometheus reads it.
fn in_prometheus(relabeling: &Value) -> Value {
    let fields = relabeling.as_object().unwrap().iter();
    let renamed = fields.map(|(name, value)| {
        let name = match name.as_str() {
            "sourceLabels" => "source_labels",
            "targetLabel" => "target_label",
            other => other,
        };
        (name.to_owned(), value.clone())
    });
    Value::Object(renamed.collect())
}

#[test]
fn each_broker_is_a_target_with_its_pod_and_its_node() {
    let objects = monitored();
    let monitor = find(&objects, "ServiceMonitor", "weir-broker");
    let targets = targets(monitor.at("/spec/endpoints/0"), "broker");
    let named: Vec<_> = targets
        .iter()
        .map(|t| [&t["job"], &t["instance"], &t["node"]])
        .collect();
    assert_eq!(
        named,
        [
            ["weir-broker", "weir-broker-0", "node-0"],
            ["weir-broker", "weir-broker-1", "node-1"]
        ]
    );
}

#[test]
fn dashboards_are_one_target_behind_their_service() {
    let objects = monitored();
    let monitor = find(&objects, "ServiceMonitor", "weir-ui");
    assert_eq!(monitor.at("/spec/endpoints/0/honorLabels"), true);
    let targets = targets(monitor.at("/spec/endpoints/0"), "ui");
    assert_eq!(targets.len(), 1, "{targets:?}");
    let target = targets.first().unwrap();
    assert_eq!(target["job"], "weir-ui");
    assert_eq!(target["__address__"], "weir-ui.weir.svc:8080");
    for of_one_pod in ["pod", "container", "node"] {
        assert!(!target.contains_key(of_one_pod), "{target:?}");
    }
}

#[test]
fn each_agent_is_a_target_named_by_its_node() {
    let objects = monitored();
    let monitor = find(&objects, "PodMonitor", "weir-agent");
    let targets = targets(monitor.at("/spec/podMetricsEndpoints/0"), "agent");
    let named: Vec<_> = targets
        .iter()
        .map(|t| [&t["job"], &t["instance"]])
        .collect();
    assert_eq!(named, [["weir-agent", "node-0"], ["weir-agent", "node-1"]]);
}

#[test]
fn monitors_select_one_service_a_component_and_ports_that_are_there() {
    let objects = monitored();
    for (monitor, services) in [
        ("weir-broker", ["weir-broker-headless"]),
        ("weir-ui", ["weir-ui"]),
    ] {
        let monitor = find(&objects, "ServiceMonitor", monitor);
        let wanted = monitor
            .at("/spec/selector/matchLabels")
            .as_object()
            .unwrap();
        let has_all = |o: &&Object| {
            wanted
                .iter()
                .all(|(name, value)| &o.at("/metadata/labels")[name] == value)
        };
        let selected = objects
            .iter()
            .filter(|o| o.kind() == "Service")
            .filter(has_all);
        let selected: Vec<_> = selected.collect();
        assert_eq!(
            selected.iter().map(|s| s.name()).collect::<Vec<_>>(),
            services
        );
        let port = monitor.at("/spec/endpoints/0/port");
        let ports = selected[0].at("/spec/ports").as_array().unwrap();
        assert!(ports.iter().any(|p| &p["name"] == port), "{port}");
    }
    let agents = find(&objects, "DaemonSet", "weir-agent");
    let ports = agents.at("/spec/template/spec/containers/0/ports");
    let port = find(&objects, "PodMonitor", "weir-agent").at("/spec/podMetricsEndpoints/0/port");
    assert_eq!(&ports[0]["name"], port);
}

#[test]
fn alerts_are_those_of_the_dashboards_folder_and_valid() {
    let objects = monitored();
    let rules = find(&objects, "PrometheusRule", "weir").at("/spec");
    promtool(&["check", "rules", "input.yaml"], rules);
    let shipped = fs::read_to_string(root().join("dashboards/prometheus-rules.yaml")).unwrap();
    let groups = rules["groups"].as_array().unwrap().iter();
    let alerts: Vec<_> = groups
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    let names = shipped
        .lines()
        .filter_map(|line| line.split_once("- alert: "));
    assert_eq!(alerts.len(), names.count());
    for alert in alerts {
        for field in ["/alert", "/annotations/summary", "/annotations/description"] {
            let text = alert.pointer(field).unwrap().as_str().unwrap();
            assert!(shipped.contains(text), "{text}");
        }
    }
}

#[test]
fn alerts_can_be_left_out_and_labelled() {
    let rules =
        json!({"enabled": true, "disabled": ["WeirGroupLate"], "alertLabels": {"team": "a"}});
    let unknown = json!({"enabled": true, "disabled": ["WeirNothing"]});
    let requests = [rules, unknown]
        .map(|rules| Request::default_values().with(json!({"monitoring": {"rules": rules}})));
    let mut rendered = render_all(&requests).unwrap().into_iter();
    let objects = rendered.next().unwrap().unwrap().objects;
    let text = find(&objects, "PrometheusRule", "weir").text();
    assert!(!text.contains("alert: WeirGroupLate"));
    assert_eq!(
        text.matches("team: a\n").count(),
        text.matches("alert: ").count()
    );
    let refused = rendered.next().unwrap().unwrap_err().to_string();
    assert!(
        refused.contains("disabled names \"WeirNothing\", but the alerts are"),
        "{refused}"
    );
}

#[test]
fn dashboards_arrive_unchanged() {
    let objects = monitored();
    for name in ["hosts", "broker"] {
        let map = find(&objects, "ConfigMap", &format!("weir-dashboard-{name}"));
        assert_eq!(map.at("/metadata/labels/grafana_dashboard"), "1");
        let file = root().join(format!("dashboards/grafana-{name}.json"));
        let shipped = fs::read_to_string(file).unwrap();
        assert_eq!(map.text_at(&format!("/data/weir-{name}.json")), shipped);
        // A config map holds 1 MiB.
        assert!(shipped.len() < 512 * 1024);
    }
}
