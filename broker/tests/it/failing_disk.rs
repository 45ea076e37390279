//! A disk that answers EIO: what depends on it stops and says so, the rest goes on.

use crate::support::soon;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use weir_broker::broker::{Accepted, Closing, FetchRequest, ReadFrom};
use weir_broker::{Broker, BrokerError, BrokerOptions};
use weir_commitlog::faulty::{Call, Fault, FaultyDisk};
use weir_protocol::{ErrorCode, NewMessage, Payload};
use weir_service::clock::Clock;
use weir_types::{Durability, TopicName, TopicSettingsChange};

fn open(disk: &FaultyDisk) -> (Broker, Closing) {
    let options = BrokerOptions::on("data".into());
    Broker::open(options, Arc::new(disk.clone()), Clock::system()).unwrap()
}

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

async fn publish(broker: &Broker, name: &str) -> Result<u64, BrokerError> {
    let payload = Payload::parse(&Bytes::from_static(b"1"), 100).unwrap();
    let message = NewMessage::plain(payload);
    match soon(broker.publish(&topic(name), message)).await? {
        Accepted::Stored(published) => Ok(published.offset.0),
        Accepted::Scheduled(scheduled) => panic!("{scheduled:?}"),
    }
}

async fn stored(broker: &Broker, name: &str) -> usize {
    let request = FetchRequest {
        partition: None,
        from: ReadFrom::Earliest,
        max_records: 100,
        max_bytes: 1 << 20,
    };
    let fetched = broker.fetch(&topic(name), &request, Duration::ZERO).await;
    fetched.unwrap().read.lines.len()
}

#[tokio::test]
async fn after_a_failed_sync_of_the_commit_log_nothing_is_acknowledged_that_needs_one() {
    let disk = FaultyDisk::new();
    let (broker, _closing) = open(&disk);
    let relaxed = TopicSettingsChange {
        durability: Some(Durability::Os),
        ..TopicSettingsChange::default()
    };
    broker.put_topic(&topic("relaxed"), &relaxed).await.unwrap();
    publish(&broker, "strict").await.unwrap();
    assert!(broker.problems().is_empty());

    disk.fail(Fault::on(Call::WriteThrough).once());
    for _ in 0..3 {
        let refused = publish(&broker, "strict").await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Storage, "{refused}");
    }
    let problems = broker.problems();
    let names_it =
        |problem: &String| problem.starts_with("storage: ") && problem.contains("__weir/commit-0");
    assert!(problems.iter().any(names_it), "{problems:?}");
    assert_eq!(publish(&broker, "relaxed").await.unwrap(), 0);
    assert_eq!(stored(&broker, "strict").await, 1, "reads go on");

    let (restarted, _closing) = open(&disk.kill());
    assert!(restarted.problems().is_empty());
    assert!(publish(&restarted, "strict").await.unwrap() >= 1);
    assert_eq!(stored(&restarted, "relaxed").await, 1);
}

#[tokio::test]
async fn a_partition_whose_file_fails_stops_alone() {
    let disk = FaultyDisk::new();
    let (broker, _closing) = open(&disk);
    for name in ["broken", "whole"] {
        publish(&broker, name).await.unwrap();
    }
    // A write that fails and cannot be taken back leaves the end of the file unknown.
    disk.fail(Fault::on(Call::Write).path("broken/").once().after_bytes(9));
    disk.fail(Fault::on(Call::SetLen).path("broken/").once());
    for _ in 0..2 {
        let refused = publish(&broker, "broken").await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Storage, "{refused}");
    }
    assert_eq!(publish(&broker, "whole").await.unwrap(), 1);
    let problems = broker.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("data/broken/partition-0/"),
        "{problems:?}"
    );
    assert!(broker.get_topic(&topic("broken")).unwrap().partitions[0].failed);
}
