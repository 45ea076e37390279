//! Messages that are delivered later, and crashes: each is delivered, and once.

use crate::broker;
use crate::load::seed;
use crate::support::soon;
use bytes::Bytes;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use weir_broker::broker::{Accepted, Closing, FetchRequest, ReadFrom};
use weir_broker::{Broker, BrokerOptions};
use weir_client::{Client, FetchOptions, PublishOptions, ReadFrom as From};
use weir_commitlog::faulty::{Call, Fault, FaultyDisk};
use weir_protocol::{Deliver, NewMessage, Payload};
use weir_service::clock::Clock;
use weir_testkit::{BrokerProcess, eventually};
use weir_types::{Timestamp, TopicName, TopicSettingsChange};

/// Messages that wait when the disk begins to fail, in each of two topics.
const MESSAGES: usize = 3;
const NOW: Timestamp = Timestamp(1_763_712_000_000);
const DUE: Timestamp = Timestamp(NOW.0 + 1000);

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn open(disk: &FaultyDisk, now: Timestamp) -> (Broker, Closing) {
    let options = BrokerOptions {
        min_free_bytes: 0,
        ..BrokerOptions::on("data".into())
    };
    let (clock, _hand) = Clock::manual(now);
    Broker::open(options, Arc::new(disk.clone()), clock).unwrap()
}

/// A disk on which messages wait; the broker was killed.
async fn waiting() -> FaultyDisk {
    let disk = FaultyDisk::new();
    let (broker, _closing) = open(&disk, NOW);
    for name in ["a", "b"] {
        let change = TopicSettingsChange::default();
        broker.put_topic(&topic(name), &change).await.unwrap();
        for n in 0..MESSAGES {
            let payload = Payload::parse(&Bytes::from(n.to_string()), 100).unwrap();
            let message = NewMessage {
                deliver: Some(Deliver::At(DUE)),
                ..NewMessage::plain(payload)
            };
            let accepted = broker.publish(&topic(name), message).await.unwrap();
            assert!(matches!(accepted, Accepted::Scheduled(_)));
        }
    }
    disk.kill()
}

async fn stored(broker: &Broker, name: &str) -> Vec<String> {
    let request = FetchRequest {
        partition: None,
        from: ReadFrom::Earliest,
        max_records: 100,
        max_bytes: 1 << 20,
    };
    let fetched = broker.fetch(&topic(name), &request, Duration::ZERO).await;
    let lines = fetched.unwrap().read.lines.into_iter();
    lines
        .map(|line| {
            let record: serde_json::Value = serde_json::from_slice(&line.line.bytes).unwrap();
            record["payload"].to_string()
        })
        .collect()
}

async fn is_done(broker: &Broker) -> bool {
    let listed = broker.list_schedules(None, None, 100).await;
    listed.is_ok_and(|listed| listed.schedules.is_empty())
}

/// Opens what a crash left, lets everything be delivered, and looks at it.
async fn check(disk: &FaultyDisk, what: &str) {
    let (broker, closing) = open(disk, DUE);
    eventually("everything is delivered", async || {
        is_done(&broker).await.then_some(())
    })
    .await;
    for name in ["a", "b"] {
        let expected: Vec<_> = (0..MESSAGES).map(|n| n.to_string()).collect();
        assert_eq!(stored(&broker, name).await, expected, "{what}");
    }
    soon(closing.close()).await.unwrap();
}

/// Lets a broker deliver on a disk on which from the `step`-th call on each of its kind fails; returns
/// whether all was delivered nevertheless.
async fn deliver_until(call: Call, step: u64, disk: &FaultyDisk) -> bool {
    let options = BrokerOptions {
        min_free_bytes: 0,
        ..BrokerOptions::on("data".into())
    };
    let (clock, hand) = Clock::manual(NOW);
    let (broker, _closing) = Broker::open(options, Arc::new(disk.clone()), clock).unwrap();
    eventually("the index is made", async || {
        let listed = broker.list_schedules(None, None, 100).await.ok()?;
        (listed.schedules.len() == 2 * MESSAGES).then_some(())
    })
    .await;
    disk.take_events();
    disk.fail(Fault::on(call).from_nth(step));
    hand.set(DUE);
    let records = |name| broker.get_topic(&topic(name)).unwrap().records;
    eventually("the disk fails, or all is delivered", async || {
        let arrived = records("a") + records("b") == 2 * MESSAGES as u64;
        if arrived && is_done(&broker).await {
            return Some(true);
        }
        let failed = disk.events().iter().any(|event| !event.succeeded);
        failed.then_some(false)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_each_is_delivered_once_wherever_the_disk_stops() {
    let before = waiting().await;
    let mut rng = Rng::with_seed(seed());
    for call in [Call::Write, Call::WriteThrough] {
        for step in 1.. {
            let disk = before.kill();
            let done = deliver_until(call, step, &disk).await;
            let at = format!("{call:?} {step}");
            check(&disk.kill(), &format!("killed at {at}")).await;
            check(&disk.cut_power_hard(), &format!("cut at {at}")).await;
            check(&disk.cut_power(&mut rng), &format!("cut somehow at {at}")).await;
            if done {
                println!("delivered in spite of {at}");
                assert!(
                    step > 3,
                    "it takes a write before, at and after each append"
                );
                break;
            }
        }
    }
}

/// Ids of what was scheduled with success, and how many were tried.
#[derive(Default)]
struct Tried {
    next: u64,
    acknowledged: Vec<u64>,
}

/// Schedules one message after the other, some at once and some a little later, until the broker is
/// gone.
async fn schedule_until_gone(client: Client, tried: Arc<Mutex<Tried>>, mut rng: Rng) {
    loop {
        let n = {
            let mut tried = tried.lock().unwrap();
            tried.next += 1;
            tried.next
        };
        let deliver = Deliver::After(Duration::from_millis(rng.u64(..300)));
        let name = topic(if n % 2 == 0 { "a" } else { "b" });
        let payload = n.to_string().into();
        let options = PublishOptions::default();
        match client.schedule(&name, payload, deliver, &options).await {
            Ok(_) => tried.lock().unwrap().acknowledged.push(n),
            Err(_) => return,
        }
    }
}

/// How often each payload is there.
async fn delivered(running: &BrokerProcess) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for name in ["a", "b"] {
        let mut from = From::Earliest;
        loop {
            let options = FetchOptions {
                from,
                limit: Some(10_000),
                ..FetchOptions::default()
            };
            let fetched = running
                .client()
                .fetch(&topic(name), &options)
                .await
                .unwrap();
            if fetched.messages.is_empty() {
                break;
            }
            for message in fetched.messages {
                *counts
                    .entry(message.payload.get().parse().unwrap())
                    .or_default() += 1;
            }
            from = From::At(fetched.next);
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_each_is_delivered_once_when_killed_under_load() {
    let (setup, mut rng) = (broker(), Rng::with_seed(seed()));
    let tried = Arc::new(Mutex::new(Tried::default()));
    for _ in 0..12 {
        let running = setup.start().await;
        let wanted = tried.lock().unwrap().acknowledged.len() + rng.usize(20..200);
        let mut publishers = tokio::task::JoinSet::new();
        for _ in 0..3 {
            publishers.spawn(schedule_until_gone(
                running.client(),
                tried.clone(),
                rng.fork(),
            ));
        }
        eventually("schedules are acknowledged", async || {
            (tried.lock().unwrap().acknowledged.len() >= wanted).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_micros(rng.u64(..400_000))).await;
        running.kill_9();
        publishers.join_all().await;
    }
    let running = setup.start().await;
    eventually("nothing waits any more", async || {
        let listed = running
            .client()
            .schedules(&Default::default())
            .await
            .unwrap();
        listed.schedules.is_empty().then_some(())
    })
    .await;
    let counts = delivered(&running).await;
    let tried = tried.lock().unwrap();
    for n in &tried.acknowledged {
        assert_eq!(counts.get(n), Some(&1), "message {n}");
    }
    assert!(counts.values().all(|&count| count == 1));
    println!(
        "{} acknowledged, {} delivered",
        tried.acknowledged.len(),
        counts.len()
    );
}
