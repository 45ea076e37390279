//! Wrong values: refused by the schema, or by what it cannot say, in words that tell where and what would
//! be right.

use crate::releases::{self, list};
use serde_json::{Value, json};
use weir_chart::{RenderError, Request, render, render_all};

struct Wrong {
    what: &'static str,
    values: Value,
    /// What the message must say: the path, and what is allowed or unknown.
    says: &'static [&'static str],
}

fn wrong_values() -> Vec<Wrong> {
    let wrong = |what, values, says| Wrong { what, values, says };
    vec![
        wrong(
            "a typo at the top",
            json!({"brokr": {}}),
            &["'brokr' not allowed"],
        ),
        wrong(
            "a typo in a section",
            json!({"broker": {"replica": 1}}),
            &["/broker", "'replica' not allowed"],
        ),
        wrong(
            "a typo two levels down",
            json!({"broker": {"persistence": {"sise": "1Gi"}}}),
            &["/broker/persistence", "'sise' not allowed"],
        ),
        wrong(
            "a typo in a probe",
            json!({"ui": {"livenessProbe": {"periodSecond": 5}}}),
            &["/ui/livenessProbe", "'periodSecond' not allowed"],
        ),
        wrong(
            "a wrong type",
            json!({"agent": {"enabled": "yes"}}),
            &["/agent/enabled", "got string, want boolean"],
        ),
        wrong(
            "no replicas",
            json!({"broker": {"replicas": 0}}),
            &["/broker/replicas", "got 0, want 1"],
        ),
        wrong(
            "fewer than no replicas",
            json!({"ui": {"replicas": -1}}),
            &["/ui/replicas", "got -1, want"],
        ),
        wrong(
            "an unknown access tier",
            json!({"agent": {"access": "root"}}),
            &["/agent/access", "'minimal', 'standard', 'filesystems'"],
        ),
        wrong(
            "a setting that another value manages",
            json!({"broker": {"settings": {"data_dir": "/data"}}}),
            &[
                "/broker/settings/data_dir",
                "set broker.persistence instead",
            ],
        ),
        wrong(
            "a managed setting of the agent's",
            json!({"agent": {"settings": {"broker": "http://x:5000"}}}),
            &["/agent/settings/broker", "set agent.brokerUrl instead"],
        ),
        wrong(
            "a setting with a typo",
            json!({"broker": {"settings": {"retention_agee": "1h"}}}),
            &["/broker/settings", "'retention_agee' not allowed"],
        ),
        wrong(
            "a duration without a unit",
            json!({"broker": {"settings": {"retention_age": "5"}}}),
            &["/broker/settings/retention_age", "[0-9]+ *[a-zA-Zµ]+"],
        ),
        wrong(
            "a port that does not exist",
            json!({"broker": {"ports": {"http": 70000}}}),
            &["/broker/ports/http", "70,000, want 65,535"],
        ),
        wrong(
            "one claim for three brokers",
            json!({"broker": {"replicas": 3, "persistence": {"existingClaim": "data"}}}),
            &["existingClaim", "each broker needs a volume of its own"],
        ),
        wrong(
            "the tag latest",
            json!({"image": {"tag": "latest"}}),
            &["image.tag is \"latest\"", "name a version"],
        ),
        wrong(
            "the tag latest for one image",
            json!({"ui": {"image": {"tag": "latest"}}}),
            &["ui.image.tag is \"latest\""],
        ),
        wrong(
            "a digest that is none",
            json!({"broker": {"image": {"digest": "abc"}}}),
            &["/broker/image/digest", "sha256:[0-9a-f]{64}"],
        ),
        wrong(
            "a size that is none",
            json!({"broker": {"persistence": {"size": "big"}}}),
            &["/broker/persistence/size", "[KMGTPE]i"],
        ),
        wrong(
            "a budget that blocks drains",
            json!({"broker": {"pdb": {"maxUnavailable": 0}}}),
            &["/broker/pdb/maxUnavailable", "got 0, want 1"],
        ),
        wrong(
            "no broker anywhere",
            json!({"broker": {"enabled": false}}),
            &["brokerUrl is empty", "broker.enabled is false"],
        ),
        wrong(
            "a label by which pods are found",
            json!({"commonLabels": {"app.kubernetes.io/name": "shop"}}),
            &["commonLabels has app.kubernetes.io/name", "leave it out"],
        ),
        wrong(
            "a label by which a service is found",
            json!({"ui": {"service": {"labels": {"app.kubernetes.io/component": "web"}}}}),
            &["ui.service.labels has app.kubernetes.io/component"],
        ),
        wrong(
            "a label of claims that they have already",
            json!({"broker": {"persistence": {"labels": {"app.kubernetes.io/instance": "x"}}}}),
            &["broker.persistence.labels has app.kubernetes.io/instance"],
        ),
        wrong(
            "one port for two listeners",
            json!({"broker": {"ports": {"http": 50051}}}),
            &["broker.ports: http and grpc are both 50051"],
        ),
        wrong(
            "a scrape that may take longer than until the next",
            json!({"monitoring": {"podMonitor": {"interval": "1m30s", "scrapeTimeout": "91s"}}}),
            &["monitoring.podMonitor.scrapeTimeout (91s) is longer than its interval (1m30s)"],
        ),
        wrong(
            "a listener that nobody else reaches",
            json!({"ui": {"listen": "127.0.0.1"}}),
            &["ui.listen is 127.0.0.1", "probes come from outside the pod"],
        ),
        wrong(
            "a flag that is there already",
            json!({"agent": {"extraArgs": ["--log-filter=debug", "--node=other"]}}),
            &["agent.extraArgs has --node", "may be given once"],
        ),
        wrong(
            "a variable that is there already",
            json!({"agent": {"extraEnv": [{"name": "NODE_NAME", "value": "other"}]}}),
            &["agent.extraEnv has NODE_NAME"],
        ),
        wrong(
            "a variable twice",
            json!({"ui": {"extraEnv": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}}),
            &["ui.extraEnv has A"],
        ),
    ]
}

/// So that `extraArgs` and `extraEnv` cannot collide with what a new version adds.
#[test]
fn flags_and_variables_of_all_pods_are_refused_as_further_ones() {
    let again = flags_and_variables();
    assert!(again.len() > 20, "{again:?}");
    let requests: Vec<_> = again
        .iter()
        .map(|(component, key, given)| json!({component: {*key: [given]}}))
        .map(|values| Request::default_values().with(values))
        .collect();
    for ((component, key, given), answer) in again.iter().zip(render_all(&requests).unwrap()) {
        let message = answer.unwrap_err().to_string();
        let path = format!("{component}.{key} has ");
        assert!(message.contains(&path), "{given}: {message}");
    }
}

/// Of every pod: the section of its values, the value for further ones, and what it has.
fn flags_and_variables() -> Vec<(String, &'static str, Value)> {
    let mut given = Vec::new();
    for object in releases::with_everything() {
        let component = object.label("app.kubernetes.io/component");
        let section = component.replace("check", "tests");
        for container in object.containers() {
            let flags = list(container, "args").iter();
            let flags = flags.filter(|flag| flag.as_str().is_some_and(|f| f.starts_with("--")));
            given.extend(flags.map(|flag| (section.clone(), "extraArgs", flag.clone())));
            let variables = list(container, "env").iter();
            given.extend(variables.map(|variable| (section.clone(), "extraEnv", variable.clone())));
        }
    }
    given
}

#[test]
fn a_release_whose_services_would_be_refused_is_told_how_to_call_them() {
    for release in ["1st", "my.release"] {
        let request = |values| Request {
            release: release.to_owned(),
            ..Request::default_values().with(values)
        };
        let message = render(&request(json!({}))).unwrap_err().to_string();
        assert!(message.contains("set fullnameOverride"), "{message}");
        render(&request(json!({"fullnameOverride": "weir"}))).unwrap();
    }
}

#[test]
fn wrong_values_are_refused_in_words_that_help() {
    let wrong = wrong_values();
    let requests: Vec<_> = wrong
        .iter()
        .map(|wrong| Request::default_values().with(wrong.values.clone()))
        .collect();
    let answers = render_all(&requests).unwrap();
    let complaints = wrong.iter().zip(answers).filter_map(|(wrong, answer)| {
        let message = match answer {
            Ok(_) => return Some(format!("{}: accepted", wrong.what)),
            Err(RenderError::Refused(message) | RenderError::NoEngine(message)) => message,
        };
        let unsaid: Vec<_> = wrong
            .says
            .iter()
            .filter(|part| !message.contains(**part))
            .collect();
        (!unsaid.is_empty()).then(|| format!("{}: {unsaid:?} is not in {message}", wrong.what))
    });
    let complaints: Vec<_> = complaints.collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
