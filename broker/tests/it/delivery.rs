//! What a group is set to, and what it says of itself: retries, limits, expiry, numbers.

use crate::consuming::{a_moment, attempts, lines, payloads, receipt, receipts};
use crate::support::{Request, TestBroker, fields, soon};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

async fn with_messages(count: u64) -> TestBroker {
    let broker = TestBroker::start().await;
    broker
        .publish_lines("t", &lines(0..count))
        .await
        .expect(201);
    broker
}

fn numbers(state: &Value) -> [u64; 5] {
    [
        "lag_records",
        "in_flight",
        "waiting",
        "held_back",
        "lost_records",
    ]
    .map(|name| state[name].as_u64().unwrap())
}

#[tokio::test]
async fn a_thousand_receipts_are_settled_at_once() {
    let broker = with_messages(1000).await;
    let leased = broker.lease("t", "g", "max=1000").await;
    assert_eq!(leased.len(), 1000);
    let all = receipts(&leased);
    assert_eq!(
        broker.settle("t", "g", "extend", all.clone()).await,
        vec!["extended"; 1000]
    );
    let nacked = broker.settle("t", "g", "nack", all).await;
    assert_eq!(nacked, vec!["nacked"; 1000]);
    let again = broker.lease("t", "g", "max=1000").await;
    assert_eq!(attempts(&again), vec![2; 1000]);
    let acked = broker.settle("t", "g", "ack", receipts(&again)).await;
    assert_eq!(acked, vec!["acked"; 1000]);
    let again = broker.settle("t", "g", "ack", receipts(&again)).await;
    assert_eq!(again, vec!["acked"; 1000]);
    assert_eq!(numbers(&broker.group("t", "g").await), [0; 5]);
}

#[tokio::test]
async fn a_receipt_that_is_named_twice_is_settled_once() {
    let broker = with_messages(2).await;
    let leased = broker.lease("t", "g", "max=2").await;
    let twice = json!({"receipts": [leased[0]["receipt"], leased[0]["receipt"]]});
    let nacked = broker.settle("t", "g", "nack", twice.clone()).await;
    assert_eq!(nacked, ["nacked", "lease_expired"]);
    let twice = json!({"receipts": [leased[1]["receipt"], leased[1]["receipt"]]});
    let acked = broker.settle("t", "g", "ack", twice).await;
    assert_eq!(acked, ["acked", "acked"]);
    assert_eq!(numbers(&broker.group("t", "g").await), [1, 0, 1, 0, 0]);
}

#[tokio::test]
async fn a_lease_fills_up_with_fresh_messages_behind_those_that_are_due() {
    let broker = with_messages(10).await;
    let leased = broker.lease("t", "g", "max=3").await;
    broker
        .settle("t", "g", "nack", receipts(&leased[..2]))
        .await;
    let filled = broker.lease("t", "g", "max=5").await;
    assert_eq!(payloads(&filled), [0, 1, 3, 4, 5]);
    assert_eq!(attempts(&filled), [2, 2, 1, 1, 1]);
}

#[tokio::test]
async fn due_messages_of_any_size_come_one_by_one_if_they_must() {
    let broker = TestBroker::start().await;
    for size in [10, 900, 10, 900] {
        broker
            .publish("t", &format!("\"{}\"", "x".repeat(size)))
            .await;
    }
    let all = broker.lease("t", "g", "max=9").await;
    broker.settle("t", "g", "nack", receipts(&all)).await;
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let some = broker.lease("t", "g", "max=9&max_bytes=500").await;
        assert!(!some.is_empty());
        seen.extend(fields(&some, "offset"));
    }
    seen.sort_by_key(Value::as_u64);
    assert_eq!(seen, [json!(0), json!(1), json!(2), json!(3)]);
}

/// How long after a nack the message came again.
async fn retried_after(broker: &TestBroker) -> Duration {
    let leased = broker.lease("t", "g", "wait=15s").await;
    let began = Instant::now();
    broker.settle("t", "g", "nack", receipts(&leased)).await;
    let again = broker
        .lease("t", "g", "wait=15s&visibility_timeout=12h")
        .await;
    let took = began.elapsed();
    let mut now = receipts(&again);
    now["delay"] = "0s".into();
    broker.settle("t", "g", "nack", now).await;
    took
}

#[tokio::test]
async fn the_group_says_how_long_a_retry_waits_else_the_topic() {
    let broker = TestBroker::start().await;
    let body = json!({"retry_backoff": ["150ms"]}).to_string();
    broker.put("/v1/topics/t", body).await.expect(201);
    broker.publish("t", "1").await;
    let of_topic = retried_after(&broker).await;
    assert!(of_topic >= Duration::from_millis(149), "{of_topic:?}");

    let group = json!({"retry_backoff": ["0s", "0s", "300ms"]});
    let state = broker
        .put_group("t", "g", group.clone())
        .await
        .expect(200)
        .json();
    assert_eq!(state["retry_backoff"], group["retry_backoff"]);
    let third = retried_after(&broker).await;
    assert!(third >= Duration::from_millis(299), "{third:?}");

    let grows = json!({"initial": "1ms", "factor": 2.0, "cap": "40ms", "jitter": 0.0});
    let state = broker
        .put_group("t", "g", json!({"retry_backoff": grows}))
        .await;
    assert_eq!(state.expect(200).json()["retry_backoff"], grows);
    let capped = retried_after(&broker).await;
    assert!(capped >= Duration::from_millis(15), "{capped:?}");
    let broker = broker.restart().await;
    assert_eq!(broker.group("t", "g").await["retry_backoff"], grows);
}

#[tokio::test]
async fn an_expired_lease_waits_as_long_as_a_nack() {
    let broker = with_messages(1).await;
    broker
        .put_group("t", "g", json!({"retry_backoff": ["1h"]}))
        .await
        .expect(201);
    broker.lease("t", "g", "visibility_timeout=10ms").await;
    let waits = |state: &Value| numbers(state) == [1, 0, 1, 0, 0];
    broker
        .group_is(("t", "g"), "the end of the lease", waits)
        .await;
    assert!(broker.lease("t", "g", "wait=200ms").await.is_empty());
}

#[tokio::test]
async fn settings_stay_as_they_were_put() {
    let broker = with_messages(1).await;
    let all = json!({
        "start": "latest", "ordering": "none", "max_deliveries": 3,
        "retry_backoff": ["1s", "1m"], "expires_after": "1h",
    });
    let shown = broker
        .put_group("t", "g", all.clone())
        .await
        .expect(201)
        .json();
    for name in [
        "ordering",
        "max_deliveries",
        "retry_backoff",
        "expires_after",
    ] {
        assert_eq!(shown[name], all[name], "{name}");
    }
    assert_eq!(shown["lag_records"], 0);
    let again = broker.put_group("t", "g", all).await.expect(200).json();
    assert_eq!(again, shown, "twice is once");
    let changed = broker
        .put_group("t", "g", json!({"max_deliveries": 7}))
        .await;
    let changed = changed.expect(200).json();
    assert_eq!(
        (&changed["max_deliveries"], &changed["retry_backoff"]),
        (&json!(7), &shown["retry_backoff"])
    );
    let other = broker
        .put_group("t", "g", json!({"ordering": "key", "max_deliveries": 9}))
        .await;
    other.refused(409, "conflict", "none");
    let same = broker
        .put_group("t", "g", json!({"ordering": "none"}))
        .await;
    same.expect(200);
    let broker = broker.restart().await;
    let mut kept = broker.group("t", "g").await;
    kept["lag_seconds"] = changed["lag_seconds"].clone();
    assert_eq!(kept, changed);
    let listed = broker.get("/v1/topics/t/groups").await.expect(200).json();
    assert_eq!(listed["groups"][0]["max_deliveries"], 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_the_same_time_do_not_undo_each_other() {
    let broker = with_messages(1).await;
    broker.put_group("t", "g", json!({})).await.expect(201);
    for n in 1..=10_u32 {
        let age = format!("{n}h");
        let (one, two) = tokio::join!(
            broker.put_group("t", "g", json!({"max_deliveries": n})),
            broker.put_group("t", "g", json!({ "expires_after": age }))
        );
        one.expect(200);
        two.expect(200);
        let state = broker.group("t", "g").await;
        assert_eq!(state["max_deliveries"], n);
        assert_eq!(state["expires_after"], json!(age));
    }
}

#[tokio::test]
async fn nonsense_settings_are_refused_and_nothing_is_made() {
    let broker = with_messages(1).await;
    let before = broker.tree();
    for (body, part) in [
        (json!({"start": "now"}), "now"),
        (json!({"start": "2020-01-01T00:00:00Z"}), "2020"),
        (json!({"ordering": "keys"}), "keys"),
        (json!({"max_deliveries": 0}), "max_deliveries"),
        (json!({"max_deliveries": 10_001}), "max_deliveries"),
        (json!({"max_deliveries": 1.5}), "1.5"),
        (json!({"max_deliveries": "3"}), "3"),
        (json!({"retry_backoff": ["13h"]}), "retry_backoff"),
        (json!({"retry_backoff": vec!["1s"; 65]}), "retry_backoff"),
        (json!({"retry_backoff": "1s"}), ""),
        (json!({"retry_backoff": ["1"]}), ""),
        (
            json!({"retry_backoff": {"initial": "1s", "factor": 0.5, "cap": "1m", "jitter": 0}}),
            "factor",
        ),
        (
            json!({"retry_backoff": {"initial": "1s", "factor": 2, "cap": "1m", "jitter": 2}}),
            "jitter",
        ),
        (
            json!({"retry_backoff": {"initial": "1s", "factor": 2, "cap": "13h", "jitter": 0}}),
            "cap",
        ),
        (json!({"expires_after": "1ms"}), "expires_after"),
        (json!({"expires_after": "11y"}), ""),
        (json!({"expires_after": "99999d"}), "expires_after"),
        (json!({"max_delivery": 1}), "max_delivery"),
        (json!([1]), "object"),
    ] {
        let refused = broker.put_group("t", "g", body.clone()).await;
        let (code, message) = refused.refusal();
        assert_eq!(refused.status, 400, "{body}: {code} {message}");
        assert!(message.contains(part), "{body}: {message}");
    }
    assert_eq!(broker.tree(), before);
    broker.put_group("t", "g", json!({})).await.expect(201);
    let before = broker.group("t", "g").await;
    broker
        .put_group("t", "g", json!({"max_deliveries": 0}))
        .await
        .expect(400);
    let mut after = broker.group("t", "g").await;
    after["lag_seconds"] = before["lag_seconds"].clone();
    assert_eq!(after, before);
}

#[tokio::test]
async fn nonsense_of_consumers_is_refused_and_changes_nothing() {
    let broker = with_messages(1).await;
    let leased = broker.lease("t", "g", "visibility_timeout=12h").await;
    let code = "invalid_argument";
    for (query, part) in [
        ("max=0", "max"),
        ("max=10001", "max"),
        ("max_bytes=0", "max_bytes"),
        ("wait=61s", "wait"),
        ("wait=1", "wait"),
        ("visibility_timeout=0s", "visibility_timeout"),
        ("visibility_timeout=43201s", "visibility_timeout"),
        ("member=", "member"),
        ("member=%0a", "member"),
        ("max_in_flight=1", "max_in_flight"),
    ] {
        let target = format!("/v1/topics/t/groups/g/lease?{query}");
        broker.post(&target, "").await.refused(400, code, part);
    }
    let with = |name: &str, value: Value| {
        let mut body = receipts(&leased);
        body[name] = value;
        body
    };
    for (verb, body, part) in [
        ("ack", json!({"receipts": []}), "0 receipts"),
        ("ack", json!({}), "receipts"),
        ("ack", json!({"receipts": [1]}), "1"),
        ("ack", with("delay", "1s".into()), "delay"),
        ("nack", with("delay", "13h".into()), "delay"),
        ("nack", with("delay", "-1s".into()), ""),
        ("nack", with("reason", "x".repeat(1025).into()), "1025"),
        ("nack", with("reason", 5.into()), "5"),
        (
            "extend",
            with("visibility_timeout", "0s".into()),
            "visibility_timeout",
        ),
        (
            "extend",
            with("visibility_timeout", "13h".into()),
            "visibility_timeout",
        ),
        ("extend", with("delay", "1s".into()), "delay"),
    ] {
        let target = format!("/v1/topics/t/groups/g/{verb}");
        let refused = broker.post(&target, body.to_string()).await;
        refused.refused(400, code, part);
    }
    assert_eq!(numbers(&broker.group("t", "g").await), [1, 1, 0, 0, 0]);
    assert_eq!(
        broker.settle("t", "g", "ack", receipts(&leased)).await,
        ["acked"]
    );
}

#[tokio::test]
async fn expired_messages_are_passed_over_and_counted() {
    let broker = TestBroker::start().await;
    let publish = async |ttl: &str, payload: &str| {
        let target = format!("/v1/topics/t/messages?key=k{ttl}");
        let request = Request::new("POST", &target).body(payload);
        broker.send(request).await.expect(201);
    };
    publish("&ttl=1ms", "0").await;
    publish("", "1").await;
    publish("&ttl=1ms", "2").await;
    publish("&ttl=10h", "3").await;
    a_moment().await;
    broker.put_group("t", "g", json!({})).await.expect(201);
    let leased = broker.lease("t", "g", "max=9").await;
    assert_eq!(payloads(&leased), [1], "the other of the key waits");
    let state = broker.group("t", "g").await;
    assert_eq!(
        (&state["expired"], &state["lag_records"]),
        (&json!(2), &json!(2))
    );
    broker.settle("t", "g", "ack", receipts(&leased)).await;
    let leased = broker.lease("t", "g", "max=9").await;
    assert_eq!(payloads(&leased), [3]);
    broker.settle("t", "g", "ack", receipts(&leased)).await;
    let broker = broker.restart().await;
    assert_eq!(numbers(&broker.group("t", "g").await), [0; 5]);
}

#[tokio::test]
async fn a_message_that_expires_between_deliveries_is_not_delivered_again() {
    let broker = TestBroker::start().await;
    let target = "/v1/topics/t/messages?ttl=400ms";
    broker.post(target, "1").await.expect(201);
    let leased = broker.lease("t", "g", "").await;
    assert_eq!(payloads(&leased), [1]);
    let mut nack = receipts(&leased);
    nack["delay"] = "500ms".into();
    broker.settle("t", "g", "nack", nack).await;
    assert!(broker.lease("t", "g", "wait=1s").await.is_empty());
    let state = broker.group("t", "g").await;
    assert_eq!(
        (&state["expired"], &state["lag_records"]),
        (&json!(1), &json!(0))
    );
}

#[tokio::test]
async fn the_numbers_are_true_at_every_step() {
    let broker = TestBroker::start().await;
    broker.put_group("t", "g", json!({})).await.expect(201);
    let now = async || numbers(&broker.group("t", "g").await);
    let keys = ["a", "b", "a", "a", "b", "c"];
    broker
        .publish_lines("t", &crate::consuming::keyed_lines(&keys))
        .await
        .expect(201);
    assert_eq!(now().await, [6, 0, 0, 0, 0]);
    let leased = broker.lease("t", "g", "max=9").await;
    assert_eq!(now().await, [6, 3, 0, 3, 0], "a, b and c");
    let mut nack = receipt(&leased[0]);
    nack["delay"] = "1h".into();
    broker.settle("t", "g", "nack", nack).await;
    assert_eq!(now().await, [6, 2, 1, 3, 0]);
    broker.settle("t", "g", "ack", receipt(&leased[1])).await;
    assert_eq!(now().await, [5, 1, 2, 2, 0], "the next b may be had");
    broker.post("/v1/topics/t/purge", "").await.expect(200);
    assert_eq!(now().await, [0, 0, 0, 0, 5]);
    assert_eq!(broker.group("t", "g").await["lag_seconds"], 0.0);
    let late = broker.settle("t", "g", "ack", receipts(&leased[2..])).await;
    assert_eq!(late, ["acked"], "the group is done with it");
    broker.publish_lines("t", &lines(6..8)).await.expect(201);
    assert_eq!(now().await, [2, 0, 0, 0, 5]);
    let leased = broker.lease("t", "g", "max=9").await;
    assert_eq!(payloads(&leased), [6, 7]);
    broker
        .seek("t", "g", json!({"to": "earliest"}))
        .await
        .expect(200);
    assert_eq!(now().await, [2, 0, 0, 0, 5]);
    broker
        .seek("t", "g", json!({"to": "latest"}))
        .await
        .expect(200);
    assert_eq!(now().await, [0, 0, 0, 0, 5]);
}

#[tokio::test]
async fn a_late_ack_of_a_message_that_is_held_back_is_counted_at_once() {
    let broker = TestBroker::start().await;
    let keys = ["a", "a", "a"];
    broker
        .publish_lines("t", &crate::consuming::keyed_lines(&keys))
        .await
        .expect(201);
    broker.put_group("t", "g", json!({})).await.expect(201);
    let first = broker.lease("t", "g", "").await;
    broker.settle("t", "g", "ack", receipts(&first)).await;
    let second = broker.lease("t", "g", "").await;
    // Back to the first: the receipt of the second is of this incarnation no more.
    broker
        .seek("t", "g", json!({"to": "earliest"}))
        .await
        .expect(200);
    let void = broker.settle("t", "g", "ack", receipts(&second)).await;
    assert_eq!(void, ["unknown"]);
    assert_eq!(payloads(&broker.lease("t", "g", "max=9").await), [0]);
    assert_eq!(numbers(&broker.group("t", "g").await), [3, 1, 0, 2, 0]);
}

#[tokio::test]
async fn deleting_a_group_ends_the_wait_of_its_consumers() {
    let broker = TestBroker::start().await;
    broker.put_group("t", "g", json!({})).await.expect(201);
    let waiting = broker.lease("t", "g", "wait=60s");
    let deleting = async {
        a_moment().await;
        broker.delete("/v1/topics/t/groups/g").await.expect(204);
    };
    let (leased, ()) = soon(async { tokio::join!(waiting, deleting) }).await;
    assert!(leased.is_empty());
}
