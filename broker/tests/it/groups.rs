//! Consumer groups: leases, receipts, redelivery, lag, and what survives a restart.

use crate::support::{TestBroker, fields, soon, text_of};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_broker::BrokerError;
use weir_broker::broker::{LeaseOptions, LeasedMessage};
use weir_testkit::eventually;
use weir_types::{GroupName, TopicName};

fn receipts(messages: &[Value]) -> Value {
    json!({"receipts": fields(messages, "receipt")})
}

fn attempts(messages: &[Value]) -> Vec<u64> {
    messages
        .iter()
        .map(|message| message["delivery_attempt"].as_u64().unwrap())
        .collect()
}

fn names() -> (TopicName, GroupName) {
    (
        TopicName::parse("t").unwrap(),
        GroupName::parse("g").unwrap(),
    )
}

/// What a patient caller asks of the core: it waits so long that only an event can end it.
fn patience() -> LeaseOptions {
    LeaseOptions {
        max_messages: 1,
        max_bytes: 1024,
        wait: Duration::from_secs(60),
        visibility_timeout: None,
        member: None,
    }
}

async fn patient_lease(broker: &TestBroker) -> Result<Vec<LeasedMessage>, BrokerError> {
    let (topic, group) = names();
    soon(broker.core().lease(&topic, &group, patience())).await
}

/// Returns when the group has seen every request that was made before.
async fn group_is_idle(broker: &TestBroker) {
    let (topic, group) = names();
    broker.core().get_group(&topic, &group).await.unwrap();
}

async fn with_messages(count: usize) -> TestBroker {
    let broker = TestBroker::start().await;
    let lines: String = (0..count)
        .map(|n| format!("{{\"payload\":{n}}}\n"))
        .collect();
    broker.publish_lines("t", &lines).await.expect(201);
    broker
}

#[tokio::test]
async fn a_lease_hands_out_messages_in_order_and_only_once() {
    let broker = with_messages(5).await;
    let first = broker.lease("t", "g", "max=3").await;
    assert_eq!(fields(&first, "payload"), [json!(0), json!(1), json!(2)]);
    assert_eq!(attempts(&first), [1, 1, 1]);
    for name in [
        "receipt",
        "lease_expires_at",
        "topic",
        "partition",
        "offset",
        "timestamp",
        "id",
    ] {
        assert!(!first[0][name].is_null(), "{name}");
    }
    let second = broker.lease("t", "g", "max=10").await;
    assert_eq!(fields(&second, "payload"), [json!(3), json!(4)]);
    assert!(broker.lease("t", "g", "max=10").await.is_empty());
    assert_eq!(
        broker.lease("t", "another", "max=10").await.len(),
        5,
        "groups are independent"
    );
}

#[tokio::test]
async fn acks_nacks_and_extends_say_what_became_of_each_receipt() {
    let broker = with_messages(4).await;
    let leased = broker.lease("t", "g", "max=4").await;
    let one = |n: usize| json!({"receipts": [leased[n]["receipt"]]});
    assert_eq!(broker.settle("t", "g", "ack", one(0)).await, ["acked"]);
    assert_eq!(
        broker.settle("t", "g", "ack", one(0)).await,
        ["acked"],
        "repeating is safe"
    );
    assert_eq!(
        broker.settle("t", "g", "extend", one(1)).await,
        ["extended"]
    );
    assert_eq!(broker.settle("t", "g", "nack", one(1)).await, ["nacked"]);
    assert_eq!(
        broker.settle("t", "g", "nack", one(1)).await,
        ["lease_expired"]
    );
    assert_eq!(
        broker.settle("t", "g", "extend", one(1)).await,
        ["lease_expired"]
    );
    assert_eq!(
        broker.settle("t", "g", "nack", one(0)).await,
        ["lease_expired"],
        "finished stays finished"
    );
    let mixed = json!({"receipts": ["nonsense", leased[2]["receipt"], "", leased[0]["receipt"], leased[3]["receipt"]]});
    let expected = ["unknown", "acked", "unknown", "acked", "acked"];
    assert_eq!(broker.settle("t", "g", "ack", mixed).await, expected);
    let state = broker.group("t", "g").await;
    assert_eq!(
        (&state["lag_records"], &state["in_flight"]),
        (&json!(1), &json!(0))
    );
}

#[tokio::test]
async fn results_repeat_the_receipts_in_their_order() {
    let broker = with_messages(1).await;
    let leased = broker.lease("t", "g", "").await;
    let receipt = text_of(&leased[0]["receipt"]);
    let body = json!({"receipts": ["x", receipt]}).to_string();
    let answer = broker
        .post("/v1/topics/t/groups/g/ack", body)
        .await
        .expect(200)
        .json();
    let expected = json!({"results": [{"receipt": "x", "status": "unknown"}, {"receipt": receipt, "status": "acked"}]});
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn receipts_of_other_topics_and_groups_are_unknown() {
    let broker = with_messages(2).await;
    broker.publish("other", "1").await;
    let elsewhere = broker.lease("other", "g", "").await;
    let leased = broker.lease("t", "g", "").await;
    broker.put("/v1/topics/t/groups/h", "").await.expect(201);
    for verb in ["ack", "nack", "extend"] {
        assert_eq!(
            broker.settle("t", "g", verb, receipts(&elsewhere)).await,
            ["unknown"],
            "{verb}"
        );
    }
    assert_eq!(
        broker.settle("t", "h", "ack", receipts(&leased)).await,
        ["unknown"]
    );
    assert_eq!(
        broker.lease("t", "h", "max=9").await.len(),
        2,
        "nothing was finished in h"
    );
    let nobody = broker
        .post(
            "/v1/topics/t/groups/nobody/ack",
            receipts(&leased).to_string(),
        )
        .await;
    nobody.refused(404, "unknown_group", "the topic t has no group nobody");
}

#[tokio::test]
async fn a_lease_that_ends_is_delivered_again_and_its_late_ack_counts_until_then() {
    let broker = with_messages(2).await;
    let first = broker
        .lease("t", "g", "max=2&visibility_timeout=20ms")
        .await;
    let again = broker
        .lease("t", "g", "wait=15s&visibility_timeout=1h")
        .await;
    assert_eq!(again[0]["payload"], 0);
    assert_eq!(attempts(&again), [2]);
    assert_ne!(again[0]["receipt"], first[0]["receipt"]);
    assert_eq!(
        broker.settle("t", "g", "ack", receipts(&first)).await,
        ["lease_expired", "acked"]
    );
    assert!(broker.lease("t", "g", "").await.is_empty());
    assert_eq!(
        broker.settle("t", "g", "ack", receipts(&again)).await,
        ["acked"]
    );
    let state = broker.group("t", "g").await;
    assert_eq!(
        (&state["lag_records"], &state["redelivered"]),
        (&json!(0), &json!(1))
    );
}

#[tokio::test]
async fn an_extend_counts_from_now() {
    let broker = with_messages(2).await;
    let leased = broker.lease("t", "g", "max=2&visibility_timeout=12h").await;
    let shorten = json!({"receipts": [leased[1]["receipt"]], "visibility_timeout": "20ms"});
    assert_eq!(
        broker.settle("t", "g", "extend", shorten).await,
        ["extended"]
    );
    let back = broker.lease("t", "g", "max=2&wait=15s").await;
    assert_eq!(fields(&back, "payload"), [json!(1)]);
    let late = json!({"receipts": [leased[1]["receipt"]], "visibility_timeout": "1h"});
    assert_eq!(
        broker.settle("t", "g", "extend", late).await,
        ["lease_expired"]
    );
}

#[tokio::test]
async fn the_topics_visibility_timeout_is_the_default() {
    let broker = TestBroker::start().await;
    broker
        .put("/v1/topics/t", r#"{"visibility_timeout":"20ms"}"#)
        .await
        .expect(201);
    broker.publish("t", "1").await;
    assert_eq!(attempts(&broker.lease("t", "g", "").await), [1]);
    assert_eq!(attempts(&broker.lease("t", "g", "wait=15s").await), [2]);
}

#[tokio::test]
async fn a_nacked_message_comes_back_after_its_delay() {
    let broker = with_messages(3).await;
    let leased = broker.lease("t", "g", "max=3").await;
    let nack = |n: usize, delay: &str| json!({"receipts": [leased[n]["receipt"]], "delay": delay, "reason": "busy"});
    broker.settle("t", "g", "nack", nack(0, "1h")).await;
    broker.settle("t", "g", "nack", nack(1, "30ms")).await;
    broker.settle("t", "g", "nack", nack(2, "0s")).await;
    let mut back = Vec::new();
    while back.len() < 2 {
        back.extend(fields(&broker.lease("t", "g", "wait=15s").await, "payload"));
    }
    assert!(
        back.contains(&json!(1)) && back.contains(&json!(2)),
        "{back:?}"
    );
    assert!(broker.lease("t", "g", "").await.is_empty());
}

#[tokio::test]
async fn a_nack_wakes_a_waiting_consumer() {
    let broker = with_messages(1).await;
    let leased = broker.lease("t", "g", "").await;
    let nacking = async {
        group_is_idle(&broker).await;
        broker.settle("t", "g", "nack", receipts(&leased)).await
    };
    let (back, nacked) = tokio::join!(patient_lease(&broker), nacking);
    assert_eq!(nacked, ["nacked"]);
    assert_eq!(back.unwrap()[0].receipt.delivery_attempt, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_never_share_a_message() {
    let broker = TestBroker::start().await;
    broker
        .put("/v1/topics/t", r#"{"partitions":3}"#)
        .await
        .expect(201);
    let lines: String = (0..300).map(|n| format!("{{\"payload\":{n}}}\n")).collect();
    let consume = async {
        let mut mine = Vec::new();
        loop {
            let leased = broker.lease("t", "g", "max=7&wait=300ms").await;
            if leased.is_empty() {
                return mine;
            }
            mine.extend(
                fields(&leased, "payload")
                    .iter()
                    .map(|payload| payload.as_u64().unwrap()),
            );
            broker.settle("t", "g", "ack", receipts(&leased)).await;
        }
    };
    let another = async {
        let mut mine = Vec::new();
        while let [message, ..] = broker.lease("t", "g", "wait=300ms").await.as_slice() {
            mine.push(message["payload"].as_u64().unwrap());
            broker
                .settle("t", "g", "ack", receipts(std::slice::from_ref(message)))
                .await;
        }
        mine
    };
    broker.publish_lines("t", &lines).await.expect(201);
    let (first, second) = tokio::join!(consume, another);
    assert!(!first.is_empty() && !second.is_empty());
    let mut all = [first, second].concat();
    all.sort_unstable();
    assert_eq!(all, (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_takes_nothing_along() {
    let broker = TestBroker::start().await;
    broker.put("/v1/topics/t", "").await.expect(201);
    let request = "POST /v1/topics/t/groups/g/lease?wait=60s&visibility_timeout=1h HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    let mut tcp = TcpStream::connect(broker.address()).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    tcp.shutdown().await.unwrap();
    // The broker closes its side once it has seen that we left.
    let mut rest = Vec::new();
    soon(tcp.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&rest), "");
    broker.publish("t", "1").await;
    let leased = broker.lease("t", "g", "wait=15s").await;
    assert_eq!(attempts(&leased), [1]);
    assert_eq!(broker.group("t", "g").await["redelivered"], 0);
}

#[tokio::test]
async fn a_dropped_lease_takes_nothing_along() {
    let broker = TestBroker::start().await;
    broker.put("/v1/topics/t", "").await.expect(201);
    broker.put("/v1/topics/t/groups/g", "").await.expect(201);
    tokio::select! {
        biased;
        _ = patient_lease(&broker) => unreachable!("there is nothing to lease"),
        () = group_is_idle(&broker) => {}
    }
    broker.publish("t", "1").await;
    assert_eq!(attempts(&broker.lease("t", "g", "wait=15s").await), [1]);
}

#[tokio::test]
async fn acks_and_nacks_survive_a_restart_and_leases_do_not() {
    let broker = with_messages(4).await;
    let leased = broker.lease("t", "g", "max=4&visibility_timeout=12h").await;
    let one = |n: usize| json!({"receipts": [leased[n]["receipt"]]});
    broker.settle("t", "g", "ack", one(1)).await;
    broker.settle("t", "g", "nack", one(2)).await;
    let later = json!({"receipts": [leased[3]["receipt"]], "delay": "1h"});
    broker.settle("t", "g", "nack", later).await;
    let broker = broker.restart().await;
    let mut back = broker.lease("t", "g", "max=9").await;
    back.extend(broker.lease("t", "g", "max=9").await);
    back.sort_by_key(|message| message["offset"].as_u64());
    assert_eq!(fields(&back, "payload"), [json!(0), json!(2)]);
    assert_eq!(attempts(&back), [1, 2]);
    assert_eq!(
        broker.settle("t", "g", "ack", one(0)).await,
        ["lease_expired"],
        "someone newer holds it"
    );
    assert_eq!(
        broker.settle("t", "g", "ack", one(3)).await,
        ["acked"],
        "a late ack counts"
    );
    assert_eq!(
        broker.settle("t", "g", "extend", one(2)).await,
        ["lease_expired"]
    );
    broker.settle("t", "g", "ack", receipts(&back)).await;
    let broker = broker.restart().await;
    assert_eq!(broker.group("t", "g").await["lag_records"], 0);
    assert!(broker.lease("t", "g", "max=9").await.is_empty());
}

#[tokio::test]
async fn a_group_begins_where_it_is_told() {
    let broker = with_messages(2).await;
    let target = "/v1/topics/t/groups/new";
    let created = broker
        .put(target, r#"{"start":"latest"}"#)
        .await
        .expect(201)
        .json();
    assert_eq!(
        (
            &created["lag_records"],
            &created["partitions"][0]["committed_offset"]
        ),
        (&json!(0), &json!(2))
    );
    let unchanged = broker
        .put(target, r#"{"start":"earliest"}"#)
        .await
        .expect(200)
        .json();
    assert_eq!(unchanged["lag_records"], 0);
    broker.publish("t", "2").await;
    assert_eq!(
        fields(&broker.lease("t", "new", "max=9").await, "payload"),
        [json!(2)]
    );
    broker.put("/v1/topics/t/groups/old", "").await.expect(201);
    assert_eq!(broker.lease("t", "old", "max=9").await.len(), 3);
}

#[tokio::test]
async fn a_deleted_group_is_gone_and_a_later_one_begins_anew() {
    let broker = with_messages(2).await;
    let leased = broker.lease("t", "g", "max=2").await;
    broker.settle("t", "g", "ack", receipts(&leased)).await;
    broker.delete("/v1/topics/t/groups/g").await.expect(204);
    broker
        .get("/v1/topics/t/groups/g")
        .await
        .refused(404, "unknown_group", "no group g");
    broker
        .delete("/v1/topics/t/groups/g")
        .await
        .refused(404, "unknown_group", "no group g");
    let broker = broker.restart().await;
    broker
        .get("/v1/topics/t/groups/g")
        .await
        .refused(404, "unknown_group", "no group g");
    assert_eq!(attempts(&broker.lease("t", "g", "max=2").await), [1, 1]);
}

#[tokio::test]
async fn any_printable_text_may_name_a_group() {
    let broker = with_messages(1).await;
    let encoded = "a%20b%2F..%2F%C3%BC%25";
    let leased = broker.lease("t", encoded, "").await;
    broker.settle("t", encoded, "ack", receipts(&leased)).await;
    let broker = broker.restart().await;
    let state = broker.group("t", encoded).await;
    assert_eq!(
        (&state["group"], &state["lag_records"]),
        (&json!("a b/../ü%"), &json!(0))
    );
    broker.lease("t", "..", "").await;
    broker.lease("t", "%2e", "").await;
    let broker = broker.restart().await;
    let listed = broker.get("/v1/topics/t/groups").await.expect(200).json();
    let names = fields(listed["groups"].as_array().unwrap(), "group");
    assert_eq!(names, [json!("."), json!(".."), json!("a b/../ü%")]);
    let metrics = broker.get("/metrics").await.expect(200).text();
    assert!(metrics.contains("group=\"a b/../ü%\""));
    let before = broker.tree();
    for (name, part) in [
        ("%0a", "control character"),
        ("%ff", "percent-encoded UTF-8"),
        (&"x".repeat(81), "81 bytes"),
    ] {
        let target = format!("/v1/topics/t/groups/{name}/lease");
        broker
            .post(&target, "")
            .await
            .refused(400, "invalid_argument", part);
    }
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn lag_is_true_before_during_and_after() {
    let broker = TestBroker::start().await;
    broker
        .put("/v1/topics/t", r#"{"partitions":2}"#)
        .await
        .expect(201);
    broker.put("/v1/topics/t/groups/g", "").await.expect(201);
    let lag = async || {
        let state = broker.group("t", "g").await;
        let lag = |name: &str| state[name].as_f64().unwrap();
        (lag("lag_records"), lag("in_flight"), lag("lag_seconds"))
    };
    assert_eq!(lag().await, (0.0, 0.0, 0.0));
    let oldest = broker.publish("t", "1").await["timestamp"]
        .as_f64()
        .unwrap()
        / 1000.0;
    broker.publish("t", "2").await;
    broker.publish("t", "3").await;
    let seconds = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64()
    };
    let least = seconds() - oldest - 0.001;
    let (records, in_flight, lag_seconds) = lag().await;
    assert_eq!((records, in_flight), (3.0, 0.0));
    assert!(
        lag_seconds >= least && lag_seconds <= seconds() - oldest,
        "{lag_seconds}"
    );
    let leased = broker.lease("t", "g", "max=9").await;
    assert_eq!(
        (lag().await.0, lag().await.1),
        (3.0, 3.0),
        "leased is not finished"
    );
    let newest = leased
        .iter()
        .find(|message| message["payload"] == 3)
        .unwrap()
        .clone();
    broker.settle("t", "g", "ack", receipts(&[newest])).await;
    assert_eq!(
        (lag().await.0, lag().await.1),
        (2.0, 2.0),
        "finished out of order"
    );
    broker.post("/v1/topics/t/purge", "").await.expect(200);
    assert_eq!(lag().await, (0.0, 0.0, 0.0));
    broker.publish("t", "4").await;
    assert_eq!(lag().await.0, 1.0);
    assert_eq!(
        broker.settle("t", "g", "nack", receipts(&leased)).await,
        ["lease_expired"; 3]
    );
    assert_eq!(
        fields(&broker.lease("t", "g", "max=9").await, "payload"),
        [json!(4)]
    );
}

#[tokio::test]
async fn every_partition_gets_its_turn() {
    let broker = TestBroker::start().await;
    broker
        .put("/v1/topics/t", r#"{"partitions":4}"#)
        .await
        .expect(201);
    let lines: String = (0..40).map(|n| format!("{{\"payload\":{n}}}\n")).collect();
    broker.publish_lines("t", &lines).await.expect(201);
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        seen.insert(
            broker.lease("t", "g", "").await[0]["partition"]
                .as_u64()
                .unwrap(),
        );
    }
    assert_eq!(seen, BTreeSet::from([0, 1, 2, 3]));
    let state = broker.group("t", "g").await;
    assert_eq!(
        fields(state["partitions"].as_array().unwrap(), "in_flight"),
        vec![json!(1); 4]
    );
}

#[tokio::test]
async fn at_most_max_bytes_but_at_least_one_message() {
    let broker = TestBroker::start().await;
    for _ in 0..4 {
        broker
            .publish("t", &format!("\"{}\"", "x".repeat(1000)))
            .await;
    }
    assert_eq!(broker.lease("t", "g", "max=9&max_bytes=1").await.len(), 1);
    assert_eq!(
        broker.lease("t", "g", "max=9&max_bytes=2500").await.len(),
        2
    );
}

#[tokio::test]
async fn deleting_the_group_or_the_topic_ends_the_wait() {
    let broker = TestBroker::start().await;
    let (topic, group) = names();
    for what in ["group", "topic"] {
        broker.put("/v1/topics/t", "").await;
        broker.put("/v1/topics/t/groups/g", "").await.expect(201);
        let deleting = async {
            group_is_idle(&broker).await;
            match what {
                "group" => broker.core().delete_group(&topic, &group).await.unwrap(),
                _ => broker.core().delete_topic(&topic).await.unwrap(),
            }
        };
        let (leased, ()) = tokio::join!(patient_lease(&broker), deleting);
        assert!(leased.unwrap().is_empty(), "{what}");
    }
}

#[tokio::test]
async fn stopping_the_broker_ends_the_wait() {
    let broker = TestBroker::start().await;
    broker.put("/v1/topics/t/groups/g", "").await.expect(201);
    let draining = async {
        group_is_idle(&broker).await;
        broker.core().drain();
    };
    let (leased, ()) = tokio::join!(patient_lease(&broker), draining);
    assert!(leased.unwrap().is_empty());
    let refused = broker.post("/v1/topics/t/groups/g/lease", "").await;
    refused.refused(503, "draining", "reconnect");
    assert_eq!(refused.headers["retry-after"], "1");
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_lease_creates_topic_and_group() {
    let broker = TestBroker::start().await;
    assert!(broker.lease("t", "g", "").await.is_empty());
    assert_eq!(broker.group("t", "g").await["topic"], "t");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_held_by_two_at_a_time_whatever_they_do_with_it() {
    let broker = with_messages(60).await;
    let held = Mutex::new(BTreeSet::new());
    let finished = Mutex::new(Vec::new());
    let consumer = async || {
        while finished.lock().unwrap().len() < 60 {
            let leased = broker.lease("t", "g", "max=3&wait=20ms").await;
            for message in &leased {
                let offset = message["offset"].as_u64().unwrap();
                assert!(held.lock().unwrap().insert(offset), "{offset} is held");
            }
            for message in leased {
                let offset = message["offset"].as_u64().unwrap();
                let verb = match message["delivery_attempt"].as_u64() {
                    Some(attempt) if attempt <= offset % 4 => "nack",
                    _ => "ack",
                };
                held.lock().unwrap().remove(&offset);
                let done = broker.settle("t", "g", verb, receipts(&[message])).await;
                assert_eq!(done, [format!("{verb}ed")]);
                if verb == "ack" {
                    finished.lock().unwrap().push(offset);
                }
            }
        }
    };
    tokio::join!(consumer(), consumer(), consumer());
    let mut finished = finished.into_inner().unwrap();
    finished.sort_unstable();
    assert_eq!(finished, (0..60).collect::<Vec<_>>());
    let state = broker.group("t", "g").await;
    assert_eq!(state["lag_records"], 0);
    assert_eq!(state["redelivered"], 15 * (1 + 2 + 3));
}

/// It asked, it was answered, and it went away before it looked.
#[tokio::test]
async fn what_a_caller_did_not_live_to_see_goes_to_others_at_once() {
    let broker = TestBroker::start().await;
    broker.publish("t", "1").await;
    broker.put_group("t", "g", json!({})).await.expect(201);
    let (topic, group) = names();
    let mut gone = Box::pin(broker.core().lease(&topic, &group, patience()));
    assert!(futures_util::poll!(&mut gone).is_pending());
    eventually("the lease", async || {
        (broker.group("t", "g").await["in_flight"] == 1).then_some(())
    })
    .await;
    drop(gone);
    let leased = patient_lease(&broker).await.unwrap();
    assert_eq!(leased[0].receipt.delivery_attempt, 1);
}
