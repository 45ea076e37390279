//! One HTTP/2 connection to the gRPC port: for generated clients, and for requests made by hand.

use crate::support::soon;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::body::Body;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tower_service::Service;
use weir_protocol::grpc::broker::broker_client::BrokerClient;
use weir_protocol::grpc::message::message_broker_service_client::MessageBrokerServiceClient;

pub(super) const NARROW_WINDOW_BYTES: u32 = 65_535;

/// Ends when it is dropped.
pub(super) struct GrpcConnection {
    channel: Channel,
    origin: Uri,
    _driver: JoinSet<()>,
}

impl GrpcConnection {
    pub(super) async fn open(address: SocketAddr) -> Self {
        Self::with(Builder::new(TokioExecutor::new()), address).await
    }

    /// One that takes at most [`NARROW_WINDOW_BYTES`] before somebody reads.
    pub(super) async fn open_narrow(address: SocketAddr) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(NARROW_WINDOW_BYTES);
        Self::with(builder, address).await
    }

    async fn with(builder: Builder<TokioExecutor>, address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        let shaken = builder.handshake(TokioIo::new(tcp)).await;
        let (sender, connection) = shaken.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // How it ends shows in the calls.
            let _ = connection.await;
        });
        Self {
            channel: Channel(sender),
            origin: format!("http://{address}").parse().unwrap(),
            _driver: driver,
        }
    }

    fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(super) fn messages(&self) -> MessageBrokerServiceClient<Channel> {
        MessageBrokerServiceClient::with_origin(self.channel(), self.origin.clone())
    }

    pub(super) fn workers(&self) -> BrokerClient<Channel> {
        BrokerClient::with_origin(self.channel(), self.origin.clone())
    }

    pub(super) fn health(&self) -> HealthClient<Channel> {
        HealthClient::with_origin(self.channel(), self.origin.clone())
    }

    pub(super) fn reflection(&self) -> ServerReflectionClient<Channel> {
        ServerReflectionClient::with_origin(self.channel(), self.origin.clone())
    }

    /// A call of `path`, as a client would make it.
    pub(super) fn request(&self, path: &str) -> http::request::Builder {
        Request::post(format!("{}{}", self.origin, path.trim_start_matches('/')))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Response<Incoming> {
        soon(self.channel().call(request)).await.unwrap()
    }

    /// The status of a call, wherever the answer has it.
    pub(super) async fn status(&self, request: Request<Body>) -> (Code, String) {
        let answer = self.send(request).await;
        let (head, body) = answer.into_parts();
        let trailers = soon(body.collect()).await.unwrap().trailers().cloned();
        let mut fields = head.headers;
        fields.extend(trailers.unwrap_or_default());
        let status = tonic::Status::from_header_map(&fields).expect("a gRPC status");
        (status.code(), status.message().to_owned())
    }
}

/// A `ReceiveMessageRequest` of the topic `t`.
pub(super) const RECEIVE_FROM_T: &[u8] = b"\x0a\x01t";

/// One encoded message as it goes over the wire.
pub(super) fn framed(message: &[u8]) -> Body {
    let length = u32::try_from(message.len()).unwrap();
    let frame = [&[0], length.to_be_bytes().as_slice(), message].concat();
    Body::new(Full::new(Bytes::from(frame)))
}

/// A connection as generated clients take it.
#[derive(Clone)]
pub(super) struct Channel(SendRequest<Body>);

impl Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
