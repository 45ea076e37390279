//! SIGTERM: what clients see, what the exit status says, and that nothing is lost.

use crate::broker;
use crate::load::{Load, seed, topic};
use weir_client::{FetchOptions, PublishOptions};
use weir_testkit::{BrokerProcess, BrokerSetup, RawConnection, eventually};

const STREAM_END: &str = ": the stream ends here, reconnect\n\n";
/// The answer's end as HTTP/1.1 frames it: the connection was not just cut.
const LAST_CHUNK: &str = "\r\n0\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_ends_well_and_loses_nothing() {
    let seed = seed();
    let mut load = Load::new(seed);
    let setup = broker();
    let mut running = setup.start().await;
    load.create_topics(&running).await;
    let mut streams = [
        open(&running, "GET /v1/topics/orders/stream?from=latest").await,
        open(&running, "GET /v1/topics/events/stream?from=latest").await,
    ];
    for stream in &mut streams {
        stream.read_until("retry:").await;
    }
    load.begin(&running);
    eventually("publishes and acks", async || {
        let (acknowledged, acked) = load.counts();
        (acknowledged >= 500 && acked >= 100).then_some(())
    })
    .await;

    running.terminate();
    for stream in &mut streams {
        let events = stream.read_to_end().await;
        assert!(events.contains("\ndata: {"), "{events}");
        assert!(events.ends_with(LAST_CHUNK), "cut: {}", tail(&events));
        assert!(events.contains(STREAM_END), "{}", tail(&events));
    }
    assert_eq!(running.wait().await.code(), Some(0));
    assert!(running.log().find("stopped").is_some());
    load.end().await;

    let running = setup.start().await;
    assert!(running.log().find("recovery").is_none(), "nothing to mend");
    let log = load.check_logs(&running).await;
    load.ack_late(&running).await;
    load.check_groups(&running, &log).await;
}

/// A request that the broker had not begun to read when it was told to stop is not answered. Only a
/// very busy machine comes to that, and tries again.
const ATTEMPTS: u32 = 5;

#[tokio::test]
async fn long_polls_are_answered_at_once() {
    for _ in 0..ATTEMPTS {
        let (_setup, mut running) = with_a_quiet_topic(&[]).await;
        let fetch = "GET /v1/topics/quiet/messages?from=latest&wait=60s";
        let mut fetch = open(&running, fetch).await;
        let lease = "POST /v1/topics/empty/groups/workers/lease?wait=60s";
        let mut lease = open(&running, lease).await;
        wait_for_group(&running, "empty").await;

        running.terminate();
        let answers = [lease.read_to_end().await, fetch.read_to_end().await];
        assert_eq!(running.wait().await.code(), Some(0));
        assert!(!answers[0].is_empty(), "the lease was being served");
        for answer in answers.iter().filter(|answer| !answer.is_empty()) {
            let nothing =
                answer.starts_with("HTTP/1.1 200 ") && answer.contains("{\"messages\":[]");
            let refused = answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"draining\"");
            assert!(nothing || refused, "{answer}");
        }
        if !answers[1].is_empty() {
            return;
        }
    }
    panic!("the fetch was never answered");
}

/// The first lease makes the group, and the topic.
async fn wait_for_group(running: &BrokerProcess, name: &str) {
    let (client, topic) = (running.client(), topic(name));
    eventually("the group of the waiting member", async || {
        let groups = client.groups(&topic).await.ok()?.groups;
        (!groups.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_draining_broker_is_not_ready() {
    for _ in 0..ATTEMPTS {
        let (_setup, mut running) = with_a_quiet_topic(&[]).await;
        let mut ready = RawConnection::open(running.http_address()).await;
        ready.send("GET /ready HTTP/1.1\r\nhost: weir\r\n").await;
        drain(&running).await;
        // What has begun to arrive may still be asked, for a moment.
        ready.send("\r\n").await;
        let answer = ready.read_to_end().await;
        assert_eq!(running.wait().await.code(), Some(0));
        if !answer.is_empty() {
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
            assert!(answer.contains("\"status\":\"draining\""), "{answer}");
            return;
        }
    }
    panic!("/ready was never answered");
}

#[tokio::test]
async fn a_publish_that_arrives_while_draining_is_refused_politely() {
    let (setup, mut running) = with_a_quiet_topic(&[]).await;
    let mut publish = begin_publish(&running).await;
    drain(&running).await;
    publish.send("23}").await;
    let answer = publish.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\"code\":\"draining\""), "{answer}");
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    assert_eq!(running.wait().await.code(), Some(0));
    expect_one_message(&setup).await;
}

#[tokio::test]
async fn a_second_sigterm_ends_it_at_once() {
    let (setup, mut running) = with_a_quiet_topic(&[]).await;
    let mut publish = begin_publish(&running).await;
    drain(&running).await;
    running.terminate();
    assert_eq!(running.wait().await.code(), Some(1));
    let failure = running.log().find("weir-broker failed").unwrap();
    assert_eq!(failure.level(), "ERROR");
    assert!(
        failure.field("error").contains("second signal"),
        "{failure}"
    );
    assert_eq!(publish.read_to_end().await, "");
    expect_one_message(&setup).await;
}

#[tokio::test]
async fn slow_a_request_without_an_end_does_not_hold_it_beyond_the_grace_period() {
    let (setup, mut running) = with_a_quiet_topic(&["--grace-period=4s"]).await;
    let mut publish = begin_publish(&running).await;
    running.terminate();
    assert_eq!(running.wait().await.code(), Some(1));
    let failure = running.log().find("weir-broker failed").unwrap();
    let what = "1 connections still had requests running after the drain timeout and were cut";
    assert_eq!(failure.field("error"), what);
    assert_eq!(publish.read_to_end().await, "");
    expect_one_message(&setup).await;
}

/// A broker with one message in the topic `quiet`.
async fn with_a_quiet_topic(flags: &[&str]) -> (BrokerSetup, BrokerProcess) {
    let setup = broker().with_flags(flags.iter().copied());
    let running = setup.start().await;
    let options = PublishOptions::default();
    let (client, topic) = (running.client(), topic("quiet"));
    let published = client.publish(&topic, "1".into(), &options).await;
    published.unwrap();
    (setup, running)
}

async fn expect_one_message(setup: &BrokerSetup) {
    let running = setup.start().await;
    let everything = FetchOptions::default();
    let fetched = running.client().fetch(&topic("quiet"), &everything).await;
    assert_eq!(fetched.unwrap().messages.len(), 1);
}

/// Sends a request without a body.
async fn open(running: &BrokerProcess, request: &str) -> RawConnection {
    let mut connection = RawConnection::open(running.http_address()).await;
    connection
        .send(format!(
            "{request} HTTP/1.1\r\nhost: weir\r\ncontent-length: 0\r\n\r\n"
        ))
        .await;
    connection
}

/// Sends a publish but for the end of its body, and waits until the broker asks for that.
async fn begin_publish(running: &BrokerProcess) -> RawConnection {
    let mut connection = RawConnection::open(running.http_address()).await;
    let head = "POST /v1/topics/quiet/messages HTTP/1.1\r\nhost: weir\r\n";
    let rest = "content-length: 8\r\nexpect: 100-continue\r\n\r\n";
    connection.send([head, rest].concat()).await;
    connection.read_until("100 Continue\r\n\r\n").await;
    connection.forget_received();
    connection.send("{\"a\":").await;
    connection
}

/// Sends SIGTERM and waits until a stream ends, which is when the broker drains.
async fn drain(running: &BrokerProcess) {
    let mut stream = open(running, "GET /v1/topics/quiet/stream").await;
    stream.read_until("retry:").await;
    running.terminate();
    let events = stream.read_to_end().await;
    assert!(events.contains(STREAM_END), "{events}");
}

fn tail(text: &str) -> String {
    let characters: Vec<_> = text.chars().rev().take(300).collect();
    characters.into_iter().rev().collect()
}
