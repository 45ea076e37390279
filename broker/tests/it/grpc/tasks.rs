//! `broker.Broker`, exchange by exchange, and `POST /tasks`. What workers get is tried with Python's.

use super::connection::GrpcConnection;
use super::{broker, broker_with};
use crate::support::{TestBroker, soon, text_of};
use serde_json::json;
use weir_protocol::grpc::broker::{QueueRequest, TaskRequest, WorkerRequest};

/// A number, and the reason beside it.
type Told = (i32, String);

struct Tasks {
    connection: GrpcConnection,
}

impl Tasks {
    async fn of(broker: &TestBroker) -> Self {
        let connection = GrpcConnection::open(broker.grpc_address()).await;
        Self { connection }
    }

    /// The status, the queue's number and the reason.
    async fn register_queue(&self, name: &str, buffer_length: i32) -> (Told, i32) {
        let request = QueueRequest {
            name: name.to_owned(),
            buffer_length,
        };
        let mut client = self.connection.workers();
        let answer = soon(client.register_queue(request)).await.unwrap();
        let reason = reason(&answer);
        let answer = answer.into_inner();
        ((answer.status, reason), answer.queue)
    }

    async fn register_worker(&self, queue: i32, target: &str) -> Told {
        let request = WorkerRequest {
            queue,
            tcp_connection: target.to_owned(),
        };
        let mut client = self.connection.workers();
        let answer = soon(client.register_worker(request)).await.unwrap();
        (answer.get_ref().status, reason(&answer))
    }

    async fn send(&self, queue: i32, data: &[u8]) -> Told {
        let request = TaskRequest {
            queue,
            data: data.to_vec().into(),
        };
        let mut client = self.connection.workers();
        let answer = soon(client.send_task(request)).await.unwrap();
        (answer.get_ref().status, reason(&answer))
    }
}

fn reason<A>(answer: &tonic::Response<A>) -> String {
    let reason = answer.metadata().get("weir-reason");
    let reason = reason.map(|value| value.to_str().unwrap().to_owned());
    reason.unwrap_or_default()
}

fn done() -> Told {
    (200, String::new())
}

#[track_caller]
fn refused(told: &Told, status: i32, part: &str) {
    assert_eq!(told.0, status, "{told:?}");
    assert!(told.1.contains(part), "{told:?}");
}

#[tokio::test]
async fn queues_are_numbered_in_order_for_good() {
    let broker = broker().await;
    let tasks = Tasks::of(&broker).await;
    assert_eq!(tasks.register_queue("a", 10).await, (done(), 1));
    assert_eq!(tasks.register_queue("b", 0).await, (done(), 2));
    assert_eq!(tasks.register_queue("a", 5).await, (done(), 1));

    let broker = broker.restart().await;
    let tasks = Tasks::of(&broker).await;
    assert_eq!(tasks.register_queue("c", 10).await, (done(), 3));
    assert_eq!(tasks.register_queue("b", 10).await, (done(), 2));
}

#[tokio::test]
async fn many_who_register_a_name_at_once_get_one_queue() {
    let broker = broker().await;
    let tasks = Tasks::of(&broker).await;
    let registered = (0..50).map(|_| tasks.register_queue("a", 10));
    let registered = futures_util::future::join_all(registered).await;
    assert!(registered.iter().all(|answer| *answer == (done(), 1)));
    assert_eq!(tasks.register_queue("b", 10).await, (done(), 2));
}

#[tokio::test]
async fn a_queue_that_cannot_be_is_refused() {
    let broker = broker().await;
    let tasks = Tasks::of(&broker).await;
    let before = broker.tree();
    let (told, queue) = tasks.register_queue("a", -1).await;
    assert_eq!(queue, 0);
    refused(&told, 400, "buffer_length is -1");
    refused(
        &tasks.register_queue("", 1).await.0,
        400,
        "must not be empty",
    );
    refused(
        &tasks.register_queue("../a", 1).await.0,
        400,
        "contains '/'",
    );
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn a_worker_needs_a_queue_and_an_address() {
    let broker = broker().await;
    let tasks = Tasks::of(&broker).await;
    refused(
        &tasks.register_worker(1, "127.0.0.1:9").await,
        404,
        "there is no queue 1",
    );
    tasks.register_queue("a", 10).await;
    for target in ["", "127.0.0.1", "127.0.0.1:0", "ftp://127.0.0.1:9", "a b:9"] {
        let told = tasks.register_worker(1, target).await;
        assert!(told.0 == 400 && !told.1.is_empty(), "{target}: {told:?}");
    }
    for _ in 0..2 {
        assert_eq!(tasks.register_worker(1, "127.0.0.1:9").await, done());
    }
    let listed = broker.get("/v1/workers").await.expect(200).json();
    let listed = listed["workers"].as_array().unwrap();
    let shown: Vec<_> = listed
        .iter()
        .map(|worker| json!([worker["queue"], worker["target"], worker["concurrency"]]))
        .collect();
    let expected = json!([1, "grpc://127.0.0.1:9", 1]);
    assert_eq!(shown, [expected.clone(), expected]);
}

#[tokio::test]
async fn a_task_is_stored_when_its_status_is_200() {
    let broker = broker_with(|settings| settings.broker.max_payload_bytes = 100).await;
    let tasks = Tasks::of(&broker).await;
    refused(&tasks.send(1, b"1").await, 404, "there is no queue 1");
    tasks.register_queue("a", 10).await;
    refused(&tasks.send(0, b"1").await, 404, "there is no queue 0");
    refused(&tasks.send(-1, b"1").await, 404, "there is no queue -1");
    refused(
        &tasks.send(1, &[b'1'; 101]).await,
        400,
        "at most 100 are allowed",
    );

    assert_eq!(tasks.send(1, br#"{"a": 1}"#).await, done());
    assert_eq!(tasks.send(1, &[0xff, 0]).await, done());
    let stored = broker.fetch("a", "from=earliest").await;
    assert_eq!(stored["messages"][0]["payload"], json!({"a": 1}));
    assert_eq!(stored["messages"][1]["payload"], "/wA=");
    assert_eq!(
        stored["messages"][1]["headers"],
        json!({"encoding": "base64"})
    );
}

#[tokio::test]
async fn tasks_come_over_http_too() {
    let broker = broker().await;
    let tasks = Tasks::of(&broker).await;
    tasks.register_queue("a", 10).await;
    let by_name = broker.post("/tasks?queue=a", "{\"b\":\n2}").await;
    let by_name = by_name.expect(201).json();
    assert_eq!(
        (&by_name["queue"], &by_name["topic"]),
        (&json!(1), &json!("a"))
    );
    assert_eq!(by_name["offset"], 0);
    let by_number = broker.post("/tasks?queue=1", "[]").await.expect(201).json();
    assert_eq!(
        (&by_number["queue"], &by_number["offset"]),
        (&json!(1), &json!(1))
    );
    let stored = broker.fetch("a", "from=earliest").await;
    assert_eq!(stored["messages"][0]["payload"], json!({"b": 2}));
    assert_eq!(
        text_of(&stored["messages"][1]["id"]),
        text_of(&by_number["id"])
    );
}

#[tokio::test]
async fn a_task_over_http_needs_a_queue_and_json() {
    let broker = broker().await;
    let tasks = Tasks::of(&broker).await;
    tasks.register_queue("a", 10).await;
    let before = broker.tree();
    let post = async |target: &str, body: &str| broker.post(target, body).await;
    for unknown in ["/tasks?queue=7", "/tasks?queue=none", "/tasks?queue="] {
        let answer = post(unknown, "1").await;
        answer.refused(404, "unknown_queue", "there is no queue");
    }
    let missing = post("/tasks", "1").await;
    missing.refused(400, "invalid_argument", "queue is missing");
    let more = post("/tasks?queue=a&key=k", "1").await;
    more.refused(400, "invalid_argument", "key");
    post("/tasks?queue=a", "{")
        .await
        .refused(400, "invalid_json", "not valid JSON");
    let other = broker.get("/tasks?queue=a").await;
    other.refused(405, "method_not_allowed", "");
    assert_eq!(broker.tree(), before);
}
