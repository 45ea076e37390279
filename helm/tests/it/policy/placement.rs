//! Which nodes pods may run on.

use super::{Policy, bad, each};
use crate::releases::{list, text};
use serde_json::{Value, json};
use weir_chart::Object;

pub(super) const POLICIES: &[Policy] = &[Policy {
    name: "what tolerates every taint stays off nodes that are no machines",
    check: |objects| each(objects, pods_in_the_clouds),
    bad: &[
        bad("DaemonSet/weir-agent", "/spec/template/spec/affinity", ""),
        bad(
            "DaemonSet/weir-agent",
            "/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchExpressions/0/values",
            "[\"ec2\"]",
        ),
        bad(
            "Deployment/weir-ui",
            "/spec/template/spec/tolerations",
            "[{\"operator\": \"Exists\"}]",
        ),
    ],
}];

/// Labels of nodes that Kubernetes is told of, and on which no DaemonSet's pod ever starts.
const NO_MACHINES: [(&str, &str); 2] = [
    ("eks.amazonaws.com/compute-type", "fargate"),
    ("type", "virtual-kubelet"),
];

fn pods_in_the_clouds(object: &Object) -> Vec<String> {
    let Some(spec) = object.pod().map(|pod| &pod["spec"]) else {
        return Vec::new();
    };
    if !list(spec, "tolerations").contains(&json!({"operator": "Exists"})) {
        return Vec::new();
    }
    let admitted = NO_MACHINES.iter().filter(|label| !keeps_off(spec, label));
    admitted
        .map(|(key, value)| format!("would wait on nodes with {key}={value}"))
        .collect()
}

fn keeps_off(spec: &Value, (key, value): &(&str, &str)) -> bool {
    let affinity = &spec["affinity"]["nodeAffinity"];
    let required = &affinity["requiredDuringSchedulingIgnoredDuringExecution"];
    let terms = list(required, "nodeSelectorTerms");
    let forbids = |term: &Value| {
        list(term, "matchExpressions").iter().any(|expression| {
            text(expression, "key") == *key
                && text(expression, "operator") == "NotIn"
                && list(expression, "values").contains(&Value::from(*value))
        })
    };
    // One term that fits is enough for a node.
    !terms.is_empty() && terms.iter().all(forbids)
}
