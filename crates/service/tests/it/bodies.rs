//! Bodies through a real connection.

use crate::support::{Answer, Server, text};
use http::Request;
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use std::time::Duration;
use weir_service::http::{BodyLimits, HttpLimits, InFlight, collect_body};

async fn receive(request: Request<Incoming>, in_flight: InFlight) -> Answer {
    let limits = BodyLimits {
        max_bytes: 100_000,
        idle_timeout: Duration::from_secs(10),
        total_timeout: Duration::from_secs(20),
    };
    let chunks = BodyDataStream::new(request.into_body());
    match collect_body(chunks, &limits, &in_flight).await {
        Ok(body) => text(format!("received {}", body.bytes.len())),
        Err(error) => {
            let mut answer = text(error.to_string());
            *answer.status_mut() = error.code().http_status().try_into().unwrap();
            answer
        }
    }
}

async fn server(in_flight: &InFlight) -> Server {
    let in_flight = in_flight.clone();
    let handler = move |request| receive(request, in_flight.clone());
    Server::start(HttpLimits::default(), handler).await
}

const CHUNKED: &str = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
    transfer-encoding: chunked\r\n\r\n";

fn chunk(size: usize) -> String {
    format!("{size:x}\r\n{}\r\n", "x".repeat(size))
}

#[tokio::test]
async fn a_chunked_body_is_collected() {
    let in_flight = InFlight::new(1_000_000);
    let server = server(&in_flight).await;
    let mut client = server.client().await;
    client.send(CHUNKED).await;
    client
        .send(chunk(40_000) + &chunk(20_000) + "0\r\n\r\n")
        .await;
    let answer = client.read_to_end().await;
    assert!(answer.ends_with("received 60000"), "{answer}");
    assert_eq!(in_flight.used_bytes(), 0);
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_413_though_the_client_goes_on_sending() {
    let in_flight = InFlight::new(1_000_000);
    let server = server(&in_flight).await;
    let mut client = server.client().await;
    client.send(CHUNKED).await;
    for _ in 0..3 {
        client.send(chunk(40_000)).await;
    }
    client.0.readable().await.unwrap();
    for _ in 0..10 {
        client.send(chunk(40_000)).await;
    }
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(in_flight.used_bytes(), 0);
}

#[tokio::test]
async fn bodies_beyond_the_budget_are_overloaded() {
    let in_flight = InFlight::new(100_000);
    let server = server(&in_flight).await;
    let elsewhere = in_flight.try_reserve(80_000).unwrap();
    let request = CHUNKED.to_owned() + &chunk(40_000) + "0\r\n\r\n";
    let mut client = server.client().await;
    client.send(&request).await;
    assert!(client.read_to_end().await.starts_with("HTTP/1.1 503 "));
    drop(elsewhere);
    let mut client = server.client().await;
    client.send(&request).await;
    assert!(client.read_to_end().await.ends_with("received 40000"));
}
