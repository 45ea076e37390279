//! What the tests of all couriers share.

use super::*;
use crate::broker::LeasedMessage;
use crate::push::PushOptions;
use crate::push::dial::Dialer;
use bytes::Bytes;
use std::collections::BTreeMap;
use tokio::net::TcpListener;
use weir_commitlog::{RecordDraft, StoredLine};
use weir_protocol::{Receipt, task_payload};
use weir_types::{
    BrokerStart, Headers, Incarnation, Key, MessageId, Offset, PartitionId, Timestamp,
};

/// Longer than any healthy exchange takes.
pub(super) const PATIENT: Duration = Duration::from_secs(30);
/// Ours is the first to lose patience.
pub(super) const SHORT: Duration = Duration::from_millis(100);

pub(super) fn courier_with(target: &str, concurrency: u32, dialer: Dialer) -> Courier {
    let target = Target::parse(target).unwrap();
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    Courier::open(target, concurrency, Arc::new(dialer), &tasks, stop)
}

pub(super) fn courier(target: &str, concurrency: u32) -> Courier {
    let dialer = Dialer::new(&PushOptions::default()).unwrap();
    courier_with(target, concurrency, dialer)
}

pub(super) fn dialer_allowing(ranges: &str) -> Dialer {
    let allowed = ranges.parse().unwrap();
    let options = PushOptions {
        allowed,
        ..PushOptions::default()
    };
    Dialer::new(&options).unwrap()
}

pub(super) async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port on which nobody listens.
pub(super) async fn free_port() -> u16 {
    listener().await.1
}

/// The task that submitting `data` makes, as message number `offset` of the queue 7.
pub(super) fn task(offset: u64, data: &[u8], timeout: Duration) -> Task {
    let (payload, encoding) = task_payload(&Bytes::copy_from_slice(data));
    let headers = encoding.map(|encoding| ("encoding".to_owned(), encoding.to_owned()));
    let draft = RecordDraft {
        id: MessageId::parse(&format!("ïd-{offset}")).unwrap(),
        key: Some(Key::parse("a \"këy\"").unwrap()),
        headers: Headers::new(BTreeMap::from_iter(headers)).unwrap(),
        reply_to: Some(TopicName::parse("answers").unwrap()),
        expires_at: None,
        dedupe: false,
        payload: payload.into_bytes(),
    };
    let mut line = Vec::new();
    draft.encode(Offset(offset), Timestamp(5), &mut line);
    line.pop();
    let message = LeasedMessage {
        line: StoredLine {
            offset: Offset(offset),
            timestamp: Timestamp(5),
            bytes: line.into(),
        },
        receipt: Receipt {
            incarnation: Incarnation(1),
            partition: PartitionId(0),
            offset: Offset(offset),
            delivery_attempt: 2,
            broker_start: BrokerStart(1),
        },
        lease_expires_at: Timestamp(99),
    };
    Task {
        queue: Some(7),
        topic: TopicName::parse("jobs").unwrap(),
        message,
        timeout,
    }
}

pub(super) fn failed(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Failed { reason, .. } => reason,
        other => panic!("{other:?} is no failure"),
    }
}

pub(super) fn unreachable(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Unreachable { reason } => reason,
        other => panic!("{other:?} is not unreachable"),
    }
}

#[tokio::test]
async fn a_target_that_cannot_be_reached_is_not_to_blame_on_the_task() {
    let port = free_port().await;
    for scheme in ["tcp", "http", "grpc"] {
        let courier = courier(&format!("{scheme}://127.0.0.1:{port}"), 1);
        let outcome = courier.deliver(task(0, b"1", PATIENT)).await;
        let refused = format!("cannot connect to 127.0.0.1:{port}: Connection refused");
        assert!(unreachable(&outcome).starts_with(&refused), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_never_connected_to() {
    let (_listener, port) = listener().await;
    for scheme in ["tcp", "http", "https", "grpc"] {
        let target = format!("{scheme}://localhost:{port}");
        let courier = courier_with(&target, 1, dialer_allowing("10.0.0.0/8"));
        let outcome = courier.deliver(task(0, b"1", PATIENT)).await;
        let reason = unreachable(&outcome);
        assert!(
            reason.contains(" of localhost is not allowed; allowed: 10.0.0.0/8"),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn a_courier_of_another_kind_has_no_backend() {
    let courier = courier("tcp://127.0.0.1:1", 1);
    let topic = TopicName::parse("t").unwrap();
    let sent = courier
        .send_to_backend(&topic, "1".to_owned(), None, PATIENT)
        .await;
    assert_eq!(sent, Err(Outcome::unreachable("this target is no backend")));
}

#[tokio::test]
async fn connections_end_when_the_broker_stops() {
    use tokio::io::AsyncReadExt;
    for scheme in ["tcp", "http", "grpc"] {
        let (listener, port) = listener().await;
        let target = Target::parse(&format!("{scheme}://127.0.0.1:{port}")).unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let dialer = Arc::new(dialer_allowing(""));
        let courier = Courier::open(target, 1, dialer, &tasks, stop.clone());
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            stop.cancel();
            let mut rest = Vec::new();
            let _closed_or_reset = stream.read_to_end(&mut rest).await;
        };
        let (outcome, ()) = tokio::join!(courier.deliver(task(0, b"1", PATIENT)), serve);
        assert_ne!(outcome, Outcome::Done, "{scheme}");
        tasks.close();
        tasks.wait().await;
    }
}
