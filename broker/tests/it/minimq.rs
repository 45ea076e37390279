//! MiniMQ, exchange by exchange: the codes and bodies that its clients know.

use crate::support::{Answer, Request, TestBroker};
use serde_json::json;

fn produce_body(topic: &str, message: &str) -> String {
    json!({"topic": topic, "message": message}).to_string()
}

async fn produce(broker: &TestBroker, topic: &str, message: &str) {
    let answer = broker
        .post("/produce", produce_body(topic, message))
        .await
        .expect(201);
    assert_eq!(answer.text(), "");
}

async fn consume(broker: &TestBroker, topic: &str, consumer_id: &str) -> Answer {
    broker
        .get(&format!("/consume?topic={topic}&consumer_id={consumer_id}"))
        .await
}

#[track_caller]
fn is_text(answer: &Answer, status: u16, text: &str) {
    assert_eq!((answer.status, answer.text().as_str()), (status, text));
    assert!(answer.headers["content-type"].starts_with("text/plain"));
}

#[tokio::test]
async fn a_consumer_moves_on_by_one_and_is_told_when_there_is_no_more() {
    let broker = TestBroker::start().await;
    for message in ["a", "b"] {
        produce(&broker, "t", message).await;
    }
    let first = consume(&broker, "t", "c").await.expect(200);
    assert_eq!(first.text(), r#"{"message":"a","offset":0}"#);
    assert_eq!(first.headers["content-type"], "application/json");
    assert_eq!(
        consume(&broker, "t", "c").await.expect(200).text(),
        r#"{"message":"b","offset":1}"#
    );
    assert_eq!(consume(&broker, "t", "c").await.expect(204).text(), "");
    assert_eq!(
        consume(&broker, "t", "other").await.expect(200).text(),
        r#"{"message":"a","offset":0}"#
    );
    produce(&broker, "t", "c").await;
    assert_eq!(
        consume(&broker, "t", "c").await.expect(200).text(),
        r#"{"message":"c","offset":2}"#
    );
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    let broker = TestBroker::start().await;
    for content_type in [
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/x-ndjson",
        "nonsense",
    ] {
        let request = Request::new("POST", "/produce").header("content-type", content_type);
        broker
            .send(request.body(produce_body("t", "m")))
            .await
            .expect(201);
    }
    broker
        .send(
            Request::new("POST", "/produce")
                .body(produce_body("t", "m"))
                .chunked(),
        )
        .await
        .expect(201);
}

#[tokio::test]
async fn every_text_is_a_message() {
    let broker = TestBroker::start().await;
    for text in [
        "",
        " ",
        "grüße ☃ 🚰",
        "a\nb\r\n\t\"\\\u{0}\u{1f}",
        "{\"a\":1}",
        "\u{2028}",
    ] {
        produce(&broker, "t", text).await;
        let consumed = consume(&broker, "t", "c").await.expect(200).json();
        assert_eq!(consumed["message"], text);
    }
    broker
        .post(
            "/produce",
            r#"{"topic":"u","message":"\ud83d\udeb0","more":[1]}"#,
        )
        .await
        .expect(201);
    assert_eq!(
        consume(&broker, "u", "c").await.expect(200).text(),
        r#"{"message":"🚰","offset":0}"#
    );
}

#[tokio::test]
async fn what_is_no_text_message_is_invalid_json() {
    let broker = TestBroker::start().await;
    let before = broker.tree();
    for body in [
        "",
        "{",
        "nonsense",
        r#"{"topic":"t"}"#,
        r#"{"message":"m"}"#,
        r#"{"topic":"t","message":1}"#,
        r#"{"topic":"t","message":null}"#,
        r#"{"topic":"t","message":{"a":1}}"#,
        r#"{"topic":"t","message":["m"]}"#,
        r#"{"topic":5,"message":"m"}"#,
        r#"{"topic":"t","message":"\ud800"}"#,
        r#"{"topic":"t","message":"m"} x"#,
        r#"["t","m"]"#,
    ] {
        is_text(&broker.post("/produce", body).await, 400, "Invalid JSON");
    }
    is_text(
        &broker
            .post(
                "/produce",
                b"{\"topic\":\"t\",\"message\":\"\xff\"}".as_slice(),
            )
            .await,
        400,
        "Invalid JSON",
    );
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn topic_names_cannot_leave_the_data_directory() {
    let broker = TestBroker::start().await;
    let before = broker.tree();
    for topic in [
        "../x",
        "..",
        ".",
        "",
        "a/b",
        "a\0b",
        "__x",
        &"x".repeat(201),
    ] {
        let refused = broker.post("/produce", produce_body(topic, "m")).await;
        refused.refused(400, "invalid_topic", "topic");
    }
    let refused = consume(&broker, "..%2Fx", "c").await;
    refused.refused(400, "invalid_topic", "contains '/'");
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let broker = TestBroker::start().await;
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let refused = broker
            .send(Request::new(method, "/produce").body(produce_body("t", "m")))
            .await;
        is_text(&refused, 405, "Method not allowed");
    }
    for method in ["POST", "PUT", "DELETE"] {
        let refused = broker
            .send(Request::new(method, "/consume?topic=t&consumer_id=c"))
            .await;
        is_text(&refused, 405, "Method not allowed");
    }
    broker
        .post("/nodes", "")
        .await
        .refused(405, "method_not_allowed", "");
}

#[tokio::test]
async fn topic_and_consumer_id_are_both_needed() {
    let broker = TestBroker::start().await;
    for query in [
        "",
        "?topic=t",
        "?consumer_id=c",
        "?topic=&consumer_id=c",
        "?topic=t&consumer_id=",
    ] {
        let refused = broker.get(&format!("/consume{query}")).await;
        is_text(&refused, 400, "Missing topic or consumer_id");
    }
}

#[tokio::test]
async fn an_unknown_topic_is_caught_up_and_not_created() {
    let broker = TestBroker::start().await;
    let before = broker.tree();
    assert_eq!(consume(&broker, "t", "c").await.expect(204).text(), "");
    assert_eq!(broker.tree(), before);
    produce(&broker, "t", "m").await;
    consume(&broker, "t", "c").await.expect(200);
}

#[tokio::test]
async fn consumers_keep_their_places_over_a_restart() {
    let broker = TestBroker::start().await;
    for message in ["0", "1", "2"] {
        produce(&broker, "t", message).await;
    }
    consume(&broker, "t", "web-ui").await.expect(200);
    consume(&broker, "t", "web-ui").await.expect(200);
    consume(&broker, "t", "slow%20one").await.expect(200);
    let broker = broker.restart().await;
    assert_eq!(
        consume(&broker, "t", "web-ui").await.expect(200).json()["offset"],
        2
    );
    consume(&broker, "t", "web-ui").await.expect(204);
    assert_eq!(
        consume(&broker, "t", "slow+one").await.expect(200).json()["offset"],
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_on_one_consumer_id_get_each_message_once() {
    let broker = TestBroker::start().await;
    let lines: String = (0..400)
        .map(|n| format!("{{\"payload\":\"{n}\"}}\n"))
        .collect();
    broker.publish_lines("t", &lines).await.expect(201);
    let client = async || {
        let mut offsets = Vec::new();
        loop {
            let answer = consume(&broker, "t", "c").await;
            if answer.status == 204 {
                return offsets;
            }
            let consumed = answer.expect(200).json();
            let offset = consumed["offset"].as_u64().unwrap();
            assert_eq!(consumed["message"], offset.to_string());
            offsets.push(offset);
        }
    };
    let (first, second, third) = tokio::join!(client(), client(), client());
    assert!(first.is_sorted() && second.is_sorted() && third.is_sorted());
    let mut all = [first, second, third].concat();
    all.sort_unstable();
    assert_eq!(all, (0..400).collect::<Vec<_>>());
}

#[tokio::test]
async fn nodes_are_distinct_and_in_the_order_they_were_first_seen() {
    let broker = TestBroker::start().await;
    let nodes = broker.get("/nodes").await.expect(200);
    assert_eq!(nodes.text(), "[]");
    assert_eq!(nodes.headers["content-type"], "application/json");
    for node in ["b", "a", "b", "ü", "a", ""] {
        produce(&broker, "nodes", node).await;
    }
    assert_eq!(
        broker.get("/nodes").await.expect(200).text(),
        r#"["b","a","ü",""]"#
    );
    assert_eq!(
        broker
            .get("/nodes")
            .await
            .expect(200)
            .json()
            .as_array()
            .unwrap()
            .len(),
        4
    );
}

#[tokio::test]
async fn native_messages_are_shown_as_their_json_text() {
    let broker = TestBroker::start().await;
    broker.publish("t", r#"{"a": [1]}"#).await;
    broker.publish("t", "\"text\"").await;
    assert_eq!(
        consume(&broker, "t", "c").await.expect(200).json()["message"],
        r#"{"a": [1]}"#
    );
    assert_eq!(
        consume(&broker, "t", "c").await.expect(200).json()["message"],
        "text"
    );
}
