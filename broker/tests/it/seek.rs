//! A group that is sent elsewhere: where it goes on, what becomes of what it had in hand.

use crate::consuming::{attempts, lines, payloads, receipts};
use crate::support::{TestBroker, soon};
use serde_json::{Value, json};
use weir_broker::broker::{ReadFrom, ReceiptAction};
use weir_types::{GroupName, Offset, PartitionId, TopicName};

fn names() -> (TopicName, GroupName) {
    let topic = TopicName::parse("t").unwrap();
    (topic, GroupName::parse("g").unwrap())
}

async fn with_messages(count: u64) -> TestBroker {
    let broker = TestBroker::start().await;
    broker
        .publish_lines("t", &lines(0..count))
        .await
        .expect(201);
    broker.put_group("t", "g", json!({})).await.expect(201);
    broker
}

/// Through the core: two requests reach the group one right after the other.
async fn seek_to(broker: &TestBroker, offset: u64) {
    let (topic, group) = names();
    let to = ReadFrom::Offset(Offset(offset));
    let seek = broker.core().seek(&topic, &group, Some(PartitionId(0)), to);
    soon(seek).await.unwrap();
}

fn lag(state: &Value) -> (u64, u64) {
    let number = |name: &str| state[name].as_u64().unwrap();
    (number("lag_records"), number("in_flight"))
}

#[tokio::test]
async fn a_group_goes_on_where_it_is_sent() {
    let broker = with_messages(10).await;
    let all = broker.lease("t", "g", "max=10").await;
    broker.settle("t", "g", "ack", receipts(&all)).await;

    let state = broker.seek("t", "g", json!({"to": "earliest"})).await;
    assert_eq!(lag(&state.expect(200).json()), (10, 0));
    assert_eq!(
        payloads(&broker.lease("t", "g", "max=2").await),
        [0, 1],
        "earliest"
    );

    let state = broker.seek("t", "g", json!({"to": "latest"})).await;
    assert_eq!(lag(&state.expect(200).json()), (0, 0));
    assert!(broker.lease("t", "g", "max=2").await.is_empty(), "latest");

    let back = json!({"partition": 0, "offset": 7});
    assert_eq!(
        lag(&broker.seek("t", "g", back).await.expect(200).json()),
        (3, 0)
    );
    let seen = broker.lease("t", "g", "max=10").await;
    assert_eq!(payloads(&seen), [7, 8, 9], "an offset");
    assert_eq!(attempts(&seen), [1, 1, 1], "it begins anew");

    let cursor = broker.fetch("t", "from=earliest&limit=4").await["next"].clone();
    broker
        .seek("t", "g", json!({ "to": cursor }))
        .await
        .expect(200);
    assert_eq!(
        payloads(&broker.lease("t", "g", "max=2").await),
        [4, 5],
        "a cursor"
    );
    let future = json!({"to": "2200-01-01T00:00:00Z"});
    assert_eq!(
        lag(&broker.seek("t", "g", future).await.expect(200).json()),
        (0, 0)
    );
    let past = json!({"to": "2020-01-01T00:00:00Z", "partition": 0});
    assert_eq!(
        lag(&broker.seek("t", "g", past).await.expect(200).json()),
        (10, 0)
    );
    let broker = broker.restart().await;
    assert_eq!(broker.lease("t", "g", "max=99").await.len(), 10);
}

#[tokio::test]
async fn receipts_of_before_are_void_and_those_of_other_partitions_are_not() {
    let broker = TestBroker::start().await;
    let two = broker.put("/v1/topics/t", r#"{"partitions":2}"#).await;
    two.expect(201);
    for partition in 0..2 {
        let target = format!("/v1/topics/t/messages?partition={partition}");
        broker.post(&target, "1").await.expect(201);
    }
    let leased = broker.lease("t", "g", "max=9").await;
    assert_eq!(leased.len(), 2);
    let to = json!({"partition": 1, "to": "earliest"});
    broker.seek("t", "g", to).await.expect(200);
    for verb in ["extend", "nack"] {
        let statuses = broker.settle("t", "g", verb, receipts(&leased)).await;
        for (message, status) in leased.iter().zip(statuses) {
            let is_void = message["partition"] == 1;
            assert_eq!(status == "unknown", is_void, "{verb}: {status}");
        }
    }
    let again = broker.lease("t", "g", "max=9").await;
    assert_eq!(attempts(&again).len(), 2, "one was nacked, one moved");
}

#[tokio::test]
async fn nonsense_is_refused_and_moves_nothing() {
    let broker = with_messages(3).await;
    let leased = broker.lease("t", "g", "max=2").await;
    let before = broker.tree();
    let code = "invalid_argument";
    for (body, part) in [
        (json!({}), "say where"),
        (json!({"partition": 0}), "say where"),
        (json!({"to": "earliest", "offset": 1}), "say where"),
        (json!({"to": "somewhere"}), "somewhere"),
        (json!({"to": ""}), "to is"),
        (json!({"to": 5}), "string"),
        (json!({"offset": 1}), "partition"),
        (json!({"partition": 0, "offset": 4}), "3"),
        (json!({"partition": 0, "offset": -1}), "-1"),
        (json!({"partition": 7, "to": "earliest"}), "7"),
        (json!({"to": "earliest", "when": 1}), "when"),
    ] {
        let refused = broker.seek("t", "g", body.clone()).await;
        assert!((400..=404).contains(&refused.status), "{body}");
        let (found, message) = refused.refusal();
        assert!(
            found == code || found == "unknown_partition" || found == "offset_out_of_range",
            "{found}"
        );
        assert!(message.contains(part), "{body}: {message}");
    }
    let unknown = broker.seek("t", "h", json!({"to": "earliest"})).await;
    unknown.refused(404, "unknown_group", "no group h");
    let unknown = broker.seek("nothing", "g", json!({"to": "earliest"})).await;
    unknown.refused(404, "unknown_topic", "nothing");
    let foreign = broker.publish("u", "1").await;
    assert_eq!(foreign["offset"], 0);
    let cursor = broker.fetch("u", "from=earliest").await["next"].clone();
    let refused = broker.seek("t", "g", json!({ "to": cursor })).await;
    assert!((400..=410).contains(&refused.status), "{}", refused.text());
    let changed: Vec<_> = broker
        .tree()
        .into_iter()
        .filter(|(path, content)| before.get(path).is_some_and(|was| was != content))
        .map(|(path, _)| path)
        .filter(|path| path.to_string_lossy().contains("/t/"))
        .collect();
    assert!(changed.is_empty(), "{changed:?}");
    let acked = broker.settle("t", "g", "ack", receipts(&leased)).await;
    assert_eq!(acked, ["acked", "acked"]);
}

/// What was said of a message before the group is moved must not count for the message that the group
/// then gets anew: not in memory, and not after a restart either.
#[tokio::test]
async fn an_ack_that_meets_a_seek_finishes_nothing_behind_it() {
    let mut broker = with_messages(8).await;
    for round in 0..8 {
        let leased = broker.lease("t", "g", "max=8").await;
        assert_eq!(leased.len(), 8, "round {round}");
        let (topic, group) = names();
        let taken = leased.iter().map(|m| m["receipt"].as_str().unwrap());
        let acking = broker
            .core()
            .settle(&topic, &group, taken, ReceiptAction::Ack);
        // The group gets the seek first.
        let ((), acked) = tokio::join!(seek_to(&broker, 0), soon(acking));
        let acked = acked.unwrap();
        let shown = broker.group("t", "g").await["lag_records"].clone();
        broker = broker.restart().await;
        let kept = broker.group("t", "g").await["lag_records"].clone();
        assert_eq!((shown, kept), (json!(8), json!(8)), "{acked:?}");
    }
}

#[tokio::test]
async fn of_two_seeks_at_once_the_later_one_counts() {
    let mut broker = with_messages(10).await;
    for _ in 0..5 {
        tokio::join!(seek_to(&broker, 3), seek_to(&broker, 6));
        let shown = broker.group("t", "g").await["lag_records"].clone();
        broker = broker.restart().await;
        let kept = broker.group("t", "g").await["lag_records"].clone();
        assert_eq!((shown, kept), (json!(4), json!(4)));
    }
}

#[tokio::test]
async fn a_waiting_consumer_gets_what_a_seek_brings_back() {
    let broker = with_messages(1).await;
    let leased = broker.lease("t", "g", "").await;
    broker.settle("t", "g", "ack", receipts(&leased)).await;
    let waiting = broker.lease("t", "g", "wait=15s");
    let seeking = broker.seek("t", "g", json!({"to": "earliest"}));
    let (back, _) = tokio::join!(waiting, seeking);
    assert_eq!(payloads(&back), [0]);
}

#[tokio::test]
async fn a_group_can_be_sent_to_what_a_purge_left() {
    let broker = with_messages(4).await;
    broker.post("/v1/topics/t/purge", "").await.expect(200);
    broker.publish("t", "4").await;
    let state = broker.seek("t", "g", json!({"to": "earliest"})).await;
    assert_eq!(lag(&state.expect(200).json()), (1, 0));
    let state = broker
        .seek("t", "g", json!({"partition": 0, "offset": 1}))
        .await;
    let state = state.expect(200).json();
    assert_eq!(lag(&state), (1, 0));
    assert_eq!(payloads(&broker.lease("t", "g", "max=9").await), [4]);
}
