//! HTTP/2 on the same port, and what a service learns about the connection.

use crate::support::{PATIENCE, Server, text};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use weir_service::http::{ConnectionInfo, DrainOutcome, HttpLimits};

async fn peer_server() -> Server {
    Server::start(HttpLimits::default(), |request| async move {
        let peer = request.extensions().get::<ConnectionInfo>().unwrap().peer;
        text(peer.to_string())
    })
    .await
}

#[tokio::test]
async fn http2_with_prior_knowledge_works_and_drains() {
    let server = peer_server().await;
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let local = tcp.local_addr().unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp))
            .await
            .unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let request = Request::new(Empty::<Bytes>::new());
    let answer = sender.send_request(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, local.to_string());

    let connect = Request::builder()
        .method(Method::CONNECT)
        .uri("example.org:443")
        .body(Empty::new())
        .unwrap();
    assert_eq!(sender.send_request(connect).await.unwrap().status(), 405);

    assert_eq!(server.drained().await, DrainOutcome::Drained);
    let closed = timeout(PATIENCE, tasks.join_next()).await;
    assert!(closed.is_ok());
}

#[tokio::test]
async fn http1_works_byte_by_byte() {
    let server = peer_server().await;
    let mut client = server.client().await;
    let local = client.0.local_addr().unwrap();
    for byte in b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" {
        client.send([*byte]).await;
    }
    let answer = client.read_to_end().await;
    assert!(answer.ends_with(&local.to_string()), "{answer}");
}
