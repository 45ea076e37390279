//! The gateway of the partitioned broker, exchange by exchange, and its consumers as they come and go.

use crate::broker;
use crate::python::Python;
use crate::support::{Answer, Request, TestBroker, send_raw, soon};
use futures_util::future::join_all;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use weir_broker::broker::{BrokerOptions, Closing, GatewayClient};
use weir_broker::{Broker, BrokerError};
use weir_commitlog::faulty::FaultyDisk;
use weir_service::clock::{Clock, ManualClock};
use weir_testkit::{RawConnection, eventually};
use weir_types::{Key, Timestamp, TopicName};

async fn ask(address: SocketAddr, what: &str, body: &str) -> Answer {
    let request = Request::new("POST", &format!("/api/python/{what}"));
    send_raw(address, &request.body(body).encode()).await
}

async fn push(broker: &TestBroker, key: &str, message: &str) {
    let body = json!({"key": key, "message": message}).to_string();
    is_text(
        &ask(broker.address(), "push", &body).await,
        200,
        "Pushed to Queue",
    );
}

#[track_caller]
fn is_text(answer: &Answer, status: u16, text: &str) {
    assert_eq!((answer.status, answer.text().as_str()), (status, text));
    assert!(answer.headers["content-type"].starts_with("text/plain"));
}

/// Keys and values of an answer.
#[track_caller]
fn pairs(answer: Answer) -> Vec<(String, String)> {
    let text = answer.expect(200).text();
    let list = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let list = list.unwrap_or_else(|| panic!("no brackets: {text}"));
    let pair = |one: &str| {
        let (key, value) = one
            .strip_prefix("key:")
            .unwrap()
            .split_once("-value:")
            .unwrap();
        (key.to_owned(), value.to_owned())
    };
    list.split(", ")
        .filter(|one| !one.is_empty())
        .map(pair)
        .collect()
}

#[tokio::test]
async fn messages_are_pushed_and_pulled() {
    let broker = TestBroker::start().await;
    let address = broker.address();
    is_text(&ask(address, "pull", "").await, 200, "[]");
    is_text(&ask(address, "pull-as-subscriber", "").await, 200, "[]");
    push(&broker, "a", "1").await;
    push(&broker, "a", "2").await;
    is_text(&ask(address, "pull", "").await, 200, "[key:a-value:1]");
    is_text(&ask(address, "subscribe", "").await, 200, "OK");
    is_text(&ask(address, "subscribe", "").await, 200, "OK");
    push(&broker, "a", "grüße, \"x\"").await;
    is_text(
        &ask(address, "pull-as-subscriber", "").await,
        200,
        "[key:a-value:2, key:a-value:grüße, \"x\"]",
    );
    is_text(&ask(address, "pull-as-subscriber", "").await, 200, "[]");
    is_text(&ask(address, "pull", "").await, 200, "[]");
    let topic = broker.get("/v1/topics/queue").await.expect(200).json();
    assert_eq!(topic["partitions"].as_array().unwrap().len(), 16);
}

#[tokio::test]
async fn native_messages_are_shown_as_their_json_text() {
    let broker = TestBroker::start().await;
    is_text(&ask(broker.address(), "subscribe", "").await, 200, "OK");
    broker.publish("queue", r#"{"n": 1}"#).await;
    is_text(
        &ask(broker.address(), "pull", "").await,
        200,
        r#"[key:-value:{"n": 1}]"#,
    );
}

#[tokio::test]
async fn what_is_wrong_is_said_in_plain_text() {
    let broker = TestBroker::start().await;
    let before = broker.tree();
    for (body, part) in [
        ("", "the body must be a JSON object"),
        ("{", "the body must be a JSON object"),
        ("[1]", "the body must be a JSON object"),
        (r#"{"key":"k"}"#, "message is missing"),
        (r#"{"message":"m"}"#, "key is missing"),
        (r#"{"key":1,"message":"m"}"#, "key is no string"),
        (r#"{"key":"k","message":{}}"#, "message is no string"),
        (r#"{"key":"","message":"m"}"#, "a key must not be empty"),
        (r#"{"key":"k","message":"\ud800"}"#, "message is no string"),
    ] {
        let refused = ask(broker.address(), "push", body).await.expect(400);
        assert!(refused.text().contains(part), "{}", refused.text());
        assert!(refused.headers["content-type"].starts_with("text/plain"));
    }
    for what in ["push", "subscribe", "pull", "pull-as-subscriber"] {
        for method in ["GET", "PUT", "DELETE"] {
            let target = format!("/api/python/{what}");
            let refused = broker.send(Request::new(method, &target)).await;
            is_text(&refused, 405, "Method not allowed");
        }
    }
    assert_eq!(ask(broker.address(), "stop", "").await.status, 404);
    assert_eq!(broker.tree(), before);
    broker.core().drain();
    let refused = ask(broker.address(), "pull", "").await.expect(503);
    assert!(refused.text().contains("stopping"), "{}", refused.text());
}

#[tokio::test]
async fn without_a_topic_there_is_no_gateway() {
    let broker = TestBroker::with(|settings| settings.broker.dialect_topics.gateway = None).await;
    for what in ["subscribe", "pull", "pull-as-subscriber"] {
        assert_eq!(ask(broker.address(), what, "").await.status, 404);
    }
    broker
        .get("/v1/gateway")
        .await
        .refused(404, "not_found", "gateway-topic");
    assert!(
        !broker
            .get("/metrics")
            .await
            .text()
            .contains("weir_broker_gateway")
    );
}

/// The broker listens on so many ports.
async fn with_listeners(count: usize) -> TestBroker {
    TestBroker::with(|settings| {
        let any = settings.http[0];
        settings.http = vec![any; count];
    })
    .await
}

#[tokio::test]
async fn a_consumer_is_a_listener_and_an_address() {
    let broker = with_listeners(2).await;
    let [one, other] = *broker.addresses() else {
        panic!("two listeners")
    };
    for (address, forwarded) in [(one, "9.9.9.9"), (one, "8.8.8.8"), (other, "9.9.9.9")] {
        let request = Request::new("POST", "/api/python/subscribe")
            .header("x-forwarded-for", forwarded)
            .header("forwarded", &format!("for={forwarded}"));
        is_text(&send_raw(address, &request.encode()).await, 200, "OK");
    }
    let members = broker.group("queue", "subscribers").await["members"].clone();
    let members = members.as_array().unwrap();
    let names: BTreeSet<_> = members
        .iter()
        .map(|one| one["member"].as_str().unwrap())
        .collect();
    let expected = [one, other].map(|address| format!("127.0.0.1@{}", address.port()));
    assert_eq!(names, expected.iter().map(String::as_str).collect());
    assert!(
        members
            .iter()
            .all(|one| one["partitions"].as_array().unwrap().len() == 8)
    );
}

#[tokio::test]
async fn what_goes_on_is_told_by_the_api_and_the_metrics() {
    let broker = with_listeners(2).await;
    let stats = async || broker.get("/v1/gateway").await.expect(200).json();
    let nothing = json!({
        "topic": "queue", "consumers": 0, "producers": 0, "partitions": 16, "brokers": 1,
        "messages_in_queue": 0, "sent": 0, "received": 0,
    });
    assert_eq!(stats().await, nothing);
    for number in 0..5 {
        push(&broker, "k", &number.to_string()).await;
    }
    ask(broker.addresses()[1], "subscribe", "")
        .await
        .expect(200);
    ask(broker.addresses()[0], "pull", "").await.expect(200);
    let expected = json!({
        "topic": "queue", "consumers": 1, "producers": 1, "partitions": 16, "brokers": 1,
        "messages_in_queue": 4, "sent": 5, "received": 1,
    });
    let found = eventually("what was pulled", async || {
        let found = stats().await;
        (found["messages_in_queue"] == 4).then_some(found)
    });
    assert_eq!(found.await, expected);
    let page = broker.get("/metrics").await.expect(200).text();
    for (name, value) in [
        ("consumers", 1),
        ("producers", 1),
        ("partitions", 16),
        ("brokers", 1),
        ("queue_messages", 4),
        ("sent_messages_total", 5),
        ("received_messages_total", 1),
    ] {
        let line = format!("\nweir_broker_gateway_{name} {value}\n");
        assert!(page.contains(&line), "{line:?}");
    }
}

#[tokio::test]
async fn a_consumer_that_dies_in_the_middle_of_the_answer_loses_nothing() {
    let broker = TestBroker::with(|settings| {
        settings.broker.max_payload_bytes = 32 << 20;
        settings.body_limits.max_bytes = 33 << 20;
    })
    .await;
    push(&broker, "k", &"x".repeat(24 << 20)).await;
    push(&broker, "k", "the next").await;
    let mut client = RawConnection::open(broker.address()).await;
    client
        .send(Request::new("POST", "/api/python/pull").encode())
        .await;
    client.read_until("[key:k-value:xxx").await;
    is_text(
        &ask(broker.address(), "pull-as-subscriber", "").await,
        200,
        "[]",
    );
    drop(client);
    let again = eventually("its return", async || {
        pairs(ask(broker.address(), "pull-as-subscriber", "").await).pop()
    });
    let (_, value) = again.await;
    assert!(
        value == "the next" || value.len() == 24 << 20,
        "{}",
        value.len()
    );
    let stats = broker.get("/v1/gateway").await.expect(200).json();
    assert_eq!(stats["sent"], 2);
}

/// One producer: messages of a key, numbered.
async fn push_key(broker: &TestBroker, key: usize, messages: usize) {
    for number in 0..messages {
        push(broker, &format!("key-{key}"), &number.to_string()).await;
    }
}

/// Pulls as a subscriber until told to leave, or `done`.
async fn subscriber(
    address: SocketAddr,
    seen: &std::sync::Mutex<BTreeMap<String, Vec<usize>>>,
    goes_on: impl Fn() -> bool,
) -> usize {
    let mut count = 0;
    ask(address, "subscribe", "").await.expect(200);
    while goes_on() {
        let pulled = pairs(ask(address, "pull-as-subscriber", "").await);
        count += pulled.len();
        let mut seen = seen.lock().unwrap();
        for (key, value) in pulled {
            seen.entry(key).or_default().push(value.parse().unwrap());
        }
    }
    count
}

#[tokio::test]
async fn slow_messages_arrive_per_key_in_order_at_subscribers_that_join() {
    const MESSAGES: usize = 1000;
    let broker = with_listeners(4).await;
    let seen = std::sync::Mutex::new(BTreeMap::<String, Vec<usize>>::new());
    let total = || seen.lock().unwrap().values().map(Vec::len).sum::<usize>();
    let address = |index: usize| broker.addresses()[index];
    let all_came = || total() < MESSAGES;
    // Each joins when so many came.
    let later = async |index: usize, after: usize| {
        eventually("its turn", async || (total() >= after).then_some(())).await;
        subscriber(address(index), &seen, all_came).await
    };
    let first = subscriber(address(0), &seen, all_came);
    let counts = async { tokio::join!(first, later(1, 100), later(2, 300), later(3, 500)) };
    let share = |key: usize| (MESSAGES - key).div_ceil(9);
    let producers = (0..9).map(|key| push_key(&broker, key, share(key)));
    let all = async { tokio::join!(counts, join_all(producers)) };
    let (counts, _) = soon(Box::pin(all)).await;
    for (key, values) in seen.into_inner().unwrap().values().enumerate() {
        assert!(
            values.iter().copied().eq(0..share(key)),
            "of key {key}: {values:?}"
        );
    }
    assert!(counts.0 > 0 && counts.0 < MESSAGES, "{counts:?}");
    let stats = broker.get("/v1/gateway").await.expect(200).json();
    assert_eq!(
        (&stats["sent"], &stats["consumers"]),
        (&json!(MESSAGES), &json!(4))
    );
}

/// The core on a clock that is turned by hand.
struct Core {
    broker: Broker,
    clock: ManualClock,
    _closing: Closing,
}

fn client(port: u16) -> GatewayClient {
    GatewayClient {
        listener_port: port,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

impl Core {
    fn open() -> Self {
        let (clock, hands) = Clock::manual(Timestamp(1_700_000_000_000));
        let mut options = BrokerOptions::on("data".into());
        let queue = TopicName::parse("queue").unwrap();
        options.dialect_topics.gateway = Some((queue, 16));
        let disk = Arc::new(FaultyDisk::new());
        let (broker, closing) = Broker::open(options, disk, clock).unwrap();
        Self {
            broker,
            clock: hands,
            _closing: closing,
        }
    }

    async fn push(&self, key: &str, number: usize) {
        let (key, text) = (Key::parse(key).unwrap(), number.to_string());
        let pushed = self.broker.gateway_push(client(1), key, &text);
        pushed.await.unwrap();
    }

    async fn pull(&self, port: u16) -> Result<Vec<(String, usize)>, BrokerError> {
        let delivered = std::future::ready(true);
        let pulled = self
            .broker
            .gateway_pull_as_subscriber(client(port), delivered);
        let pulled = pulled.await?.into_iter();
        Ok(pulled
            .map(|one| (one.key, one.value.parse().unwrap()))
            .collect())
    }
}

/// They leave without a word, and are silent for a minute.
#[tokio::test]
async fn messages_arrive_per_key_in_order_at_subscribers_that_join_and_leave() {
    let core = Core::open();
    let mut seen = BTreeMap::<String, Vec<usize>>::new();
    let mut take = |pulled: Vec<(String, usize)>| {
        let count = pulled.len();
        for (key, value) in pulled {
            seen.entry(key).or_default().push(value);
        }
        count
    };
    // Who is there in each round; from one to the next some leave and some join.
    for (round, there) in [vec![1], vec![1, 2], vec![2, 3, 4], vec![3], vec![5, 3]]
        .iter()
        .enumerate()
    {
        core.clock.advance(Duration::from_secs(61));
        for number in 0..200 {
            core.push(&format!("key-{}", number % 9), round * 200 + number)
                .await;
        }
        for &port in there {
            core.broker.gateway_subscribe(client(port)).await.unwrap();
        }
        let share = eventually("who left is gone", async || {
            let stats = core.broker.gateway_stats().await.unwrap();
            (stats.consumers == there.len()).then_some(stats.consumers)
        });
        assert_eq!(share.await, there.len());
        let mut left = 200;
        while left > 0 {
            for &port in there {
                left -= take(core.pull(port).await.unwrap());
            }
        }
    }
    let stats = core.broker.gateway_stats().await.unwrap();
    assert_eq!((stats.sent, stats.producers), (1000, 1));
    assert_eq!(seen.values().map(Vec::len).sum::<usize>(), 1000);
    assert!(seen.len() == 9 && seen.values().all(|values| values.is_sorted()));
    core.clock.advance(Duration::from_secs(60));
    assert_eq!(core.broker.gateway_stats().await.unwrap().producers, 0);
}

#[tokio::test]
async fn slow_clients_with_requests_work_unmodified() {
    let running = broker().start().await;
    let printed = Python::new().run("gateway.py", &[&running.url()]);
    assert_eq!(printed, "every exchange as expected\n");
}
