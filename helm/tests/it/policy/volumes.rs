//! What pods mount, and what of their nodes the agents see.

use super::{Policy, Violation, bad, each};
use crate::releases::{self, list, text};
use serde_json::json;
use std::collections::BTreeSet;
use weir_chart::{Object, Request, render_all};

pub(super) const POLICIES: &[Policy] = &[
    Policy {
        name: "only the agents' listed paths of the node, read-only",
        check: |objects| each(objects, host_paths),
        bad: &[
            bad(
                "DaemonSet/weir-agent",
                "/spec/template/spec/volumes/-",
                "{\"name\": \"etc\", \"hostPath\": {\"path\": \"/etc\"}}",
            ),
            bad(
                "DaemonSet/weir-agent",
                "/spec/template/spec/containers/0/volumeMounts/1/readOnly",
                "",
            ),
            bad(
                "DaemonSet/weir-agent",
                "/spec/template/spec/containers/0/volumeMounts/2/mountPropagation",
                "\"Bidirectional\"",
            ),
        ],
    },
    Policy {
        name: "every mount has its volume, and every volume is mounted",
        check: |objects| each(objects, unmatched_mounts),
        bad: &[
            bad(
                "StatefulSet/weir-broker",
                "/spec/template/spec/containers/0/volumeMounts/0/name",
                "\"dta\"",
            ),
            bad(
                "StatefulSet/weir-broker",
                "/spec/template/spec/volumes/-",
                "{\"name\": \"spare\", \"emptyDir\": {}}",
            ),
        ],
    },
    Policy {
        name: "a pod with a config map of the release carries its checksum",
        check: missing_checksums,
        bad: &[
            bad(
                "StatefulSet/weir-broker",
                "/spec/template/metadata/annotations/checksum~1config",
                "",
            ),
            bad(
                "DaemonSet/weir-agent",
                "/spec/template/spec/volumes/0/configMap/name",
                "\"weir-agnt\"",
            ),
        ],
    },
    Policy {
        name: "claims have no label that changes with a version",
        check: |objects| each(objects, changing_claims),
        bad: &[bad(
            "StatefulSet/weir-broker",
            "/spec/volumeClaimTemplates/0/metadata/labels/helm.sh~1chart",
            "\"weir-0.1.0\"",
        )],
    },
];

/// As the table of the access tiers has them (docs/host-metrics.md).
const NODE_PATHS: &[&str] = &["/proc", "/sys", "/"];

fn host_paths(object: &Object) -> Vec<String> {
    let mut violations = Vec::new();
    for (volume, path) in node_mounts(object) {
        if object.label("app.kubernetes.io/component") != "agent" || !NODE_PATHS.contains(&path) {
            violations.push(format!("mounts {path} of its node"));
        }
        let mounts = object.containers().flat_map(|c| list(c, "volumeMounts"));
        for mount in mounts.filter(|mount| mount["name"] == volume) {
            if mount["readOnly"] != true {
                violations.push(format!("may write to {path} of its node"));
            }
            if text(mount, "mountPropagation") == "Bidirectional" {
                violations.push(format!("its mounts would appear in {path} of its node"));
            }
        }
    }
    violations
}

/// Name and path of each hostPath volume.
fn node_mounts(object: &Object) -> Vec<(&str, &str)> {
    let spec = object.pod().map(|pod| &pod["spec"]);
    let volumes = spec.into_iter().flat_map(|spec| list(spec, "volumes"));
    let on_node = volumes.filter(|volume| volume["hostPath"].is_object());
    on_node
        .map(|volume| (text(volume, "name"), text(&volume["hostPath"], "path")))
        .collect()
}

fn unmatched_mounts(object: &Object) -> Vec<String> {
    let Some(pod) = object.pod() else {
        return Vec::new();
    };
    let claims = list(object.at("/spec"), "volumeClaimTemplates").iter();
    let volumes: BTreeSet<_> = list(&pod["spec"], "volumes")
        .iter()
        .map(|volume| text(volume, "name"))
        .chain(claims.map(|claim| text(&claim["metadata"], "name")))
        .collect();
    let mounts: BTreeSet<_> = object
        .containers()
        .flat_map(|container| list(container, "volumeMounts"))
        .map(|mount| text(mount, "name"))
        .collect();
    let unmatched = volumes.symmetric_difference(&mounts);
    unmatched
        .map(|name| format!("volume {name:?} is mounted or declared, not both"))
        .collect()
}

/// A pod whose settings change must change with them, or it would go on with the old ones.
fn missing_checksums(objects: &[Object]) -> Vec<Violation> {
    let maps: BTreeSet<_> = objects
        .iter()
        .filter(|object| object.kind() == "ConfigMap")
        .map(Object::name)
        .collect();
    let mut violations = Vec::new();
    for object in objects.iter().filter(|object| !object.is_hook()) {
        let Some(pod) = object.pod() else { continue };
        for volume in list(&pod["spec"], "volumes") {
            if text(volume, "name") != "settings" {
                continue;
            }
            let map = text(&volume["configMap"], "name");
            if !maps.contains(map) {
                violations.push(Violation::new(object, format!("no config map {map:?}")));
            }
            if text(&pod["metadata"]["annotations"], "checksum/config").is_empty() {
                violations.push(Violation::new(object, format!("no checksum of {map}")));
            }
        }
    }
    violations
}

fn changing_claims(object: &Object) -> Vec<String> {
    let templates = list(object.at("/spec"), "volumeClaimTemplates").iter();
    let labels = templates.filter_map(|claim| claim["metadata"]["labels"].as_object());
    let keys = labels.flat_map(|labels| labels.keys());
    let changing = ["helm.sh/chart", "app.kubernetes.io/version"];
    let changing = keys.filter(|key| changing.contains(&key.as_str()));
    changing
        .map(|key| format!("a claim has the label {key}, and a StatefulSet's claims cannot change"))
        .collect()
}

#[test]
fn the_class_of_claims_can_be_left_to_the_cluster_named_or_none() {
    let expected = [("", json!(null)), ("fast", json!("fast")), ("-", json!(""))];
    let requests = expected.clone().map(|(class, _)| {
        Request::default_values().with(json!({"broker": {"persistence": {"storageClass": class}}}))
    });
    for ((class, expected), rendered) in expected.iter().zip(render_all(&requests).unwrap()) {
        let objects = rendered.unwrap().objects;
        let brokers = objects.iter().find(|o| o.kind() == "StatefulSet").unwrap();
        let claim = brokers.at("/spec/volumeClaimTemplates/0/spec");
        assert_eq!(&claim["storageClassName"], expected, "{class:?}");
    }
}

#[test]
fn each_access_tier_mounts_what_it_says_and_no_more() {
    let expected: &[(&str, &[&str])] = &[
        ("access minimal", &[]),
        ("access standard", &["/proc", "/sys"]),
        ("access filesystems", &["/", "/proc", "/sys"]),
    ];
    let releases = releases::all();
    for (case, paths) in expected {
        let (_, rendered) = releases.iter().find(|(name, _)| name == case).unwrap();
        let mounted = rendered.objects.iter().flat_map(node_mounts);
        let mounted: BTreeSet<_> = mounted.map(|(_, path)| path).collect();
        let expected: BTreeSet<_> = paths.iter().copied().collect();
        assert_eq!(mounted, expected, "{case}");
    }
}
