//! Requests to a broker process, in few words.

use crate::support::{Answer, Request, send_raw};
use serde_json::Value;
use std::net::SocketAddr;
use weir_testkit::BrokerProcess;

/// Where a broker answers over HTTP.
#[derive(Clone, Copy)]
pub(super) struct Api(pub(super) SocketAddr);

impl Api {
    pub(super) fn of(broker: &BrokerProcess) -> Self {
        Self(broker.http_address())
    }

    pub(super) async fn get(self, target: &str) -> Value {
        self.call("GET", target, "").await.json()
    }

    pub(super) async fn post(self, target: &str, body: impl ToString) -> Value {
        self.call("POST", target, body).await.json()
    }

    pub(super) async fn put(self, target: &str, body: impl ToString) -> Value {
        self.call("PUT", target, body).await.json()
    }

    pub(super) async fn patch(self, target: &str, body: impl ToString) -> Value {
        self.call("PATCH", target, body).await.json()
    }

    /// Any request that must succeed.
    pub(super) async fn call(self, method: &str, target: &str, body: impl ToString) -> Answer {
        let request = Request::new(method, target).body(body.to_string());
        self.send(request).await
    }

    pub(super) async fn send(self, request: Request) -> Answer {
        let answer = send_raw(self.0, &request.encode()).await;
        assert!(answer.status < 300, "{}: {}", answer.status, answer.text());
        answer
    }

    /// Leases at most so many messages of a group.
    pub(super) async fn lease(self, topic: &str, group: &str, max: usize) -> Vec<Value> {
        let target =
            format!("/v1/topics/{topic}/groups/{group}/lease?max={max}&visibility_timeout=1h");
        let leased = self.post(&target, "").await;
        leased["messages"].as_array().unwrap().clone()
    }

    /// Acks or nacks leased messages.
    pub(super) async fn settle(self, verb: &str, topic: &str, group: &str, messages: &[Value]) {
        let receipts: Vec<_> = messages.iter().map(|message| &message["receipt"]).collect();
        let body = serde_json::json!({"receipts": receipts});
        let target = format!("/v1/topics/{topic}/groups/{group}/{verb}");
        let settled = self.post(&target, body).await;
        let expected = format!("{verb}ed");
        for result in settled["results"].as_array().unwrap() {
            assert_eq!(result["status"], *expected, "{result}");
        }
    }

    /// Every message of a topic that is stored.
    pub(super) async fn messages(self, topic: &str) -> Vec<Value> {
        let target = format!("/v1/topics/{topic}/messages?from=earliest&limit=10000");
        let fetched = self.get(&target).await;
        fetched["messages"].as_array().unwrap().clone()
    }
}

/// Where a message is, in its topic: `0@17`.
pub(super) fn place(message: &Value) -> String {
    format!("{}@{}", message["partition"], message["offset"])
}
