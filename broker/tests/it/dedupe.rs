//! A publisher that does not know whether it was heard says it again, under the same id.

use crate::support::{TestBroker, fields, messages_of};
use serde_json::{Value, json};

async fn publish_with_id(broker: &TestBroker, id: &str, payload: &str) -> Value {
    let target = format!("/v1/topics/dedupe/messages?id={id}");
    broker.post(&target, payload).await.expect(201).json()
}

async fn stored(broker: &TestBroker) -> Vec<Value> {
    fields(&messages_of(&broker.fetch("dedupe", "").await), "payload")
}

#[tokio::test]
async fn a_message_that_comes_again_is_acknowledged_as_the_first_was() {
    let broker = TestBroker::start().await;
    let first = publish_with_id(&broker, "order-1", "1").await;
    assert_eq!(first.get("duplicate"), None);
    let mut expected = first;
    expected["duplicate"] = json!(true);
    assert_eq!(publish_with_id(&broker, "order-1", "1").await, expected);
    let broker = broker.restart().await;
    assert_eq!(publish_with_id(&broker, "order-1", "1").await, expected);
    publish_with_id(&broker, "order-2", "2").await;
    assert_eq!(stored(&broker).await, [json!(1), json!(2)]);
}

#[tokio::test]
async fn a_batch_that_comes_again_brings_only_what_is_new() {
    let broker = TestBroker::start().await;
    let lines = r#"{"payload":1,"id":"a"}
                   {"payload":2,"id":"b"}
                   {"payload":3,"id":"a"}"#;
    let answer = broker.publish_lines("dedupe", lines).await.expect(201);
    let part =
        json!({"topic": "dedupe", "partition": 0, "first_offset": 0, "last_offset": 1, "count": 2});
    assert_eq!(
        answer.json(),
        json!({"count": 3, "duplicates": 1, "partitions": [part]})
    );
    let answer = broker.publish_lines("dedupe", lines).await.expect(201);
    assert_eq!(
        answer.json(),
        json!({"count": 3, "duplicates": 3, "partitions": []})
    );
    assert_eq!(stored(&broker).await, [json!(1), json!(2)]);
}

#[tokio::test]
async fn at_the_same_time_only_one_is_stored() {
    let broker = TestBroker::start().await;
    let publish = |_| publish_with_id(&broker, "once", "1");
    let answers = futures_util::future::join_all((0..20).map(publish)).await;
    let is_duplicate = |answer: &&Value| answer.get("duplicate").is_some();
    assert_eq!(answers.iter().filter(is_duplicate).count(), 19);
    assert!(answers.iter().all(|answer| answer["offset"] == 0));
    assert_eq!(stored(&broker).await, [json!(1)]);
}

#[tokio::test]
async fn duplicates_are_counted_apart() {
    let broker = TestBroker::start().await;
    let target = "/v1/topics/metrics-dedupe/messages?id=a";
    for _ in 0..3 {
        broker.post(target, "123").await.expect(201);
    }
    let page = broker.get("/metrics").await.text();
    for (name, value) in [
        ("published_messages_total", 1),
        ("published_bytes_total", 3),
        ("duplicate_messages_total", 2),
        ("forgotten_ids_total", 0),
    ] {
        let line = format!("weir_broker_{name}{{topic=\"metrics-dedupe\"}} {value}\n");
        assert!(page.contains(&line), "{line}");
    }
}
