//! What load balancers, orchestrators and people who open the port see.

use crate::support::TestBroker;
use serde_json::json;

#[tokio::test]
async fn a_broker_that_serves_is_healthy_and_ready() {
    let broker = TestBroker::start().await;
    let version = env!("CARGO_PKG_VERSION");
    let health = broker.get("/health").await.expect(200).json();
    // With what every answer of the publish/consume broker carries.
    let expected = json!({
        "status": "healthy", "version": version,
        "load_balancing": "fair_dispatch", "broker": "custom_durable_file_backed",
    });
    assert_eq!(health, expected);
    let ready = broker.get("/ready").await.expect(200).json();
    assert_eq!(ready, json!({"status": "ready", "version": version}));
}

#[tokio::test]
async fn a_broker_that_drains_is_healthy_and_not_ready() {
    let broker = TestBroker::start().await;
    broker.publish("t", "1").await;
    broker.core().drain();
    assert_eq!(
        broker.get("/health").await.expect(200).json()["status"],
        "healthy"
    );
    let ready = broker.get("/ready").await.expect(503).json();
    assert_eq!(ready["status"], "draining");
    assert_eq!(
        ready["problems"],
        json!(["draining: the broker is stopping"])
    );
    let refused = broker.post("/v1/topics/t/messages", "1").await;
    refused.refused(503, "draining", "the broker is stopping; reconnect");
    assert_eq!(refused.headers["retry-after"], "1");
    broker
        .put("/v1/topics/u", "")
        .await
        .refused(503, "draining", "reconnect");
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_opens_the_port_is_told_what_to_try() {
    let broker = TestBroker::start().await;
    let hello = broker.get("/").await.expect(200);
    assert_eq!(hello.headers["content-type"], "text/plain; charset=utf-8");
    for part in ["weir-broker ", "curl -d", "/stream", "/lease", "/metrics"] {
        assert!(hello.text().contains(part), "{part}");
    }
}
