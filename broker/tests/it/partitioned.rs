//! The partitioned queue with consumer groups, exchange by exchange: the codes and bodies that its
//! clients know.

use crate::consuming::a_moment;
use crate::support::{Answer, Request, Sse, TestBroker, soon, text_of};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use weir_broker::broker::{AckedBy, GroupStream, GroupStreamOptions};
use weir_broker::ownership::Ownership;
use weir_broker::{Broker, BrokerOptions, Settings};
use weir_commitlog::faulty::FaultyDisk;
use weir_protocol::{NewMessage, Payload};
use weir_service::clock::Clock;
use weir_testkit::eventually;
use weir_types::{GroupName, GroupSettingsChange, MessageId, PartitionId, Timestamp, TopicName};

const KNOWN_MEMBERS: [&str; 5] = ["id", "payload", "created_at", "topic", "partition"];

#[track_caller]
fn is_text(answer: &Answer, status: u16, text: &str) {
    assert_eq!((answer.status, answer.text().as_str()), (status, text));
    assert!(answer.headers["content-type"].starts_with("text/plain"));
}

/// Publishes and returns the id.
async fn produce(broker: &TestBroker, query: &str, body: &str) -> String {
    let answer = broker.post(&format!("/produce?{query}"), body).await;
    text_of(&answer.expect(200).json()["id"])
}

async fn open(broker: &TestBroker, query: &str) -> Sse {
    Sse::open(broker, &format!("/consume?{query}"), &[]).await
}

/// The next messages, after their lines were looked at.
async fn receive(stream: &mut Sse, count: usize) -> Vec<Value> {
    let mut messages = Vec::new();
    while messages.len() < count {
        let event = stream.next().await.expect("the stream goes on");
        let lines = event.lines.iter().filter(|line| !line.starts_with(':'));
        let lines: Vec<_> = lines.map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(lines, ["id:", "data:"], "{event:?}");
        let data = event.data.unwrap();
        assert_eq!(event.id.unwrap(), text_of(&data["id"]));
        messages.push(data);
    }
    messages
}

fn payloads(messages: &[Value]) -> Vec<String> {
    let payload = |message: &Value| text_of(&message["payload"]);
    messages.iter().map(payload).collect()
}

async fn ack(broker: &TestBroker, query: &str, id: &str) -> Answer {
    let body = json!({"id": id}).to_string();
    broker.post(&format!("/ack?{query}"), body).await
}

async fn lag(broker: &TestBroker, group: &str) -> Value {
    broker.group("events", group).await["lag_records"].clone()
}

fn second_of_two(settings: &mut Settings) {
    settings.broker.ownership = Ownership {
        index: 1,
        count: 2,
        peers: Vec::new(),
    };
}

#[tokio::test]
async fn a_payload_is_acknowledged_with_its_id_whatever_the_method() {
    let broker = TestBroker::start().await;
    let target = "/produce?topic=events&partition=3";
    for method in ["POST", "PUT", "GET", "DELETE", "PATCH", "OPTIONS"] {
        let request = Request::new(method, target).body(r#"{"payload":"hello"}"#);
        let answer = broker.send(request).await.expect(200);
        assert_eq!(answer.headers["content-type"], "application/json");
        let id = text_of(&answer.json()["id"]);
        assert_eq!(answer.text(), format!(r#"{{"id":"{id}"}}"#));
        assert_eq!(id.len(), 22, "{id}");
    }
    let stored = broker.fetch("events", "from=earliest").await;
    let stored = stored["messages"].as_array().unwrap();
    assert_eq!(stored.len(), 6);
    for message in stored {
        assert_eq!(message["payload"], "hello");
        assert_eq!(message["partition"], 3);
    }
    let topic = broker.get("/v1/topics/events").await.expect(200).json();
    assert_eq!(topic["settings"]["partitions"], 8);
}

#[tokio::test]
async fn the_payload_is_the_member_of_that_name_or_the_trimmed_body() {
    let broker = TestBroker::start().await;
    let bodies = [
        (r#"{"payload":" a\nb ","more":1}"#, " a\nb "),
        (r#" {"payload":""} "#, r#"{"payload":""}"#),
        (r#"{"payload":{"a":1}}"#, r#"{"payload":{"a":1}}"#),
        ("\n grüße ☃ \r\n", "grüße ☃"),
        ("", ""),
    ];
    for (body, _) in bodies {
        let request = Request::new("POST", "/produce?topic=events&partition=0");
        let request = request.header("content-type", "nonsense").body(body);
        broker.send(request.chunked()).await.expect(200);
    }
    let mut stream = open(&broker, "topic=events&partition=0&group=g").await;
    let shown = receive(&mut stream, bodies.len()).await;
    assert_eq!(payloads(&shown), bodies.map(|(_, payload)| payload));
    let no_text = b"\xff\xfe".as_slice();
    let refused = broker.post("/produce?topic=events&partition=0", no_text);
    is_text(
        &refused.await,
        400,
        "the body is neither JSON nor UTF-8 text",
    );
}

#[tokio::test]
async fn an_event_has_the_lines_and_members_that_clients_look_for() {
    let broker = TestBroker::start().await;
    let mut stream = open(&broker, "topic=orders&partition=2&group=g").await;
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    let id = produce(&broker, "topic=orders&partition=2", "tea").await;
    let event = stream.next().await.unwrap();
    let message = event.data.unwrap();
    let created_at = text_of(&message["created_at"]);
    let data = format!(
        r#"data: {{"id":"{id}","payload":"tea","created_at":"{created_at}","topic":"orders","partition":2}}"#
    );
    assert_eq!(event.lines, [format!("id: {id}"), data]);
    let stored = &broker.fetch("orders", "from=earliest").await["messages"][0];
    let at = Timestamp::parse_rfc3339(&created_at).unwrap();
    assert_eq!(stored["timestamp"], at.0);
    assert_eq!(created_at.len(), "2026-01-31T12:00:00.123Z".len());
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_said_in_the_words_that_clients_know() {
    let broker = TestBroker::start().await;
    let before = broker.tree();
    let incomplete = "topic and partition required";
    for (query, text) in [
        ("topic=", incomplete),
        ("topic=&partition=0", incomplete),
        ("topic=events&partition=", incomplete),
        ("topic=events&partition=x", "bad partition"),
        ("topic=events&partition=-1", "bad partition"),
        ("topic=events&partition=8", "bad partition"),
        ("topic=events&partition=4294967296", "bad partition"),
        ("topic=nobody&partition=0", "unknown topic"),
        ("topic=nobody", "unknown topic"),
        ("topic=..%2Fx&partition=0", "unknown topic"),
        ("topic=__schedule&partition=0", "unknown topic"),
    ] {
        let refused = broker.post(&format!("/produce?{query}"), "p").await;
        is_text(&refused, 400, text);
        if !query.contains("partition") {
            continue;
        }
        let refused = broker.get(&format!("/consume?{query}&group=g")).await;
        is_text(&refused, 400, text);
        is_text(
            &ack(&broker, &format!("{query}&group=g"), "x").await,
            400,
            text,
        );
    }
    for query in ["group=g", "topic=events&group=g", "partition=0&group=g"] {
        let refused = broker.get(&format!("/consume?{query}")).await;
        is_text(&refused, 400, incomplete);
        is_text(&ack(&broker, query, "x").await, 400, incomplete);
    }
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn the_two_dialects_of_these_addresses_are_told_apart_by_their_parameters() {
    let broker = TestBroker::start().await;
    let minimq = json!({"topic": "events", "message": "m"}).to_string();
    broker.post("/produce", minimq.clone()).await.expect(201);
    let by_query = broker.post("/produce?topic=events&partition=0", minimq);
    by_query.await.expect(200);
    is_text(
        &broker.get("/produce?partition=0").await,
        405,
        "Method not allowed",
    );
    let consumed = broker.get("/consume?topic=events&consumer_id=c&group=g");
    assert_eq!(consumed.await.expect(200).json()["message"], "m");
    is_text(
        &broker.get("/consume?topic=events&partition=0").await,
        400,
        "Missing topic or consumer_id",
    );
    for (method, target) in [
        ("POST", "/consume?topic=events&partition=0&group=g"),
        ("GET", "/ack?topic=events&partition=0&group=g"),
    ] {
        let refused = broker.send(Request::new(method, target)).await;
        is_text(&refused, 405, "Method not allowed");
    }
    let no_group = broker.get("/consume?topic=events&partition=0&group=").await;
    assert_eq!(no_group.status, 400);
}

#[tokio::test]
async fn without_a_partition_messages_are_spread_evenly() {
    let broker = TestBroker::start().await;
    for n in 0..16 {
        produce(&broker, "topic=orders", &n.to_string()).await;
    }
    let topic = broker.get("/v1/topics/orders").await.expect(200).json();
    let ends: Vec<_> = (0..4)
        .map(|p| topic["partitions"][p]["high_watermark"].clone())
        .collect();
    assert_eq!(ends, [4; 4]);
}

#[tokio::test]
async fn topics_lists_what_exists_and_what_first_use_creates() {
    let broker = TestBroker::start().await;
    broker.publish("native", "1").await;
    let answer = broker.get("/topics").await.expect(200);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(
        answer.text(),
        r#"{"default":[0,1,2,3,4,5,6,7],"events":[0,1,2,3,4,5,6,7],"native":[0],"orders":[0,1,2,3]}"#
    );
    broker
        .post("/topics", "")
        .await
        .refused(405, "method_not_allowed", "");
}

#[tokio::test]
async fn an_ack_finishes_a_message_once_and_in_its_group_only() {
    let broker = TestBroker::start().await;
    let (place, other) = (
        "topic=events&partition=0&group=g",
        "topic=events&partition=0&group=h",
    );
    let id = produce(&broker, "topic=events&partition=0", "m").await;
    let failed = "ack failed (unknown id or wrong group)";
    is_text(&ack(&broker, place, &id).await, 400, failed);
    let mut stream = open(&broker, place).await;
    receive(&mut stream, 1).await;
    is_text(&ack(&broker, other, &id).await, 400, failed);
    is_text(
        &ack(&broker, "topic=events&partition=0", &id).await,
        400,
        failed,
    );
    is_text(
        &ack(&broker, "topic=events&partition=1&group=g", &id).await,
        400,
        failed,
    );
    is_text(&ack(&broker, place, "nobody's").await, 400, failed);
    is_text(&ack(&broker, place, &id).await, 200, "ok");
    assert_eq!(lag(&broker, "g").await, 0);
    is_text(&ack(&broker, place, &id).await, 400, failed);
    let mut stream = open(&broker, other).await;
    assert_eq!(payloads(&receive(&mut stream, 1).await), ["m"]);
    is_text(&ack(&broker, other, &id).await, 200, "ok");
    broker
        .delete("/v1/topics/events/groups/h")
        .await
        .expect(204);
    is_text(&ack(&broker, other, &id).await, 400, failed);
}

#[tokio::test]
async fn an_ack_without_an_id_has_a_bad_body() {
    let broker = TestBroker::start().await;
    for body in [
        "",
        "x",
        "[]",
        r#"["id"]"#,
        "{}",
        r#"{"id":1}"#,
        r#"{"id":null}"#,
        r#"{"id":"a""#,
    ] {
        let refused = broker.post("/ack?topic=events&partition=0&group=g", body);
        is_text(&refused.await, 400, "bad body");
    }
}

#[tokio::test]
async fn after_a_restart_only_what_was_not_acked_comes_back() {
    let broker = TestBroker::start().await;
    let place = "topic=events&partition=0&group=g";
    for n in 0..4 {
        produce(&broker, "topic=events&partition=0", &n.to_string()).await;
    }
    let mut stream = open(&broker, place).await;
    let messages = receive(&mut stream, 4).await;
    for acked in [&messages[0], &messages[2]] {
        let id = text_of(&acked["id"]);
        is_text(&ack(&broker, place, &id).await, 200, "ok");
    }
    let broker = broker.restart().await;
    let mut stream = open(&broker, place).await;
    let again = receive(&mut stream, 2).await;
    assert_eq!(payloads(&again), ["1", "3"]);
    assert_eq!(
        again[0], messages[1],
        "it is the same message, time included"
    );
    for message in again {
        let id = text_of(&message["id"]);
        is_text(&ack(&broker, place, &id).await, 200, "ok");
    }
    assert_eq!(lag(&broker, "g").await, 0);
}

#[tokio::test]
async fn a_consumer_that_vanishes_gives_back_what_it_did_not_ack() {
    let broker = TestBroker::start().await;
    let place = "topic=events&partition=0&group=g";
    for n in 0..3 {
        produce(&broker, "topic=events&partition=0", &n.to_string()).await;
    }
    let mut stream = open(&broker, place).await;
    let held = receive(&mut stream, 3).await;
    let id = |n: usize| text_of(&held[n]["id"]);
    is_text(&ack(&broker, place, &id(0)).await, 200, "ok");
    drop(stream);
    broker
        .group_is(("events", "g"), "both are back", |state| {
            state["waiting"] == 2
        })
        .await;
    is_text(&ack(&broker, place, &id(2)).await, 200, "ok");
    let mut stream = open(&broker, place).await;
    assert_eq!(payloads(&receive(&mut stream, 1).await), ["1"]);
    is_text(&ack(&broker, place, &id(1)).await, 200, "ok");
    assert_eq!(lag(&broker, "g").await, 0);
}

/// Deploys, crashes, bad networks: each ends the delivery of all that the consumer had.
#[tokio::test]
async fn a_consumer_that_reconnects_often_makes_no_dead_letters() {
    let broker = TestBroker::start().await;
    let id = produce(&broker, "topic=orders&partition=1", "again").await;
    for _ in 0..40 {
        let mut stream = open(&broker, "topic=orders&partition=1&group=g").await;
        assert_eq!(receive(&mut stream, 1).await[0]["id"], *id);
    }
    let group = broker.group("orders", "g").await;
    assert_eq!(group["max_deliveries"], 10_000);
    assert_eq!(group["dead_lettered"], 0);
}

#[tokio::test]
async fn a_consumer_has_a_hundred_unfinished_messages_of_its_partition() {
    let broker = TestBroker::start().await;
    produce(&broker, "topic=events&partition=1", "first").await;
    let lines: String = (0..240)
        .map(|n| format!("{{\"payload\":{n},\"partition\":{}}}\n", n % 2))
        .collect();
    broker.publish_lines("events", &lines).await.expect(201);
    let place = "topic=events&partition=0&group=g";
    let mut stream = open(&broker, place).await;
    let first = receive(&mut stream, 100).await;
    assert!(first.iter().all(|message| message["partition"] == 0));
    assert_eq!(broker.group("events", "g").await["in_flight"], 100);
    a_moment().await;
    assert_eq!(broker.group("events", "g").await["in_flight"], 100);
    let id = text_of(&first[50]["id"]);
    is_text(&ack(&broker, place, &id).await, 200, "ok");
    receive(&mut stream, 1).await;
}

#[tokio::test]
async fn native_messages_are_texts_too() {
    let broker = TestBroker::start().await;
    let payloads_in = [r#"{"a": [1]}"#, r#""a \u0041\n""#, "null", "17"];
    for payload in payloads_in {
        broker.publish("native", payload).await;
    }
    broker
        .post("/v1/topics/native/messages?id=an%20id", "1")
        .await
        .expect(201);
    let mut stream = open(&broker, "topic=native&partition=0&group=g").await;
    let shown = receive(&mut stream, 5).await;
    assert_eq!(
        payloads(&shown),
        [r#"{"a": [1]}"#, "a A\n", "null", "17", "1"]
    );
    assert_eq!(shown[4]["id"], "an id");
    let members: Vec<_> = shown[0].as_object().unwrap().keys().collect();
    assert!(
        KNOWN_MEMBERS
            .iter()
            .all(|name| members.iter().any(|m| m == name))
    );
    let place = "topic=native&partition=0&group=g";
    is_text(&ack(&broker, place, "an id").await, 200, "ok");
}

#[tokio::test]
async fn no_id_can_break_a_line() {
    let broker = TestBroker::start().await;
    for id in ["a%0Ab", "a%0Db", "a%C2%85b"] {
        let target = format!("/v1/topics/native/messages?id={id}");
        broker
            .post(&target, "1")
            .await
            .refused(400, "invalid_argument", "control character");
    }
}

#[tokio::test]
async fn a_line_that_no_client_can_read_is_refused_or_dead_lettered() {
    let broker = TestBroker::start().await;
    let place = "topic=events&partition=0";
    let target = format!("/produce?{place}");
    let refused = broker.post(&target, "x".repeat(65_536)).await.expect(413);
    assert!(
        refused.text().contains("a line has at most 65534"),
        "{}",
        refused.text()
    );
    // As JSON it is longer.
    let refused = broker.post(&target, "\"".repeat(40_000));
    refused.await.expect(413);
    let longest = "x".repeat(65_400);
    produce(&broker, place, &longest).await;
    let too_long = format!("\"{}\"", "x".repeat(65_536));
    let native = broker.post("/v1/topics/events/messages?partition=0", too_long);
    native.await.expect(201);
    produce(&broker, place, "last").await;

    let mut stream = open(&broker, &format!("{place}&group=g")).await;
    let shown = receive(&mut stream, 2).await;
    assert_eq!(payloads(&shown), [&longest, "last"]);
    let dead = |state: &Value| state["dead_lettered"] == 1;
    broker
        .group_is(("events", "g"), "a dead letter", dead)
        .await;
    let letters = broker.dead_letters("events", "").await;
    let reason = text_of(&letters[0]["reason"]);
    assert!(reason.contains("a line of 656"), "{reason}");
}

#[tokio::test]
async fn a_stream_ends_when_the_broker_stops() {
    let broker = TestBroker::start().await;
    let mut stream = open(&broker, "topic=events&partition=0&group=g").await;
    let read_on = async { while stream.next().await.is_some() {} };
    let (stopped, ()) = tokio::join!(broker.stop(), read_on);
    stopped.unwrap();
}

#[tokio::test]
async fn partitions_of_others_are_refused_and_left_out() {
    let broker = TestBroker::with(second_of_two).await;
    let not_owned = "partition not owned";
    let refused = broker.post("/produce?topic=events&partition=2", "m").await;
    is_text(&refused, 400, not_owned);
    let refused = broker
        .get("/consume?topic=events&partition=0&group=g")
        .await;
    is_text(&refused, 400, not_owned);
    let refused = ack(&broker, "topic=events&partition=4&group=g", "x").await;
    is_text(&refused, 400, not_owned);
    let refused = broker.post("/produce?topic=events&partition=8", "m").await;
    is_text(&refused, 400, "bad partition");
    broker.publish("native", "1").await;
    let refused = broker.post("/produce?topic=native", "m").await;
    is_text(&refused, 400, not_owned);
    for n in 0..4 {
        produce(&broker, "topic=orders", &n.to_string()).await;
    }
    produce(&broker, "topic=orders&partition=3", "m").await;
    let topic = broker.get("/v1/topics/orders").await.expect(200).json();
    let ends: Vec<_> = (0..4)
        .map(|p| topic["partitions"][p]["high_watermark"].clone())
        .collect();
    assert_eq!(ends, [0, 2, 0, 3]);
    assert_eq!(
        broker.get("/topics").await.expect(200).text(),
        r#"{"default":[1,3,5,7],"events":[1,3,5,7],"native":[],"orders":[1,3]}"#
    );
}

/// A stream as the dialect opens it.
async fn core_stream(broker: &Broker) -> GroupStream {
    let options = GroupStreamOptions {
        max_in_flight: 100,
        visibility_timeout: Some(Duration::from_secs(30)),
        member: None,
        partition: Some(PartitionId(0)),
        acked_by: AckedBy::Id,
        new_group: GroupSettingsChange::default(),
    };
    let opened = broker.group_stream(&topic(), &group(), options).await;
    opened.unwrap()
}

fn topic() -> TopicName {
    TopicName::parse("t").unwrap()
}

fn group() -> GroupName {
    GroupName::parse("g").unwrap()
}

/// The attempts of the messages that a stream brings next.
async fn next_attempts(stream: &mut GroupStream) -> Vec<u32> {
    let messages = soon(stream.next(Duration::from_secs(15))).await;
    let messages = messages.unwrap().unwrap();
    let attempt = |message: &weir_broker::broker::LeasedMessage| message.receipt.delivery_attempt;
    messages.iter().map(attempt).collect()
}

#[tokio::test]
async fn what_is_not_acked_within_30_s_comes_again_and_a_late_ack_counts() {
    let (clock, hands) = Clock::manual(Timestamp(1_700_000_000_000));
    let options = BrokerOptions::on("data".into());
    let (broker, _closing) = Broker::open(options, Arc::new(FaultyDisk::new()), clock).unwrap();
    let id = MessageId::parse("m").unwrap();
    let message = NewMessage {
        id: Some(id.clone()),
        ..NewMessage::plain(Payload::from_text("m"))
    };
    broker.publish(&topic(), message).await.unwrap();
    let ack = async || {
        let (topic, group) = (topic(), group());
        let acked = broker.ack_by_id(&topic, &group, PartitionId(0), id.clone());
        acked.await.unwrap()
    };

    let mut stream = core_stream(&broker).await;
    assert_eq!(next_attempts(&mut stream).await, [1]);
    hands.advance(Duration::from_millis(29_999));
    let held = broker.get_group(&topic(), &group()).await.unwrap();
    assert_eq!(held.in_flight, 1);
    hands.advance(Duration::from_millis(1));
    assert_eq!(next_attempts(&mut stream).await, [2]);
    hands.advance(Duration::from_secs(31));
    drop(stream);
    eventually("its lease is over", async || {
        let state = broker.get_group(&topic(), &group()).await.unwrap();
        (state.waiting == 1).then_some(())
    })
    .await;
    assert!(ack().await, "nobody newer holds it");
    assert!(!ack().await);
    let state = broker.get_group(&topic(), &group()).await.unwrap();
    assert_eq!(state.lag_records, 0);
}
