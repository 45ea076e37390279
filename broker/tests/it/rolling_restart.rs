//! A rolling restart under load, as a StatefulSet makes it: preStop, SIGTERM, the end, a new process on the
//! same data. Processes stand for pods here; the chart's tests replace pods.

use crate::broker;
use crate::load::{Load, seed};
use crate::partitioned_load::{Client, is_done, received, start};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;
use weir_testkit::history::{Ending, Features, Plan, live};
use weir_testkit::{BrokerProcess, BrokerSetup, eventually};
use weir_types::TopicName;

const REPLACEMENTS: u32 = 5;
/// What preStop waits; in a cluster it is what everybody takes to hear that the pod is not ready.
const DRAINED_FOR: Duration = Duration::from_millis(200);

/// Clients of all manners stay, and repeat what was not answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_that_come_again_find_every_promise_kept() {
    let plan = Plan {
        seed: seed(),
        kills: REPLACEMENTS,
        ending: Ending::Replaced,
        features: Features::ALL,
    };
    let lived = live(&broker(), &plan).await;
    let violations = lived.violations();
    let report = lived.report(&violations);
    println!("{report}");
    assert!(violations.is_empty(), "{report}");
    assert!(lived.volume().deliveries > 0, "{report}");
}

/// The work goes on until SIGTERM; then all that was acknowledged is on the disk, in order, and nothing
/// needed mending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_work_goes_on_while_draining_and_nothing_acknowledged_is_lost() {
    let mut load = Load::new(seed());
    let setup = broker();
    let mut running = setup.start().await;
    load.create_topics(&running).await;
    for _ in 0..REPLACEMENTS {
        load.begin(&running);
        work_done(&load, 100).await;
        running.drain(DRAINED_FOR).await;
        work_done(&load, 10).await;
        stop(&mut running).await;
        load.end().await;
        running = setup.start().await;
        let mended = running.log().find("recovery");
        assert!(mended.is_none(), "{mended:?}");
        load.check_logs(&running).await;
        load.ack_late(&running).await;
    }
    let log = load.check_logs(&running).await;
    load.check_groups(&running, &log).await;
    let (acknowledged, acked) = load.counts();
    println!("{acknowledged} messages acknowledged, {acked} acked");
}

/// Waits until so much more was acknowledged and acked.
async fn work_done(load: &Load, more: usize) {
    let (acknowledged, acked) = load.counts();
    eventually("publishes and acks", async || {
        let counts = load.counts();
        (counts.0 >= acknowledged + more && counts.1 >= acked + more / 5).then_some(())
    })
    .await;
}

async fn stop(running: &mut BrokerProcess) {
    running.terminate();
    let status = running.wait().await;
    assert!(status.success(), "{status}");
}

/// Partition 0 is broker 0's and partition 1 is broker 1's; every client asks the other one, which passes
/// it on. Both are replaced in turn. The clients are those of the queue's users, and try again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_messages_that_are_passed_on_survive_replacements_of_both_brokers() {
    let setups = two_brokers();
    let mut running = [start(&setups[0]).await, start(&setups[1]).await];
    let partitions = [("0", &setups[1]), ("1", &setups[0])];
    let mut producers = partitions.map(|(partition, front)| {
        let arguments = ["load", partition, "600"];
        Client::start(front, "partitioned_producer.py", &arguments)
    });
    let consumers =
        partitions.map(|(partition, front)| Client::consumer(front, partition, "g", "ack"));
    for _ in 0..REPLACEMENTS {
        for index in 0..2 {
            more_is_produced(&producers).await;
            running[index].drain(DRAINED_FOR).await;
            stop(&mut running[index]).await;
            running[index] = start(&setups[index]).await;
        }
    }
    more_is_produced(&producers).await;
    for at in 0..2 {
        let gave_up = producers[at].end();
        assert!(!gave_up, "a producer tried four times in vain");
        is_done(&running[at], "g").await;
        let acknowledged = producers[at].lines();
        let received = received(&consumers[at].lines());
        let lost: Vec<_> = acknowledged
            .iter()
            .filter(|id| !received.contains(*id))
            .collect();
        assert!(lost.is_empty(), "{lost:?} never came");
        let mut stored = stored_ids(&running[at]).await;
        stored.retain(|id| acknowledged.contains(id));
        assert!(stored == acknowledged, "not each once and in order");
        println!("{} messages of partition {at}", acknowledged.len());
    }
}

async fn more_is_produced(producers: &[Client; 2]) {
    let before = producers.each_ref().map(|producer| producer.lines().len());
    eventually("further messages", async || {
        let counts = producers.iter().map(|producer| producer.lines().len());
        let mut both = counts.zip(before);
        both.all(|(count, before)| count >= before + 20)
            .then_some(())
    })
    .await;
}

async fn stored_ids(running: &BrokerProcess) -> Vec<String> {
    let topic = TopicName::parse("load").unwrap();
    let options = weir_client::FetchOptions {
        limit: Some(10_000),
        ..weir_client::FetchOptions::default()
    };
    let fetched = running.client().fetch(&topic, &options).await.unwrap();
    assert!(fetched.messages.len() < 10_000, "there may be more");
    let ids = fetched
        .messages
        .iter()
        .map(|message| message.id.to_string());
    ids.collect()
}

fn two_brokers() -> [BrokerSetup; 2] {
    let addresses = [own_address(1), own_address(2)];
    let peers = format!("{},{}", addresses[0], addresses[1]);
    [0, 1].map(|index: usize| {
        let address = format!("--http={}", addresses[index]);
        broker()
            .with_flags([address.as_str()])
            .with_variable("TOPICS", "load:2")
            .with_variable("BROKER_COUNT", "2")
            .with_variable("BROKER_INDEX", &index.to_string())
            .with_variable("BROKER_PEERS", &peers)
    })
}

/// An address of loopback that is this process's alone: a broker that is replaced comes back to it, and
/// nobody else takes it meanwhile.
fn own_address(number: u8) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, high, low, number);
    let any_port = TcpListener::bind((address, 0)).unwrap();
    any_port.local_addr().unwrap()
}
