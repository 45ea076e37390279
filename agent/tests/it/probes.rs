//! What an agent that listens answers, and its health check.

use crate::support::{Agent, Server, TAKEN, command, soon};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

async fn get(address: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(socket.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn an_agent_that_listens_answers_probes_and_stops_all_the_same() {
    let server = Server::start(&[TAKEN]).await;
    let flags = [
        "--broker",
        &server.url,
        "--node",
        "n",
        "--http",
        "127.0.0.1:0",
    ];
    let mut agent = Agent::start(&flags);
    let address = agent.logged_address("answering probes").await;
    server.asked(|asked| !asked.is_empty()).await;

    for (path, status) in [
        ("/startup", "started"),
        ("/health", "healthy"),
        ("/ready", "ready"),
    ] {
        let answer = get(address, path).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.contains(&format!("\"status\":\"{status}\"")),
            "{answer}"
        );
    }
    let metrics = get(address, "/metrics").await;
    assert!(metrics.contains("\nweir_agent_collector_success{collector=\"cpu\"} 1\n"));
    assert!(metrics.contains("\nweir_agent_dropped_samples_total 0\n"));

    let http = address.to_string();
    let healthcheck = ["--node", "n", "--http", &http, "--healthcheck"];
    assert!(command(&healthcheck).status().unwrap().success());
    agent.stop().await;
    assert_eq!(command(&healthcheck).status().unwrap().code(), Some(1));
}

#[tokio::test]
async fn slow_idle_connections_keep_probes_out_for_a_moment_only() {
    let server = Server::start(&[TAKEN]).await;
    let named = ["--broker", &server.url, "--node", "n"];
    let mut agent = Agent::start(&[&named[..], &["--http", "127.0.0.1:0"]].concat());
    let address = agent.logged_address("answering probes").await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(address).await.unwrap());
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET /health HT").await.unwrap();
        idle.push(slow);
    }
    // Less than a kubelet waits for three times.
    let answer = timeout(Duration::from_secs(20), get(address, "/health")).await;
    assert!(answer.unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
    agent.stop().await;
}

#[test]
fn an_agent_that_does_not_listen_cannot_be_asked() {
    let asked = command(&["--node", "n", "--healthcheck"]).output().unwrap();
    assert_eq!(asked.status.code(), Some(1));
    let said = String::from_utf8(asked.stderr).unwrap();
    assert_eq!(said, "there is no HTTP listener to ask\n");
}

#[tokio::test]
async fn a_taken_address_keeps_the_agent_from_starting() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = command(&["--node", "n", "--http", &address])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&format!("cannot listen on {address}")),
        "{said}"
    );
}
