//! What load balancers, orchestrators and people who open the port see.

use crate::broker;
use crate::support::TestBroker;
use serde_json::json;
use std::net::SocketAddr;
use std::process::{Command, Output};

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

#[tokio::test]
async fn an_announced_stop_turns_only_readiness_off() {
    let broker = TestBroker::start().await;
    let started = broker.get("/startup").await.expect(200).json();
    assert_eq!(started["status"], "started");
    let drained = broker.post("/drain", "").await.expect(200).json();
    assert_eq!(drained["status"], "draining");

    let ready = broker.get("/ready").await.expect(503).json();
    assert_eq!(ready["status"], "draining");
    assert_eq!(
        ready["problems"],
        json!(["draining: the broker stops soon"])
    );
    broker.get("/health").await.expect(200);
    broker.get("/startup").await.expect(200);
    broker.publish("t", "1").await;
    broker.stop().await.unwrap();
}

/// The real binary with the settings of one that runs.
fn asking(address: SocketAddr, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-broker"));
    command.env_clear().env("WEIR_HTTP", address.to_string());
    command.args(flags).output().unwrap()
}

#[tokio::test]
async fn the_binary_asks_the_broker_that_runs() {
    let mut running = broker().start().await;
    let address = running.http_address();
    let healthy = asking(address, &["--healthcheck"]);
    assert!(healthy.status.success(), "{healthy:?}");
    let said = String::from_utf8(healthy.stdout).unwrap();
    assert!(said.starts_with(r#"{"status":"ready""#), "{said}");

    let drained = asking(address, &["--drain", "1ms"]);
    assert!(drained.status.success(), "{drained:?}");
    let draining = asking(address, &["--healthcheck"]);
    assert_eq!(draining.status.code(), Some(1));
    let said = String::from_utf8(draining.stderr).unwrap();
    assert!(said.contains("503 Service Unavailable"), "{said}");
    assert!(said.contains("the broker stops soon"), "{said}");

    running.terminate();
    assert_eq!(running.wait().await.code(), Some(0));
    let gone = asking(address, &["--healthcheck"]);
    assert_eq!(gone.status.code(), Some(1));
    let refused = asking(address, &["--drain", "soon"]);
    assert_eq!(refused.status.code(), Some(2));
}
