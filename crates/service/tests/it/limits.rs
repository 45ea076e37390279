//! What clients cannot take more of.

use crate::support::{Client, PATIENCE, Server, text};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;
use tokio::time::timeout;
use weir_service::http::{DrainOutcome, HttpLimits};

const HELLO: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn connections_above_the_limit_wait_for_a_place() {
    let limits = HttpLimits {
        max_connections: 1,
        ..HttpLimits::default()
    };
    let (started, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (starts, may_finish) = (Arc::clone(&started), Arc::clone(&finish));
    let server = Server::start(limits, move |_| {
        let (starts, may_finish) = (Arc::clone(&starts), Arc::clone(&may_finish));
        async move {
            starts.notify_one();
            may_finish.notified().await;
            text("finished")
        }
    })
    .await;
    let mut first = server.client().await;
    first.send(HELLO).await;
    started.notified().await;
    let mut second = server.client().await;
    second.send(HELLO).await;
    finish.notify_one();
    first.read_until("finished").await;
    for _ in 0..1000 {
        // The place is still taken, by an idle connection.
        assert_eq!(server.open_connections(), 1.0);
        tokio::task::yield_now().await;
    }
    drop(first);
    timeout(PATIENCE, started.notified()).await.unwrap();
    finish.notify_one();
    second.read_until("finished").await;
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut() {
    let limits = HttpLimits {
        write_timeout: Duration::from_millis(100),
        drain_timeout: PATIENCE,
        ..HttpLimits::default()
    };
    let (started, size) = (Arc::new(Notify::new()), 64 * 1024 * 1024);
    let starts = Arc::clone(&started);
    let server = Server::start(limits, move |_| {
        starts.notify_one();
        async move { text(vec![b'x'; size]) }
    })
    .await;
    let mut client: Client = server.client().await;
    client.send(HELLO).await;
    started.notified().await;
    // Its answer cannot end, so only the write timeout can end the connection.
    assert_eq!(server.drained().await, DrainOutcome::Drained);
    let mut received = Vec::new();
    let _ = timeout(PATIENCE, client.0.read_to_end(&mut received))
        .await
        .unwrap();
    assert!(received.len() < size, "{}", received.len());
}
