//! gRPC as its clients see it, with generated clients over HTTP/2.

mod connection;
mod front_end;
mod messages;
mod python_clients;
mod tasks;

use crate::support::{TestBroker, soon};
use connection::GrpcConnection;
use std::net::{Ipv4Addr, SocketAddr};
use weir_broker::Settings;
use weir_broker::settings::GrpcListen;
use weir_protocol::grpc::broker::QueueRequest;
use weir_protocol::grpc::message::SendMessageRequest;

/// A broker that listens for gRPC, too, with other settings than the defaults.
async fn broker_with(change: impl FnOnce(&mut Settings)) -> TestBroker {
    TestBroker::with(|settings| {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        settings.grpc = GrpcListen::On(vec![any_port]);
        change(settings);
    })
    .await
}

async fn broker() -> TestBroker {
    broker_with(|_| {}).await
}

/// Registers a queue of tasks at any broker, and returns its number.
pub(crate) async fn register_queue(address: SocketAddr, name: &str) -> i32 {
    let connection = GrpcConnection::open(address).await;
    let request = QueueRequest {
        name: name.to_owned(),
        buffer_length: 0,
    };
    let answer = soon(connection.workers().register_queue(request)).await;
    answer.unwrap().get_ref().queue
}

fn message(topic: &str, payload: impl Into<String>) -> SendMessageRequest {
    SendMessageRequest {
        topic: topic.to_owned(),
        payload: payload.into(),
        reply_to: String::new(),
    }
}
