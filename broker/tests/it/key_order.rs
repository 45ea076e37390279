//! Messages of one key are handed out one after the other, whoever consumes; other keys flow.

use crate::broker;
use crate::consuming::{attempts, keyed_lines, payloads, receipt, receipts};
use crate::support::{Request, TestBroker, fields, send_raw};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use weir_testkit::BrokerProcess;

async fn with_keys(keys: &[&str]) -> TestBroker {
    let broker = TestBroker::start().await;
    broker
        .publish_lines("t", &keyed_lines(keys))
        .await
        .expect(201);
    broker
}

fn counts(state: &Value) -> [u64; 3] {
    ["in_flight", "waiting", "held_back"].map(|name| state[name].as_u64().unwrap())
}

#[tokio::test]
async fn one_key_waits_while_others_flow() {
    let broker = with_keys(&["slow", "a", "slow", "b", "a", "slow"]).await;
    let slow = broker.lease("t", "g", "").await;
    assert_eq!(payloads(&slow), [0]);
    let others = broker.lease("t", "g", "max=9").await;
    assert_eq!(payloads(&others), [1, 3], "no two of a key in one lease");
    assert_eq!(counts(&broker.group("t", "g").await), [3, 0, 3]);
    broker.settle("t", "g", "ack", receipts(&others)).await;
    assert_eq!(payloads(&broker.lease("t", "g", "max=9").await), [4]);
    assert!(broker.lease("t", "g", "max=9").await.is_empty());
    broker.settle("t", "g", "ack", receipts(&slow)).await;
    let second = broker.lease("t", "g", "max=9").await;
    assert_eq!(payloads(&second), [2]);
    broker.settle("t", "g", "ack", receipts(&second)).await;
    assert_eq!(payloads(&broker.lease("t", "g", "max=9").await), [5]);
}

#[tokio::test]
async fn messages_without_a_key_wait_for_nothing() {
    let broker = TestBroker::start().await;
    let lines = "{\"payload\":0}\n{\"payload\":1}\n{\"payload\":2,\"key\":\"a\"}\n{\"payload\":3,\"key\":\"a\"}\n";
    broker.publish_lines("t", lines).await.expect(201);
    assert_eq!(payloads(&broker.lease("t", "g", "max=9").await), [0, 1, 2]);
}

#[tokio::test]
async fn an_ack_hands_the_next_of_its_key_to_who_waits() {
    let broker = with_keys(&["a", "a"]).await;
    let first = broker.lease("t", "g", "max=9").await;
    let waiting = broker.lease("t", "g", "wait=15s");
    let acking = async {
        crate::consuming::a_moment().await;
        broker.settle("t", "g", "ack", receipts(&first)).await
    };
    let (next, _) = tokio::join!(waiting, acking);
    assert_eq!(payloads(&next), [1]);
}

#[tokio::test]
async fn a_nack_keeps_its_key_waiting_and_no_other() {
    let broker = with_keys(&["a", "b", "a", "b"]).await;
    let first = broker.lease("t", "g", "max=9").await;
    let mut nack = receipt(&first[0]);
    nack["delay"] = "1h".into();
    broker.settle("t", "g", "nack", nack).await;
    broker.settle("t", "g", "ack", receipt(&first[1])).await;
    assert_eq!(payloads(&broker.lease("t", "g", "max=9").await), [3]);
    let broker = broker.restart().await;
    let after = broker.lease("t", "g", "max=9").await;
    assert_eq!(payloads(&after), [3], "the first of a still has its time");
    assert_eq!(counts(&broker.group("t", "g").await), [1, 1, 1]);
}

#[tokio::test]
async fn an_expired_lease_comes_again_before_the_next_of_its_key() {
    let broker = with_keys(&["a", "a", "b", "b"]).await;
    assert_eq!(
        broker
            .lease("t", "g", "max=9&visibility_timeout=20ms")
            .await
            .len(),
        2
    );
    let again = broker
        .lease_all("t", "g", "max=9&wait=15s&visibility_timeout=1h", 2)
        .await;
    assert_eq!(
        (payloads(&again), attempts(&again)),
        (vec![0, 2], vec![2, 2])
    );
    assert!(broker.lease("t", "g", "max=9").await.is_empty());
}

#[tokio::test]
async fn a_late_ack_of_an_earlier_start_lets_the_next_go() {
    let broker = with_keys(&["a", "a", "a"]).await;
    let first = broker.lease("t", "g", "").await;
    broker.settle("t", "g", "ack", receipts(&first)).await;
    let second = broker.lease("t", "g", "").await;
    let broker = broker.restart().await;
    let acked = broker.settle("t", "g", "ack", receipts(&second)).await;
    assert_eq!(acked, ["acked"]);
    assert_eq!(payloads(&broker.lease("t", "g", "max=9").await), [2]);
}

#[tokio::test]
async fn a_dead_letter_lets_the_next_of_its_key_go_and_not_before() {
    let broker = TestBroker::with(|settings| settings.broker.max_topics = 2).await;
    broker
        .put_group("t", "g", json!({"max_deliveries": 1}))
        .await
        .expect(201);
    broker
        .publish_lines("t", &keyed_lines(&["a", "a"]))
        .await
        .expect(201);
    broker.publish("other", "1").await;
    let first = broker.lease("t", "g", "").await;
    broker.settle("t", "g", "nack", receipts(&first)).await;
    assert!(
        broker.lease("t", "g", "wait=300ms").await.is_empty(),
        "it has not moved"
    );
    let broker = broker.restart().await;
    assert!(
        broker.lease("t", "g", "wait=300ms").await.is_empty(),
        "nor now"
    );
    broker.delete("/v1/topics/other").await.expect(204);
    assert_eq!(payloads(&broker.lease("t", "g", "wait=15s").await), [1]);
}

#[tokio::test]
async fn at_the_bound_reading_stops_visibly_and_goes_on() {
    let broker = TestBroker::with(|settings| settings.broker.group_bounds.max_held_back = 5).await;
    let mut keys = vec!["stuck"; 20];
    keys.push("free");
    broker
        .publish_lines("t", &keyed_lines(&keys))
        .await
        .expect(201);
    let stuck = broker.lease("t", "g", "max=9").await;
    assert_eq!(payloads(&stuck), [0]);
    let state = broker.group("t", "g").await;
    assert_eq!(counts(&state), [1, 0, 5]);
    assert_eq!(state["partitions"][0]["read_ahead_stopped"], true);
    assert!(
        broker.lease("t", "g", "max=9").await.is_empty(),
        "it would take reading on"
    );
    broker.settle("t", "g", "ack", receipts(&stuck)).await;
    let state = broker.group("t", "g").await;
    assert_eq!(state["partitions"][0]["read_ahead_stopped"], false);
    let mut seen = Vec::new();
    while !seen.contains(&20) {
        let leased = broker.lease("t", "g", "max=9").await;
        assert!(!leased.is_empty(), "{seen:?}");
        seen.extend(payloads(&leased));
        broker.settle("t", "g", "ack", receipts(&leased)).await;
    }
    assert_eq!(seen, (1..16).chain([20]).collect::<Vec<_>>());
}

#[tokio::test]
async fn at_the_bound_of_leases_reading_stops_and_goes_on() {
    let broker = TestBroker::with(|settings| settings.broker.group_bounds.max_in_flight = 3).await;
    let keys: Vec<String> = (0..9).map(|n| format!("k{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    broker
        .publish_lines("t", &keyed_lines(&keys))
        .await
        .expect(201);
    let leased = broker.lease("t", "g", "max=9").await;
    assert_eq!(payloads(&leased), [0, 1, 2]);
    let state = broker.group("t", "g").await;
    assert_eq!(state["partitions"][0]["read_ahead_stopped"], true);
    let waiting = broker.lease("t", "g", "max=9&wait=15s");
    let acking = async {
        crate::consuming::a_moment().await;
        broker.settle("t", "g", "ack", receipts(&leased[1..])).await
    };
    let (more, _) = tokio::join!(waiting, acking);
    assert_eq!(payloads(&more), [3, 4]);
}

/// Whatever many consumers do with them and whenever the broker is killed, the messages of a key are
/// first delivered, and finished, in the order of their offsets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_keys_keep_their_order_over_kills() {
    let mut rng = fastrand::Rng::with_seed(crate::load::seed());
    let setup = broker();
    let mut running = setup.start().await;
    let keys: Vec<String> = (0..300).map(|_| format!("k{}", rng.u32(..12))).collect();
    let borrowed: Vec<&str> = keys.iter().map(String::as_str).collect();
    let publish = Request::new("POST", "/v1/topics/t/messages")
        .header("content-type", "application/x-ndjson")
        .body(keyed_lines(&borrowed));
    send_raw(running.http_address(), &publish.encode())
        .await
        .expect(201);
    let mut finished: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut step = 0;
    loop {
        step += 1;
        if step % 25 == 0 {
            running.kill_9();
            running = setup.start().await;
        }
        let query = format!(
            "max={}&visibility_timeout={}ms&wait=2s",
            rng.u32(1..8),
            [60_000, 15][usize::from(rng.u32(..5) == 0)]
        );
        let leased = post(&running, &format!("lease?{query}"), &Value::Null).await;
        let leased = leased["messages"].as_array().unwrap().clone();
        let distinct: BTreeSet<_> = leased.iter().map(|m| m["key"].to_string()).collect();
        assert_eq!(distinct.len(), leased.len(), "two of one key");
        for message in &leased {
            let key = message["key"].as_str().unwrap();
            let done = finished.entry(key.to_owned()).or_default();
            let n = message["payload"].as_u64().unwrap();
            let expected = (0..).zip(&keys).filter(|(_, k)| *k == key).nth(done.len());
            let verb = if rng.u32(..4) == 0 { "nack" } else { "ack" };
            let answer = post(&running, verb, &receipt(message)).await;
            let status = &answer["results"][0]["status"];
            assert_eq!(expected.map(|(n, _)| n), Some(n), "{key}, {done:?}");
            if status == "acked" {
                done.push(n);
            }
        }
        if finished.values().map(Vec::len).sum::<usize>() == keys.len() {
            break;
        }
    }
    println!("{step} leases");
}

async fn post(to: &BrokerProcess, what: &str, body: &Value) -> Value {
    let request = Request::new("POST", &format!("/v1/topics/t/groups/g/{what}"));
    let request = request.body(body.to_string());
    let answer = send_raw(to.http_address(), &request.encode()).await;
    answer.expect(200).json()
}

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A million messages wait behind one that is stuck, and another key flows all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_a_million_behind_one_key_cost_little_and_stop_no_other() {
    const BATCHES: usize = 100;
    const LINES: usize = 10_000;
    let running = broker()
        .with_flags(["--max-held-back=2000000"])
        .start()
        .await;
    let stuck = "{\"payload\":0,\"key\":\"stuck\"}\n".repeat(LINES - 1);
    let began = Instant::now();
    for batch in 0..BATCHES {
        let body = format!("{stuck}{{\"payload\":{batch},\"key\":\"free\"}}\n");
        let publish = Request::new("POST", "/v1/topics/t/messages")
            .header("content-type", "application/x-ndjson")
            .body(body);
        send_raw(running.http_address(), &publish.encode())
            .await
            .expect(201);
    }
    let published = began.elapsed();
    let before = resident_kib(running.id());
    let first = post(&running, "lease?visibility_timeout=12h", &Value::Null).await;
    assert_eq!(first["messages"][0]["key"], "stuck");
    let began = Instant::now();
    for batch in 0..BATCHES {
        let leased = post(&running, "lease?max=1000&wait=20s", &Value::Null).await;
        let leased = leased["messages"].as_array().unwrap();
        assert_eq!(payloads(leased), [batch as u64]);
        post(&running, "ack", &receipts(leased)).await;
    }
    let flowed = began.elapsed();
    let grown_mib = resident_kib(running.id()).saturating_sub(before) / 1024;
    let show = Request::new("GET", "/v1/topics/t/groups/g").encode();
    let state = send_raw(running.http_address(), &show)
        .await
        .expect(200)
        .json();
    assert_eq!(counts(&state), [1, 0, ((LINES - 1) * BATCHES - 1) as u64]);
    println!("published in {published:?}, passed in {flowed:?}, {grown_mib} MiB more");
    // 16 MB for what is held back, what the allocator keeps, and buffers of reading.
    assert!(grown_mib < 100, "{grown_mib} MiB");
    assert!(flowed < Duration::from_secs(60), "{flowed:?}");
    let began = Instant::now();
    post(
        &running,
        "ack",
        &receipts(first["messages"].as_array().unwrap()),
    )
    .await;
    let next = post(&running, "lease?max=10", &Value::Null).await;
    assert_eq!(
        fields(next["messages"].as_array().unwrap(), "offset"),
        [json!(1)]
    );
    println!("the next of the key after {:?}", began.elapsed());
}
