//! Backends: services that take messages one after the other, each behind its breaker.

use crate::broker;
use crate::push_workers::{Port, group_when, register, worker};
use crate::support::{TestBroker, soon, text_of};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::{Request, Response, Status};
use tower_service::Service;
use weir_broker::broker::CreateTopics;
use weir_broker::push::BreakerOptions;
use weir_protocol::grpc::message::message_broker_service_server::{
    MessageBrokerService, MessageBrokerServiceServer,
};
use weir_protocol::grpc::message::{
    ReceiveMessageRequest, ReceiveMessageResponse, SendMessageRequest, SendMessageResponse,
};
use weir_types::TopicName;

/// A backend that accepts whatever comes. Dropped, it is gone with its connections.
struct Backend {
    address: SocketAddr,
    got: mpsc::Receiver<SendMessageRequest>,
    _serving: JoinSet<()>,
}

#[derive(Clone)]
struct Accepts {
    name: &'static str,
    got: mpsc::Sender<SendMessageRequest>,
}

#[tonic::async_trait]
impl MessageBrokerService for Accepts {
    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        let gone = |_| Status::unavailable("the test is over");
        self.got.send(request.into_inner()).await.map_err(gone)?;
        Ok(Response::new(SendMessageResponse {
            success: true,
            message_id: format!("from-{}", self.name),
            error_message: String::new(),
        }))
    }

    async fn receive_message(
        &self,
        _: Request<ReceiveMessageRequest>,
    ) -> Result<Response<ReceiveMessageResponse>, Status> {
        Err(Status::unimplemented("a backend"))
    }
}

impl Backend {
    async fn start(name: &'static str) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), name)
    }

    fn on(listener: TcpListener, name: &'static str) -> Self {
        let address = listener.local_addr().unwrap();
        let (sender, got) = mpsc::channel(64);
        let service = MessageBrokerServiceServer::new(Accepts { name, got: sender });
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service.clone();
                let service = service_fn(move |request| service.clone().call(request));
                let builder = http2::Builder::new(TokioExecutor::new());
                connections.spawn(async move {
                    let io = TokioIo::new(stream);
                    let _broken = builder.serve_connection(io, service).await;
                });
            }
        });
        Self {
            address,
            got,
            _serving: serving,
        }
    }

    async fn next(&mut self) -> SendMessageRequest {
        soon(self.got.recv()).await.expect("the backend serves")
    }
}

async fn broker_with(backends: &[SocketAddr], topics: &[&str]) -> TestBroker {
    TestBroker::with(|settings| {
        let push = &mut settings.broker.push;
        push.backends = backends.iter().map(ToString::to_string).collect();
        let topics = topics.iter().map(|name| TopicName::parse(name).unwrap());
        push.backend_topics = topics.collect();
        push.breaker = BreakerOptions {
            max_failures: 2,
            reset: Duration::from_millis(300),
        };
    })
    .await
}

async fn send(broker: &TestBroker) -> Value {
    let body = json!({"topic": "greet", "payload": {"n": 1}, "reply_to": "answers"});
    let answer = broker.post("/v1/backends/send", body.to_string()).await;
    answer.expect(200).json()
}

async fn backends(broker: &TestBroker) -> Vec<Value> {
    let listed = broker.get("/v1/backends").await.expect(200).json();
    listed["backends"].as_array().unwrap().clone()
}

#[tokio::test]
async fn calls_go_round_and_pass_over_a_backend_that_is_down() {
    let (mut a, mut b) = (Backend::start("a").await, Backend::start("b").await);
    let down = Port::reserve();
    let broker = broker_with(&[a.address, down.address(), b.address], &[]).await;
    let mut accepted = Vec::new();
    for _ in 0..6 {
        accepted.push(text_of(&send(&broker).await["message_id"]));
    }
    for backend in [&mut a, &mut b] {
        let got = backend.next().await;
        assert_eq!(got.topic, "greet");
        assert_eq!(got.payload, "{\"n\":1}");
        assert_eq!(got.reply_to, "answers");
    }
    let of = |name: &str| accepted.iter().filter(|id| **id == name).count();
    assert_eq!((of("from-a"), of("from-b")), (3, 3), "{accepted:?}");
    let listed = backends(&broker).await;
    assert_eq!(listed[0]["target"], format!("backend://{}", a.address));
    assert_eq!(listed[1]["delivered"], 0);
    assert_ne!(listed[1]["failed"], 0);
    let done: u64 = listed
        .iter()
        .map(|b| b["delivered"].as_u64().unwrap())
        .sum();
    assert_eq!(done, 6);
}

#[tokio::test]
async fn when_no_backend_takes_it_the_reasons_are_told() {
    let none = broker_with(&[], &[]).await;
    let body = json!({"topic": "greet", "payload": 1}).to_string();
    let refused = none.post("/v1/backends/send", body.clone()).await;
    refused.refused(503, "unavailable", "name some with --backend-targets");
    let port = Port::reserve();
    let address = port.address();
    let broker = broker_with(&[address], &[]).await;
    let refused = broker.post("/v1/backends/send", body.clone()).await;
    refused.refused(503, "unavailable", &format!("backend://{address}: "));
    let open = weir_testkit::eventually("an open breaker", async || {
        broker.post("/v1/backends/send", body.clone()).await;
        let backend = backends(&broker).await.remove(0);
        (backend["breaker"]["state"] == "OPEN").then_some(backend)
    })
    .await;
    assert_eq!(open["breaker"]["opened"], 1);
    let refused = broker.post("/v1/backends/send", body.clone()).await;
    refused.refused(503, "unavailable", "left alone");
    let _serving = Backend::on(port.listen(), "a");
    weir_testkit::eventually("a backend that is back", async || {
        let answer = broker.post("/v1/backends/send", body.clone()).await;
        (answer.status == 200).then_some(())
    })
    .await;
    let closed = backends(&broker).await.remove(0);
    assert_eq!(closed["breaker"]["state"], "CLOSED");
}

#[tokio::test]
async fn topics_of_the_backends_are_delivered_to_them() {
    let mut a = Backend::start("a").await;
    let down = Port::reserve();
    let broker = broker_with(&[a.address, down.address()], &["orders"]).await;
    let request = json!({"n": 7}).to_string();
    broker
        .post("/v1/topics/orders/messages?reply_to=answers", request)
        .await
        .expect(201);
    for _ in 0..3 {
        broker.publish("orders", "1").await;
    }
    let first = a.next().await;
    assert_eq!(first.topic, "orders");
    assert_eq!(first.payload, "{\"n\":7}");
    assert_eq!(first.reply_to, "answers");
    group_when(&broker, "orders", "backends", |g| g["lag_records"] == 0).await;
    let listed = broker.get("/v1/backends").await.json();
    assert_eq!(listed["topics"], json!(["orders"]));
    assert_eq!(listed["backends"][0]["delivered"], 4);
    let workers = broker.get("/v1/workers").await.json();
    assert_eq!(workers, json!({"workers": []}), "they registered nowhere");
}

#[tokio::test]
async fn a_backend_topic_that_does_not_exist_costs_no_worker_its_registration() {
    let mut backend = Backend::start("a").await;
    let broker = TestBroker::with(|settings| {
        settings.broker.create_topics = CreateTopics::Explicitly;
        let push = &mut settings.broker.push;
        push.backends = vec![backend.address.to_string()];
        push.backend_topics = vec![TopicName::parse("orders").unwrap()];
    })
    .await;
    for topic in ["/v1/topics/jobs", "/v1/topics/orders"] {
        broker.put(topic, "").await.expect(201);
    }
    let jobs = json!({"topic": "jobs", "target": "tcp://127.0.0.1:9"});
    let registered = register(&broker, jobs).await;
    broker.publish("orders", "1").await;
    backend.next().await;
    broker.delete("/v1/topics/orders").await.expect(204);
    broker.put("/v1/topics/orders", "").await.expect(201);
    broker.publish("orders", "2").await;
    assert_eq!(backend.next().await.payload, "2", "it was looked for again");
    worker(&broker, &registered["id"]).await;
}

#[tokio::test]
async fn bad_messages_for_backends_are_refused_precisely() {
    let broker = broker_with(&[], &[]).await;
    for (body, code, part) in [
        ("{}", "invalid_argument", "missing field `topic`"),
        (
            "{\"topic\":\"t\"}",
            "invalid_argument",
            "missing field `payload`",
        ),
        (
            "{\"topic\":\"a/b\",\"payload\":1}",
            "invalid_argument",
            "contains '/'",
        ),
        (
            "{\"topic\":\"t\",\"payload\":1,\"to\":1}",
            "invalid_argument",
            "unknown field `to`",
        ),
        (
            "{\"topic\":\"t\",\"payload\":1e999}",
            "invalid_json",
            "number out of range",
        ),
        ("{\"topic\":\"t\",\"payload\":", "invalid_json", "refused"),
    ] {
        let answer = broker.post("/v1/backends/send", body).await;
        answer.refused(400, code, part);
    }
}

#[tokio::test]
async fn a_broker_that_is_its_own_backend_does_not_start() {
    let port = Port::reserve();
    let own = format!("--http={}", port.address());
    let backend = format!("--backend-targets={}", port.address());
    let setup = broker().with_flags([own.as_str(), backend.as_str()]);
    let ended = setup.run().await;
    assert!(!ended.status.success());
    let log = ended.log.text();
    assert!(log.contains("this broker's own address"), "{log}");
    assert!(!setup.data_dir().exists(), "nothing was begun");
}
