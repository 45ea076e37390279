//! Alerts that depend on what the release consists of.

use crate::releases::{list, text};
use serde_json::{Value, json};
use weir_chart::{Request, render};

#[test]
fn nobody_is_alerted_that_something_is_missing_which_was_never_wanted() {
    let url = "http://weir.example.com:5000";
    let both = ["WeirBrokerMissing", "WeirDashboardMissing"];
    let expected = [
        (json!({}), &both[..]),
        (json!({"ui": {"enabled": false}}), &both[..1]),
        (
            json!({"broker": {"enabled": false}, "agent": {"brokerUrl": url}, "ui": {"brokerUrl": url}}),
            &both[1..],
        ),
    ];
    for (values, alerts) in expected {
        assert_eq!(missing(&values), alerts, "{values}");
    }
}

/// The alerts that say that something is missing.
fn missing(values: &Value) -> Vec<String> {
    let rules = json!({"monitoring": {"rules": {"enabled": true}}});
    let request = Request::default_values().with(rules).with(values.clone());
    let objects = render(&request).unwrap().objects;
    let rules = objects.iter().find(|o| o.kind() == "PrometheusRule");
    let groups = list(rules.map(|rule| rule.at("/spec")).unwrap(), "groups");
    let alerts = groups.iter().flat_map(|group| list(group, "rules"));
    let alerts = alerts.map(|rule| text(rule, "alert"));
    let missing = alerts.filter(|alert| alert.ends_with("Missing"));
    missing.map(str::to_owned).collect()
}
