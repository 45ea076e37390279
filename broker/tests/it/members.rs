//! Groups that keep the order of partitions, and those who consume in them.

use crate::consuming::{attempts, payloads, receipt, receipts};
use crate::support::{Sse, TestBroker, soon};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use weir_broker::broker::{Closing, LeaseOptions};
use weir_broker::{Broker, BrokerOptions};
use weir_commitlog::faulty::FaultyDisk;
use weir_protocol::shapes::{GroupInfo, GroupStart};
use weir_service::clock::{Clock, ManualClock};
use weir_testkit::eventually;
use weir_types::{
    GroupName, GroupOrdering, GroupSettingsChange, MemberName, PartitionId, Timestamp, TopicName,
    TopicSettingsChange,
};

/// A topic with so many partitions, ten numbers in each, and a group with this order.
async fn with_partitions(partitions: u64, ordering: &str) -> TestBroker {
    let broker = TestBroker::start().await;
    let body = json!({ "partitions": partitions }).to_string();
    broker.put("/v1/topics/t", body).await.expect(201);
    for partition in 0..partitions {
        for n in 0..10 {
            let target = format!("/v1/topics/t/messages?partition={partition}&key=k{}", n % 2);
            broker.post(&target, n.to_string()).await.expect(201);
        }
    }
    let body = json!({ "ordering": ordering });
    broker.put_group("t", "g", body).await.expect(201);
    broker
}

fn partitions(messages: &[Value]) -> BTreeSet<u64> {
    let partition = |message: &Value| message["partition"].as_u64().unwrap();
    messages.iter().map(partition).collect()
}

/// Which member has which partitions, by what the group says.
fn assigned(state: &Value) -> BTreeMap<String, Vec<u64>> {
    let members = state["members"].as_array().unwrap();
    let of = |member: &Value| {
        let partitions = member["partitions"].as_array().unwrap();
        let partitions = partitions.iter().map(|p| p.as_u64().unwrap()).collect();
        (member["member"].as_str().unwrap().to_owned(), partitions)
    };
    members.iter().map(of).collect()
}

#[tokio::test]
async fn without_a_name_nobody_may_consume_in_order_of_partitions() {
    let broker = with_partitions(2, "partition").await;
    let refused = broker.post("/v1/topics/t/groups/g/lease", "").await;
    refused.refused(400, "invalid_argument", "member");
    assert_eq!(broker.group("t", "g").await["in_flight"], 0);
    assert_eq!(broker.lease("t", "g", "member=a").await.len(), 1);
}

#[tokio::test]
async fn one_consumer_at_a_time_has_a_partition_and_gets_it_in_order() {
    let broker = with_partitions(1, "partition").await;
    let first = broker.lease("t", "g", "member=a&max=4").await;
    assert_eq!(payloads(&first), [0, 1, 2, 3]);
    assert!(
        broker.lease("t", "g", "member=a&max=4").await.is_empty(),
        "not before those are done"
    );
    broker.settle("t", "g", "ack", receipts(&first[..3])).await;
    assert!(broker.lease("t", "g", "member=a&max=4").await.is_empty());
    let mut nack = receipt(&first[3]);
    nack["delay"] = "50ms".into();
    broker.settle("t", "g", "nack", nack).await;
    assert!(
        broker.lease("t", "g", "member=a&max=4").await.is_empty(),
        "the next wait for it"
    );
    let again = broker.lease("t", "g", "member=a&max=4&wait=15s").await;
    assert_eq!(
        (payloads(&again), attempts(&again)),
        (vec![3, 4, 5, 6], vec![2, 1, 1, 1])
    );
    // Given back in the middle: what follows waits, too.
    broker.settle("t", "g", "nack", receipt(&again[1])).await;
    broker.settle("t", "g", "ack", receipt(&again[0])).await;
    broker.settle("t", "g", "ack", receipt(&again[2])).await;
    broker.settle("t", "g", "nack", receipt(&again[3])).await;
    let rest = broker.lease("t", "g", "member=a&max=9&wait=15s").await;
    assert_eq!(payloads(&rest), [4, 6, 7, 8, 9]);
}

#[tokio::test]
async fn order_of_partitions_holds_over_restarts_seeks_and_dead_letters() {
    let broker = with_partitions(1, "partition").await;
    broker
        .put_group("t", "g", json!({"max_deliveries": 2}))
        .await
        .expect(200);
    let mut seen = Vec::new();
    let mut broker = broker;
    for round in 0..40 {
        let leased = broker.lease("t", "g", "member=a&max=3&wait=200ms").await;
        for message in &leased {
            let n = message["payload"].as_u64().unwrap();
            let dies = n % 3 == 1;
            let verb = if dies { "nack" } else { "ack" };
            seen.push((n, message["delivery_attempt"].as_u64().unwrap()));
            broker.settle("t", "g", verb, receipt(message)).await;
        }
        if round % 4 == 3 {
            broker = broker.restart().await;
        }
        if broker.group("t", "g").await["lag_records"] == 0 {
            break;
        }
    }
    let order: Vec<u64> = seen.iter().map(|(n, _)| *n).collect();
    let mut first_seen = order.clone();
    first_seen.dedup();
    let firsts: Vec<u64> = seen
        .iter()
        .filter(|(_, a)| *a == 1)
        .map(|(n, _)| *n)
        .collect();
    assert_eq!(firsts, (0..10).collect::<Vec<_>>(), "{seen:?}");
    let dead = broker.dead_letters("t", "").await;
    assert_eq!(payloads(&dead), [1, 4, 7]);
    broker
        .seek("t", "g", json!({"to": "earliest"}))
        .await
        .expect(200);
    let again = broker.lease("t", "g", "member=b&max=20").await;
    assert!(again.is_empty() || payloads(&again) == (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn members_share_partitions_and_move_as_few_as_must_be() {
    let broker = with_partitions(6, "partition").await;
    let mut a = Sse::open(
        &broker,
        "/v1/topics/t/groups/g/stream?member=a&max_in_flight=60",
        &[],
    )
    .await;
    let held = a.messages(60).await.0;
    assert_eq!(partitions(&held).len(), 6);
    let before = assigned(&broker.group("t", "g").await);
    assert_eq!(before["a"].len(), 6);

    let b = Sse::open(
        &broker,
        "/v1/topics/t/groups/g/stream?member=b&max_in_flight=60",
        &[],
    )
    .await;
    let state = broker.group("t", "g").await;
    let now = assigned(&state);
    assert_eq!((now["a"].len(), now["b"].len()), (3, 3));
    for partition in state["partitions"].as_array().unwrap() {
        let number = partition["partition"].as_u64().unwrap();
        let member = partition["member"].as_str().unwrap();
        assert!(now[member].contains(&number));
    }
    let mut b = b;
    let nothing = tokio::time::timeout(Duration::from_millis(200), b.messages(1)).await;
    assert!(nothing.is_err(), "a still has what it was given");
    // Its own acks let the partitions that b has got go.
    broker.settle("t", "g", "ack", receipts(&held)).await;
    for n in 0..6 {
        let target = format!("/v1/topics/t/messages?partition={n}");
        broker.post(&target, "10").await.expect(201);
    }
    let of_b = b.messages(3).await.0;
    assert_eq!(partitions(&of_b), now["b"].iter().copied().collect());
    let of_a = a.messages(3).await.0;
    assert_eq!(partitions(&of_a), now["a"].iter().copied().collect());

    drop(a);
    let alone = |state: &Value| assigned(state).get("b").is_some_and(|own| own.len() == 6);
    let state = broker.group_is(("t", "g"), "b alone", alone).await;
    assert_eq!(assigned(&state).len(), 1);
    let moved = b.messages(3).await.0;
    assert_eq!(attempts(&moved), [2; 3], "what a had");
}

#[tokio::test]
async fn without_order_keys_do_not_wait_for_each_other() {
    let broker = with_partitions(1, "none").await;
    let all = broker.lease("t", "g", "max=99").await;
    assert_eq!(payloads(&all), (0..10).collect::<Vec<_>>());
    broker.settle("t", "g", "nack", receipt(&all[0])).await;
    assert_eq!(payloads(&broker.lease("t", "g", "max=99").await), [0]);
    let state = broker.group("t", "g").await;
    assert_eq!(state["held_back"], 0);
    assert_eq!(state["members"], json!([]));
}

/// The core on a clock that is turned by hand.
struct Core {
    broker: Broker,
    clock: ManualClock,
    _closing: Closing,
    topic: TopicName,
    group: GroupName,
}

impl Core {
    async fn open(partitions: u32) -> Self {
        let (clock, hands) = Clock::manual(Timestamp(1_700_000_000_000));
        let disk = Arc::new(FaultyDisk::new());
        let (broker, closing) =
            Broker::open(BrokerOptions::on("data".into()), disk, clock).unwrap();
        let core = Self {
            broker,
            clock: hands,
            _closing: closing,
            topic: TopicName::parse("t").unwrap(),
            group: GroupName::parse("g").unwrap(),
        };
        let settings = TopicSettingsChange {
            partitions: Some(partitions),
            ..TopicSettingsChange::default()
        };
        core.broker.put_topic(&core.topic, &settings).await.unwrap();
        let by_partition = GroupSettingsChange {
            ordering: Some(GroupOrdering::Partition),
            ..GroupSettingsChange::default()
        };
        let put = core.broker.put_group(
            &core.topic,
            &core.group,
            GroupStart::Earliest,
            &by_partition,
        );
        put.await.unwrap();
        core
    }

    async fn lease(&self, member: &str, wait: Duration) -> usize {
        let options = LeaseOptions {
            max_messages: 1,
            max_bytes: 1024,
            wait,
            visibility_timeout: None,
            member: Some(MemberName::parse(member).unwrap()),
        };
        let leased = self.broker.lease(&self.topic, &self.group, options).await;
        leased.unwrap().len()
    }

    async fn state(&self) -> GroupInfo {
        self.broker
            .get_group(&self.topic, &self.group)
            .await
            .unwrap()
    }

    async fn members(&self) -> Vec<(String, Vec<PartitionId>)> {
        let members = self.state().await.members.into_iter();
        members
            .map(|m| (m.member.to_string(), m.partitions))
            .collect()
    }
}

#[tokio::test]
async fn a_member_that_is_silent_for_a_minute_is_gone() {
    let core = Core::open(4).await;
    core.lease("a", Duration::ZERO).await;
    core.clock.advance(Duration::from_secs(30));
    core.lease("b", Duration::ZERO).await;
    let shared = core.members().await;
    assert_eq!(
        shared.iter().map(|(_, own)| own.len()).collect::<Vec<_>>(),
        [2, 2]
    );
    core.clock.advance(Duration::from_secs(31));
    let alone = eventually("a's end", async || {
        let members = core.members().await;
        (members.len() == 1).then_some(members)
    })
    .await;
    assert_eq!((alone[0].0.as_str(), alone[0].1.len()), ("b", 4));
}

/// Longest wait and silence are both a minute: who waits is not silent.
#[tokio::test]
async fn a_member_that_waits_keeps_its_partitions() {
    let core = Core::open(4).await;
    core.lease("b", Duration::ZERO).await;
    core.lease("a", Duration::ZERO).await;
    let before = core.members().await;
    let waiting = async {
        tokio::join!(
            core.lease("a", Duration::from_secs(3)),
            core.lease("b", Duration::from_secs(3))
        )
    };
    let watching = async {
        core.state().await;
        for _ in 0..5 {
            core.clock.advance(Duration::from_secs(61));
            // Longer than the group may sleep on the clock.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let (leased, ()) = soon(async { tokio::join!(waiting, watching) }).await;
    assert_eq!(leased, (0, 0));
    assert_eq!(core.members().await, before);
}

/// Maintenance looks every ten seconds.
#[tokio::test]
async fn slow_a_group_that_nobody_uses_is_deleted_and_no_other() {
    let broker = TestBroker::start().await;
    broker.publish("t", "0").await;
    for group in ["idle", "waits", "holds", "streams"] {
        let body = json!({"expires_after": "1s"});
        broker.put_group("t", group, body).await.expect(201);
    }
    broker.put_group("t", "kept", json!({})).await.expect(201);
    let read = broker.lease("t", "waits", "").await;
    broker.settle("t", "waits", "ack", receipts(&read)).await;
    let held = broker.lease("t", "holds", "visibility_timeout=12h").await;
    let target = "/v1/topics/t/groups/streams/stream";
    let mut stream = Sse::open(&broker, target, &[]).await;
    let streamed = stream.messages(1).await.0;
    broker
        .settle("t", "streams", "ack", receipts(&streamed))
        .await;
    let options = LeaseOptions {
        max_messages: 1,
        max_bytes: 1024,
        wait: Duration::from_secs(60),
        visibility_timeout: None,
        member: None,
    };
    let (topic, group) = (
        TopicName::parse("t").unwrap(),
        GroupName::parse("waits").unwrap(),
    );
    let waiting = broker.core().lease(&topic, &group, options);
    let watching = async {
        eventually("the end of the idle group", async || {
            let found = broker.get("/v1/topics/t/groups/idle").await;
            (found.status == 404).then_some(())
        })
        .await;
        for group in ["waits", "holds", "streams", "kept"] {
            let target = format!("/v1/topics/t/groups/{group}");
            broker.get(&target).await.expect(200);
        }
        broker.publish("t", "1").await;
    };
    let (leased, ()) = tokio::join!(waiting, watching);
    assert_eq!(leased.unwrap().len(), 1);
    assert_eq!(
        broker.settle("t", "holds", "ack", receipts(&held)).await,
        ["acked"]
    );
}
