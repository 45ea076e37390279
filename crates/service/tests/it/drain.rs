//! The end: idle connections close, running requests finish, stuck ones are cut.

use crate::support::{Server, text};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use weir_service::http::{DrainOutcome, HttpLimits};

const HELLO: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_drain() {
    let server = Server::hello(HttpLimits::default()).await;
    let mut kept_alive = server.client().await;
    kept_alive.send(HELLO).await;
    kept_alive.read_until("hello").await;
    let mut silent = server.client().await;
    let mut silent_too = server.client().await;
    silent_too.send("PRI").await;
    assert_eq!(server.drained().await, DrainOutcome::Drained);
    assert_eq!(kept_alive.read_to_end().await, "");
    // Not accepted or just accepted: either way nobody answers.
    let _ = tokio::io::AsyncReadExt::read(&mut silent.0, &mut [0]).await;
}

#[tokio::test]
async fn half_a_request_does_not_hold_up_the_drain() {
    let server = Server::hello(HttpLimits::default()).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nhost:").await;
    while server.open_connections() < 1.0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.drained().await, DrainOutcome::Drained);
}

#[tokio::test]
async fn a_running_request_finishes_and_new_ones_are_refused() {
    let (started, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (starts, may_finish) = (Arc::clone(&started), Arc::clone(&finish));
    let server = Server::start(HttpLimits::default(), move |_| {
        let (starts, may_finish) = (Arc::clone(&starts), Arc::clone(&may_finish));
        async move {
            starts.notify_one();
            may_finish.notified().await;
            text("finished")
        }
    })
    .await;
    let mut client = server.client().await;
    client.send(HELLO).await;
    started.notified().await;
    server.stop.cancel();
    while tokio::net::TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    finish.notify_one();
    let answer = client.read_to_end().await;
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("finished"), "{answer}");
    assert_eq!(server.drained().await, DrainOutcome::Drained);
}

#[tokio::test]
async fn requests_that_do_not_end_are_cut_and_counted() {
    let limits = HttpLimits {
        drain_timeout: Duration::from_millis(50),
        ..HttpLimits::default()
    };
    let started = Arc::new(Notify::new());
    let starts = Arc::clone(&started);
    let server = Server::start(limits, move |_| {
        starts.notify_one();
        std::future::pending()
    })
    .await;
    let mut client = server.client().await;
    client.send(HELLO).await;
    started.notified().await;
    let outcome = server.drained().await;
    assert_eq!(outcome, DrainOutcome::TimedOut { connections: 1 });
}
