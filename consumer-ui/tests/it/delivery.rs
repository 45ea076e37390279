use crate::canned::CannedBroker;
use crate::support::{Broker, Ui};
use serde_json::{Value, json};

const HOSTILE: &str = "tcp://<img src=x onerror=alert(1)>:1";

fn breaker(state: &str) -> Value {
    json!({"state": state, "consecutive_failures": 5, "opened": 1, "next_trial_at": 2_000,
    "transitions": [
        {"at": 1_000, "from": "CLOSED", "to": state, "reason": "connection refused"},
        {"at": 500, "from": "OPEN", "to": "CLOSED", "reason": "it answered"},
    ]})
}

fn worker(id: u64, state: &str, target: &str) -> Value {
    json!({"id": id, "topic": "orders", "group": "workers", "queue": 3, "target": target,
        "concurrency": 2, "paused": false, "registered_at": 1, "breaker": breaker(state),
        "in_flight": 1, "delivered": 7, "failed": 5, "last_error": "connection refused",
        "a_field_of_tomorrow": true})
}

fn gateway() -> Value {
    json!({"topic": "queue", "consumers": 3, "producers": 2, "partitions": 16, "brokers": 1,
        "messages_in_queue": 120, "sent": 5_000, "received": 4_880})
}

async fn broker() -> CannedBroker {
    let broker = CannedBroker::start().await;
    broker.answer("/v1/topics", 200, &json!({"topics": []}));
    broker
}

#[tokio::test]
async fn workers_backends_and_the_queue_are_on_the_topics_page() {
    let broker = broker().await;
    let workers = [worker(1, "CLOSED", "tcp://a:1"), worker(2, "OPEN", HOSTILE)];
    broker.answer("/v1/workers", 200, &json!({"workers": workers}));
    let backend = json!({"target": "backend://b:1", "breaker": breaker("HALF_OPEN"),
        "in_flight": 0, "delivered": 9, "failed": 1});
    let backends = json!({"backends": [backend], "topics": ["orders"]});
    broker.answer("/v1/backends", 200, &backends);
    broker.answer("/v1/gateway", 200, &gateway());
    let ui = Ui::of(&broker.url()).await;
    let delivery = ui
        .delivery(|delivery| delivery["gateway"].is_object())
        .await;
    assert_eq!(delivery["missing"], json!([]));
    assert_eq!(delivery["gateway"], gateway());
    let workers = &delivery["workers"];
    assert_eq!(
        (&workers["total"], &workers["open"]),
        (&json!(2), &json!(1))
    );
    let open = &workers["rows"][0];
    assert_eq!(
        *open,
        json!({"id": 2, "topic": "orders", "group": "workers", "queue": 3, "concurrency": 2,
            "paused": false, "target": HOSTILE, "in_flight": 1, "delivered": 7, "failed": 5,
            "last_error": "connection refused", "breaker": {"state": "OPEN", "since": 1_000,
            "next_trial_at": 2_000, "consecutive_failures": 5, "opened": 1}})
    );
    let backend = &delivery["backends"]["rows"][0];
    assert_eq!(backend["breaker"]["state"], "HALF_OPEN");
    assert_eq!(backend["last_error"], Value::Null);
    ui.stop().await.unwrap();
}

/// Nobody listens at port 1.
#[tokio::test]
async fn a_worker_that_is_not_there_is_shown_with_an_open_breaker() {
    let broker = Broker::start().await;
    let worker = json!({"topic": "orders", "target": "tcp://127.0.0.1:1", "concurrency": 4});
    broker.post("/v1/workers", &worker).await;
    for order in 0..5 {
        broker
            .post("/v1/topics/orders/messages", &json!(order))
            .await;
    }
    let ui = Ui::following(&broker).await;
    let delivery = ui
        .delivery(|delivery| delivery["workers"]["open"] == 1)
        .await;
    let worker = &delivery["workers"]["rows"][0];
    assert_eq!(worker["target"], "tcp://127.0.0.1:1");
    assert_eq!(
        (&worker["group"], &worker["concurrency"]),
        (&json!("workers"), &json!(4))
    );
    assert_eq!(worker["delivered"], 0);
    assert!(worker["breaker"]["next_trial_at"].is_number());
    assert!(worker["last_error"].is_string());
    assert_eq!(delivery["missing"], json!([]));
    ui.stop().await.unwrap();
}

#[tokio::test]
async fn a_broker_from_before_is_followed_and_what_it_lacks_is_named() {
    let broker = broker().await;
    let ui = Ui::of(&broker.url()).await;
    let delivery = ui
        .delivery(|delivery| delivery["missing"] != json!([]))
        .await;
    let reason = "this version of the broker does not list them";
    let missing = ["workers", "backends"].map(|part| json!({"part": part, "reason": reason}));
    assert_eq!(delivery["missing"], json!(missing));
    assert_eq!(delivery["gateway"], Value::Null);
    ui.fleet(|fleet| fleet["broker"]["connected"] == true).await;
    ui.stop().await.unwrap();
}

#[tokio::test]
async fn slow_one_part_that_fails_and_heals_leaves_the_others_alone() {
    let broker = broker().await;
    let storage = json!({"error": {"code": "storage", "message": "the disk failed"}});
    broker.answer("/v1/workers", 503, &storage);
    broker.answer("/v1/backends", 200, &"no JSON");
    broker.answer("/v1/gateway", 200, &gateway());
    let ui = Ui::of(&broker.url()).await;
    let delivery = ui
        .delivery(|delivery| delivery["gateway"].is_object())
        .await;
    let missing = delivery["missing"].as_array().unwrap();
    assert_eq!(missing[0]["reason"], "the disk failed (storage)");
    let malformed = missing[1]["reason"].as_str().unwrap();
    assert!(malformed.contains("not a broker's"), "{malformed}");

    let workers = [worker(1, "CLOSED", "tcp://a:1")];
    broker.answer("/v1/workers", 200, &json!({"workers": workers}));
    let backends = json!({"backends": [], "topics": []});
    broker.answer("/v1/backends", 200, &backends);
    let delivery = ui
        .delivery(|delivery| delivery["missing"] == json!([]))
        .await;
    assert_eq!(delivery["workers"]["total"], 1);
    ui.stop().await.unwrap();
}
