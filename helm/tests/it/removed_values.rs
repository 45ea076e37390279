//! Defaults that are taken away with `null`, as `--set broker.resources=null` does: either that is
//! refused, or the rest is whole.

use crate::releases;
use serde_json::{Map, Value, json};
use weir_chart::{Object, Request, describe, render};

#[test]
fn everything_that_may_be_removed_may_be_removed_at_once() {
    let chart = describe().unwrap();
    let removed = removals(&chart.values, &chart.schema, &chart.schema);
    assert!(removed.to_string().matches("null").count() > 100);
    let request = releases::everything();
    let switched_on = request.set.clone();
    let rendered = render(&request.with(removed).with(switched_on)).unwrap();
    for object in &rendered.objects {
        let nulls = nulls(object.json(), String::new());
        assert!(nulls.is_empty(), "{} has {nulls:?}", object.name());
    }
    let kinds = rendered.objects.iter().map(Object::kind);
    assert_eq!(kinds.count(), releases::with_everything().len());
}

#[test]
fn a_section_without_defaults_of_its_own_is_refused_when_it_is_removed() {
    for section in ["broker", "agent", "ui", "monitoring", "networkPolicy"] {
        let error = render(&Request::default_values().with(json!({section: null})));
        let message = error.unwrap_err().to_string();
        assert!(
            message.contains(&format!("missing property '{section}'")),
            "{message}"
        );
    }
}

/// `null` for every default that the schema does not require.
fn removals(defaults: &Value, schema: &Value, root: &Value) -> Value {
    let schema = followed(schema, root);
    let required = releases::list(schema, "required");
    let mut removals = Map::new();
    for (key, default) in defaults.as_object().into_iter().flatten() {
        let removal = if required.contains(&Value::from(key.as_str())) {
            removals_within(default, &schema["properties"][key], root)
        } else {
            Some(Value::Null)
        };
        removals.extend(removal.map(|removal| (key.clone(), removal)));
    }
    Value::Object(removals)
}

fn removals_within(default: &Value, schema: &Value, root: &Value) -> Option<Value> {
    let removals = default.is_object().then(|| removals(default, schema, root));
    removals.filter(|removals| removals != &json!({}))
}

fn followed<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let target = schema["$ref"].as_str().and_then(|at| at.strip_prefix('#'));
    let target = target.and_then(|pointer| root.pointer(pointer));
    target.unwrap_or(schema)
}

/// Where an object has `null`, which Kubernetes refuses in some places and forgets in others.
fn nulls(json: &Value, path: String) -> Vec<String> {
    match json {
        Value::Null => vec![path],
        Value::Array(list) => list
            .iter()
            .enumerate()
            .flat_map(|(index, value)| nulls(value, format!("{path}/{index}")))
            .collect(),
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| nulls(value, format!("{path}/{key}")))
            .collect(),
        _ => Vec::new(),
    }
}
