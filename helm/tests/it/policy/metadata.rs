//! Names, namespaces, labels, and what no object may be.

use super::{Policy, Violation, bad, each};
use crate::releases::text;
use std::collections::BTreeSet;
use weir_chart::Object;

pub(super) const POLICIES: &[Policy] = &[
    Policy {
        name: "names fit into a label, with what controllers add",
        check: |objects| each(objects, long_names),
        bad: &[
            bad("Service/weir-ui", "/metadata/name", SIXTY_FOUR),
            bad("StatefulSet/weir-broker", "/metadata/name", FIFTY_THREE),
            bad("ConfigMap/weir-ui", "/metadata/name", "\"Weir\""),
        ],
    },
    Policy {
        name: "labels are complete",
        check: |objects| each(objects, missing_labels),
        bad: &[
            bad(
                "ConfigMap/weir-ui",
                "/metadata/labels/app.kubernetes.io~1version",
                "",
            ),
            bad("Service/weir-ui", "/metadata/labels/helm.sh~1chart", ""),
            bad(
                "DaemonSet/weir-agent",
                "/spec/template/metadata/labels/app.kubernetes.io~1part-of",
                "",
            ),
        ],
    },
    Policy {
        name: "every object says its namespace, unless it belongs to the cluster",
        check: |objects| each(objects, wrong_namespaces),
        bad: &[
            bad("ConfigMap/weir-ui", "/metadata/namespace", ""),
            bad("Namespace/weir", "/metadata/namespace", "\"weir\""),
        ],
    },
    Policy {
        name: "no two objects are the same",
        check: repeated_objects,
        bad: &[bad("Service/weir-ui", "/metadata/name", "\"weir-broker\"")],
    },
    Policy {
        name: "no rights in the cluster, and no token to use any",
        check: |objects| each(objects, rights),
        bad: &[
            bad("ConfigMap/weir-ui", "/kind", "\"ClusterRoleBinding\""),
            bad(
                "DaemonSet/weir-agent",
                "/spec/template/spec/automountServiceAccountToken",
                "",
            ),
            bad(
                "ServiceAccount/weir-ui",
                "/automountServiceAccountToken",
                "true",
            ),
        ],
    },
    Policy {
        name: "every pod runs as a service account of the release",
        check: missing_accounts,
        bad: &[bad(
            "DaemonSet/weir-agent",
            "/spec/template/spec/serviceAccountName",
            "\"weir-agnt\"",
        )],
    },
    Policy {
        name: "no variables of services, which would look like settings",
        check: |objects| each(objects, service_links),
        bad: &[bad(
            "StatefulSet/weir-broker",
            "/spec/template/spec/enableServiceLinks",
            "",
        )],
    },
];

const SIXTY_FOUR: &str = "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"";
const FIFTY_THREE: &str = "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"";
const LABELS: [&str; 5] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/part-of",
];
const OF_THE_CLUSTER: [&str; 2] = ["Namespace", "PriorityClass"];
const RIGHTS: [&str; 4] = ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];

fn long_names(object: &Object) -> Vec<String> {
    let longest = match object.kind() {
        // Its pods have its name, a dash and a hash of ten characters as a label.
        "StatefulSet" | "DaemonSet" => 52,
        "PriorityClass" => 253,
        _ => 63,
    };
    let name = object.name();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = name.len() <= longest && name.chars().all(plain);
    if fits && !name.is_empty() && !name.starts_with('-') && !name.ends_with('-') {
        return Vec::new();
    }
    vec![format!("{} characters, {longest} fit", name.len())]
}

fn missing_labels(object: &Object) -> Vec<String> {
    let own = object.at("/metadata/labels");
    let pod = object.at("/spec/template/metadata/labels");
    let mut missing: Vec<_> = LABELS
        .iter()
        .chain(&["app.kubernetes.io/component", "helm.sh/chart"])
        .filter(|label| text(own, label).is_empty())
        .map(|label| format!("no label {label}"))
        .collect();
    if object.at("/spec/template").is_object() {
        let absent = LABELS.iter().filter(|label| text(pod, label).is_empty());
        missing.extend(absent.map(|label| format!("no label {label} on its pods")));
    }
    missing
}

fn wrong_namespaces(object: &Object) -> Vec<String> {
    let of_the_cluster = OF_THE_CLUSTER.contains(&object.kind());
    if of_the_cluster == object.namespace().is_empty() {
        return Vec::new();
    }
    vec![format!("namespace {:?}", object.namespace())]
}

fn repeated_objects(objects: &[Object]) -> Vec<Violation> {
    let mut seen = BTreeSet::new();
    let repeated = objects
        .iter()
        .filter(|o| !seen.insert((o.kind(), o.namespace(), o.name())));
    repeated
        .map(|object| Violation::new(object, "is there twice"))
        .collect()
}

fn rights(object: &Object) -> Vec<String> {
    let mut violations = Vec::new();
    if RIGHTS.contains(&object.kind()) {
        violations.push("nothing of Weir talks to Kubernetes".to_owned());
    }
    let token = match object.pod() {
        Some(pod) => &pod["spec"]["automountServiceAccountToken"],
        None if object.kind() == "ServiceAccount" => object.at("/automountServiceAccountToken"),
        None => return violations,
    };
    if token != false {
        violations.push("automountServiceAccountToken is not false".to_owned());
    }
    violations
}

fn missing_accounts(objects: &[Object]) -> Vec<Violation> {
    let accounts = objects.iter().filter(|o| o.kind() == "ServiceAccount");
    let accounts: BTreeSet<_> = accounts.map(|o| (o.namespace(), o.name())).collect();
    let mut violations = Vec::new();
    for object in objects.iter().filter(|object| !object.is_hook()) {
        let Some(pod) = object.pod() else { continue };
        let account = text(&pod["spec"], "serviceAccountName");
        if !accounts.contains(&(object.namespace(), account)) {
            violations.push(Violation::new(object, format!("no account {account:?}")));
        }
    }
    violations
}

fn service_links(object: &Object) -> Vec<String> {
    let spec = object.pod().map(|pod| &pod["spec"]);
    let linked = spec.filter(|spec| spec["enableServiceLinks"] != false);
    linked
        .map(|_| "enableServiceLinks is not false".to_owned())
        .into_iter()
        .collect()
}
