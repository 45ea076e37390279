use crate::server::{Answer, Server};
use std::time::Duration;
use weir_client::{Client, ClientError, ClientOptions};
use weir_protocol::{ErrorBody, ErrorCode};

async fn ready(answer: Answer) -> ClientError {
    let server = Server::start(vec![answer]).await;
    server.client().ready().await.unwrap_err()
}

#[tokio::test]
async fn a_refusal_carries_code_message_and_hint() {
    let body = ErrorBody::new(ErrorCode::Overloaded, "64 MiB are in flight").to_json();
    let body = String::from_utf8(body).unwrap();
    let error = ready(Answer::Whole(503, "retry-after: 2\r\n", body)).await;
    let expected = ClientError::Refused {
        status: 503,
        code: ErrorCode::Overloaded,
        message: "64 MiB are in flight".into(),
        retry_after: Some(Duration::from_secs(2)),
    };
    assert_eq!(error, expected);
    assert!(error.is_retryable());
}

#[tokio::test]
async fn answers_of_something_else_are_malformed() {
    for (status, body) in [(200, "hello"), (404, "<html>"), (200, "")] {
        let error = ready(Answer::Whole(status, "", body.into())).await;
        assert!(
            matches!(error, ClientError::Malformed { status: s, .. } if s == status),
            "{error}"
        );
    }
}

#[tokio::test]
async fn silence_times_out() {
    let error = ready(Answer::Silence).await;
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn half_an_answer_is_an_interruption() {
    let error = ready(Answer::Cut).await;
    assert!(matches!(error, ClientError::Interrupted { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_above_the_limit_is_refused() {
    let server = Server::start(vec![Answer::Whole(200, "", "x".repeat(101))]).await;
    let options = ClientOptions {
        max_response_bytes: 100,
        ..ClientOptions::default()
    };
    let client = Client::new(&server.url, options).unwrap();
    let error = client.health().await.unwrap_err();
    assert!(error.to_string().contains("more than 100 bytes"), "{error}");
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::new(&format!("http://{address}"), ClientOptions::default()).unwrap();
    let error = client.health().await.unwrap_err();
    let expected =
        format!("cannot reach the broker at {address}: Connection refused (os error 111)");
    assert_eq!(error.to_string(), expected);
}
