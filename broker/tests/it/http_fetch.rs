//! Fetching without a group: where it begins, how much it returns, how it waits and goes on.

use crate::support::{Request, TestBroker, fields, messages_of, soon, text_of};
use serde_json::{Value, json};

async fn numbered(broker: &TestBroker, topic: &str, numbers: std::ops::Range<u64>) {
    let lines: String = numbers.map(|n| format!("{{\"payload\":{n}}}\n")).collect();
    broker.publish_lines(topic, &lines).await.expect(201);
}

fn payloads(fetched: &Value) -> Vec<u64> {
    let messages = messages_of(fetched);
    messages
        .iter()
        .map(|message| message["payload"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn reading_begins_where_it_is_told() {
    let broker = TestBroker::start().await;
    numbered(&broker, "t", 0..5).await;
    for (query, expected) in [
        ("", vec![0, 1, 2, 3, 4]),
        ("from=earliest", vec![0, 1, 2, 3, 4]),
        ("from=latest", vec![]),
        ("from=3&partition=0", vec![3, 4]),
        ("from=5&partition=0", vec![]),
        ("from=earliest&limit=2", vec![0, 1]),
    ] {
        assert_eq!(
            payloads(&broker.fetch("t", query).await),
            expected,
            "{query}"
        );
    }
    let after_latest = text_of(&broker.fetch("t", "from=latest").await["next"]);
    numbered(&broker, "t", 5..7).await;
    assert_eq!(
        payloads(&broker.fetch("t", &format!("from={after_latest}")).await),
        [5, 6]
    );
    let bare_offset = broker.get("/v1/topics/t/messages?from=3").await;
    bare_offset.refused(400, "invalid_argument", "an offset needs a partition");
}

#[tokio::test]
async fn at_most_max_bytes_but_at_least_one_message() {
    let broker = TestBroker::start().await;
    let payload = format!("\"{}\"", "x".repeat(1000));
    for _ in 0..5 {
        broker.publish("t", &payload).await;
    }
    assert_eq!(
        messages_of(&broker.fetch("t", "max_bytes=1").await).len(),
        1
    );
    assert_eq!(
        messages_of(&broker.fetch("t", "max_bytes=2500").await).len(),
        2
    );
    assert_eq!(messages_of(&broker.fetch("t", "").await).len(), 5);
    broker
        .put("/v1/topics/wide", r#"{"partitions":3}"#)
        .await
        .expect(201);
    for partition in 0..3 {
        let target = format!("/v1/topics/wide/messages?partition={partition}");
        broker.post(&target, payload.clone()).await.expect(201);
    }
    assert_eq!(
        messages_of(&broker.fetch("wide", "max_bytes=1500").await).len(),
        1
    );
}

#[tokio::test]
async fn partitions_take_turns_however_little_is_asked_for() {
    let broker = TestBroker::start().await;
    broker
        .put("/v1/topics/t", r#"{"partitions":3}"#)
        .await
        .expect(201);
    for partition in 0..3 {
        let lines = format!("{{\"payload\":0,\"partition\":{partition}}}\n").repeat(10);
        broker.publish_lines("t", &lines).await.expect(201);
    }
    let spread = fields(
        &messages_of(&broker.fetch("t", "limit=6").await),
        "partition",
    );
    for partition in 0..3 {
        assert_eq!(
            spread.iter().filter(|p| **p == json!(partition)).count(),
            2,
            "{spread:?}"
        );
    }
    let (mut from, mut seen) = ("earliest".to_owned(), Vec::new());
    for _ in 0..3 {
        let fetched = broker.fetch("t", &format!("from={from}&limit=1")).await;
        seen.extend(fields(&messages_of(&fetched), "partition"));
        from = text_of(&fetched["next"]);
    }
    seen.sort_by_key(|partition| partition.as_u64());
    assert_eq!(seen, [json!(0), json!(1), json!(2)]);
}

#[tokio::test]
async fn next_goes_on_without_loss_or_repetition() {
    let broker = TestBroker::start().await;
    broker
        .put("/v1/topics/t", r#"{"partitions":4}"#)
        .await
        .expect(201);
    let (mut from, mut seen) = ("earliest".to_owned(), Vec::new());
    for round in 0..20 {
        let lines: String = (0..10)
            .map(|n| format!("{{\"payload\":{0},\"key\":\"k{0}\"}}\n", round * 10 + n))
            .collect();
        broker.publish_lines("t", &lines).await.expect(201);
        let fetched = broker.fetch("t", &format!("from={from}&limit=7")).await;
        seen.extend(payloads(&fetched));
        from = text_of(&fetched["next"]);
    }
    let broker = broker.restart().await;
    loop {
        let fetched = broker.fetch("t", &format!("from={from}&limit=7")).await;
        if payloads(&fetched).is_empty() {
            break;
        }
        seen.extend(payloads(&fetched));
        from = text_of(&fetched["next"]);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_publish_wakes_a_long_poll() {
    let broker = TestBroker::start().await;
    broker.put("/v1/topics/t", "").await.expect(201);
    let waiting = broker.fetch("t", "from=latest&wait=15s");
    let publishing = async {
        // Whichever request comes first, the answer is the same: published before the wait began,
        // the message is not after the latest; so publish until the other one has seen one.
        loop {
            broker.publish("t", "7").await;
            tokio::task::yield_now().await;
        }
    };
    let fetched = tokio::select! {
        fetched = soon(waiting) => fetched,
        () = publishing => unreachable!(),
    };
    assert!(!payloads(&fetched).is_empty());
    assert!(payloads(&fetched).iter().all(|payload| *payload == 7));
}

#[tokio::test]
async fn a_long_poll_that_runs_out_is_empty_and_can_be_repeated() {
    let broker = TestBroker::start().await;
    numbered(&broker, "t", 0..1).await;
    let fetched = broker.fetch("t", "from=latest&wait=10ms").await;
    assert_eq!(payloads(&fetched), Vec::<u64>::new());
    numbered(&broker, "t", 1..2).await;
    let next = text_of(&fetched["next"]);
    assert_eq!(
        payloads(&broker.fetch("t", &format!("from={next}&wait=10s")).await),
        [1]
    );
}

#[tokio::test]
async fn a_cursor_of_a_deleted_topic_is_gone() {
    let broker = TestBroker::start().await;
    numbered(&broker, "t", 0..3).await;
    let next = text_of(&broker.fetch("t", "limit=1").await["next"]);
    broker.delete("/v1/topics/t").await.expect(204);
    let target = format!("/v1/topics/t/messages?from={next}");
    broker
        .get(&target)
        .await
        .refused(404, "unknown_topic", "there is no topic t");
    numbered(&broker, "t", 0..3).await;
    broker
        .get(&target)
        .await
        .refused(410, "stale_cursor", "earlier topic t");
}

#[tokio::test]
async fn lines_as_stored_are_those_of_the_file() {
    let broker = TestBroker::start().await;
    numbered(&broker, "t", 0..50).await;
    broker
        .post(
            "/v1/topics/t/messages?key=gr%C3%BC%C3%9Fe",
            "{ \"a\":\t\"\\u00e4ö\" }",
        )
        .await
        .expect(201);
    let target = "/v1/topics/t/messages?partition=0&limit=1000";
    let request = Request::new("GET", target).header("accept", "application/x-ndjson");
    let answer = broker.send(request).await.expect(200);
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let file = broker
        .data_dir()
        .join("t/partition-0/00000000000000000000.log");
    assert_eq!(answer.body, std::fs::read(file).unwrap());
    let next = format!("{target}&from={}", answer.headers["weir-next"]);
    let rest = Request::new("GET", &next).header("accept", "application/x-ndjson");
    assert_eq!(broker.send(rest).await.expect(200).text(), "");
    let all = Request::new("GET", "/v1/topics/t/messages").header("accept", "application/x-ndjson");
    broker
        .send(all)
        .await
        .refused(400, "invalid_argument", "need a partition");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let broker = TestBroker::start().await;
    broker.publish("t", "1").await;
    let before = broker.tree();
    broker
        .get("/v1/topics/u/messages")
        .await
        .refused(404, "unknown_topic", "there is no topic u");
    broker
        .get("/v1/topics/u/stream")
        .await
        .refused(404, "unknown_topic", "there is no topic u");
    let partition = broker.get("/v1/topics/t/messages?partition=1").await;
    partition.refused(404, "unknown_partition", "the topic t has");
    broker.get("/v1/topics/t/stream?partition=1").await.refused(
        404,
        "unknown_partition",
        "the topic t has",
    );
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn a_long_poll_ends_when_its_topic_is_deleted() {
    let broker = TestBroker::start().await;
    broker.put("/v1/topics/t", "").await.expect(201);
    let waiting = broker.get("/v1/topics/t/messages?from=latest&wait=60s");
    let deleting = async {
        broker.publish("other", "1").await;
        broker.delete("/v1/topics/t").await.expect(204);
    };
    // The poll may come after the deletion: then there is no such topic.
    let (answer, ()) = tokio::join!(waiting, deleting);
    assert!([200, 404].contains(&answer.status), "{}", answer.text());
}
