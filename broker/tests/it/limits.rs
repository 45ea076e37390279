//! What clients may take together and alone.

use crate::support::{Request, TestBroker, soon};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn bodies_in_flight_share_a_budget() {
    let broker = TestBroker::with(|settings| settings.max_bytes_in_flight = 1000).await;
    let head = "POST /v1/topics/t/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 902\r\n\r\n\"";
    let mut slow = TcpStream::connect(broker.address()).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.write_all(&[b'x'; 900]).await.unwrap();
    let payload = format!("\"{}\"", "y".repeat(200));
    let refused = async {
        loop {
            let answer = broker.post("/v1/topics/u/messages", payload.clone()).await;
            if answer.status != 201 {
                return answer;
            }
        }
    };
    let refused = soon(refused).await;
    refused.refused(
        503,
        "overloaded",
        "too many request bodies are in flight, retry later",
    );
    assert_eq!(refused.headers["retry-after"], "1");
    broker.publish("u", "1").await;
    slow.write_all(b"\"").await.unwrap();
    let mut answer = String::new();
    soon(slow.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    broker.publish("u", &payload).await;
}

#[tokio::test]
async fn a_body_that_stops_is_not_waited_for() {
    let broker = TestBroker::with(|settings| {
        settings.body_limits.idle_timeout = Duration::from_millis(50);
    })
    .await;
    let before = broker.tree();
    for target in [
        "/v1/topics/t/messages",
        "/v1/messages",
        "/produce",
        "/v1/topics/t/groups/g/ack",
    ] {
        let half = format!("POST {target} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{{\"a\"");
        let refused = broker.raw(half.as_bytes()).await;
        refused.refused(
            408,
            "request_timeout",
            "the request body did not arrive in time",
        );
    }
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn the_largest_payload_is_a_setting() {
    let broker = TestBroker::with(|settings| settings.broker.max_payload_bytes = 10).await;
    broker.publish("t", "\"12345678\"").await;
    let refused = broker.post("/v1/topics/t/messages", "\"123456789\"").await;
    refused.refused(413, "too_large", "exceeds 10 bytes");
    let refused = broker
        .publish_lines(
            "t",
            "{\"payload\":\"12345678\"}\n{\"payload\":\"123456789\"}",
        )
        .await;
    refused.refused(
        413,
        "too_large",
        "line 2: the payload has 11 bytes; at most 10 are allowed",
    );
    let body = r#"{"topic":"t","message":"123456789"}"#;
    broker
        .post("/produce", body)
        .await
        .refused(413, "too_large", "the message exceeds 10 bytes");
    let topic = broker.get("/v1/topics/t").await.expect(200).json();
    assert_eq!(topic["records"], 1);
}

#[tokio::test]
async fn publishes_are_refused_while_the_disk_is_almost_full_and_acks_are_not() {
    let broker = TestBroker::with(|settings| settings.broker.topic_defaults.partitions = 1).await;
    broker.publish("t", "1").await;
    let full = TestBroker::with(|settings| settings.broker.min_free_bytes = u64::MAX).await;
    let refused = async {
        loop {
            let answer = full.post("/v1/topics/t/messages", "1").await;
            if answer.status != 201 {
                return answer;
            }
        }
    };
    soon(refused).await.refused(
        507,
        "storage_full",
        "bytes are free on the disk; publishes are refused",
    );
    let ready = full.get("/ready").await.expect(503).json();
    assert_eq!(ready["status"], "failed");
    full.lease("t", "g", "").await;
    full.send(Request::new("POST", "/produce").body(r#"{"topic":"t","message":"m"}"#))
        .await
        .expect(500);
}
