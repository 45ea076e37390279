//! The releases that everything is judged on: every case, and what single values change.

use serde_json::{Value, json};
use weir_chart::{Object, Rendered, Request, cases, generated, render, render_all};

/// APIs that a cluster with a Prometheus operator and a gateway has.
const FURTHER_APIS: [&str; 2] = ["monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1"];
/// The longest that Helm accepts.
const LONG_NAME: &str = "a-release-with-the-longest-name-that-helm-accepts-53c";

/// What to render, by name.
pub(crate) fn requests() -> Vec<(String, Request)> {
    let mut requests = vec![
        ("default values".to_owned(), Request::default_values()),
        ("plain manifests".to_owned(), generated::plain_request()),
        ("everything".to_owned(), everything()),
        ("long name".to_owned(), named(LONG_NAME)),
        ("other name".to_owned(), named("metrics")),
    ];
    requests.push(("names like numbers".to_owned(), numbers()));
    for access in ["minimal", "standard", "filesystems"] {
        let values = json!({"agent": {"access": access}});
        requests.push((
            format!("access {access}"),
            Request::default_values().with(values),
        ));
    }
    let cases = cases().into_iter();
    requests.extend(cases.map(|case| (case.clone(), Request::case(&case))));
    for (_, request) in &mut requests {
        request.api_versions = FURTHER_APIS.map(str::to_owned).to_vec();
    }
    requests
}

/// All of them, rendered in one process of the engine.
pub(crate) fn all() -> Vec<(String, Rendered)> {
    let (names, requests): (Vec<_>, Vec<_>) = requests().into_iter().unzip();
    let rendered = render_all(&requests).unwrap();
    let rendered = names.into_iter().zip(rendered);
    let unwrap = |(name, rendered)| match rendered {
        Ok(rendered) => (name, rendered),
        Err(error) => panic!("{name}: {error}"),
    };
    rendered.map(unwrap).collect()
}

/// Every object of all of them.
pub(crate) fn all_objects() -> impl Iterator<Item = Object> {
    all().into_iter().flat_map(|(_, rendered)| rendered.objects)
}

/// A release that has an object of every kind the chart knows.
pub(crate) fn with_everything() -> Vec<Object> {
    render(&everything()).unwrap().objects
}

pub(crate) fn everything() -> Request {
    let request = Request::default_values().with(json!({
        "namespace": {"create": true},
        "networkPolicy": {"enabled": true},
        "ui": {
            "ingress": {"enabled": true, "hosts": [{
                "host": "weir.example.com",
                "paths": [{"path": "/", "pathType": "Prefix"}],
            }]},
            "httpRoute": {"enabled": true, "parentRefs": [{"name": "gateway"}]},
        },
        "monitoring": {
            "serviceMonitor": {"enabled": true},
            "podMonitor": {"enabled": true},
            "rules": {"enabled": true},
            "dashboards": {"enabled": true},
        },
    }));
    Request {
        api_versions: FURTHER_APIS.map(str::to_owned).to_vec(),
        ..request
    }
}

fn named(release: &str) -> Request {
    Request {
        release: release.to_owned(),
        ..Request::default_values()
    }
}

/// Names that Kubernetes takes and YAML reads as numbers.
fn numbers() -> Request {
    let number = "4711";
    let request = everything().with(json!({
        "broker": {
            "persistence": {"existingClaim": number},
            "caCertificates": {"configMap": number},
        },
        "agent": {
            "namespace": {"name": "0815", "create": true},
            "serviceAccount": {"name": number},
            "priorityClass": {"name": number},
        },
        "ui": {
            "ingress": {"className": number},
            "priorityClassName": number,
        },
    }));
    Request {
        namespace: number.to_owned(),
        ..request
    }
}

/// What of a map lies at a key, as text; empty where nothing does.
pub(crate) fn text<'a>(map: &'a Value, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a key; empty where there is none.
pub(crate) fn list<'a>(map: &'a Value, key: &str) -> &'a [Value] {
    map.get(key).and_then(Value::as_array).map_or(&[], |l| l)
}
