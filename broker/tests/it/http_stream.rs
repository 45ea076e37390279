//! Following a topic over server-sent events.

use crate::support::{Sse, SseEvent, TestBroker, fields, messages_of, text_of};
use serde_json::{Value, json};

fn payloads(messages: &[Value]) -> Vec<u64> {
    messages
        .iter()
        .map(|message| message["payload"].as_u64().unwrap())
        .collect()
}

async fn publish_numbers(broker: &TestBroker, topic: &str, numbers: std::ops::Range<u64>) {
    for number in numbers {
        broker.publish(topic, &number.to_string()).await;
    }
}

#[tokio::test]
async fn headers_and_the_place_come_before_any_message() {
    let broker = TestBroker::start().await;
    broker.put("/v1/topics/t", "").await.expect(201);
    let mut stream = Sse::open(&broker, "/v1/topics/t/stream", &[]).await;
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    assert_eq!(stream.headers["cache-control"], "no-cache");
    let hello = stream.next().await.unwrap();
    assert_eq!(hello.lines[0], "retry: 1000");
    assert!(hello.id.is_some() && hello.data.is_none());
}

#[tokio::test]
async fn live_messages_are_those_that_a_fetch_returns() {
    let broker = TestBroker::start().await;
    broker.publish("t", "0").await;
    let mut stream = Sse::open(&broker, "/v1/topics/t/stream", &[]).await;
    stream.next().await.unwrap();
    publish_numbers(&broker, "t", 1..4).await;
    let (messages, _) = stream.messages(3).await;
    let fetched = messages_of(&broker.fetch("t", "from=1&partition=0").await);
    assert_eq!(messages, fetched, "a stream begins at the latest");
}

#[tokio::test]
async fn the_first_id_is_enough_to_lose_nothing() {
    let broker = TestBroker::start().await;
    broker.publish("t", "0").await;
    let mut stream = Sse::open(&broker, "/v1/topics/t/stream", &[]).await;
    let id = stream.next().await.unwrap().id.unwrap();
    drop(stream);
    publish_numbers(&broker, "t", 1..3).await;
    let mut resumed = Sse::open(&broker, "/v1/topics/t/stream", &[("Last-Event-ID", &id)]).await;
    assert_eq!(payloads(&resumed.messages(2).await.0), [1, 2]);
}

#[tokio::test]
async fn resuming_neither_loses_nor_repeats() {
    let broker = TestBroker::start().await;
    broker
        .put("/v1/topics/t", r#"{"partitions":3}"#)
        .await
        .expect(201);
    let (mut seen, mut id) = (Vec::new(), None::<String>);
    for round in 0..6 {
        publish_numbers(&broker, "t", round * 10..(round + 1) * 10).await;
        let target = match &id {
            // A reconnecting browser repeats its address and adds the header: that one counts.
            _ if round % 2 == 0 => "/v1/topics/t/stream?from=earliest".to_owned(),
            Some(id) => format!("/v1/topics/t/stream?from={id}"),
            None => unreachable!(),
        };
        let header = id
            .as_deref()
            .filter(|_| round % 2 == 0)
            .map(|id| ("last-event-id", id));
        let mut stream = Sse::open(&broker, &target, header.as_slice()).await;
        let (messages, last_id) = stream.messages(10).await;
        seen.extend(payloads(&messages));
        id = last_id.or(id);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn several_partitions_come_in_one_stream_each_in_its_order() {
    let broker = TestBroker::start().await;
    broker
        .put("/v1/topics/t", r#"{"partitions":4}"#)
        .await
        .expect(201);
    publish_numbers(&broker, "t", 0..40).await;
    let mut all = Sse::open(&broker, "/v1/topics/t/stream?from=earliest", &[]).await;
    let (messages, _) = all.messages(40).await;
    for partition in 0..4 {
        let own = messages
            .iter()
            .filter(|message| message["partition"] == json!(partition));
        let offsets = fields(&own.cloned().collect::<Vec<_>>(), "offset");
        assert_eq!(
            offsets,
            (0..10).map(|offset| json!(offset)).collect::<Vec<_>>()
        );
    }
    let mut one = Sse::open(&broker, "/v1/topics/t/stream?from=7&partition=2", &[]).await;
    let (messages, _) = one.messages(3).await;
    assert_eq!(
        fields(&messages, "partition"),
        [json!(2), json!(2), json!(2)]
    );
}

#[tokio::test]
async fn a_stream_ends_when_its_topic_is_deleted() {
    let broker = TestBroker::start().await;
    broker.publish("t", "1").await;
    let mut stream = Sse::open(&broker, "/v1/topics/t/stream?from=earliest", &[]).await;
    let (_, id) = stream.messages(1).await;
    broker.delete("/v1/topics/t").await.expect(204);
    let farewell = stream.next().await.unwrap();
    assert_eq!(
        farewell.comment.as_deref(),
        Some("the stream ends here, reconnect")
    );
    assert_eq!(stream.next().await, None);
    broker.publish("t", "2").await;
    let again = format!("/v1/topics/t/stream?from={}", id.unwrap());
    broker
        .get(&again)
        .await
        .refused(410, "stale_cursor", "begin anew");
}

#[tokio::test]
async fn a_stream_with_a_backlog_ends_politely_when_the_broker_stops() {
    let broker = TestBroker::start().await;
    let lines = format!("{{\"payload\":\"{}\"}}\n", "x".repeat(1500)).repeat(10_000);
    broker.publish_lines("t", &lines).await.expect(201);
    let mut stream = Sse::open(&broker, "/v1/topics/t/stream?from=earliest", &[]).await;
    stream.messages(1).await;
    let reading = async {
        let (mut messages, mut last) = (0, None);
        while let Some(event) = stream.next().await {
            messages += usize::from(event.data.is_some());
            last = Some(event);
        }
        (messages, last)
    };
    let (stopped, (messages, last)) = tokio::join!(broker.stop(), reading);
    stopped.unwrap();
    assert_eq!(
        last.unwrap().comment.as_deref(),
        Some("the stream ends here, reconnect")
    );
    assert!(messages < 9_999, "the backlog is not read to its end");
}

#[tokio::test]
async fn a_client_that_only_knows_lines_can_follow() {
    let broker = TestBroker::start().await;
    let awkward = "\"\\r\\n data: x\\n\\nid: 7 \u{2028} \u{85}\"";
    broker.publish("t", awkward).await;
    broker.publish("t", "{\n\"a\":\r\n1}").await;
    let mut stream = Sse::open(&broker, "/v1/topics/t/stream?from=earliest", &[]).await;
    let mut blocks: Vec<SseEvent> = Vec::new();
    while blocks.iter().filter(|block| block.data.is_some()).count() < 2 {
        blocks.push(stream.next().await.unwrap());
    }
    for line in blocks.iter().flat_map(|block| &block.lines) {
        let known = ["id: ", "data: ", "retry: ", ": "];
        assert!(
            known.iter().any(|prefix| line.starts_with(prefix)),
            "{line:?}"
        );
        assert!(!line.contains('\r'), "{line:?}");
        if let Some(data) = line.strip_prefix("data: ") {
            assert!(serde_json::from_str::<Value>(data).is_ok(), "{line:?}");
        }
    }
    let last_data = blocks.iter().rfind(|block| block.data.is_some()).unwrap();
    assert!(
        last_data.id.is_some(),
        "the last message of a flush carries the place"
    );
}

#[tokio::test]
async fn nonsense_is_refused_before_the_stream_begins() {
    let broker = TestBroker::start().await;
    let first = broker.publish("t", "1").await;
    let stream = |rest: &str| format!("/v1/topics/t/stream{rest}");
    broker.get(&stream("?from=3")).await.refused(
        400,
        "invalid_argument",
        "an offset needs a partition",
    );
    broker.get(&stream("?from=oldest")).await.refused(
        400,
        "invalid_argument",
        "allowed are \"earliest\"",
    );
    broker.get(&stream("?limit=3")).await.refused(
        400,
        "invalid_argument",
        "unknown parameter limit",
    );
    let id = text_of(&first["id"]);
    let request = crate::support::Request::new("GET", &stream("")).header("Last-Event-ID", &id);
    broker
        .send(request)
        .await
        .refused(400, "invalid_argument", "Last-Event-ID is no cursor");
}
