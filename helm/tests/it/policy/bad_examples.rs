//! Every policy catches what it is for.

use super::{BadExample, policies};
use crate::releases;
use serde_json::Value;
use weir_chart::Object;

#[test]
fn every_policy_catches_its_bad_examples() {
    let good = releases::with_everything();
    for policy in policies() {
        assert_eq!((policy.check)(&good), [], "{}", policy.name);
        assert!(!policy.bad.is_empty(), "{} cannot fail", policy.name);
        for example in policy.bad {
            let edited = edited(&good, example);
            let caught = !(policy.check)(&edited).is_empty();
            let BadExample {
                object,
                pointer,
                json,
            } = example;
            assert!(caught, "{} accepts {object} {pointer} {json}", policy.name);
        }
    }
}

fn edited(good: &[Object], example: &BadExample) -> Vec<Object> {
    let mut found = false;
    let edit = |object: &Object| {
        if format!("{}/{}", object.kind(), object.name()) != example.object {
            return object.clone();
        }
        found = true;
        let mut json = object.json().clone();
        set(&mut json, example.pointer, example.json);
        Object::new(json)
    };
    let edited = good.iter().map(edit).collect();
    assert!(found, "the release has no {}", example.object);
    edited
}

/// Sets what lies at a pointer, making the maps on the way; `-` appends to a list.
fn set(json: &mut Value, pointer: &str, new: &str) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer has a slash");
    let mut at = json;
    for step in parent.split('/').skip(1).map(unescaped) {
        at = match at {
            Value::Array(list) => &mut list[step.parse::<usize>().expect("an index")],
            map => &mut map[step],
        };
    }
    let key = unescaped(key);
    match (at, new) {
        (Value::Array(list), "") => drop(list.remove(key.parse().expect("an index"))),
        (Value::Array(list), new) if key == "-" => list.push(parsed(new)),
        (Value::Array(list), new) => list[key.parse::<usize>().expect("an index")] = parsed(new),
        (Value::Object(map), "") => assert!(map.remove(&key).is_some(), "nothing at {pointer}"),
        (at, new) => at[key] = parsed(new),
    }
}

fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}
