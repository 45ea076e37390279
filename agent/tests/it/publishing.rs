use crate::support::{Agent, Asked, LATER, OVERLOADED, REFUSED, Server, TAKEN};
use serde_json::Value;

const NODE: &str = "<img src=x onerror=alert(1)>";

fn start(server: &Server, flags: &[&str]) -> Agent {
    Agent::start(&[&["--broker", &server.url, "--node", NODE], flags].concat())
}

/// The lines of a topic in requests that were answered with `status`.
fn lines_of(asked: &[Asked], topic: &str, status: u16) -> Vec<Value> {
    let asked = asked.iter().filter(|a| a.status == status);
    let lines = asked.flat_map(Asked::lines);
    lines.filter(|line| line["topic"] == topic).collect()
}

fn seqs(lines: &[Value]) -> Vec<u64> {
    let seqs = lines.iter().map(|l| l["payload"]["seq"].as_u64().unwrap());
    seqs.collect()
}

fn assert_without_gaps(seqs: &[u64]) {
    let next = seqs.windows(2).all(|pair| pair[1] == pair[0] + 1);
    assert!(next, "{seqs:?}");
}

#[tokio::test]
async fn every_tick_is_one_batch_and_the_first_has_all_topics() {
    let server = Server::start(&[TAKEN]).await;
    let agent = start(&server, &[]);
    let asked = server.asked(|asked| asked.len() >= 3).await;
    agent.stop().await;

    assert!(asked.iter().all(|a| a.line == "POST /v1/messages"));
    assert!(asked[0].head.contains("content-type: application/x-ndjson"));
    let lines = asked[0].lines();
    let topics: Vec<&str> = lines.iter().map(|l| l["topic"].as_str().unwrap()).collect();
    let expected = [
        "host.info",
        "host.cpu",
        "host.memory",
        "host.disk",
        "host.network",
        "host.system",
    ];
    assert_eq!(topics, expected);
    for line in &lines {
        let payload = &line["payload"];
        let boot_id = payload["boot_id"].as_str().unwrap();
        let (topic, seq) = (line["topic"].as_str().unwrap(), &payload["seq"]);
        assert_eq!(line["key"], NODE);
        assert_eq!(payload["node"], NODE);
        assert_eq!(line["id"], format!("{NODE}/{boot_id}/{topic}/{seq}"));
    }
    let cpu = lines_of(&asked, "host.cpu", 201);
    assert_eq!(cpu.len(), 3);
    assert_without_gaps(&seqs(&cpu));
    assert!(cpu[0]["payload"]["busy_ratio"].is_null());
    assert!(cpu[1]["payload"]["busy_ratio"].is_number());
}

#[tokio::test]
async fn what_an_overloaded_broker_refused_comes_again_in_order_and_with_its_ids() {
    let server = Server::start(&[OVERLOADED, OVERLOADED, OVERLOADED, TAKEN]).await;
    let agent = start(&server, &[]);
    let asked = server.asked(|asked| asked.len() >= 6).await;
    agent.stop().await;

    let refused = lines_of(&asked, "host.cpu", 503);
    let taken = lines_of(&asked, "host.cpu", 201);
    assert_eq!(refused[0]["id"], taken[0]["id"]);
    assert_eq!(refused[0]["payload"], taken[0]["payload"]);
    assert_without_gaps(&seqs(&taken));
}

#[tokio::test]
async fn an_agent_that_starts_before_its_broker_loses_nothing() {
    // Free a moment ago, which is as good as nobody listening.
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let url = format!("http://{address}");
    let mut agent = Agent::start(&["--broker", &url, "--node=n", "--metric-type=cpu,info"]);
    agent.logs("the broker takes no samples").await;
    let server = Server::start_at(address, &[TAKEN]).await;
    let asked = server.asked(|asked| asked.len() >= 2).await;
    agent.stop().await;

    let first = &asked[0].lines()[0];
    assert_eq!(first["topic"], "host.info");
    let cpu = lines_of(&asked, "host.cpu", 201);
    assert_without_gaps(&seqs(&cpu));
    assert_eq!(cpu[0]["payload"]["seq"], first["payload"]["seq"]);
}

#[tokio::test]
async fn a_sample_that_the_broker_will_never_take_is_found_dropped_and_told_later() {
    // The batch of two is refused, then its first line alone; the second is taken.
    let server = Server::start(&[REFUSED, REFUSED, TAKEN]).await;
    let agent = start(&server, &["--metric-type", "cpu,system"]);
    let systems = |asked: &[Asked]| lines_of(asked, "host.system", 201);
    let asked = server.asked(|asked| systems(asked).len() == 2).await;
    agent.stop().await;
    let lines = asked.iter().map(|a| a.lines().len());
    assert_eq!(lines.take(3).collect::<Vec<_>>(), [2, 1, 1]);
    assert_eq!(asked[1].lines()[0]["topic"], "host.cpu");
    let told = systems(&asked)
        .into_iter()
        .map(|l| l["payload"]["agent"]["dropped_samples"].clone());
    assert_eq!(told.collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn what_waits_is_sent_once_more_at_the_end() {
    let server = Server::start(&[LATER]).await;
    let agent = start(&server, &["--metric-type", "cpu"]);
    server.asked(|asked| !asked.is_empty()).await;
    // Three ticks, during which the agent keeps to the broker's wish.
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    server.answer(TAKEN);
    agent.stop().await;

    let asked = server.asked_so_far();
    assert_eq!(asked.len(), 2);
    let taken = seqs(&lines_of(&asked, "host.cpu", 201));
    assert!(taken.len() >= 3, "{taken:?}");
    assert_without_gaps(&taken);
}
