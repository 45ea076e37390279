//! How pods end: drained first, then with time enough to finish.

use super::{Policy, bad, each};
use crate::releases::list;
use serde_json::Value;
use weir_chart::Object;

pub(super) const POLICIES: &[Policy] = &[
    Policy {
        name: "the pod's grace period covers the drain and the process's own",
        check: |objects| each(objects, impatience),
        bad: &[
            bad(
                BROKER,
                "/spec/template/spec/terminationGracePeriodSeconds",
                "24",
            ),
            bad(
                BROKER,
                "/spec/template/spec/terminationGracePeriodSeconds",
                "",
            ),
            bad(
                "DaemonSet/weir-agent",
                "/spec/template/spec/terminationGracePeriodSeconds",
                "9",
            ),
            bad(
                BROKER,
                "/spec/template/spec/containers/0/args/-",
                "\"--grace-period=60s\"",
            ),
        ],
    },
    Policy {
        name: "what serves others is drained before it is stopped",
        check: |objects| each(objects, undrained),
        bad: &[
            bad(BROKER, "/spec/template/spec/containers/0/lifecycle", ""),
            bad(
                "Deployment/weir-ui",
                "/spec/template/spec/containers/0/lifecycle/preStop/exec/command",
                "[\"sleep\", \"5\"]",
            ),
        ],
    },
];

const BROKER: &str = "StatefulSet/weir-broker";
/// An agent serves nobody and ends within ten seconds.
const AGENT_SECONDS: u64 = 10;

fn impatience(object: &Object) -> Vec<String> {
    let Some(pod) = object.pod().filter(|_| !object.is_hook()) else {
        return Vec::new();
    };
    // Kubernetes' own default.
    let given = pod["spec"]["terminationGracePeriodSeconds"]
        .as_u64()
        .unwrap_or(30);
    let needed = object.containers().map(needed_seconds).max().unwrap_or(0);
    let said = pod["spec"].get("terminationGracePeriodSeconds").is_some();
    if said && given >= needed {
        return Vec::new();
    }
    vec![format!("has {given} s to end, needs {needed} s")]
}

fn needed_seconds(container: &Value) -> u64 {
    let arguments = list(container, "args");
    let drain = drain_command(container).and_then(|command| flag(command, "--drain="));
    match flag(arguments, "--grace-period=") {
        Some(grace) => grace + drain.unwrap_or(0),
        None => AGENT_SECONDS,
    }
}

fn undrained(object: &Object) -> Vec<String> {
    if object.kind() == "DaemonSet" || object.is_hook() {
        return Vec::new();
    }
    let undrained = object.containers().filter(|container| {
        let command = drain_command(container);
        command.is_none_or(|command| flag(command, "--drain=").is_none())
    });
    undrained
        .map(|container| format!("{} is not drained", container["name"]))
        .collect()
}

fn drain_command(container: &Value) -> Option<&[Value]> {
    let command = container.pointer("/lifecycle/preStop/exec/command")?;
    command.as_array().map(Vec::as_slice)
}

/// The seconds of the last flag with this name.
fn flag(arguments: &[Value], name: &str) -> Option<u64> {
    let mut values = arguments
        .iter()
        .filter_map(|argument| argument.as_str()?.strip_prefix(name));
    values.next_back()?.strip_suffix('s')?.parse().ok()
}
