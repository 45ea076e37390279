//! Requests that never reach the service are answered with JSON.

use crate::support::{Server, assert_error, text};
use std::time::Duration;
use weir_protocol::ErrorCode;
use weir_service::http::HttpLimits;

const HELLO: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

fn small_headers() -> HttpLimits {
    HttpLimits {
        max_header_bytes: 8192,
        ..HttpLimits::default()
    }
}

#[tokio::test]
async fn a_header_that_never_ends_is_431() {
    let server = Server::hello(small_headers()).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nx: ").await;
    client.send("a".repeat(60_000)).await;
    assert_error(&client.read_to_end().await, 431, ErrorCode::HeadersTooLarge);
}

#[tokio::test]
async fn too_many_headers_are_431() {
    let server = Server::hello(HttpLimits::default()).await;
    let mut client = server.client().await;
    let headers = "a: b\r\n".repeat(200);
    client
        .send(format!("GET / HTTP/1.1\r\n{headers}\r\n"))
        .await;
    assert_error(&client.read_to_end().await, 431, ErrorCode::HeadersTooLarge);
}

#[tokio::test]
async fn an_address_that_is_too_long_is_414() {
    let limits = HttpLimits {
        max_header_bytes: 1024 * 1024,
        ..HttpLimits::default()
    };
    let server = Server::hello(limits).await;
    let mut client = server.client().await;
    let path = "a".repeat(70_000);
    client
        .send(format!("GET /{path} HTTP/1.1\r\nhost: x\r\n\r\n"))
        .await;
    assert_error(&client.read_to_end().await, 414, ErrorCode::UriTooLong);
}

#[tokio::test]
async fn malformed_requests_are_400() {
    let server = Server::hello(HttpLimits::default()).await;
    let malformed = [
        "what is this\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
        "\u{1}\u{2}\u{3}",
    ];
    for request in malformed {
        let mut client = server.client().await;
        client.send(request).await;
        assert_error(&client.read_to_end().await, 400, ErrorCode::BadRequest);
    }
}

#[tokio::test]
async fn a_malformed_request_after_good_ones_is_400() {
    let server = Server::hello(HttpLimits::default()).await;
    let mut client = server.client().await;
    client.send(HELLO).await;
    client.read_until("hello").await;
    client.send("nonsense\r\n\r\n").await;
    assert_error(&client.read_to_end().await, 400, ErrorCode::BadRequest);

    let mut pipelining = server.client().await;
    pipelining
        .send(format!("{HELLO}{HELLO}nonsense\r\n\r\n"))
        .await;
    let answers = pipelining.read_to_end().await;
    assert_eq!(answers.matches("hello").count(), 2, "{answers}");
    assert_error(&answers, 400, ErrorCode::BadRequest);
}

#[tokio::test]
async fn a_services_own_empty_400_is_left_alone() {
    let server = Server::start(HttpLimits::default(), |_| async {
        let mut answer = text("");
        *answer.status_mut() = http::StatusCode::BAD_REQUEST;
        answer
    })
    .await;
    let mut client = server.client().await;
    client
        .send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    let answer = client.read_to_end().await;
    assert!(answer.contains("content-length: 0\r\n") && answer.ends_with("\r\n\r\n"));
}

#[tokio::test]
async fn headers_that_come_too_slowly_are_408() {
    let limits = HttpLimits {
        header_read_timeout: Duration::from_millis(50),
        first_byte_timeout: Duration::from_millis(50),
        ..HttpLimits::default()
    };
    let server = Server::hello(limits).await;
    for beginning in ["GET / HTTP/1.1\r\nhost:", "PR"] {
        let mut client = server.client().await;
        client.send(beginning).await;
        assert_error(&client.read_to_end().await, 408, ErrorCode::RequestTimeout);
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed_in_silence() {
    let limits = HttpLimits {
        header_read_timeout: Duration::from_millis(50),
        first_byte_timeout: Duration::from_millis(50),
        ..HttpLimits::default()
    };
    let server = Server::hello(limits).await;
    let mut fresh = server.client().await;
    assert_eq!(fresh.read_to_end().await, "");
    let mut kept_alive = server.client().await;
    kept_alive.send(HELLO).await;
    kept_alive.read_until("hello").await;
    assert_eq!(kept_alive.read_to_end().await, "");
}

#[tokio::test]
async fn connect_is_405_and_never_reaches_the_service() {
    let server = Server::start(HttpLimits::default(), |_| async { panic!("CONNECT") }).await;
    let mut client = server.client().await;
    client
        .send("CONNECT example.org:443 HTTP/1.1\r\nhost: example.org:443\r\n\r\n")
        .await;
    let answer = client.read_to_end().await;
    assert_error(&answer, 405, ErrorCode::MethodNotAllowed);
}
