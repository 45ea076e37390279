//! What tests of groups do with messages, and how they wait for a group to get somewhere.

use crate::support::{Answer, TestBroker, fields};
use serde_json::{Value, json};
use std::time::Duration;
use weir_testkit::eventually;

/// A body that settles all of these.
pub(crate) fn receipts(messages: &[Value]) -> Value {
    json!({"receipts": fields(messages, "receipt")})
}

/// A body that settles one.
pub(crate) fn receipt(message: &Value) -> Value {
    json!({"receipts": [message["receipt"]]})
}

pub(crate) fn numbers(messages: &[Value], name: &str) -> Vec<u64> {
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value}"));
    fields(messages, name).iter().map(number).collect()
}

pub(crate) fn attempts(messages: &[Value]) -> Vec<u64> {
    numbers(messages, "delivery_attempt")
}

/// The payloads, which are numbers.
pub(crate) fn payloads(messages: &[Value]) -> Vec<u64> {
    numbers(messages, "payload")
}

/// The numbers of `range` as lines of a batch.
pub(crate) fn lines(range: std::ops::Range<u64>) -> String {
    range.map(|n| format!("{{\"payload\":{n}}}\n")).collect()
}

/// One line for each key, with its place as payload.
pub(crate) fn keyed_lines(keys: &[&str]) -> String {
    let line = |(n, key): (usize, &&str)| format!("{{\"payload\":{n},\"key\":\"{key}\"}}\n");
    keys.iter().enumerate().map(line).collect()
}

impl TestBroker {
    /// Creates or changes a group.
    pub(crate) async fn put_group(&self, topic: &str, group: &str, body: Value) -> Answer {
        let target = format!("/v1/topics/{topic}/groups/{group}");
        self.put(&target, body.to_string()).await
    }

    pub(crate) async fn seek(&self, topic: &str, group: &str, body: Value) -> Answer {
        let target = format!("/v1/topics/{topic}/groups/{group}/seek");
        self.post(&target, body.to_string()).await
    }

    pub(crate) async fn redrive(&self, topic: &str, group: &str, body: Value) -> Answer {
        let target = format!("/v1/topics/{topic}/groups/{group}/redrive");
        self.post(&target, body.to_string()).await
    }

    /// A page of dead letters.
    pub(crate) async fn dead_letters(&self, topic: &str, query: &str) -> Vec<Value> {
        let target = format!("/v1/topics/{topic}/dead-letters?{query}");
        let page = self.get(&target).await.expect(200).json();
        page["dead_letters"].as_array().unwrap().clone()
    }

    /// The group, once it is as it should be.
    pub(crate) async fn group_is(
        &self,
        (topic, group): (&str, &str),
        what: &str,
        is: impl Fn(&Value) -> bool,
    ) -> Value {
        eventually(what, async || {
            let state = self.group(topic, group).await;
            is(&state).then_some(state)
        })
        .await
    }

    /// Leases one after the other until `count` messages came.
    pub(crate) async fn lease_all(
        &self,
        topic: &str,
        group: &str,
        query: &str,
        count: usize,
    ) -> Vec<Value> {
        let mut all = Vec::new();
        while all.len() < count {
            let leased = self.lease(topic, group, query).await;
            assert!(!leased.is_empty(), "only {} of {count} came", all.len());
            all.extend(leased);
        }
        all
    }
}

/// Long enough for what must not happen to show itself now and then, and no more: nothing that must
/// happen waits for it.
pub(crate) async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}
