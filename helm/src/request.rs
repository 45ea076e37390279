//! What `helm install` would be told.

use crate::case;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::PathBuf;

/// One rendering: which values, for which release and cluster.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// Files of values, as of `--values`; later ones win.
    pub values: Vec<PathBuf>,
    /// Values that win over all files: an object, as of `--set-json`. A `null` removes a default.
    pub set: Value,
    /// The release's name.
    pub release: String,
    /// The namespace it goes to.
    pub namespace: String,
    /// The cluster's version (`1.28`); `None` is the one that Helm assumes.
    pub kube_version: Option<String>,
    /// APIs that the cluster has beside the built-in ones, such as `monitoring.coreos.com/v1`.
    pub api_versions: Vec<String>,
}

impl Request {
    /// Release `weir` in namespace `weir`, with nothing but the chart's own values.
    pub fn default_values() -> Self {
        Self {
            values: Vec::new(),
            set: json!({}),
            release: "weir".to_owned(),
            namespace: "weir".to_owned(),
            kube_version: None,
            api_versions: Vec::new(),
        }
    }

    /// The same with the values of one of [`cases`](crate::cases).
    pub fn case(name: &str) -> Self {
        Self {
            values: vec![case::values_file(name)],
            ..Self::default_values()
        }
    }

    /// Sets further values; maps are merged into those that were set before.
    #[must_use]
    pub fn with(mut self, values: Value) -> Self {
        merge(&mut self.set, values);
        self
    }
}

fn merge(into: &mut Value, newer: Value) {
    match (into, newer) {
        (Value::Object(into), Value::Object(newer)) => {
            for (key, value) in newer {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, newer) => *into = newer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_values_are_merged_into_earlier_ones() {
        let request = Request::default_values()
            .with(json!({"broker": {"replicas": 3, "settings": {"fsync": true}}}))
            .with(json!({"broker": {"replicas": 1}, "ui": {"enabled": false}}));
        assert_eq!(
            request.set,
            json!({
                "broker": {"replicas": 1, "settings": {"fsync": true}},
                "ui": {"enabled": false}
            })
        );
    }
}
