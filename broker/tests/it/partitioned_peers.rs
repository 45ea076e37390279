//! Several brokers of the partitioned queue: each answers for its own partitions, and passes on what
//! is another's.

use crate::broker;
use crate::support::{Answer, Request, Sse, send_raw, soon, text_of};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use weir_broker::broker::Closing;
use weir_broker::ownership::Ownership;
use weir_broker::{Broker, BrokerError, BrokerOptions};
use weir_commitlog::faulty::{Call, Fault, FaultyDisk};
use weir_protocol::{ErrorCode, NewMessage, Payload};
use weir_service::clock::Clock;
use weir_testkit::{BrokerProcess, BrokerSetup, eventually};
use weir_types::{GroupName, TopicName};

const PLACE: &str = "topic=events&partition=1";

fn one_of_two(index: &str) -> BrokerSetup {
    let setup = broker().with_variable("BROKER_COUNT", "2");
    setup.with_variable("BROKER_INDEX", index)
}

/// The broker with partition 1, and one that knows where it is.
async fn owner_and_front() -> (BrokerProcess, BrokerProcess) {
    let owner = one_of_two("1").start().await;
    let peers = format!("127.0.0.1:1,http://{}", owner.http_address());
    let front = one_of_two("0").with_variable("BROKER_PEERS", &peers);
    (owner, front.start().await)
}

async fn post(address: SocketAddr, target: &str, body: &str) -> Answer {
    send_raw(address, &Request::new("POST", target).body(body).encode()).await
}

async fn produce(address: SocketAddr, payload: &str) -> String {
    let answer = post(address, &format!("/produce?{PLACE}"), payload).await;
    text_of(&answer.expect(200).json()["id"])
}

#[track_caller]
fn is_text(answer: &Answer, status: u16, text: &str) {
    assert_eq!((answer.status, answer.text().as_str()), (status, text));
    assert!(answer.headers["content-type"].starts_with("text/plain"));
}

async fn next_message(stream: &mut Sse) -> Value {
    loop {
        let event = stream.next().await.expect("the stream goes on");
        if let Some(message) = event.data {
            return message;
        }
    }
}

/// Waits until the owner has so many messages in flight.
async fn in_flight(owner: &BrokerProcess, count: u64) {
    let topic = TopicName::parse("events").unwrap();
    let group = GroupName::parse("g").unwrap();
    let client = owner.client();
    eventually("messages go and come", async || {
        let state = client.group(&topic, &group).await.ok()?;
        (state.in_flight == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_route_is_passed_on_to_the_owner_of_the_partition() {
    let (mut owner, front) = owner_and_front().await;
    let address = front.http_address();
    let id = produce(address, "first").await;
    let target = format!("/consume?{PLACE}&group=g");
    let mut stream = Sse::open_at(address, &target, &[]).await;
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    let message = next_message(&mut stream).await;
    assert_eq!(
        (&message["id"], &message["payload"]),
        (&json!(id), &json!("first"))
    );
    let body = json!({"id": id}).to_string();
    let target = format!("/ack?{PLACE}&group=g");
    is_text(&post(address, &target, &body).await, 200, "ok");
    is_text(
        &post(address, &target, &body).await,
        400,
        "ack failed (unknown id or wrong group)",
    );
    produce(owner.http_address(), "second").await;
    assert_eq!(next_message(&mut stream).await["payload"], "second");
    let refused = post(address, "/produce?topic=nobody&partition=1", "m").await;
    is_text(&refused, 400, "unknown topic");
    let topics = front.client().topics().await.unwrap();
    assert!(topics.topics.is_empty(), "{topics:?}");

    owner.terminate();
    while soon(stream.next()).await.is_some() {}
    assert!(owner.wait().await.success());
    let refused = post(address, &format!("/produce?{PLACE}"), "m").await;
    let refused = refused.expect(502);
    let names_it = refused
        .text()
        .contains("which has the partition, does not answer");
    assert!(names_it, "{}", refused.text());
}

#[tokio::test]
async fn a_stream_that_is_passed_on_ends_with_its_client_and_with_either_broker() {
    let (owner, mut front) = owner_and_front().await;
    produce(front.http_address(), "m").await;
    let target = format!("/consume?{PLACE}&group=g");
    let mut stream = Sse::open_at(front.http_address(), &target, &[]).await;
    next_message(&mut stream).await;
    in_flight(&owner, 1).await;
    drop(stream);
    in_flight(&owner, 0).await;
    let mut stream = Sse::open_at(front.http_address(), &target, &[]).await;
    next_message(&mut stream).await;
    front.terminate();
    while soon(stream.next()).await.is_some() {}
    assert!(front.wait().await.success());
    in_flight(&owner, 0).await;
}

/// Nobody reads the body of a GET, and it is not passed on: nor may its length be.
#[tokio::test]
async fn a_body_that_is_not_passed_on_does_not_eat_the_next_request() {
    let (_owner, front) = owner_and_front().await;
    let address = front.http_address();
    let refused = Request::new("GET", &format!("/consume?{PLACE}&group=")).body("x".repeat(200));
    for _ in 0..10 {
        let answer = send_raw(address, &refused.encode()).await;
        is_text(&answer, 400, "a group name must not be empty");
        produce(address, "kept").await;
    }
}

/// A request waits for a broker that will never answer.
#[tokio::test]
async fn a_broker_that_hangs_does_not_hold_up_the_stop_of_another() {
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peers = format!("127.0.0.1:1,http://{}", hanging.local_addr().unwrap());
    let front = one_of_two("0").with_variable("BROKER_PEERS", &peers);
    let mut front = front.start().await;
    let address = front.http_address();
    let asked = async { post(address, &format!("/produce?{PLACE}"), "m").await };
    let stop = async {
        let accepted = soon(hanging.accept()).await.unwrap();
        front.terminate();
        assert!(soon(front.wait()).await.success());
        drop(accepted);
    };
    let (answer, ()) = tokio::join!(asked, stop);
    let answer = answer.expect(502).text();
    assert!(
        answer.ends_with("has not answered, and this broker stops"),
        "{answer}"
    );
}

#[tokio::test]
async fn what_was_passed_on_once_is_not_passed_on_again() {
    let (_owner, front) = owner_and_front().await;
    let target = format!("/produce?{PLACE}");
    let request = Request::new("POST", &target).header("Weir-Forwarded", "1");
    let refused = send_raw(front.http_address(), &request.body("m").encode()).await;
    is_text(&refused, 400, "partition not owned");
    let own = Request::new("POST", "/produce?topic=events&partition=2");
    let own = own.header("Weir-Forwarded", "1").body("m");
    send_raw(front.http_address(), &own.encode())
        .await
        .expect(200);
}

#[tokio::test]
async fn a_broker_that_is_told_another_place_does_not_start() {
    let setup = one_of_two("0");
    let running = setup.start().await;
    let target = "/produce?topic=events&partition=0";
    post(running.http_address(), target, "m").await.expect(200);
    running.kill_9();
    let setup = setup.with_variable("BROKER_INDEX", "1");
    let refused = setup.run().await;
    assert_eq!(refused.status.code(), Some(1));
    let said = refused.log.text();
    for part in [
        "this data directory is that of broker-index 0 of broker-count 2",
        "go back to those settings",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
}

fn open(disk: &FaultyDisk, index: u32, count: u32) -> Result<(Broker, Closing), BrokerError> {
    let options = BrokerOptions {
        ownership: Ownership {
            index,
            count,
            peers: Vec::new(),
        },
        ..BrokerOptions::on("data".into())
    };
    Broker::open(options, Arc::new(disk.clone()), Clock::system())
}

#[tokio::test]
async fn the_place_may_change_only_while_there_are_no_topics() {
    let disk = FaultyDisk::new();
    for (index, count) in [(0, 1), (1, 2), (0, 2)] {
        let (_broker, closing) = open(&disk, index, count).unwrap();
        closing.close().await.unwrap();
    }
    let (broker, _closing) = open(&disk, 0, 2).unwrap();
    let topic = TopicName::parse("t").unwrap();
    let message = NewMessage::plain(Payload::from_text("m"));
    broker.publish(&topic, message).await.unwrap();
    let disk = disk.kill();
    for (index, count) in [(1, 2), (0, 1)] {
        let refused = open(&disk, index, count).unwrap_err();
        let is_it = matches!(refused, BrokerError::OwnershipChanged { kept: (0, 2), .. });
        assert!(is_it, "{refused}");
    }
    let (broker, _closing) = open(&disk, 0, 2).unwrap();
    broker.delete_topic(&topic).await.unwrap();
    let disk = disk.kill();
    open(&disk, 0, 1).unwrap();
}

#[tokio::test]
async fn a_place_that_could_not_be_kept_is_not_taken() {
    let disk = FaultyDisk::new();
    disk.fail(Fault::on(Call::Rename).path("ownership").once());
    let refused = open(&disk, 1, 2).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Storage, "{refused}");
    open(&disk, 1, 2).unwrap();
}
