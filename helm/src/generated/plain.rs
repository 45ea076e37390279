//! Plain manifests: a file for each component, in the order in which `kubectl apply -f k8s/` takes them.

use super::GeneratedFile;
use crate::object::Object;
use std::path::Path;

/// File names sort as their objects must be applied: the namespace before what lies in it.
const COMPONENTS: &[(&str, &str)] = &[
    ("namespace", "00-namespace.yaml"),
    ("broker", "10-broker.yaml"),
    ("agent", "20-agent.yaml"),
    ("ui", "30-ui.yaml"),
];
/// Within a file: what pods need comes before them.
const KINDS: &[&str] = &[
    "Namespace",
    "PriorityClass",
    "ServiceAccount",
    "ConfigMap",
    "Service",
    "PodDisruptionBudget",
];
/// What only Helm has a use for.
const OF_HELM: &[&str] = &["helm.sh/", "app.kubernetes.io/managed-by: Helm"];
const HEADER: &str =
    "# Made from helm/weir by `cargo xtask manifests`; changes here are overwritten.\n";

pub(super) fn manifests(objects: &[Object]) -> Vec<GeneratedFile> {
    let file = |&(component, name): &(&str, &str)| GeneratedFile {
        path: Path::new("k8s").join(name),
        text: HEADER.to_owned() + &documents(objects, component),
    };
    COMPONENTS.iter().map(file).collect()
}

fn documents(objects: &[Object], component: &str) -> String {
    let mut objects: Vec<_> = objects
        .iter()
        .filter(|object| !object.is_hook())
        .filter(|object| object.label("app.kubernetes.io/component") == component)
        .collect();
    objects.sort_by_key(|object| place(object.kind()));
    let documents = objects.iter().map(|object| without_helm(object.text()));
    documents
        .map(|document| format!("---\n{document}"))
        .collect()
}

fn place(kind: &str) -> usize {
    let place = KINDS.iter().position(|known| *known == kind);
    place.unwrap_or(KINDS.len())
}

/// The document without Helm's labels and annotations, and without an `annotations:` that is left empty.
fn without_helm(document: &str) -> String {
    let is_of_helm = |line: &str| OF_HELM.iter().any(|of| line.trim_start().starts_with(of));
    let lines: Vec<_> = document.lines().filter(|line| !is_of_helm(line)).collect();
    let mut kept = String::new();
    for (index, line) in lines.iter().enumerate() {
        let next = lines.get(index + 1).map_or(0, |next| indentation(next));
        if line.trim() != "annotations:" || next > indentation(line) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_helm_needs_goes_and_the_rest_stays() {
        let document = "\
metadata:
  annotations:
    helm.sh/resource-policy: keep
  labels:
    app.kubernetes.io/managed-by: Helm
    app.kubernetes.io/name: weir
    helm.sh/chart: weir-0.1.0
";
        let plain = "metadata:\n  labels:\n    app.kubernetes.io/name: weir\n";
        assert_eq!(without_helm(document), plain);
    }

    #[test]
    fn other_annotations_stay() {
        let document = "annotations:\n  helm.sh/resource-policy: keep\n  checksum/config: abc\n";
        assert_eq!(
            without_helm(document),
            "annotations:\n  checksum/config: abc\n"
        );
    }
}
