//! Consuming a group through an open stream.

use crate::consuming::{a_moment, attempts, lines, payloads, receipt, receipts};
use crate::support::{Request, Sse, SseEvent, TestBroker, fields, soon};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_testkit::eventually;

async fn with_messages(count: u64) -> TestBroker {
    let broker = TestBroker::start().await;
    broker
        .publish_lines("t", &lines(0..count))
        .await
        .expect(201);
    broker
}

async fn open(broker: &TestBroker, query: &str) -> Sse {
    let target = format!("/v1/topics/t/groups/g/stream?{query}");
    Sse::open(broker, &target, &[]).await
}

/// What comes until the stream rests for a moment.
async fn all_there_is(stream: &mut Sse) -> Vec<Value> {
    let mut messages = Vec::new();
    while let Ok(Some(event)) =
        tokio::time::timeout(Duration::from_millis(300), stream.next()).await
    {
        messages.extend(event.data);
    }
    messages
}

async fn in_flight(broker: &TestBroker, count: u64) {
    let is = |state: &Value| state["in_flight"] == count;
    broker.group_is(("t", "g"), "in_flight", is).await;
}

fn members(state: &Value) -> Vec<(String, u64)> {
    let members = state["members"].as_array().unwrap();
    let member = |m: &Value| {
        let name = m["member"].as_str().unwrap().to_owned();
        (name, m["in_flight"].as_u64().unwrap())
    };
    members.iter().map(member).collect()
}

#[tokio::test]
async fn a_stream_brings_what_a_lease_does() {
    let broker = with_messages(3).await;
    let mut stream = open(&broker, "").await;
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    assert_eq!(stream.headers["cache-control"], "no-cache");
    let hello = stream.next().await.unwrap();
    assert_eq!(hello.lines, ["retry: 1000"]);
    let (streamed, _) = stream.messages(3).await;
    broker.put_group("t", "h", json!({})).await.expect(201);
    let mut leased = broker.lease("t", "h", "max=3").await;
    assert_eq!(streamed.len(), leased.len());
    for (one, other) in streamed.iter().zip(&mut leased) {
        for name in ["receipt", "lease_expires_at"] {
            assert!(!one[name].is_null(), "{name}");
            other[name] = one[name].clone();
        }
        assert_eq!(one, other);
    }
    let acked = broker.settle("t", "g", "ack", receipts(&streamed)).await;
    assert_eq!(acked, ["acked"; 3]);
    assert_eq!(broker.group("t", "g").await["lag_records"], 0);
    broker.publish("t", "3").await;
    assert_eq!(payloads(&stream.messages(1).await.0), [3], "it goes on");
}

#[tokio::test]
async fn no_more_are_in_flight_than_the_client_wants() {
    let broker = with_messages(20).await;
    let mut stream = open(&broker, "max_in_flight=5&member=m").await;
    let first = all_there_is(&mut stream).await;
    assert_eq!(payloads(&first), [0, 1, 2, 3, 4]);
    let state = broker.group("t", "g").await;
    assert_eq!(members(&state), [("m".to_owned(), 5)]);
    broker.settle("t", "g", "ack", receipts(&first[1..3])).await;
    let more = all_there_is(&mut stream).await;
    assert_eq!(payloads(&more), [5, 6], "acks make room");
    broker.settle("t", "g", "nack", receipt(&first[0])).await;
    let more = all_there_is(&mut stream).await;
    assert_eq!((payloads(&more), attempts(&more)), (vec![0], vec![2]));
    assert_eq!(broker.group("t", "g").await["in_flight"], 5);
}

#[tokio::test]
async fn a_disconnect_gives_everything_to_others_at_once() {
    let broker = with_messages(6).await;
    let mut stream = open(&broker, "max_in_flight=4&visibility_timeout=12h&member=m").await;
    let held = stream.messages(4).await.0;
    broker.settle("t", "g", "ack", receipt(&held[0])).await;
    let (last, _) = stream.messages(1).await;
    assert_eq!(payloads(&last), [4]);
    let waiting = broker.lease("t", "g", "max=1");
    assert_eq!(payloads(&waiting.await), [5]);
    drop(stream);
    let back = broker.lease_all("t", "g", "max=9&wait=15s", 4).await;
    assert_eq!(
        (payloads(&back), attempts(&back)),
        (vec![1, 2, 3, 4], vec![2; 4])
    );
    let state = broker.group("t", "g").await;
    assert_eq!(members(&state), []);
    let late = broker.settle("t", "g", "ack", receipts(&held[1..])).await;
    assert_eq!(late, ["lease_expired"; 3]);
}

#[tokio::test]
async fn a_message_that_kills_its_consumers_dies_itself() {
    let broker = with_messages(1).await;
    let body = json!({"max_deliveries": 2});
    broker.put_group("t", "g", body).await.expect(201);
    for attempt in 1..=2 {
        let mut stream = open(&broker, "").await;
        assert_eq!(attempts(&stream.messages(1).await.0), [attempt]);
    }
    let dead = |state: &Value| state["dead_lettered"] == 1;
    broker.group_is(("t", "g"), "a dead letter", dead).await;
    let letters = broker.dead_letters("t", "").await;
    assert_eq!(letters[0]["reason"], "consumer disconnected");
}

#[tokio::test]
async fn several_streams_share_the_messages() {
    let broker = with_messages(40).await;
    let mut one = open(&broker, "max_in_flight=10").await;
    let mut two = open(&broker, "max_in_flight=10").await;
    let (mut first, second) = (one.messages(10).await.0, two.messages(10).await.0);
    first.extend(second);
    let mut seen = payloads(&first);
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
    let state = broker.group("t", "g").await;
    let held: Vec<u64> = members(&state).into_iter().map(|(_, held)| held).collect();
    assert_eq!(held, [10, 10]);
}

/// A member may have two connections; one that breaks takes nothing from the other.
#[tokio::test]
async fn streams_of_one_member_hold_and_lose_their_own() {
    let broker = with_messages(30).await;
    let mut one = open(&broker, "max_in_flight=3&member=m&visibility_timeout=12h").await;
    let first = one.messages(3).await.0;
    let mut two = open(&broker, "max_in_flight=3&member=m&visibility_timeout=12h").await;
    let second = two.messages(3).await.0;
    assert_eq!(payloads(&second), [3, 4, 5], "each has its own room");
    let mine = broker
        .lease("t", "g", "member=m&visibility_timeout=12h")
        .await;
    assert_eq!(
        members(&broker.group("t", "g").await),
        [("m".to_owned(), 7)]
    );
    drop(one);
    let back = broker
        .lease_all("t", "g", "max=3&wait=15s&visibility_timeout=12h", 3)
        .await;
    assert_eq!(
        (payloads(&back), attempts(&back)),
        (vec![0, 1, 2], vec![2; 3])
    );
    assert_eq!(
        members(&broker.group("t", "g").await),
        [("m".to_owned(), 4)]
    );
    for held in [second, mine] {
        let kept = broker.settle("t", "g", "extend", receipts(&held)).await;
        assert!(kept.iter().all(|status| status == "extended"), "{kept:?}");
    }
    let late = broker.settle("t", "g", "ack", receipts(&first)).await;
    assert_eq!(late, ["lease_expired"; 3]);
}

#[tokio::test]
async fn leases_expire_under_an_open_stream_and_come_again() {
    let broker = with_messages(1).await;
    let mut stream = open(&broker, "max_in_flight=1&visibility_timeout=30ms").await;
    for attempt in 1..=3 {
        assert_eq!(attempts(&stream.messages(1).await.0), [attempt]);
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_no_more_than_it_may() {
    let broker = TestBroker::start().await;
    let body = format!("{{\"payload\":\"{}\"}}\n", "x".repeat(10_000));
    for _ in 0..4 {
        broker
            .publish_lines("t", &body.repeat(500))
            .await
            .expect(201);
    }
    let request =
        "GET /v1/topics/t/groups/g/stream?max_in_flight=700&member=m HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut idle = TcpStream::connect(broker.address()).await.unwrap();
    idle.write_all(request.as_bytes()).await.unwrap();
    let mut one = [0];
    soon(idle.read_exact(&mut one)).await.unwrap();
    a_moment().await;
    let held = broker.group("t", "g").await["in_flight"].as_u64().unwrap();
    assert!((1..=700).contains(&held), "{held}");
    let others = broker.lease("t", "g", "max=10").await;
    assert_eq!(others.len(), 10, "nobody waits for it");
    drop(idle);
    in_flight(&broker, 10).await;
}

#[tokio::test]
async fn draining_ends_with_a_farewell() {
    let broker = with_messages(1).await;
    let mut stream = open(&broker, "").await;
    stream.messages(1).await;
    broker.core().drain();
    let mut last = SseEvent::default();
    while let Some(event) = stream.next().await {
        last = event;
    }
    assert!(last.comment.is_some(), "{last:?}");
    let refused = broker.get("/v1/topics/t/groups/g/stream").await;
    refused.refused(503, "draining", "reconnect");
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn deleting_the_group_or_the_topic_ends_the_stream_with_an_error() {
    for what in ["/v1/topics/t/groups/g", "/v1/topics/t"] {
        let broker = with_messages(1).await;
        let mut stream = open(&broker, "").await;
        stream.messages(1).await;
        broker.delete(what).await.expect(204);
        let mut last = SseEvent::default();
        while let Some(event) = stream.next().await {
            last = event;
        }
        assert!(last.lines.contains(&"event: error".to_owned()), "{last:?}");
        let code = &last.data.unwrap()["error"]["code"];
        assert!(code == "unknown_group" || code == "unknown_topic", "{code}");
    }
}

#[tokio::test]
async fn a_seek_gives_the_stream_its_messages_anew() {
    let broker = with_messages(2).await;
    let mut stream = open(&broker, "max_in_flight=2").await;
    let first = stream.messages(2).await.0;
    broker
        .seek("t", "g", json!({"to": "earliest"}))
        .await
        .expect(200);
    let again = stream.messages(2).await.0;
    assert_eq!(
        (payloads(&again), attempts(&again)),
        (vec![0, 1], vec![1, 1])
    );
    let void = broker.settle("t", "g", "ack", receipts(&first)).await;
    assert_eq!(void, ["unknown"; 2]);
    let acked = broker.settle("t", "g", "ack", receipts(&again)).await;
    assert_eq!(acked, ["acked"; 2]);
}

#[tokio::test]
async fn a_stream_creates_topic_and_group_and_waits() {
    let broker = TestBroker::start().await;
    let mut stream = open(&broker, "max_in_flight=1").await;
    stream.next().await.unwrap();
    let body = r#"{"payload":1,"key":"a"}
{"payload":2,"key":"a"}
"#;
    broker.publish_lines("t", body).await.expect(201);
    let first = stream.messages(1).await.0;
    broker.settle("t", "g", "ack", receipts(&first)).await;
    assert_eq!(fields(&stream.messages(1).await.0, "payload"), [json!(2)]);
}

#[tokio::test]
async fn many_that_come_and_go_leave_nothing_behind() {
    let broker = with_messages(50).await;
    for round in 0..20 {
        let mut stream = open(&broker, &format!("max_in_flight=7&member=m{round}")).await;
        stream.messages(7).await;
    }
    let gone = |state: &Value| state["members"] == json!([]) && state["in_flight"] == 0;
    let state = broker.group_is(("t", "g"), "nobody there", gone).await;
    assert_eq!(
        state["lag_records"].as_u64().unwrap() + state["dead_lettered"].as_u64().unwrap(),
        50
    );
    let there = eventually("all messages", async || {
        let leased = broker.lease("t", "g", "max=100").await;
        (!leased.is_empty()).then_some(leased)
    });
    assert!(!there.await.is_empty());
}

#[tokio::test]
async fn nonsense_is_refused_and_opens_nothing() {
    let broker = with_messages(1).await;
    let before = broker.tree();
    for (query, part) in [
        ("max_in_flight=0", "max_in_flight"),
        ("max_in_flight=10001", "max_in_flight"),
        ("max_in_flight=x", "max_in_flight"),
        ("member=", "member"),
        ("member=%0a", "member"),
        ("visibility_timeout=0s", "visibility_timeout"),
        ("visibility_timeout=13h", "visibility_timeout"),
        ("max=5", "unknown parameter max"),
        ("member=a&member=b", "given twice"),
    ] {
        let target = format!("/v1/topics/t/groups/g/stream?{query}");
        let refused = broker.send(Request::new("GET", &target)).await;
        refused.refused(400, "invalid_argument", part);
    }
    assert_eq!(broker.tree(), before);
}
