//! What cannot be read is passed over, and whoever reads is told.

use crate::broker;
use std::fs;
use std::path::PathBuf;
use weir_client::{Client, FetchOptions, LeaseOptions, PublishOptions, ReadFrom, Streamed};
use weir_protocol::shapes::{Gap, GapReason};
use weir_testkit::{BrokerProcess, BrokerSetup, RawConnection};
use weir_types::{GroupName, Offset, PartitionId, Timestamp, TopicName};

fn topic() -> TopicName {
    TopicName::parse("t").unwrap()
}

fn damaged(from: u64, until: u64) -> Gap {
    Gap {
        partition: PartitionId(0),
        from_offset: Offset(from),
        until_offset: Offset(until),
        reason: GapReason::Damaged,
    }
}

async fn publish(client: &Client, payloads: impl IntoIterator<Item = u32>) {
    let (topic, options) = (topic(), PublishOptions::default());
    for payload in payloads {
        let payload = payload.to_string().into();
        client.publish(&topic, payload, &options).await.unwrap();
    }
}

/// The whole answer, as text.
async fn get(broker: &BrokerProcess, target: &str, header: &str) -> String {
    let mut connection = RawConnection::open(broker.http_address()).await;
    let request = format!("GET {target} HTTP/1.1\r\nhost: b\r\nconnection: close\r\n{header}\r\n");
    connection.send(request).await;
    connection.read_to_end().await
}

fn segment(setup: &BrokerSetup) -> PathBuf {
    setup
        .data_dir()
        .join("t/partition-0/00000000000000000000.log")
}

/// A broker with six records, of which the third and fourth were damaged while it was stopped.
async fn with_damage() -> BrokerProcess {
    let setup = broker();
    let mut running = setup.start().await;
    publish(&running.client(), 0..6).await;
    running.terminate();
    assert!(running.wait().await.success());
    let mut content = fs::read(segment(&setup)).unwrap();
    let newlines = content.iter().enumerate().filter(|(_, b)| **b == b'\n');
    let ends: Vec<usize> = newlines.map(|(at, _)| at).collect();
    for line in [2, 3] {
        content[ends[line] - 30] ^= 1;
    }
    fs::write(segment(&setup), content).unwrap();
    setup.start().await
}

#[tokio::test]
async fn a_fetch_names_the_offsets_that_it_passed_over() {
    let running = with_damage().await;
    let client = running.client();
    let fetched = client.fetch(&topic(), &FetchOptions::default()).await;
    let fetched = fetched.unwrap();
    let offsets: Vec<_> = fetched.messages.iter().map(|m| m.offset.0).collect();
    assert_eq!(offsets, [0, 1, 4, 5]);
    assert_eq!(fetched.gaps, [damaged(2, 4)]);
    let metrics = get(&running, "/metrics", "").await;
    let damage = metrics
        .lines()
        .find(|line| line.starts_with("weir_broker_damaged_records_total "));
    assert_eq!(damage, Some("weir_broker_damaged_records_total 2"));
}

#[tokio::test]
async fn lines_as_stored_come_with_their_gaps_in_a_header() {
    let running = with_damage().await;
    let target = "/v1/topics/t/messages?partition=0&from=1";
    let answer = get(&running, target, "accept: application/x-ndjson\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.lines().count(), 3);
    let gaps =
        r#"weir-gaps: [{"partition":0,"from_offset":2,"until_offset":4,"reason":"damaged"}]"#;
    assert!(head.lines().any(|line| line == gaps), "{head}");
    let stored = fs::read_to_string(segment(running.setup())).unwrap();
    for line in body.lines() {
        assert!(stored.lines().any(|known| known == line), "{line}");
    }
}

#[tokio::test]
async fn a_stream_says_where_it_passed_over_something_and_goes_on() {
    let running = with_damage().await;
    let stream = running
        .client()
        .stream(&topic(), &ReadFrom::Earliest, None)
        .await;
    let mut stream = stream.unwrap();
    let (mut offsets, mut gaps) = (Vec::new(), Vec::new());
    while offsets.len() < 4 {
        match stream.next().await.unwrap().unwrap() {
            Streamed::Message(streamed) => offsets.push(streamed.message.offset.0),
            Streamed::Gap { gap, .. } => gaps.push(gap),
        }
    }
    assert_eq!(offsets, [0, 1, 4, 5]);
    assert_eq!(gaps, [damaged(2, 4)]);
}

#[tokio::test]
async fn a_group_goes_on_behind_damage_and_counts_what_it_lost() {
    let running = with_damage().await;
    let (client, group) = (running.client(), GroupName::parse("g").unwrap());
    let options = LeaseOptions {
        max: Some(10),
        ..LeaseOptions::default()
    };
    let leased = client.lease(&topic(), &group, &options).await.unwrap();
    assert_eq!(leased.messages.len(), 4);
    let receipts = leased.messages.into_iter().map(|m| m.receipt).collect();
    client.ack(&topic(), &group, receipts).await.unwrap();
    let state = client.group(&topic(), &group).await.unwrap();
    assert_eq!((state.lag_records, state.lost_records), (0, 2));
}

#[tokio::test]
async fn what_retention_removed_is_a_gap_for_who_asks_for_it() {
    let running = broker().start().await;
    let client = running.client();
    publish(&client, 0..3).await;
    client.purge_topic(&topic()).await.unwrap();
    publish(&client, 3..5).await;
    let options = FetchOptions {
        partition: Some(PartitionId(0)),
        from: ReadFrom::Offset(Offset(1)),
        ..FetchOptions::default()
    };
    let fetched = client.fetch(&topic(), &options).await.unwrap();
    let trimmed = Gap {
        reason: GapReason::Trimmed,
        ..damaged(1, 3)
    };
    assert_eq!(fetched.gaps, [trimmed]);
    assert_eq!(fetched.messages.len(), 2);
    let from_start = client.fetch(&topic(), &FetchOptions::default()).await;
    assert!(
        from_start.unwrap().gaps.is_empty(),
        "it asked for what there is"
    );
}

#[tokio::test]
async fn reading_begins_at_a_time() {
    let running = broker().start().await;
    let client = running.client();
    publish(&client, 0..3).await;
    let all = client.fetch(&topic(), &FetchOptions::default()).await;
    let last = all.unwrap().messages[2].timestamp.0;
    // Half a second of room between the two groups of messages, in the broker's own time.
    weir_testkit::eventually("a later time", async || {
        let (topic, options) = (topic(), PublishOptions::default());
        let published = client.publish(&topic, "3".into(), &options).await.unwrap();
        (published.timestamp.0 > last + 500).then_some(())
    })
    .await;
    let middle = last + 1;
    let time = Timestamp(middle).to_rfc3339();
    let options = FetchOptions {
        from: ReadFrom::At(time.clone()),
        ..FetchOptions::default()
    };
    let fetched = client.fetch(&topic(), &options).await.unwrap();
    let first = &fetched.messages[0];
    assert!(
        first.timestamp.0 >= middle && first.offset.0 >= 3,
        "{time}: {first:?}"
    );
    let stream = client.stream(&topic(), &ReadFrom::At(time), None).await;
    let streamed = stream.unwrap().next().await.unwrap().unwrap();
    let Streamed::Message(streamed) = streamed else {
        panic!("{streamed:?}");
    };
    assert_eq!(streamed.message.offset, first.offset);
    let wrong = FetchOptions {
        from: ReadFrom::At("2026-01-32T00:00:00Z".to_owned()),
        ..FetchOptions::default()
    };
    let refused = client
        .fetch(&topic(), &wrong)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("2026-01-31T12:00:00Z"), "{refused}");
}
