//! What is the same for every service: routing, deadlines, health, reflection, the end.

use super::connection::{GrpcConnection, RECEIVE_FROM_T, framed};
use super::{broker, message};
use crate::support::{Request, send_raw, soon};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use std::convert::Infallible;
use std::time::Duration;
use tonic::Code;
use tonic::body::Body;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use weir_protocol::grpc::message::ReceiveMessageRequest;

const SEND: &str = "/message.MessageBrokerService/SendMessage";
const RECEIVE: &str = "/message.MessageBrokerService/ReceiveMessage";

/// A body that begins and never goes on.
fn endless() -> Body {
    Body::new(StreamBody::new(stream::pending::<
        Result<Frame<Bytes>, Infallible>,
    >()))
}

#[tokio::test]
async fn unknown_services_and_methods_are_unimplemented() {
    let broker = broker().await;
    let connection = GrpcConnection::open(broker.grpc_address()).await;
    for path in ["/no.Such/Method", "/", "/message.MessageBrokerService/Send"] {
        let request = connection.request(path).body(Body::empty()).unwrap();
        let (code, text) = connection.status(request).await;
        assert_eq!(code, Code::Unimplemented, "{path}: {text}");
    }
}

#[tokio::test]
async fn what_is_no_grpc_is_told_so() {
    let broker = broker().await;
    let plain = Request::new("GET", "/health").encode();
    let answer = send_raw(broker.grpc_address(), &plain).await;
    assert!(answer.text().contains("this port speaks gRPC"));
    assert_eq!(answer.status, 415);

    let connection = GrpcConnection::open(broker.grpc_address()).await;
    let mut request = connection.request(SEND).body(Body::empty()).unwrap();
    let json = http::HeaderValue::from_static("application/json");
    request.headers_mut().insert("content-type", json);
    assert_eq!(connection.send(request).await.status(), 415);
}

#[tokio::test]
async fn a_message_cut_short_is_refused() {
    let broker = broker().await;
    let connection = GrpcConnection::open(broker.grpc_address()).await;
    for bytes in [&[0, 0, 0][..], &[0, 0, 0, 0, 9, 1], &[0, 0, 0, 0, 1, 0xff]] {
        let body = Body::new(http_body_util::Full::new(Bytes::copy_from_slice(bytes)));
        let request = connection.request(SEND).body(body).unwrap();
        let (code, text) = connection.status(request).await;
        assert!(code != Code::Ok, "{bytes:?}: {text}");
    }
}

#[tokio::test]
async fn a_deadline_ends_a_call_whose_request_does_not_come() {
    let broker = broker().await;
    let connection = GrpcConnection::open(broker.grpc_address()).await;
    let request = connection.request(SEND).header("grpc-timeout", "50m");
    let (code, text) = connection.status(request.body(endless()).unwrap()).await;
    assert_eq!(
        (code, &*text),
        (Code::DeadlineExceeded, "no answer within 50ms")
    );
}

#[tokio::test]
async fn a_deadline_ends_a_call_that_waits_for_others() {
    let broker = broker().await;
    let connection = GrpcConnection::open(broker.grpc_address()).await;
    broker.publish("t", "1").await;
    // Somebody holds it: for a moment the next caller waits whether it comes back.
    let held = broker.lease("t", "consume", "").await;
    assert_eq!(held.len(), 1);
    let body = framed(RECEIVE_FROM_T);
    let request = connection.request(RECEIVE).header("grpc-timeout", "1m");
    let (code, text) = connection.status(request.body(body).unwrap()).await;
    assert_eq!(code, Code::DeadlineExceeded, "{text}");
}

#[tokio::test]
async fn a_deadline_that_is_none_is_refused() {
    let broker = broker().await;
    let connection = GrpcConnection::open(broker.grpc_address()).await;
    let request = connection.request(SEND).header("grpc-timeout", "soon");
    let request = request.body(framed(b"\x0a\x01t\x12\x011")).unwrap();
    let (code, text) = connection.status(request).await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(text.contains("\"soon\" is no time"), "{text}");
}

#[tokio::test]
async fn health_knows_the_broker_and_its_services() {
    let broker = broker().await;
    let connection = GrpcConnection::open(broker.grpc_address()).await;
    let mut health = connection.health();
    let mut check = async |service: &str| {
        let service = service.to_owned();
        let checked = soon(health.check(HealthCheckRequest { service })).await;
        checked.map(|answer| answer.into_inner().status())
    };
    for service in ["", "message.MessageBrokerService", "broker.Broker"] {
        assert_eq!(check(service).await.unwrap(), ServingStatus::Serving);
    }
    assert_eq!(check("other").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn reflection_lists_the_services_and_describes_them() {
    let broker = broker().await;
    let connection = GrpcConnection::open(broker.grpc_address()).await;
    let mut reflection = connection.reflection();
    let questions = [
        MessageRequest::ListServices(String::new()),
        MessageRequest::FileContainingSymbol("message.SendMessageRequest".to_owned()),
    ];
    let questions = questions.map(|question| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    });
    let answers = soon(reflection.server_reflection_info(stream::iter(questions))).await;
    let answers = answers.unwrap().into_inner();
    let answers = soon(
        answers
            .map(|answer| answer.unwrap().message_response.unwrap())
            .collect(),
    );
    let answers: Vec<MessageResponse> = answers.await;
    let MessageResponse::ListServicesResponse(list) = &answers[0] else {
        panic!("{answers:?}");
    };
    let mut names: Vec<_> = list.service.iter().map(|service| &*service.name).collect();
    names.sort_unstable();
    let expected = [
        "broker.Broker",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "message.MessageBrokerService",
    ];
    assert_eq!(names, expected);
    assert!(matches!(
        &answers[1],
        MessageResponse::FileDescriptorResponse(_)
    ));
}

#[tokio::test]
async fn a_broker_that_stops_says_so_and_waits_for_no_stream() {
    let broker = broker().await;
    let connection = GrpcConnection::open(broker.grpc_address()).await;
    let mut health = connection.health();
    let watched = soon(health.watch(HealthCheckRequest::default())).await;
    let mut watched = watched.unwrap().into_inner();
    let first = soon(watched.next()).await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);

    let mut reflection = connection.reflection();
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let open = stream::iter([question]).chain(stream::pending());
    let answers = soon(reflection.server_reflection_info(open)).await;
    let mut answers = answers.unwrap().into_inner();
    assert!(soon(answers.next()).await.unwrap().is_ok());

    let begun = tokio::time::Instant::now();
    let (stopped, last, end) = tokio::join!(broker.stop(), watched.next(), answers.next());
    assert_eq!(last.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(end.is_none(), "{end:?}");
    stopped.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_call_that_a_stopping_broker_still_takes_is_unavailable() {
    let broker = broker().await;
    let connection = GrpcConnection::open(broker.grpc_address()).await;
    broker.core().drain();
    let mut client = connection.messages();
    let refused = soon(client.send_message(message("t", "1")))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    let topic = "t".to_owned();
    let refused = soon(client.receive_message(ReceiveMessageRequest { topic })).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
}
