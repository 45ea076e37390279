//! One object that Helm would send to the cluster.

use serde::Deserialize;
use serde_json::Value;

/// A Kubernetes object as rendered, with the template it came from.
#[derive(Clone, Debug, Deserialize)]
pub struct Object {
    source: String,
    text: String,
    json: Value,
}

impl Object {
    /// An object that no template made: for tests of those who judge objects.
    pub fn new(json: Value) -> Self {
        Self {
            source: String::new(),
            text: json.to_string(),
            json,
        }
    }

    /// Its `kind`; empty when it has none.
    pub fn kind(&self) -> &str {
        self.text_at("/kind")
    }

    /// Its name; empty when it has none.
    pub fn name(&self) -> &str {
        self.text_at("/metadata/name")
    }

    /// The namespace that is written in it; empty when none is.
    pub fn namespace(&self) -> &str {
        self.text_at("/metadata/namespace")
    }

    /// The path of its template: `weir/templates/broker/service.yaml`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The YAML that the template made, without the line `---`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The whole object.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// What lies at a JSON pointer (`/spec/template/spec`); `Null` where nothing does.
    pub fn at(&self, pointer: &str) -> &Value {
        self.json.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The text at a JSON pointer; empty where there is none.
    pub fn text_at(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_default()
    }

    /// A label's value; empty when it is not there.
    pub fn label(&self, name: &str) -> &str {
        let labels = self.at("/metadata/labels");
        labels.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it belongs to a hook, such as `helm test`, and not to the release proper.
    pub fn is_hook(&self) -> bool {
        self.at("/metadata/annotations")
            .get("helm.sh/hook")
            .is_some()
    }

    /// The pod it is or makes: an object with `metadata` and `spec`. `None` for what makes no pods.
    pub fn pod(&self) -> Option<&Value> {
        match self.kind() {
            "Pod" => Some(&self.json),
            "StatefulSet" | "DaemonSet" | "Deployment" | "Job" => Some(self.at("/spec/template")),
            _ => None,
        }
    }

    /// All containers of its pod, the init containers too.
    pub fn containers(&self) -> impl Iterator<Item = &Value> {
        let spec = self.pod().and_then(|pod| pod.get("spec"));
        let lists = ["containers", "initContainers"];
        let lists = lists
            .into_iter()
            .filter_map(move |list| spec?.get(list)?.as_array());
        lists.flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_there_is_empty() {
        let object = Object::new(json!({"kind": "Service"}));
        assert_eq!(object.kind(), "Service");
        assert_eq!(object.name(), "");
        assert_eq!(object.label("app.kubernetes.io/name"), "");
        assert_eq!(object.at("/spec/ports/0"), &Value::Null);
        assert_eq!(object.pod(), None);
        assert_eq!(object.containers().count(), 0);
    }

    #[test]
    fn containers_of_pods_and_of_what_makes_them_are_found() {
        let spec = json!({"initContainers": [{"name": "a"}], "containers": [{"name": "b"}]});
        let pod = Object::new(json!({"kind": "Pod", "spec": spec}));
        let set = Object::new(json!({"kind": "DaemonSet", "spec": {"template": {"spec": spec}}}));
        assert_eq!(pod.containers().count(), 2);
        assert_eq!(set.containers().count(), 2);
    }
}
