//! Messages that are delivered later.

use crate::support::{Answer, Request, TestBroker, fields, messages_of, soon, text_of};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use weir_broker::broker::CreateTopics;
use weir_testkit::eventually;

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

impl TestBroker {
    /// Publishes for later, as the query says; the answer's fields.
    async fn schedule(&self, topic: &str, query: &str, payload: &str) -> Value {
        let target = format!("/v1/topics/{topic}/messages?{query}");
        self.post(&target, payload).await.expect(202).json()
    }

    async fn schedules(&self, query: &str) -> Value {
        let target = format!("/v1/schedules?{query}");
        self.get(&target).await.expect(200).json()
    }

    async fn waiting(&self) -> Vec<Value> {
        let listed = self.schedules("").await;
        listed["schedules"].as_array().unwrap().clone()
    }

    async fn patch(&self, id: &str, body: Value) -> Answer {
        let target = format!("/v1/schedules/{id}");
        self.send(Request::new("PATCH", &target).body(body.to_string()))
            .await
    }

    /// The messages of a topic, once there are so many.
    async fn delivered(&self, topic: &str, count: usize) -> Vec<Value> {
        eventually("messages are delivered", async || {
            let target = format!("/v1/topics/{topic}/messages?from=earliest&limit=1000");
            let answer = self.get(&target).await;
            let messages = (answer.status == 200).then(|| messages_of(&answer.json()))?;
            (messages.len() >= count).then_some(messages)
        })
        .await
    }

    /// Stops, lets something happen to the index, and starts again.
    async fn restart_after(self, strike: impl FnOnce(&Path)) -> Self {
        let index = self.index();
        self.restart_with(|| strike(&index)).await
    }

    fn index(&self) -> PathBuf {
        self.data_dir().join("__weir/schedule-index.redb")
    }
}

#[tokio::test]
async fn a_delayed_message_comes_at_its_time_and_not_before() {
    let broker = TestBroker::start().await;
    let query = "delay=1s&key=k&id=i&reply_to=answers&ttl=1h";
    let request = Request::new("POST", &format!("/v1/topics/t/messages?{query}"));
    let request = request.header("weir-header-a", "b").body("{\"tea\": 1}");
    let scheduled = broker.send(request).await.expect(202).json();
    let deliver_at = scheduled["deliver_at"].as_u64().unwrap();
    assert!(deliver_at.abs_diff(now() + 1000) < 1000, "{scheduled}");
    let shown = broker.waiting().await;
    assert_eq!(shown[0]["schedule_id"], scheduled["schedule_id"]);

    let message = broker.delivered("t", 1).await.remove(0);
    let stored_at = message["timestamp"].as_u64().unwrap();
    assert!(stored_at >= deliver_at, "{message}");
    assert_eq!(
        (&message["key"], &message["id"]),
        (&json!("k"), &json!("i"))
    );
    assert_eq!(message["headers"], json!({"a": "b"}));
    assert_eq!(message["reply_to"], "answers");
    assert_eq!(message["payload"], json!({"tea": 1}));
    let expires_at = message["expires_at"].as_u64().unwrap();
    assert!(expires_at >= deliver_at + 3_600_000, "{message}");
    eventually("nothing waits", async || {
        broker.waiting().await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_past_is_delivered_at_once_and_in_the_order_of_publishing() {
    let broker = TestBroker::start().await;
    for n in 0..50 {
        let query = "deliver_at=1000&key=same";
        broker.schedule("t", query, &n.to_string()).await;
    }
    let messages = broker.delivered("t", 50).await;
    let expected: Vec<_> = (0..50).map(Value::from).collect();
    assert_eq!(fields(&messages, "payload"), expected);
}

#[tokio::test]
async fn waiting_messages_are_listed_in_the_order_of_delivery() {
    let broker = TestBroker::start().await;
    assert_eq!(broker.schedules("").await, json!({"schedules": []}));
    for (topic, delay) in [("a", "3h"), ("b", "1h"), ("a", "2h"), ("b", "4h")] {
        let query = format!("delay={delay}");
        broker
            .schedule(topic, &query, &format!("\"{delay}\""))
            .await;
    }
    let listed = broker.waiting().await;
    assert_eq!(fields(&listed, "payload"), ["1h", "2h", "3h", "4h"]);
    let of_b = broker.schedules("topic=b").await;
    let of_b = of_b["schedules"].as_array().unwrap();
    assert_eq!(fields(of_b, "payload"), ["1h", "4h"]);

    let (mut paged, mut from) = (Vec::new(), String::new());
    loop {
        let page = broker.schedules(&format!("limit=1{from}")).await;
        paged.extend(page["schedules"].as_array().unwrap().clone());
        let Some(next) = page.get("next") else { break };
        from = format!("&from={}", text_of(next));
    }
    assert_eq!(paged, listed);
}

#[tokio::test]
async fn a_waiting_message_can_be_shown_moved_and_cancelled() {
    let broker = TestBroker::start().await;
    let moved = broker
        .schedule("t", "delay=1h&key=k&partition=0", "1")
        .await;
    let cancelled = broker.schedule("t", "delay=1h", "2").await;
    let (moved, cancelled) = (
        text_of(&moved["schedule_id"]),
        text_of(&cancelled["schedule_id"]),
    );
    let target = format!("/v1/schedules/{moved}");
    let shown = broker.get(&target).await.expect(200).json();
    assert_eq!((&shown["topic"], &shown["key"]), (&json!("t"), &json!("k")));
    assert_eq!(
        (&shown["partition"], &shown["payload"]),
        (&json!(0), &json!(1))
    );
    assert!(shown["created_at"].as_u64().unwrap() <= now());

    let later = broker
        .patch(&moved, json!({"delay": "2h"}))
        .await
        .expect(200);
    let expected = now() + 2 * 3_600_000;
    assert!(
        later.json()["deliver_at"]
            .as_u64()
            .unwrap()
            .abs_diff(expected)
            < 60_000
    );
    let soon = broker.patch(&moved, json!({"deliver_at": "2026-01-31T12:00:00Z"}));
    assert_eq!(
        soon.await.expect(200).json()["deliver_at"],
        1_769_860_800_000_u64
    );
    broker
        .delete(&format!("/v1/schedules/{cancelled}"))
        .await
        .expect(204);
    let messages = broker.delivered("t", 1).await;
    assert_eq!(fields(&messages, "payload"), [1]);

    eventually("it does not wait any more", async || {
        (broker.get(&target).await.status == 404).then_some(())
    })
    .await;
    for id in [moved.as_str(), cancelled.as_str(), "no%20such"] {
        let target = format!("/v1/schedules/{id}");
        for answer in [
            broker.get(&target).await,
            broker.delete(&target).await,
            broker.patch(id, json!({"delay": "1s"})).await,
        ] {
            answer.refused(404, "unknown_schedule", "no scheduled message has the id");
        }
    }
    assert_eq!(broker.delivered("t", 1).await.len(), 1);
}

#[tokio::test]
async fn nonsense_is_refused_and_nothing_is_kept() {
    let broker = TestBroker::start().await;
    let publish = async |query: &str| {
        broker
            .post(&format!("/v1/topics/t/messages?{query}"), "1")
            .await
    };
    publish("delay=1s&deliver_at=1")
        .await
        .refused(400, "invalid_argument", "exclude each other");
    publish("deliver_at=2999-01-01T00:00:00Z").await.refused(
        400,
        "invalid_argument",
        "10 years ahead",
    );
    publish("delay=1s&partition=1")
        .await
        .refused(404, "unknown_partition", "no partition 1");
    let lines =
        "{\"payload\":1,\"delay\":\"1h\"}\n{\"payload\":2,\"delay\":\"1h\",\"partition\":7}";
    broker
        .publish_lines("t", lines)
        .await
        .refused(404, "unknown_partition", "line 2");
    for (query, part) in [
        ("limit=0", "from 1 to 1000"),
        ("from=nonsense", "no cursor"),
        ("topic=__schedule", "belong to the broker"),
        ("group=g", "this address takes: topic, limit, from"),
    ] {
        let answer = broker.get(&format!("/v1/schedules?{query}")).await;
        answer.refused(400, "invalid_argument", part);
    }
    assert!(broker.waiting().await.is_empty());
    let id = broker.schedule("t", "delay=1h", "1").await;
    let id = text_of(&id["schedule_id"]);
    for body in [
        json!({}),
        json!({"delay": "1s", "deliver_at": 1}),
        json!({"delay": "11years"}),
    ] {
        broker
            .patch(&id, body)
            .await
            .refused(400, "invalid_argument", "");
    }
    let far = broker.patch(&id, json!({"deliver_at": 99_999_999_999_999_u64}));
    far.await.refused(400, "invalid_argument", "10 years ahead");
}

#[tokio::test]
async fn the_log_of_waiting_messages_is_no_topic() {
    let broker = TestBroker::start().await;
    broker.schedule("t", "delay=1h", "1").await;
    assert!(broker.data_dir().join("__schedule/partition-0").is_dir());
    let topics = broker.get("/v1/topics").await.json();
    assert_eq!(topics, json!({"topics": []}));
    for target in ["/v1/topics/__schedule", "/v1/topics/__schedule/messages"] {
        broker
            .get(target)
            .await
            .refused(400, "invalid_topic", "belong to the broker");
    }
    broker.delete("/v1/topics/__schedule").await.expect(400);
    let metrics = broker.get("/metrics").await.text();
    assert!(!metrics.contains("__schedule"), "{metrics}");
    assert!(
        metrics.contains("weir_broker_scheduled_messages"),
        "{metrics}"
    );
}

#[tokio::test]
async fn lines_of_a_batch_may_wait() {
    let broker = TestBroker::start().await;
    let lines = "{\"payload\":0}\n{\"payload\":1,\"delay\":\"1h\"}\n\n\
                 {\"payload\":2,\"deliver_at\":5}\n{\"payload\":3}";
    let published = broker.publish_lines("t", lines).await.expect(201).json();
    assert_eq!(published["count"], 4);
    assert_eq!(published["partitions"][0]["count"], 2);
    let scheduled = published["scheduled"].as_array().unwrap();
    assert_eq!(fields(scheduled, "line"), [2, 3]);
    assert_eq!(scheduled[1]["deliver_at"], 5);
    let messages = broker.delivered("t", 3).await;
    assert_eq!(fields(&messages, "payload"), [0, 3, 2]);
    let all_later = "{\"payload\":4,\"delay\":\"2h\"}";
    let published = broker
        .publish_lines("u", all_later)
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&published["count"], &published["partitions"]),
        (&json!(1), &json!([]))
    );
    assert_eq!(fields(&broker.waiting().await, "payload"), [1, 4]);
}

#[tokio::test]
async fn waiting_messages_survive_restarts_and_the_loss_of_their_index() {
    let mut broker = TestBroker::start().await;
    let cancelled = broker.schedule("t", "delay=1h", "0").await;
    let moved = broker.schedule("t", "delay=1h", "1").await;
    broker.schedule("t", "delay=2h&key=k", "2").await;
    broker.schedule("t", "delay=0s", "3").await;
    broker.delivered("t", 1).await;
    let moved = text_of(&moved["schedule_id"]);
    broker
        .patch(&moved, json!({"delay": "3h"}))
        .await
        .expect(200);
    let cancelled = text_of(&cancelled["schedule_id"]);
    broker
        .delete(&format!("/v1/schedules/{cancelled}"))
        .await
        .expect(204);
    let before = broker.waiting().await;
    assert_eq!(fields(&before, "payload"), [2, 1]);

    broker = broker.restart().await;
    assert_eq!(broker.waiting().await, before);
    let foreign = foreign_index().await;
    for damage in [
        Damage::Gone,
        Damage::Garbage,
        Damage::Empty,
        Damage::Flipped,
    ] {
        broker = broker.restart_after(|index| damage.strike(index)).await;
        assert_eq!(broker.waiting().await, before, "{damage:?}");
    }
    broker = broker
        .restart_after(|index| std::fs::write(index, &foreign).unwrap())
        .await;
    assert_eq!(broker.waiting().await, before);
    assert_eq!(broker.delivered("t", 1).await.len(), 1);
    broker
        .patch(&moved, json!({"delay": "0s"}))
        .await
        .expect(200);
    let messages = broker.delivered("t", 2).await;
    assert_eq!(fields(&messages, "payload"), [3, 1]);
}

/// What may happen to an index while the broker is stopped.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Gone,
    Garbage,
    Empty,
    Flipped,
}

impl Damage {
    fn strike(self, index: &Path) {
        let mut content = std::fs::read(index).unwrap();
        match self {
            Self::Gone => return std::fs::remove_file(index).unwrap(),
            Self::Garbage => content = b"garbage".repeat(1000),
            Self::Empty => content.clear(),
            Self::Flipped => {
                let bytes = content.iter_mut().skip(5000).step_by(97);
                bytes.for_each(|byte| *byte ^= 0x55);
            }
        }
        std::fs::write(index, content).unwrap();
    }
}

/// An index such as a broker on another data directory has.
async fn foreign_index() -> Vec<u8> {
    let other = TestBroker::start().await;
    other.schedule("x", "delay=1h", "0").await;
    other.waiting().await;
    let other = other.restart().await;
    other.waiting().await;
    std::fs::read(other.index()).unwrap()
}

#[tokio::test]
async fn what_cannot_be_delivered_waits_and_holds_up_nothing_else() {
    let broker = TestBroker::with(|settings| {
        settings.broker.create_topics = CreateTopics::Explicitly;
    })
    .await;
    for topic in ["gone", "here"] {
        broker
            .put(&format!("/v1/topics/{topic}"), "")
            .await
            .expect(201);
    }
    broker.schedule("gone", "delay=1s", "1").await;
    broker.schedule("here", "delay=1s", "2").await;
    broker.delete("/v1/topics/gone").await.expect(204);
    broker.delivered("here", 1).await;
    let problem = eventually("the problem is shown", async || {
        let waiting = broker.waiting().await;
        Some(text_of(waiting.first()?.get("problem")?))
    });
    assert_eq!(problem.await, "there is no topic gone");
    broker.put("/v1/topics/gone", "").await.expect(201);
    let messages = broker.delivered("gone", 1).await;
    assert_eq!(fields(&messages, "payload"), [1]);
}

#[tokio::test]
async fn a_stop_waits_for_no_message() {
    let broker = TestBroker::start().await;
    for _ in 0..100 {
        broker.schedule("t", "delay=1h", "1").await;
    }
    soon(broker.stop()).await.unwrap();
}

#[tokio::test]
async fn thousands_that_are_due_together_are_all_delivered_once() {
    let broker = TestBroker::start().await;
    let lines: String = (0..3000)
        .map(|n| {
            format!(
                "{{\"payload\":{n},\"key\":\"k{}\",\"deliver_at\":7}}\n",
                n % 10
            )
        })
        .collect();
    broker.publish_lines("t", &lines).await.expect(201);
    eventually("all are delivered", async || {
        broker.waiting().await.is_empty().then_some(())
    })
    .await;
    let fetched = broker.fetch("t", "from=earliest&limit=10000").await;
    let payloads = fields(&messages_of(&fetched), "payload");
    let expected: Vec<_> = (0..3000).map(Value::from).collect();
    assert_eq!(payloads, expected);
}

#[tokio::test]
async fn slow_a_message_of_ten_years_ahead_does_not_keep_what_came_after_it() {
    let broker = TestBroker::start().await;
    broker.schedule("t", "delay=3650days", "\"far\"").await;
    let large = format!("\"{}\"", "x".repeat(1_000_000));
    for _ in 0..30 {
        broker.schedule("t", "delay=0s", &large).await;
    }
    let log = broker.data_dir().join("__schedule/partition-0");
    let bytes = || {
        let files = std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap());
        let lengths = files.filter_map(|file| file.metadata().ok());
        lengths.map(|metadata| metadata.len()).sum::<u64>()
    };
    assert!(bytes() > 30_000_000);
    eventually("the log is cleaned and trimmed", async || {
        (bytes() < 8_000_000).then_some(())
    })
    .await;
    assert_eq!(fields(&broker.waiting().await, "payload"), ["far"]);
    let broker = broker
        .restart_after(|index| std::fs::remove_file(index).unwrap())
        .await;
    assert_eq!(fields(&broker.waiting().await, "payload"), ["far"]);
    let messages = broker
        .fetch("t", "from=earliest&limit=1000&max_bytes=16000000")
        .await;
    assert!(messages_of(&messages).len() > 10);
}
