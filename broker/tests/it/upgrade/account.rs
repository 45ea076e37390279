//! What a broker says of everything it has, but for what changes with time and restarts.

use super::api::Api;
use serde_json::{Value, json};
use weir_testkit::eventually;

/// What is said of a group that lasts; leases, waits and counts begin anew with the broker.
const OF_GROUPS: [&str; 6] = [
    "group",
    "ordering",
    "max_deliveries",
    "retry_backoff",
    "expires_after",
    "lag_records",
];
const OF_PARTITIONS: [&str; 4] = [
    "partition",
    "committed_offset",
    "high_watermark",
    "lag_records",
];
const OF_WORKERS: [&str; 8] = [
    "id",
    "topic",
    "group",
    "queue",
    "target",
    "concurrency",
    "paused",
    "registered_at",
];

/// Topics with their settings, messages, groups and dead letters; schedules; workers.
pub(super) async fn account(api: Api) -> Value {
    let mut topics = json!({});
    for topic in list(&api.get("/v1/topics").await["topics"]) {
        let name = topic["topic"].as_str().unwrap();
        topics[name] = json!({
            "settings": topic["settings"],
            "messages": api.messages(name).await,
            "groups": groups(api, name).await,
            "dead_letters": api.get(&format!("/v1/topics/{name}/dead-letters")).await["dead_letters"],
        });
    }
    let workers = list(&api.get("/v1/workers").await["workers"]);
    let workers = workers.iter().map(|worker| only(worker, &OF_WORKERS));
    json!({
        "topics": topics,
        "schedules": scheduled(api).await,
        "workers": workers.collect::<Vec<_>>(),
    })
}

async fn groups(api: Api, topic: &str) -> Vec<Value> {
    let said = api.get(&format!("/v1/topics/{topic}/groups")).await;
    let groups = list(&said["groups"]).into_iter().map(|group| {
        let partitions = list(&group["partitions"]);
        let partitions = partitions.iter().map(|each| only(each, &OF_PARTITIONS));
        let mut lasting = only(&group, &OF_GROUPS);
        lasting["partitions"] = partitions.collect();
        lasting
    });
    groups.collect()
}

/// The index of what waits may be behind its log for a moment.
async fn scheduled(api: Api) -> Value {
    eventually("the schedules", async || {
        let said = api.get("/v1/schedules").await;
        (!list(&said["schedules"]).is_empty()).then(|| said["schedules"].clone())
    })
    .await
}

fn only(object: &Value, fields: &[&str]) -> Value {
    let mut kept = object.clone();
    let object = kept.as_object_mut().unwrap();
    object.retain(|field, _| fields.contains(&field.as_str()));
    kept
}

pub(super) fn list(value: &Value) -> Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("no list: {value}"))
        .clone()
}

/// Fails unless everything expected was found; objects may have got further fields since.
pub(super) fn expect_all_of(expected: &Value, found: &Value, at: &str) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (field, value) in expected {
                let found = found.get(field).unwrap_or(&Value::Null);
                expect_all_of(value, found, &format!("{at}/{field}"));
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (number, (expected, found)) in expected.iter().zip(found).enumerate() {
                expect_all_of(expected, found, &format!("{at}/{number}"));
            }
        }
        _ => assert_eq!(found, expected, "{at}"),
    }
}
