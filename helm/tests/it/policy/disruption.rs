//! Evictions: nodes can always be drained.

use super::selectors::is_selected;
use super::{Policy, Violation, bad};
use serde_json::Value;
use weir_chart::Object;

pub(super) const POLICIES: &[Policy] = &[Policy {
    name: "a disruption budget lets a node be drained",
    check: blocked_drains,
    bad: &[
        bad(BROKER, "/spec/maxUnavailable", "0"),
        bad(BROKER, "/spec/maxUnavailable", "\"0%\""),
        bad(BROKER, "/spec", ONE_OF_ONE),
        bad(BROKER, "/spec", ALL),
        bad(BROKER, "/spec", NOTHING_SAID),
    ],
}];

const BROKER: &str = "PodDisruptionBudget/weir-broker";
const ONE_OF_ONE: &str = r#"{"minAvailable": 1, "selector": {"matchLabels":
    {"app.kubernetes.io/component": "broker"}}}"#;
const ALL: &str = r#"{"minAvailable": "100%", "selector": {"matchLabels":
    {"app.kubernetes.io/component": "broker"}}}"#;
const NOTHING_SAID: &str = r#"{"selector": {}}"#;

/// A single pod that may never be missing keeps its node from ever being drained.
fn blocked_drains(objects: &[Object]) -> Vec<Violation> {
    let budgets = objects.iter().filter(|o| o.kind() == "PodDisruptionBudget");
    let blocking = budgets.filter(|budget| !lets_go(budget, replicas(budget, objects)));
    blocking
        .map(|budget| Violation::new(budget, format!("blocks drains: {}", budget.at("/spec"))))
        .collect()
}

fn lets_go(budget: &Object, replicas: u64) -> bool {
    match (
        budget.at("/spec/maxUnavailable"),
        budget.at("/spec/minAvailable"),
    ) {
        (Value::Null, Value::Null) => false,
        (Value::Null, Value::String(share)) => share != "100%" && replicas > 1,
        (Value::Null, fewest) => fewest.as_u64().is_some_and(|fewest| fewest < replicas),
        // A share is rounded up.
        (Value::String(share), _) => share != "0%",
        (most, _) => most.as_u64().is_some_and(|most| most >= 1),
    }
}

fn replicas(budget: &Object, objects: &[Object]) -> u64 {
    let selector = budget.at("/spec/selector/matchLabels").as_object();
    let selected = |object: &&Object| selector.is_some_and(|s| is_selected(s, object));
    let workload = objects.iter().find(selected);
    workload.map_or(0, |workload| {
        workload.at("/spec/replicas").as_u64().unwrap_or(1)
    })
}
