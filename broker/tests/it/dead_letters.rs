//! Messages that were delivered as often as is allowed: moved once, whatever happens meanwhile, and
//! moved back when somebody asks.

use crate::broker;
use crate::consuming::{attempts, lines, numbers, payloads, receipt, receipts};
use crate::support::{Request, TestBroker, fields, send_raw, soon, text_of};
use fastrand::Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use weir_broker::broker::{
    Closing, CreateTopics, LeaseOptions, LeasedMessage, ReceiptAction, Redelivery,
};
use weir_broker::{Broker, BrokerOptions};
use weir_commitlog::faulty::{Call, Fault, FaultyDisk};
use weir_protocol::shapes::{DeadLetter, GroupInfo, GroupStart};
use weir_protocol::{NewMessage, Payload};
use weir_service::clock::Clock;
use weir_testkit::{BrokerProcess, eventually};
use weir_types::{GroupName, GroupSettingsChange, TopicName};

/// A group that gives up after so many deliveries.
async fn group(broker: &TestBroker, max_deliveries: u32) {
    let body = json!({"max_deliveries": max_deliveries});
    broker.put_group("t", "g", body).await.expect(201);
}

/// Nacks what can be leased until there is nothing; how many deliveries that took.
async fn refuse_all(broker: &TestBroker, group: &str, reason: &str) -> usize {
    let mut refused = 0;
    loop {
        let leased = broker.lease("t", group, "max=1000").await;
        if leased.is_empty() {
            return refused;
        }
        refused += leased.len();
        let mut body = receipts(&leased);
        body["reason"] = reason.into();
        broker.settle("t", group, "nack", body).await;
    }
}

async fn buried(broker: &TestBroker, group: &str, count: u64) -> Value {
    let what = "dead letters";
    let there = |state: &Value| state["dead_lettered"] == count;
    broker.group_is(("t", group), what, there).await
}

/// Publishes numbers and lets all of them die.
async fn with_dead(count: u64) -> TestBroker {
    let broker = TestBroker::start().await;
    group(&broker, 1).await;
    broker
        .publish_lines("t", &lines(0..count))
        .await
        .expect(201);
    refuse_all(&broker, "g", "no").await;
    buried(&broker, "g", count).await;
    broker
}

#[tokio::test]
async fn a_dead_letter_says_where_it_came_from_and_is_as_it_was() {
    let broker = TestBroker::start().await;
    group(&broker, 2).await;
    let publish = Request::new("POST", "/v1/topics/t/messages?key=k%22&id=one&reply_to=r")
        .header("Weir-Header-Color", "red");
    let payload = "{ \"a\": [1.50,\"\u{fc}\"] }";
    let stored = broker.send(publish.body(payload)).await.expect(201).json();
    refuse_all(&broker, "g", "\"broken\"\n").await;
    let state = buried(&broker, "g", 1).await;
    assert_eq!(
        (
            &state["lag_records"],
            &state["redelivered"],
            &state["lost_records"]
        ),
        (&json!(0), &json!(1), &json!(0))
    );

    let fetched = broker.fetch("t.dead-letter", "").await;
    let record = &fetched["messages"][0];
    let headers = json!({
        "Color": "red",
        "weir-source-topic": "t",
        "weir-source-partition": "0",
        "weir-source-offset": "0",
        "weir-source-id": "one",
        "weir-source-timestamp": stored["timestamp"].to_string(),
        "weir-group": "g",
        "weir-attempts": "2",
        "weir-reason": "\"broken\"\n",
    });
    let lower = |value: &Value| value.to_string().to_lowercase();
    assert_eq!(lower(&record["headers"]), lower(&headers));
    assert_eq!(
        (&record["key"], &record["id"], &record["reply_to"]),
        (&json!("k\""), &json!("g/t/0/0"), &json!("r"))
    );
    let raw = Request::new(
        "GET",
        "/v1/topics/t.dead-letter/messages?partition=0&from=0",
    )
    .header("accept", "application/x-ndjson");
    let raw = broker.send(raw).await.expect(200).text();
    assert!(raw.contains(payload), "{raw}");

    let shown = broker.get("/v1/topics/t/dead-letters/g%2Ft%2F0%2F0").await;
    let shown = shown.expect(200).json();
    assert_eq!(
        shown["headers"].to_string().to_lowercase(),
        r#"{"color":"red"}"#
    );
    for (name, value) in [
        ("id", json!("g/t/0/0")),
        ("topic", json!("t.dead-letter")),
        ("partition", json!(0)),
        ("offset", json!(0)),
        ("timestamp", record["timestamp"].clone()),
        ("source_topic", json!("t")),
        ("source_partition", json!(0)),
        ("source_offset", json!(0)),
        ("source_id", json!("one")),
        ("source_timestamp", stored["timestamp"].clone()),
        ("group", json!("g")),
        ("attempts", json!(2)),
        ("reason", json!("\"broken\"\n")),
        ("key", json!("k\"")),
        ("payload", serde_json::from_str(payload).unwrap()),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    for query in ["", "group=g"] {
        let listed = broker.dead_letters("t", query).await;
        assert_eq!(listed, std::slice::from_ref(&shown), "{query}");
    }
    assert!(broker.dead_letters("t", "group=h").await.is_empty());
}

#[tokio::test]
async fn what_is_refused_for_good_dies_after_one_delivery_also_over_a_restart() {
    let broker = TestBroker::start().await;
    group(&broker, 100).await;
    let published = broker.publish_lines("t", &lines(0..2)).await;
    published.expect(201);
    let leased = broker.lease("t", "g", "max=2").await;
    let body = json!({
        "receipts": [leased[0]["receipt"]], "dead_letter": true, "reason": "no such order",
    });
    assert_eq!(broker.settle("t", "g", "nack", body).await, ["nacked"]);
    let body = json!({"receipts": [leased[1]["receipt"]], "dead_letter": true, "delay": "5s"});
    let refused = broker.post("/v1/topics/t/groups/g/nack", body.to_string());
    let part = "delay and dead_letter exclude each other";
    refused.await.refused(400, "invalid_argument", part);
    let broker = broker.restart().await;
    let there = |state: &Value| state["lag_records"] == 1;
    broker.group_is(("t", "g"), "the move", there).await;
    let letter = &broker.dead_letters("t", "").await[0];
    assert_eq!(letter["attempts"], 1);
    assert_eq!(letter["reason"], "no such order");
    assert_eq!(letter["payload"], leased[0]["payload"]);
    let again = broker.lease("t", "g", "max=2&wait=5s").await;
    assert_eq!(again.len(), 1, "the other one goes on");
}

#[tokio::test]
async fn leases_that_expire_are_deliveries_too() {
    let broker = TestBroker::start().await;
    group(&broker, 2).await;
    broker.publish("t", "7").await;
    for attempt in 1..=2 {
        let query = "wait=15s&visibility_timeout=20ms";
        assert_eq!(attempts(&broker.lease("t", "g", query).await), [attempt]);
    }
    buried(&broker, "g", 1).await;
    let letters = broker.dead_letters("t", "").await;
    assert_eq!(letters[0]["reason"], "lease expired");
    assert_eq!(letters[0]["attempts"], 2);
}

#[tokio::test]
async fn each_group_has_its_own_dead_letters() {
    let broker = with_dead(3).await;
    broker
        .put_group("t", "h", json!({"max_deliveries": 1}))
        .await
        .expect(201);
    let leased = broker.lease("t", "h", "max=9").await;
    broker.settle("t", "h", "nack", receipt(&leased[1])).await;
    buried(&broker, "h", 1).await;
    assert_eq!(broker.dead_letters("t", "group=g").await.len(), 3);
    let of_h = broker.dead_letters("t", "group=h").await;
    assert_eq!(numbers(&of_h, "source_offset"), [1]);
    assert_eq!(broker.dead_letters("t", "").await.len(), 4);
}

#[tokio::test]
async fn a_late_ack_of_a_message_that_moves_changes_nothing() {
    let broker = TestBroker::with(|settings| settings.broker.max_topics = 2).await;
    group(&broker, 1).await;
    broker.publish("t", "1").await;
    broker.publish("other", "1").await;
    let leased = broker.lease("t", "g", "").await;
    broker.settle("t", "g", "nack", receipts(&leased)).await;
    // There is no room for the dead-letter topic: the message is on its way.
    for verb in ["ack", "nack", "extend"] {
        let late = broker.settle("t", "g", verb, receipts(&leased)).await;
        assert_eq!(late, ["lease_expired"], "{verb}");
    }
    let state = broker.group("t", "g").await;
    assert_eq!(
        (&state["lag_records"], &state["in_flight"]),
        (&json!(1), &json!(0))
    );
    assert!(broker.lease("t", "g", "").await.is_empty());
    broker.delete("/v1/topics/other").await.expect(204);
    buried(&broker, "g", 1).await;
    assert_eq!(broker.dead_letters("t", "").await.len(), 1);
    let later = broker.settle("t", "g", "ack", receipts(&leased)).await;
    assert_eq!(later, ["acked"], "the group is done with it");
}

#[tokio::test]
async fn a_message_that_cannot_move_stays_over_a_restart() {
    let broker = TestBroker::with(|settings| settings.broker.max_topics = 2).await;
    group(&broker, 1).await;
    broker.publish("t", "1").await;
    broker.publish("other", "1").await;
    refuse_all(&broker, "g", "no").await;
    let broker = broker.restart().await;
    assert!(
        broker.lease("t", "g", "").await.is_empty(),
        "it had its delivery"
    );
    assert_eq!(broker.group("t", "g").await["lag_records"], 1);
    broker.delete("/v1/topics/other").await.expect(204);
    buried(&broker, "g", 1).await;
    let broker = broker.restart().await;
    assert_eq!(broker.group("t", "g").await["lag_records"], 0);
    assert_eq!(broker.dead_letters("t", "").await.len(), 1);
}

#[tokio::test]
async fn a_seek_calls_back_what_is_on_its_way() {
    let broker = TestBroker::with(|settings| settings.broker.max_topics = 2).await;
    group(&broker, 1).await;
    broker.publish_lines("t", &lines(0..40)).await.expect(201);
    broker.publish("other", "1").await;
    refuse_all(&broker, "g", "no").await;
    let state = broker.seek("t", "g", json!({"to": "earliest"})).await;
    assert_eq!(state.expect(200).json()["lag_records"], 40);
    let again = broker.lease("t", "g", "max=40").await;
    assert_eq!(attempts(&again), [1; 40]);
    broker.delete("/v1/topics/other").await.expect(204);
    // Whatever still moves would do so now. One dies again, behind all that.
    let body = receipt(&again[39]);
    broker.settle("t", "g", "nack", body).await;
    buried(&broker, "g", 1).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(
        numbers(&broker.dead_letters("t", "").await, "source_offset"),
        [39]
    );
    let broker = broker.restart().await;
    let state = broker.group("t", "g").await;
    assert_eq!(state["lag_records"], 39, "nothing else was finished");
    assert_eq!(broker.lease("t", "g", "max=99").await.len(), 39);
}

#[tokio::test]
async fn a_message_that_dies_again_is_another_letter() {
    let broker = with_dead(2).await;
    broker.redrive("t", "g", json!({})).await.expect(200);
    broker
        .seek("t", "g", json!({"to": "earliest"}))
        .await
        .expect(200);
    // Its dead letter of before was moved back; this one must not be taken for it.
    let leased = broker.lease("t", "g", "max=1").await;
    broker.settle("t", "g", "nack", receipts(&leased)).await;
    buried(&broker, "g", 3).await;
    let letters = broker.dead_letters("t", "").await;
    assert_eq!(numbers(&letters, "source_offset"), [0]);

    broker.delete("/v1/topics/t").await.expect(204);
    group(&broker, 1).await;
    broker.publish("t", "\"new\"").await;
    refuse_all(&broker, "g", "no").await;
    buried(&broker, "g", 1).await;
    let letters = broker.dead_letters("t", "").await;
    assert_eq!(fields(&letters, "payload"), [json!(0), json!("new")]);
    assert_eq!(fields(&letters, "id"), [json!("g/t/0/0"), json!("g/t/0/0")]);
}

#[tokio::test]
async fn the_broker_makes_the_topic_that_its_users_may_not() {
    let broker = TestBroker::with(|settings| {
        settings.broker.create_topics = CreateTopics::Explicitly;
    })
    .await;
    broker.put("/v1/topics/t", "").await.expect(201);
    group(&broker, 1).await;
    broker.publish("t", "1").await;
    assert!(broker.dead_letters("t", "").await.is_empty());
    refuse_all(&broker, "g", "no").await;
    buried(&broker, "g", 1).await;
    assert_eq!(broker.dead_letters("t", "").await.len(), 1);
}

#[tokio::test]
async fn a_deleted_dead_letter_topic_comes_again_with_the_next_letter() {
    let broker = with_dead(2).await;
    broker.delete("/v1/topics/t.dead-letter").await.expect(204);
    assert!(broker.dead_letters("t", "").await.is_empty());
    broker.publish("t", "2").await;
    refuse_all(&broker, "g", "no").await;
    buried(&broker, "g", 3).await;
    assert_eq!(
        fields(&broker.dead_letters("t", "").await, "payload"),
        [json!(2)]
    );
}

#[tokio::test]
async fn a_group_of_dead_letters_tries_again_and_never_moves() {
    let broker = with_dead(1).await;
    let topic = "t.dead-letter";
    let body = json!({"max_deliveries": 1, "retry_backoff": []});
    broker.put_group(topic, "h", body).await.expect(201);
    let leased = broker.lease(topic, "h", "").await;
    let statuses = broker.settle(topic, "h", "nack", receipts(&leased)).await;
    assert_eq!(statuses, ["nacked"]);
    let state = broker.group(topic, "h").await;
    assert_eq!(
        (
            &state["lag_records"],
            &state["waiting"],
            &state["dead_lettered"]
        ),
        (&json!(1), &json!(1), &json!(0))
    );
    broker
        .get("/v1/topics/t.dead-letter.dead-letter")
        .await
        .refused(404, "unknown_topic", "");
    let nested = broker.get("/v1/topics/t.dead-letter/dead-letters").await;
    let nested = nested.expect(200).json();
    assert_eq!(nested["dead_letters"], json!([]));
}

#[tokio::test]
async fn names_of_all_kinds_make_good_ids() {
    let broker = TestBroker::start().await;
    let topic = "x".repeat(200);
    broker.publish(&topic, "1").await;
    let groups = [
        "a%20b%2F..%2F%C3%BC%25%22%5C",
        &"y".repeat(80),
        "%7F%C2%A0x",
    ];
    let mut good = 0;
    for name in groups {
        let made = broker
            .put_group(&topic, name, json!({"max_deliveries": 1}))
            .await;
        if made.status != 201 {
            made.refused(400, "invalid_argument", "");
            continue;
        }
        good += 1;
        let leased = broker.lease(&topic, name, "").await;
        broker.settle(&topic, name, "nack", receipts(&leased)).await;
        let dead = |state: &Value| state["dead_lettered"] == 1;
        broker.group_is((&topic, name), "a dead letter", dead).await;
    }
    let letters = broker.dead_letters(&topic, "").await;
    assert_eq!(letters.len(), good);
    for letter in letters {
        let id = text_of(&letter["id"]);
        assert!(id.ends_with("/0/0") && id.len() <= 128, "{id}");
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let target = format!("/v1/topics/{topic}/dead-letters/{encoded}");
        assert_eq!(broker.get(&target).await.expect(200).json(), letter);
    }
}

#[tokio::test]
async fn redriven_messages_begin_anew_and_only_their_group_gets_them() {
    let broker = TestBroker::start().await;
    group(&broker, 2).await;
    for name in ["h", "i"] {
        broker.put_group("t", name, json!({})).await.expect(201);
    }
    let publish = Request::new("POST", "/v1/topics/t/messages?key=k&id=one")
        .header("Weir-Header-Color", "red");
    broker.send(publish.body("5")).await.expect(201);
    let first = broker.lease("t", "h", "").await;
    broker.settle("t", "h", "ack", receipts(&first)).await;
    refuse_all(&broker, "g", "no").await;
    buried(&broker, "g", 1).await;
    let moved = broker.redrive("t", "g", json!({})).await.expect(200).json();
    assert_eq!(moved, json!({"redriven": 1, "examined": 1}));
    assert!(broker.dead_letters("t", "").await.is_empty());
    broker
        .get("/v1/topics/t/dead-letters/g%2Ft%2F0%2F0")
        .await
        .refused(404, "unknown_dead_letter", "g/t/0/0");

    let back = broker.lease("t", "g", "max=9").await;
    assert_eq!((attempts(&back), payloads(&back)), (vec![1], vec![5]));
    assert_eq!(
        (&back[0]["key"], &back[0]["id"]),
        (&json!("k"), &json!("one"))
    );
    let headers = back[0]["headers"].to_string().to_lowercase();
    assert_eq!(headers, r#"{"color":"red","weir-redriven-for":"g"}"#);
    assert!(broker.lease("t", "h", "max=9").await.is_empty());
    let of_i = broker.lease("t", "i", "max=9").await;
    assert_eq!(numbers(&of_i, "offset"), [0], "the first one only");
    broker.settle("t", "i", "ack", receipts(&of_i)).await;
    for name in ["h", "i"] {
        let state = broker.group("t", name).await;
        assert_eq!(
            (
                &state["lag_records"],
                &state["expired"],
                &state["lost_records"]
            ),
            (&json!(0), &json!(0), &json!(0)),
            "{name}"
        );
    }
    // It can die again, and go back again.
    broker.settle("t", "g", "nack", receipts(&back)).await;
    refuse_all(&broker, "g", "again").await;
    buried(&broker, "g", 2).await;
    let letters = broker.dead_letters("t", "").await;
    assert_eq!(letters[0]["id"], "g/t/0/1");
    assert_eq!(
        letters[0]["headers"].to_string().to_lowercase(),
        r#"{"color":"red"}"#
    );
    let moved = broker.redrive("t", "g", json!({})).await.expect(200).json();
    assert_eq!(moved, json!({"redriven": 1, "examined": 2}));
    let moved = broker.redrive("t", "g", json!({})).await.expect(200).json();
    assert_eq!(moved["redriven"], 0, "nothing is moved twice");
}

#[tokio::test]
async fn a_redrive_takes_what_it_is_asked_for() {
    let broker = TestBroker::start().await;
    broker
        .put("/v1/topics/t", r#"{"partitions":3}"#)
        .await
        .expect(201);
    group(&broker, 1).await;
    for n in 0..12 {
        let target = format!("/v1/topics/t/messages?key=k{}", n % 4);
        broker.post(&target, n.to_string()).await.expect(201);
    }
    let mut left = 12;
    while left > 0 {
        for message in broker.lease("t", "g", "max=12&wait=15s").await {
            let mut body = receipt(&message);
            body["reason"] = format!("code {}", message["payload"]).into();
            broker.settle("t", "g", "nack", body).await;
            left -= 1;
        }
    }
    buried(&broker, "g", 12).await;
    let redriven = async |body: Value| {
        let answer = broker.redrive("t", "g", body).await.expect(200).json();
        assert!(answer.get("next").is_none(), "{answer}");
        let mut back = Vec::new();
        while let [message] = broker.lease("t", "g", "").await.as_slice() {
            broker.settle("t", "g", "ack", receipt(message)).await;
            back.push(message["payload"].as_u64().unwrap());
        }
        back.sort_unstable();
        assert_eq!(answer["redriven"], back.len(), "{answer}");
        back
    };
    assert_eq!(redriven(json!({"reason": "code 1"})).await, [1, 10, 11]);
    assert_eq!(redriven(json!({"reason": "code 1"})).await, [0; 0]);
    assert_eq!(redriven(json!({"key": "k0"})).await, [0, 4, 8]);
    let ids: Vec<_> = broker.dead_letters("t", "").await;
    let of = |n: u64| ids.iter().find(|letter| letter["payload"] == n).unwrap()["id"].clone();
    assert_eq!(
        redriven(json!({"ids": [of(3), of(5), "x/t/0/0"]})).await,
        [3, 5]
    );
    let both = json!({"ids": [of(2), of(7)], "key": "k2", "reason": "code"});
    assert_eq!(redriven(both).await, [2]);
    assert_eq!(
        redriven(json!({"key": "k"})).await,
        [0; 0],
        "keys are exact"
    );
    assert_eq!(redriven(json!({})).await, [6, 7, 9]);
    let broker = broker.restart().await;
    assert_eq!(
        broker.redrive("t", "g", json!({})).await.expect(200).json()["redriven"],
        0
    );
}

#[tokio::test]
async fn listing_and_redriving_go_in_steps() {
    let broker = with_dead(25).await;
    let (mut seen, mut query) = (Vec::new(), "limit=4".to_owned());
    loop {
        let target = format!("/v1/topics/t/dead-letters?{query}");
        let page = broker.get(&target).await.expect(200).json();
        seen.extend(numbers(
            page["dead_letters"].as_array().unwrap(),
            "source_offset",
        ));
        let Some(next) = page.get("next") else { break };
        query = format!("limit=4&from={}", text_of(next));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..25).collect::<Vec<_>>());

    let (mut moved, mut steps, mut body) = (0, 0, json!({"limit": 4}));
    loop {
        let step = broker
            .redrive("t", "g", body.clone())
            .await
            .expect(200)
            .json();
        moved += step["redriven"].as_u64().unwrap();
        steps += 1;
        assert!(step["examined"].as_u64().unwrap() <= 4);
        let Some(next) = step.get("next") else { break };
        body["from"] = next.clone();
    }
    assert_eq!((moved, steps), (25, 7));
    let mut back = payloads(&broker.lease("t", "g", "max=100").await);
    back.sort_unstable();
    assert_eq!(back, (0..25).collect::<Vec<_>>());
    assert!(broker.dead_letters("t", "").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redrives_at_the_same_time_move_nothing_twice() {
    let broker = with_dead(500).await;
    let (one, two) = tokio::join!(
        broker.redrive("t", "g", json!({})),
        broker.redrive("t", "g", json!({}))
    );
    for answer in [one, two] {
        if answer.status != 200 {
            answer.refused(409, "conflict", "dead letters of t");
        }
    }
    broker.redrive("t", "g", json!({})).await.expect(200);
    let mut back = payloads(&broker.lease("t", "g", "max=1000").await);
    back.sort_unstable();
    assert_eq!(back, (0..500).collect::<Vec<_>>());
}

#[tokio::test]
async fn nonsense_is_refused_and_changes_nothing() {
    let broker = with_dead(1).await;
    let before = broker.tree();
    for (body, part) in [
        (json!({"limit": 0}), "limit"),
        (json!({"limit": 10_001}), "limit"),
        (json!({"limit": -1}), "-1"),
        (json!({"ids": "one"}), "sequence"),
        (json!({"ids": [5]}), "5"),
        (json!({"key": 5}), "5"),
        (json!({"key": "k".repeat(257)}), "257"),
        (json!({"reason": 1}), "string"),
        (json!({"from": "nonsense"}), "from"),
        (json!({"form": "x"}), "form"),
        (json!([]), "object"),
    ] {
        let refused = broker.redrive("t", "g", body.clone()).await;
        let (code, message) = refused.refusal();
        assert_eq!(refused.status, 400, "{body}: {code} {message}");
        assert!(message.contains(part), "{body}: {message}");
    }
    broker
        .redrive("t", "x", json!({}))
        .await
        .refused(404, "unknown_group", "x");
    broker
        .redrive("x", "g", json!({}))
        .await
        .refused(404, "unknown_topic", "x");
    let foreign = broker.fetch("t", "from=earliest").await["next"].clone();
    let foreign = broker.redrive("t", "g", json!({"from": foreign})).await;
    assert!((400..=410).contains(&foreign.status), "{}", foreign.text());
    for (query, part) in [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("group=", "group"),
        ("from=x", "from"),
        ("key=x", "unknown parameter key"),
    ] {
        let target = format!("/v1/topics/t/dead-letters?{query}");
        broker
            .get(&target)
            .await
            .refused(400, "invalid_argument", part);
    }
    broker
        .get("/v1/topics/x/dead-letters")
        .await
        .refused(404, "unknown_topic", "x");
    broker
        .get("/v1/topics/t/dead-letters/%ff")
        .await
        .refused(400, "invalid_argument", "UTF-8");
    broker
        .get("/v1/topics/t/dead-letters/no")
        .await
        .refused(404, "unknown_dead_letter", "no");
    assert_eq!(broker.dead_letters("t", "").await.len(), 1);
    let names = |tree: BTreeMap<PathBuf, _>| tree.into_keys().collect::<Vec<_>>();
    assert_eq!(
        names(broker.tree()),
        names(before),
        "not even a group was made"
    );
}

/// A topic and a group on a disk that can be broken.
struct Core {
    broker: Broker,
    _closing: Closing,
    topic: TopicName,
    group: GroupName,
}

impl Core {
    fn open(disk: &FaultyDisk) -> Self {
        let options = BrokerOptions::on("data".into());
        let opened = Broker::open(options, Arc::new(disk.clone()), Clock::system());
        let (broker, closing) = opened.unwrap();
        Self {
            broker,
            _closing: closing,
            topic: TopicName::parse("t").unwrap(),
            group: GroupName::parse("g").unwrap(),
        }
    }

    async fn begin(&self, messages: usize) {
        let once = GroupSettingsChange {
            max_deliveries: Some(1),
            ..GroupSettingsChange::default()
        };
        let put = self
            .broker
            .put_group(&self.topic, &self.group, GroupStart::Earliest, &once);
        put.await.unwrap();
        for _ in 0..messages {
            let payload = Payload::parse(&bytes::Bytes::from_static(b"1"), 100).unwrap();
            let publish = self.broker.publish(&self.topic, NewMessage::plain(payload));
            publish.await.unwrap();
        }
    }

    async fn lease(&self) -> Vec<LeasedMessage> {
        let options = LeaseOptions {
            max_messages: 100,
            max_bytes: 1 << 20,
            wait: Duration::ZERO,
            visibility_timeout: None,
            member: None,
        };
        soon(self.broker.lease(&self.topic, &self.group, options))
            .await
            .unwrap()
    }

    /// Whether that is durable.
    async fn nack(&self, leased: &[LeasedMessage]) -> bool {
        let receipts: Vec<_> = leased.iter().map(|m| m.receipt.encode()).collect();
        let receipts = receipts.iter().map(AsRef::as_ref);
        let nack = ReceiptAction::Nack {
            redelivery: Redelivery::ByBackoff,
            reason: None,
        };
        let nacked = self.broker.settle(&self.topic, &self.group, receipts, nack);
        soon(nacked).await.is_ok()
    }

    async fn state(&self) -> GroupInfo {
        self.broker
            .get_group(&self.topic, &self.group)
            .await
            .unwrap()
    }

    async fn letters(&self) -> Vec<DeadLetter> {
        let listed = self.broker.list_dead_letters(&self.topic, None, None, 1000);
        listed.await.unwrap().dead_letters
    }

    async fn finished(&self) {
        eventually("the end of all moves", async || {
            (self.state().await.lag_records == 0).then_some(())
        })
        .await;
    }
}

/// Every write that the disk sees of the move fails once: whichever it is, and whether it was carried
/// out all the same, the message ends as one dead letter.
#[tokio::test]
async fn slow_a_disk_that_fails_anywhere_in_the_move_costs_no_message_and_makes_none() {
    for call in [
        Call::WriteThrough,
        Call::Write,
        Call::Create,
        Call::Rename,
        Call::Sync,
        Call::SyncDir,
        Call::CreateDir,
    ] {
        for nth in 1..=6 {
            let disk = FaultyDisk::new();
            let core = Core::open(&disk);
            core.begin(2).await;
            let leased = core.lease().await;
            disk.fail(Fault::on(call).nth(nth));
            core.nack(&leased).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            disk.heal();
            let disk = match nth % 2 {
                0 => disk.kill(),
                _ => disk.cut_power_hard(),
            };
            let core = Core::open(&disk);
            for _ in 0..3 {
                let again = core.lease().await;
                core.nack(&again).await;
            }
            core.finished().await;
            let mut sources: Vec<_> = core
                .letters()
                .await
                .iter()
                .map(|l| l.source_offset.0)
                .collect();
            sources.sort_unstable();
            assert_eq!(sources, [0, 1], "{call:?}, {nth}");
        }
    }
}

/// The letter was stored, its end was not noted, and the first look for it fails.
#[tokio::test]
async fn a_letter_that_is_there_is_not_stored_again_because_it_could_not_be_read() {
    let mut found_there = 0;
    for nth in 1..=6 {
        let disk = FaultyDisk::new();
        let core = Core::open(&disk);
        core.begin(1).await;
        let leased = core.lease().await;
        disk.fail(Fault::on(Call::WriteThrough).from_nth(nth));
        core.nack(&leased).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let disk = disk.kill();
        let core = Core::open(&disk);
        let fault = Fault::on(Call::Read).path("t.dead-letter/").once();
        disk.fail(fault);
        tokio::time::sleep(Duration::from_millis(20)).await;
        disk.heal();
        let again = core.lease().await;
        found_there += usize::from(again.is_empty() && core.letters().await.len() == 1);
        core.nack(&again).await;
        core.finished().await;
        assert_eq!(core.letters().await.len(), 1, "{nth}");
    }
    assert!(found_there > 0, "some letter was there already");
}

const ROUNDS: u32 = 40;
const MESSAGES: u64 = 30;

/// Every message of the group is either acked or one dead letter, whenever the broker was killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_each_message_dies_once_however_often_the_broker_is_killed() {
    let seed = crate::load::seed();
    let mut rng = Rng::with_seed(seed);
    let setup = broker();
    let mut running = setup.start().await;
    let mut published = 0;
    let client = Http;
    for max in [1, 2] {
        let name = format!("g{max}");
        client.put(&running, &name, max).await;
    }
    for round in 0..ROUNDS {
        let group = format!("g{}", 1 + round % 2);
        published += client.publish(&running, published).await;
        let killing = tokio::time::sleep(Duration::from_micros(rng.u64(..60_000)));
        tokio::select! {
            () = client.refuse(&running, &group) => {}
            () = killing => {}
        }
        running.kill_9();
        running = setup.start().await;
    }
    for group in ["g1", "g2"] {
        eventually("the last of the moves", async || {
            client.refuse_once(&running, group).await;
            (client.lag(&running, group).await == 0).then_some(())
        })
        .await;
    }
    let mut count: BTreeMap<(String, u64), u32> = BTreeMap::new();
    for letter in client.letters(&running).await {
        let place = (
            text_of(&letter["group"]),
            letter["source_offset"].as_u64().unwrap(),
        );
        *count.entry(place).or_default() += 1;
        let max = if letter["group"] == "g1" { 1 } else { 2 };
        assert_eq!(letter["attempts"], max);
    }
    let twice: Vec<_> = count.iter().filter(|(_, n)| **n > 1).collect();
    assert!(twice.is_empty(), "seed {seed}: {twice:?}");
    assert_eq!(count.len() as u64, 2 * published, "seed {seed}");
}

/// Letters that one step of a redrive looks at.
const STEP: usize = 7;
const KILLS: usize = 20;

/// A redrive that is killed and begun anew moves every letter back; at most the step in hand twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_a_redrive_loses_no_letter_however_often_the_broker_is_killed() {
    let seed = crate::load::seed();
    let mut rng = Rng::with_seed(seed);
    let setup = broker();
    let mut running = setup.start().await;
    let client = Http;
    client.put(&running, "g", 1).await;
    let mut published = 0;
    while published < 10 * MESSAGES {
        published += client.publish(&running, published).await;
    }
    client.refuse(&running, "g").await;
    eventually("all are dead", async || {
        (client.lag(&running, "g").await == 0).then_some(())
    })
    .await;
    for _ in 0..KILLS {
        let killing = tokio::time::sleep(Duration::from_micros(rng.u64(..30_000)));
        tokio::select! {
            () = client.redrive(&running, "g") => {}
            () = killing => {}
        }
        running.kill_9();
        running = setup.start().await;
    }
    client.redrive(&running, "g").await;
    assert!(client.letters(&running).await.is_empty(), "seed {seed}");
    let mut moved: BTreeMap<String, usize> = BTreeMap::new();
    for message in client.messages(&running).await {
        if message["headers"]["weir-redriven-for"] == "g" {
            *moved.entry(text_of(&message["id"])).or_default() += 1;
        }
    }
    assert_eq!(moved.len() as u64, published, "seed {seed}");
    let again: usize = moved.values().map(|count| count - 1).sum();
    assert!(again <= KILLS * STEP, "seed {seed}: {again}");
}

/// Requests to a process that may be killed under them.
struct Http;

impl Http {
    async fn send(&self, to: &BrokerProcess, request: Request) -> Value {
        let answer = send_raw(to.http_address(), &request.encode()).await;
        assert!(answer.status < 300, "{}", answer.text());
        answer.json()
    }

    async fn post(&self, to: &BrokerProcess, target: &str, body: &Value) -> Value {
        let request = Request::new("POST", target).body(body.to_string());
        self.send(to, request).await
    }

    async fn put(&self, to: &BrokerProcess, group: &str, max_deliveries: u32) {
        let target = format!("/v1/topics/t/groups/{group}");
        let body = json!({"max_deliveries": max_deliveries}).to_string();
        self.send(to, Request::new("PUT", &target).body(body)).await;
    }

    async fn publish(&self, to: &BrokerProcess, from: u64) -> u64 {
        let batch = Request::new("POST", "/v1/topics/t/messages")
            .header("content-type", "application/x-ndjson")
            .body(lines(from..from + MESSAGES));
        self.send(to, batch).await;
        MESSAGES
    }

    /// Nacks whatever there is until nothing comes.
    async fn refuse(&self, to: &BrokerProcess, group: &str) {
        while self.refuse_once(to, group).await > 0 {}
    }

    async fn refuse_once(&self, to: &BrokerProcess, group: &str) -> usize {
        let lease = format!("/v1/topics/t/groups/{group}/lease?max=7");
        let leased = self.post(to, &lease, &Value::Null).await;
        let leased = leased["messages"].as_array().unwrap().clone();
        if !leased.is_empty() {
            let nack = format!("/v1/topics/t/groups/{group}/nack");
            self.post(to, &nack, &receipts(&leased)).await;
        }
        leased.len()
    }

    async fn lag(&self, of: &BrokerProcess, group: &str) -> u64 {
        let target = format!("/v1/topics/t/groups/{group}");
        let state = self.send(of, Request::new("GET", &target)).await;
        state["lag_records"].as_u64().unwrap()
    }

    /// Step by step, to the end.
    async fn redrive(&self, to: &BrokerProcess, group: &str) {
        let target = format!("/v1/topics/t/groups/{group}/redrive");
        let mut from = Value::Null;
        loop {
            let step = json!({"limit": STEP, "from": from});
            let redriven = self.post(to, &target, &step).await;
            match redriven.get("next") {
                Some(next) => from = next.clone(),
                None => return,
            }
        }
    }

    async fn messages(&self, of: &BrokerProcess) -> Vec<Value> {
        let target = "/v1/topics/t/messages?from=earliest&limit=10000&max_bytes=16777216";
        let page = self.send(of, Request::new("GET", target)).await;
        page["messages"].as_array().unwrap().clone()
    }

    async fn letters(&self, of: &BrokerProcess) -> Vec<Value> {
        let target = "/v1/topics/t/dead-letters?limit=10000";
        let page = self.send(of, Request::new("GET", target)).await;
        assert!(page.get("next").is_none());
        page["dead_letters"].as_array().unwrap().clone()
    }
}
