//! Dead letters as services report them, listed together with the broker's own.

use crate::support::{TestBroker, fields};
use serde_json::{Value, json};

async fn report(broker: &TestBroker, letter: Value) {
    let target = "/deadletter/publish";
    let answer = broker.post(target, letter.to_string()).await.expect(200);
    assert_eq!(
        answer.text(),
        r#"{"ok":true,"load_balancing":"fair_dispatch","broker":"custom_durable_file_backed"}"#
    );
}

async fn list(broker: &TestBroker, of: &str) -> Vec<Value> {
    let answer = broker.get(&format!("/deadletter/list{of}")).await;
    let answer = answer.expect(200).json();
    let items = answer["items"].as_array().unwrap().clone();
    assert_eq!(answer["count"], items.len());
    assert_eq!(answer["load_balancing"], "fair_dispatch");
    items
}

/// One message of a topic becomes a dead letter of a group.
async fn die(broker: &TestBroker, topic: &str, group: &str, reason: &str) -> Value {
    let leased = broker.lease(topic, group, "wait=5s").await;
    let body = json!({"receipts": [leased[0]["receipt"]], "dead_letter": true, "reason": reason});
    assert_eq!(broker.settle(topic, group, "nack", body).await, ["nacked"]);
    let target = format!("/v1/topics/{topic}/dead-letters");
    weir_testkit::eventually("the letter", async || {
        let letters = broker.get(&target).await;
        let letters = (letters.status == 200).then(|| letters.json())?;
        let letters = letters["dead_letters"].as_array().unwrap().clone();
        letters
            .into_iter()
            .find(|letter| letter["reason"] == reason)
    })
    .await
}

#[tokio::test]
async fn a_letter_is_listed_with_all_members_and_whatever_else_it_says() {
    let broker = TestBroker::start().await;
    assert!(list(&broker, "").await.is_empty());
    let full = json!({
        "id": "m-1", "source_service": "shop", "target_service": "billing", "topic": "orders",
        "payload": {"n": [1]}, "reason": "refused", "attempt_count": 3, "timestamp_ms": 1_700_000_000_000_u64,
    });
    report(&broker, full.clone()).await;
    report(
        &broker,
        json!({"payload": "text", "region": {"eu": true}, "topic": null}),
    )
    .await;
    broker.publish("deadletter", "[1, 2]").await;
    let letters = list(&broker, "").await;
    assert_eq!(letters[2], full);
    let empty = &letters[1];
    assert!(empty["timestamp_ms"].as_u64().unwrap() > 1_700_000_000_000);
    assert_eq!(empty["id"].as_str().unwrap().len(), 22);
    assert_eq!(
        (&empty["payload"], &empty["region"]),
        (&json!("text"), &json!({"eu": true}))
    );
    for member in [
        "source_service",
        "target_service",
        "topic",
        "reason",
        "attempt_count",
    ] {
        assert_eq!(empty.get(member), Some(&Value::Null), "{member}");
    }
    assert_eq!(letters[0]["payload"], json!([1, 2]));
    let broker = broker.restart().await;
    assert_eq!(list(&broker, "").await, letters);
    // It is an ordinary topic, with the topic of the letter as key.
    let stored = broker.fetch("deadletter", "from=earliest&limit=1").await;
    assert_eq!(stored["messages"][0]["key"], "orders");
    assert_eq!(stored["messages"][0]["payload"], full);
}

#[tokio::test]
async fn the_broker_s_own_letters_are_listed_in_the_same_shape_until_they_move_back() {
    let broker = TestBroker::start().await;
    report(&broker, json!({"topic": "orders", "reason": "first"})).await;
    let body = r#"{"service_name":"mail","topics":["orders"]}"#;
    broker.post("/register", body).await.expect(200);
    broker
        .post("/publish", r#"{"topic":"orders","message":{"n":1}}"#)
        .await
        .expect(200);
    let own = die(&broker, "orders", "service.mail", "second").await;
    broker.publish("other", "2").await;
    die(&broker, "other", "workers", "third").await;
    report(&broker, json!({"topic": "elsewhere", "reason": "fourth"})).await;

    let all = list(&broker, "").await;
    assert_eq!(
        fields(&all, "reason"),
        ["fourth", "third", "second", "first"]
    );
    let expected = json!({
        "id": own["source_id"], "source_service": null, "target_service": "mail", "topic": "orders",
        "payload": {"n": 1}, "reason": "second", "attempt_count": 1, "timestamp_ms": own["timestamp"],
    });
    assert_eq!(all[2], expected);
    assert_eq!(
        (&all[1]["target_service"], &all[1]["topic"]),
        (&json!("workers"), &json!("other"))
    );

    let of_orders = list(&broker, "/orders").await;
    assert_eq!(fields(&of_orders, "reason"), ["second", "first"]);
    assert_eq!(
        fields(&list(&broker, "/elsewhere").await, "reason"),
        ["fourth"]
    );
    assert!(list(&broker, "/nothing%20here").await.is_empty());
    assert_eq!(
        fields(&list(&broker, "?limit=2").await, "reason"),
        ["fourth", "third"]
    );

    let target = "/v1/topics/orders/groups/service.mail/redrive";
    broker.post(target, "{}").await.expect(200);
    assert_eq!(fields(&list(&broker, "/orders").await, "reason"), ["first"]);
}

#[tokio::test]
async fn the_newest_are_found_in_a_large_log_of_several_partitions() {
    let broker = TestBroker::with(|settings| {
        settings.broker.topic_defaults.partitions = 4;
        settings.broker.create_topics = weir_broker::broker::CreateTopics::Explicitly;
    })
    .await;
    report(&broker, json!({"topic": "old", "reason": "the first"})).await;
    for batch in 0..5 {
        let line = |n: usize| {
            format!(
                "{{\"key\":\"t{}\",\"payload\":{{\"topic\":\"t{}\",\"attempt_count\":{n}}}}}\n",
                n % 7,
                n % 7
            )
        };
        let lines: String = (0..1000).map(|n| line(batch * 1000 + n)).collect();
        broker.publish_lines("deadletter", &lines).await.expect(201);
    }
    for n in 5000..5010 {
        report(
            &broker,
            json!({"topic": format!("t{}", n % 7), "attempt_count": n}),
        )
        .await;
    }
    let newest = list(&broker, "?limit=1000").await;
    assert_eq!(newest.len(), 1000);
    let mut counts: Vec<_> = fields(&newest, "attempt_count")
        .iter()
        .map(|n| n.as_u64().unwrap())
        .collect();
    assert!(
        counts[..10].iter().all(|n| *n >= 5000),
        "{:?}",
        &counts[..10]
    );
    counts.sort_unstable();
    assert!(counts[0] >= 3000, "{}", counts[0]);
    let of_one = list(&broker, "/t3").await;
    assert_eq!(of_one.len(), 100);
    assert!(of_one.iter().all(|letter| letter["topic"] == "t3"));
    // Within a partition, which a topic's letters share, they are in order.
    let counts: Vec<_> = fields(&of_one, "attempt_count")
        .iter()
        .map(|n| n.as_u64().unwrap())
        .collect();
    assert!(counts.is_sorted_by(|a, b| a > b));
    assert_eq!(
        fields(&list(&broker, "/old").await, "reason"),
        ["the first"]
    );
}
