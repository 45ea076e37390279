//! Those who judge what was rendered and share no code with it: Kubernetes' own schemas, those of custom
//! resources, and yamllint.

use crate::releases;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use weir_chart::{Object, Request, describe, generated, root};

/// The oldest that the chart supports, and the newest that the judge knows.
const KUBERNETES: [&str; 2] = ["1.28", "1.37"];
/// APIs that come with a cluster's extensions.
const CUSTOM: [&str; 2] = ["monitoring.coreos.com/", "gateway.networking.k8s.io/"];

#[test]
fn built_in_objects_are_valid_for_the_oldest_and_the_newest_kubernetes() {
    let objects = unique(releases::all_objects().filter(|object| !is_custom(object)));
    assert!(objects.len() > 20, "{}", objects.len());
    let complaints = python(&json!({
        "judge": "kubernetes", "versions": KUBERNETES, "objects": objects,
    }));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_oldest_kubernetes_is_the_charts() {
    let metadata = describe().unwrap().metadata;
    let oldest = format!(">={}.0-0", KUBERNETES[0]);
    assert_eq!(metadata["kubeVersion"], json!(oldest));
}

#[test]
fn the_judge_of_built_in_objects_finds_typos() {
    let typo = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"},
        "spec": {"ports": [{"name": "http", "prt": 80, "port": 80}]},
    });
    let complaints = python(&json!({
        "judge": "kubernetes", "versions": KUBERNETES, "objects": [typo],
    }));
    assert_eq!(complaints.len(), KUBERNETES.len(), "{complaints:?}");
    assert!(
        complaints[0].contains("'prt' was unexpected"),
        "{complaints:?}"
    );
}

#[test]
fn custom_resources_are_valid_by_their_own_schemas() {
    let objects = unique(releases::all_objects().filter(is_custom));
    for kind in [
        "ServiceMonitor",
        "PodMonitor",
        "PrometheusRule",
        "HTTPRoute",
    ] {
        assert!(
            objects.iter().any(|object| object["kind"] == kind),
            "no {kind}"
        );
    }
    let complaints = custom_resources(&objects);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_judge_of_custom_resources_finds_wrong_values_and_unknown_fields() {
    let monitor = json!({
        "apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": "x"},
        "spec": {
            "selector": {},
            "endpoints": [{"port": "http", "honorLabel": true, "interval": "soon"}],
        },
    });
    let complaints = custom_resources(&[monitor]).join("\n");
    assert!(
        complaints.contains("/spec/endpoints/0/interval: pattern"),
        "{complaints}"
    );
    assert!(
        complaints.contains("/spec/endpoints/0/honorLabel: unknown field"),
        "{complaints}"
    );
}

#[test]
fn yaml_is_tidy() {
    let rendered = releases::all_objects();
    let mut documents: BTreeMap<_, _> = rendered
        .map(|object| {
            (
                format!("{} in {}", object.name(), object.source()),
                object.text().to_owned(),
            )
        })
        .collect();
    for path in written_by_hand() {
        let text = fs::read_to_string(&path).unwrap();
        documents.insert(path.display().to_string(), text);
    }
    for file in generated::files().unwrap() {
        if file
            .path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            documents.insert(file.path.display().to_string(), file.text);
        }
    }
    let complaints = python(&json!({"judge": "yamllint", "documents": documents}));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// YAML that people write: the chart's, and what else is deployed or runs in CI.
fn written_by_hand() -> Vec<PathBuf> {
    let directories = ["helm/weir/ci", "dashboards", ".github/workflows"].map(|d| root().join(d));
    let entries = directories
        .iter()
        .filter_map(|directory| fs::read_dir(directory).ok());
    let entries = entries
        .flatten()
        .filter_map(Result::ok)
        .map(|file| file.path());
    let is_yaml = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("yaml" | "yml"))
    };
    let single = [
        "helm/weir/values.yaml",
        "helm/weir/Chart.yaml",
        "docker-compose.yaml",
        ".gitlab-ci.yml",
        "k8s/Kustomization",
    ];
    let single = single.map(|name| root().join(name)).into_iter();
    let paths = entries.filter(is_yaml).chain(single);
    paths.filter(|path| path.is_file()).collect()
}

#[test]
fn the_schema_of_values_is_a_schema() {
    let schema = weir_chart::chart().join("values.schema.json");
    let mut check = weir_chart::python().unwrap();
    check
        .args(["-m", "check_jsonschema", "--check-metaschema"])
        .arg(schema);
    let output = check.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn helm_lint_has_nothing_to_say_against_any_case() {
    let (cases, requests): (Vec<_>, Vec<Request>) = releases::requests().into_iter().unzip();
    let reports = weir_chart::lint(&requests).unwrap();
    for (case, messages) in cases.iter().zip(reports) {
        let bad = messages
            .iter()
            .filter(|m| m.severity > weir_chart::Severity::Info);
        assert_eq!(bad.count(), 0, "{case}: {messages:?}");
    }
}

fn is_custom(object: &Object) -> bool {
    let version = object.text_at("/apiVersion");
    CUSTOM.iter().any(|api| version.starts_with(api))
}

/// Each once: most objects are alike in most cases.
fn unique(objects: impl Iterator<Item = Object>) -> Vec<Value> {
    let by_text: BTreeMap<_, _> = objects
        .map(|object| (object.json().to_string(), object.json().clone()))
        .collect();
    by_text.into_values().collect()
}

fn python(question: &Value) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judge.py");
    let mut command = weir_chart::python().unwrap();
    command.arg(script);
    answer(command, question)
}

fn custom_resources(objects: &[Value]) -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/custom-resources");
    assert!(
        directory.join("node_modules").is_dir(),
        "`cargo xtask manifests` installs the schemas"
    );
    let mut command = Command::new("node");
    command.arg(directory.join("judge.mjs"));
    answer(command, objects)
}

fn answer(mut command: Command, question: &(impl Serialize + ?Sized)) -> Vec<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    stdin
        .write_all(&serde_json::to_vec(question).unwrap())
        .unwrap();
    drop(stdin);
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}
