use super::channel::Channel;
use super::was_unsent;
use crate::push::courier::tests::{
    PATIENT, SHORT, courier, dialer_allowing, failed, listener, task,
};
use crate::push::courier::{Courier, Target, Way};
use crate::push::task::{Outcome, Task};
use futures_util::future::join_all;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};
use tower_service::Service;
use weir_protocol::grpc::broker::broker_client::BrokerClient;
use weir_protocol::grpc::broker::broker_server::{Broker, BrokerServer};
use weir_protocol::grpc::broker::{
    QueueRequest, QueueResponse, TaskRequest, TaskResponse, WorkerRequest, WorkerResponse,
};
use weir_protocol::grpc::message::message_broker_service_server::{
    MessageBrokerService, MessageBrokerServiceServer,
};
use weir_protocol::grpc::message::{
    ReceiveMessageRequest, ReceiveMessageResponse, SendMessageRequest, SendMessageResponse,
};
use weir_types::TopicName;

/// A worker that notes what it gets and always says the same.
#[derive(Clone)]
struct Worker {
    says: Result<i32, Status>,
    got: Arc<Mutex<Vec<(TaskRequest, String)>>>,
}

impl Worker {
    fn saying(says: Result<i32, Status>) -> Self {
        Self {
            says,
            got: Arc::default(),
        }
    }
}

#[tonic::async_trait]
impl Broker for Worker {
    async fn register_queue(
        &self,
        _: Request<QueueRequest>,
    ) -> Result<Response<QueueResponse>, Status> {
        Err(Status::unimplemented("a worker"))
    }

    async fn register_worker(
        &self,
        _: Request<WorkerRequest>,
    ) -> Result<Response<WorkerResponse>, Status> {
        Err(Status::unimplemented("a worker"))
    }

    async fn send_task(
        &self,
        request: Request<TaskRequest>,
    ) -> Result<Response<TaskResponse>, Status> {
        let timeout = request.metadata().get("grpc-timeout");
        let timeout = timeout.map_or("", |t| t.to_str().unwrap()).to_owned();
        let mut got = self.got.lock().unwrap();
        got.push((request.into_inner(), timeout));
        let status = self.says.clone()?;
        Ok(Response::new(TaskResponse { status }))
    }
}

/// A backend that has an opinion.
#[derive(Clone)]
struct Backend {
    says: SendMessageResponse,
    got: Arc<Mutex<Vec<SendMessageRequest>>>,
}

#[tonic::async_trait]
impl MessageBrokerService for Backend {
    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        self.got.lock().unwrap().push(request.into_inner());
        Ok(Response::new(self.says.clone()))
    }

    async fn receive_message(
        &self,
        _: Request<ReceiveMessageRequest>,
    ) -> Result<Response<ReceiveMessageResponse>, Status> {
        Err(Status::unimplemented("a backend"))
    }
}

/// Serves the next connection until it ends.
async fn serve<S>(listener: &TcpListener, service: S)
where
    S: Service<http::Request<hyper::body::Incoming>, Response = http::Response<tonic::body::Body>>,
    S: Service<http::Request<hyper::body::Incoming>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let (stream, _) = listener.accept().await.unwrap();
    let service = service_fn(move |request| service.clone().call(request));
    let builder = http2::Builder::new(TokioExecutor::new());
    let _broken = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn rig() -> (TcpListener, Courier) {
    let (listener, port) = listener().await;
    (listener, courier(&format!("127.0.0.1:{port}"), 10))
}

fn any(offset: u64) -> Task {
    task(offset, b"{\"n\": 1}", PATIENT)
}

async fn answered(says: Result<i32, Status>) -> Outcome {
    let (listener, courier) = rig().await;
    let worker = BrokerServer::new(Worker::saying(says));
    tokio::select! {
        outcome = courier.deliver(any(0)) => outcome,
        () = serve(&listener, worker) => panic!("the connection ended"),
    }
}

#[tokio::test]
async fn the_answer_decides() {
    assert_eq!(answered(Ok(200)).await, Outcome::Done);
    assert_eq!(answered(Ok(0)).await, Outcome::Done);
    for status in [400, 404] {
        let refused = format!("the worker answered with status {status}");
        assert_eq!(answered(Ok(status)).await, Outcome::refused(refused));
    }
    assert_eq!(
        answered(Ok(500)).await,
        Outcome::failed("the worker answered with status 500")
    );
    assert_eq!(
        answered(Err(Status::unavailable("stopping"))).await,
        Outcome::failed("gRPC Unavailable: stopping")
    );
    let unimplemented = answered(Err(Status::unimplemented(""))).await;
    assert_eq!(failed(&unimplemented), "gRPC Unimplemented");
}

#[tokio::test]
async fn calls_share_a_connection_and_carry_the_bytes_and_the_deadline() {
    let (listener, courier) = rig().await;
    let worker = Worker::saying(Ok(200));
    let deliver = async {
        let data: &[&[u8]] = &[b"{\"n\": 1}", b"\x00\xff no json", b""];
        let tasks = data
            .iter()
            .zip(0..)
            .map(|(data, offset)| task(offset, data, PATIENT));
        let mut queueless = any(9);
        queueless.queue = None;
        let tasks = tasks.chain([queueless]);
        join_all(tasks.map(|task| courier.deliver(task))).await
    };
    let outcomes = tokio::select! {
        outcomes = deliver => outcomes,
        () = serve(&listener, BrokerServer::new(worker.clone())) => panic!("the connection ended"),
    };
    assert_eq!(outcomes, vec![Outcome::Done; 4]);
    let got = worker.got.lock().unwrap();
    let mut requests: Vec<_> = got
        .iter()
        .map(|(r, _)| (r.queue, r.data.to_vec()))
        .collect();
    requests.sort();
    assert_eq!(
        requests,
        [
            (0, b"{\"n\": 1}".to_vec()),
            (7, b"".to_vec()),
            (7, b"\x00\xff no json".to_vec()),
            (7, b"{\"n\": 1}".to_vec()),
        ]
    );
    for (_, timeout) in got.iter() {
        let micros: u64 = timeout.strip_suffix('u').unwrap().parse().unwrap();
        assert!((1_000_000..=30_000_000).contains(&micros), "{timeout}");
    }
}

#[tokio::test]
async fn a_worker_that_comes_back_gets_the_next_task() {
    let (listener, courier) = rig().await;
    for round in 0..3 {
        // Its connection ends with the select.
        let outcome = tokio::select! {
            outcome = courier.deliver(any(round)) => outcome,
            () = serve(&listener, BrokerServer::new(Worker::saying(Ok(200)))) => panic!("ended"),
        };
        assert_eq!(outcome, Outcome::Done, "round {round}");
        closed(&courier).await;
    }
}

/// The kept connection, once it has ended: until then, a call may be lost on it.
async fn closed(courier: &Courier) -> Channel {
    let Way::Grpc(grpc) = &courier.way else {
        panic!("{courier:?}");
    };
    let dial = || async { panic!("it is kept") };
    let channel = grpc.channel.get(&grpc.route, |_| true, dial).await.unwrap();
    while channel.is_open() {
        tokio::task::yield_now().await;
    }
    channel
}

#[tokio::test]
async fn what_was_not_sent_is_known() {
    let (listener, courier) = rig().await;
    tokio::select! {
        outcome = courier.deliver(any(0)) => assert_eq!(outcome, Outcome::Done),
        () = serve(&listener, BrokerServer::new(Worker::saying(Ok(200)))) => panic!("ended"),
    }
    let mut client = BrokerClient::new(closed(&courier).await);
    let status = client.send_task(TaskRequest::default()).await.unwrap_err();
    assert!(was_unsent(&status), "{status:?}");
}

#[tokio::test]
async fn what_is_out_on_a_connection_that_ends_has_failed() {
    let (listener, courier) = rig().await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        // The preface, the settings, and some of the request.
        stream.read_exact(&mut [0; 100]).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(courier.deliver(any(0)), serve);
    assert!(
        failed(&outcome).starts_with("gRPC Unknown: "),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_listener_that_speaks_something_else_fails_the_task() {
    let (listener, courier) = rig().await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 24]).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
        let mut rest = Vec::new();
        let _closed_or_reset = stream.read_to_end(&mut rest).await;
    };
    let (outcome, ()) = tokio::join!(courier.deliver(any(0)), serve);
    assert!(failed(&outcome).starts_with("gRPC "), "{outcome:?}");
}

#[tokio::test]
async fn a_worker_that_is_too_slow_is_given_up() {
    let (listener, courier) = rig().await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut everything = Vec::new();
        let _closed_or_reset = stream.read_to_end(&mut everything).await;
    };
    tokio::select! {
        outcome = courier.deliver(task(0, b"1", SHORT)) => {
            assert_eq!(outcome, Outcome::failed("no answer within 100ms"));
        }
        () = serve => panic!("the connection is kept"),
    }
}

#[tokio::test]
async fn a_thousand_deliveries_to_a_host_that_is_silent_dial_once() {
    let (listener, courier) = rig().await;
    let mut accepted = Vec::new();
    let accept = async {
        loop {
            accepted.push(listener.accept().await.unwrap());
        }
    };
    let deliveries = (0..1000).map(|offset| courier.deliver(task(offset, b"1", SHORT)));
    tokio::select! {
        outcomes = join_all(deliveries.collect::<Vec<_>>()) => {
            assert_eq!(outcomes, vec![Outcome::failed("no answer within 100ms"); 1000]);
        }
        () = accept => {}
    }
    assert_eq!(accepted.len(), 1);
}

#[tokio::test]
async fn a_backend_gets_messages_and_gives_them_ids() {
    let (listener, port) = listener().await;
    let backend = Backend {
        says: SendMessageResponse {
            success: true,
            message_id: "m-1".to_owned(),
            error_message: String::new(),
        },
        got: Arc::default(),
    };
    let courier = backend_courier(port);
    let topic = TopicName::parse("orders").unwrap();
    let deliver = async {
        assert_eq!(courier.deliver(any(0)).await, Outcome::Done);
        let reply_to = TopicName::parse("r").unwrap();
        let sent = courier.send_to_backend(&topic, "[1]".to_owned(), Some(&reply_to), PATIENT);
        assert_eq!(sent.await, Ok("m-1".to_owned()));
        let sent = courier.send_to_backend(&topic, "2".to_owned(), None, PATIENT);
        assert_eq!(sent.await, Ok("m-1".to_owned()));
    };
    tokio::select! {
        () = deliver => {}
        () = serve(&listener, MessageBrokerServiceServer::new(backend.clone())) => panic!("ended"),
    }
    let got = backend.got.lock().unwrap();
    let got: Vec<_> = got
        .iter()
        .map(|m| (m.topic.as_str(), m.payload.as_str(), m.reply_to.as_str()))
        .collect();
    assert_eq!(
        got,
        [
            ("jobs", "{\"n\": 1}", "answers"),
            ("orders", "[1]", "r"),
            ("orders", "2", "")
        ]
    );
}

#[tokio::test]
async fn a_backend_that_refuses_says_why() {
    for (error_message, reason) in [
        ("no room", "the backend refused the message: no room"),
        ("", "the backend refused the message without a reason"),
    ] {
        let (listener, port) = listener().await;
        let backend = Backend {
            says: SendMessageResponse {
                error_message: error_message.to_owned(),
                ..SendMessageResponse::default()
            },
            got: Arc::default(),
        };
        let courier = backend_courier(port);
        tokio::select! {
            outcome = courier.deliver(any(0)) => assert_eq!(outcome, Outcome::failed(reason)),
            () = serve(&listener, MessageBrokerServiceServer::new(backend)) => panic!("ended"),
        }
    }
}

fn backend_courier(port: u16) -> Courier {
    let target = Target::backend(&format!("127.0.0.1:{port}")).unwrap();
    let dialer = Arc::new(dialer_allowing(""));
    let tasks = TaskTracker::new();
    Courier::open(target, 1, dialer, &tasks, CancellationToken::new())
}
