//! Clients that leave answers unread: bounded in memory, cut in the end, and nobody else's problem.
//! `cargo xtask slow-readers` measures what a thousand of them cost the others.

use crate::broker;
use crate::support::{Request, send_raw};
use bytes::Bytes;
use std::fs;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use weir_client::LeaseOptions;
use weir_testkit::{BrokerProcess, eventually};
use weir_types::{GroupName, TopicName};

const MESSAGES: usize = 160;
const MESSAGE_BYTES: usize = 200_000;
/// A byte now and then is progress, too.
const CRUMB_EVERY: Duration = Duration::from_millis(100);

/// A broker that cuts after a second, with a topic `t` that no buffer on the way could hold.
async fn impatient() -> BrokerProcess {
    let running = broker().with_flags(["--write-timeout=1s"]).start().await;
    fill(&running).await;
    running
}

async fn fill(running: &BrokerProcess) {
    let (client, topic) = (running.client(), TopicName::parse("t").unwrap());
    let line = format!("{{\"payload\":\"{}\"}}\n", "x".repeat(MESSAGE_BYTES));
    let batch = Bytes::from(line.repeat(MESSAGES / 4));
    for _ in 0..4 {
        client.publish_batch(&topic, batch.clone()).await.unwrap();
    }
}

/// A client with as little room as the system allows, whose answer has begun to come.
async fn slow_client(running: &BrokerProcess, target: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut tcp = socket.connect(running.http_address()).await.unwrap();
    let request = Request::new("GET", target).encode();
    tcp.write_all(&request).await.unwrap();
    tcp.readable().await.unwrap();
    tcp
}

/// Takes a byte now and then until the broker has cut the connection; then whatever still comes. How
/// much came after the first of it.
async fn read_crumbs_until_cut(running: &BrokerProcess, mut tcp: TcpStream) -> usize {
    let cut = eventually("the cut", async || {
        (connections(running).await == 1).then_some(())
    });
    tokio::select! {
        () = cut => {}
        () = read_crumbs(&mut tcp) => {}
    }
    let mut rest = Vec::new();
    let _may_be_reset = tcp.read_to_end(&mut rest).await;
    rest.len()
}

/// Ends with the connection.
async fn read_crumbs(tcp: &mut TcpStream) {
    while let Ok(1..) = tcp.read(&mut [0; 1]).await {
        tokio::time::sleep(CRUMB_EVERY).await;
    }
}

/// The open connections, with that of whoever asks.
async fn connections(running: &BrokerProcess) -> u32 {
    let request = Request::new("GET", "/metrics").encode();
    let metrics = send_raw(running.http_address(), &request).await;
    let text = metrics.text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("weir_broker_connections "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn slow_a_body_that_is_read_in_crumbs_is_cut() {
    let running = impatient().await;
    let target = "/v1/topics/t/messages?max_bytes=16777216";
    let tcp = slow_client(&running, target).await;
    let taken = read_crumbs_until_cut(&running, tcp).await;
    assert!(taken < MESSAGES * MESSAGE_BYTES / 4, "{taken} bytes");
}

#[tokio::test]
async fn slow_a_stream_that_is_read_in_crumbs_is_cut() {
    let running = impatient().await;
    let tcp = slow_client(&running, "/v1/topics/t/stream?from=earliest").await;
    let taken = read_crumbs_until_cut(&running, tcp).await;
    assert!(taken < MESSAGES * MESSAGE_BYTES / 4, "{taken} bytes");
}

#[tokio::test]
async fn slow_messages_of_a_consumer_that_is_cut_go_to_another() {
    let running = impatient().await;
    let target = "/v1/topics/t/groups/g/stream?max_in_flight=1000&visibility_timeout=12h";
    let tcp = slow_client(&running, target).await;
    let taken = read_crumbs_until_cut(&running, tcp).await;
    assert!(taken < MESSAGES * MESSAGE_BYTES / 4, "{taken} bytes");
    let (client, topic, group) = (
        running.client(),
        TopicName::parse("t").unwrap(),
        GroupName::parse("g").unwrap(),
    );
    let options = LeaseOptions {
        max: Some(10),
        wait: Some(Duration::from_secs(1)),
        ..LeaseOptions::default()
    };
    let mut offsets = Vec::new();
    eventually("all messages at another consumer", async || {
        let leased = client.lease(&topic, &group, &options).await.unwrap();
        offsets.extend(leased.messages.iter().map(|message| message.offset.0));
        (offsets.len() == MESSAGES).then_some(())
    })
    .await;
    offsets.sort_unstable();
    let expected: Vec<_> = (0..MESSAGES as u64).collect();
    assert_eq!(offsets, expected, "each once");
}

const CLIENTS: u64 = 200;
/// On average: half of them fetch the default size, half hold the flush of a stream.
const CLIENT_BYTES: u64 = 1024 * 1024;

#[tokio::test]
async fn slow_clients_that_do_not_read_take_bounded_memory() {
    let running = broker().start().await;
    fill(&running).await;
    let before = rss_bytes(&running);
    let mut unread = Vec::new();
    for _ in 0..CLIENTS / 2 {
        unread.push(slow_client(&running, "/v1/topics/t/messages").await);
        unread.push(slow_client(&running, "/v1/topics/t/stream?from=earliest").await);
    }
    let more = rss_bytes(&running).saturating_sub(before);
    assert!(more < CLIENTS * CLIENT_BYTES, "{more} bytes more");
    let (client, topic) = (running.client(), TopicName::parse("other").unwrap());
    let payload = Bytes::from_static(b"1");
    let published = client.publish(&topic, payload, &<_>::default()).await;
    assert_eq!(published.unwrap().offset.0, 0);
    drop((unread, client));
    eventually("the end of all of them", async || {
        (connections(&running).await == 1).then_some(())
    })
    .await;
}

fn rss_bytes(running: &BrokerProcess) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse::<u64>().unwrap() * 1024
}
