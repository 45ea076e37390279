//! Topics that are deleted when nobody uses them, by a clock that is turned by hand.

use crate::support::soon;
use std::sync::Arc;
use std::time::Duration;
use weir_broker::broker::{Accepted, Closing, FetchRequest, ReadFrom};
use weir_broker::{Broker, BrokerOptions};
use weir_commitlog::faulty::FaultyDisk;
use weir_protocol::{NewMessage, Payload};
use weir_service::clock::{Clock, ManualClock};
use weir_types::{DurationText, Timestamp, TopicName, TopicSettingsChange};

const MINUTE: Duration = Duration::from_secs(60);

struct Core {
    broker: Broker,
    clock: ManualClock,
    _closing: Closing,
}

fn name(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

impl Core {
    fn open() -> Self {
        let (clock, hands) = Clock::manual(Timestamp(1_700_000_000_000));
        let disk = Arc::new(FaultyDisk::new());
        let options = BrokerOptions {
            min_free_bytes: 0,
            ..BrokerOptions::on("data".into())
        };
        let (broker, closing) = Broker::open(options, disk, clock).unwrap();
        Self {
            broker,
            clock: hands,
            _closing: closing,
        }
    }

    async fn publish(&self, topic: &str, reply_to: Option<&str>) {
        let message = NewMessage {
            reply_to: reply_to.map(name),
            ..NewMessage::plain(Payload::from_text("x"))
        };
        let accepted = self.broker.publish(&name(topic), message).await.unwrap();
        assert!(matches!(accepted, Accepted::Stored(_)));
    }

    async fn expiring(&self, topic: &str, after: Duration) {
        let change = TopicSettingsChange {
            expires_after: Some(DurationText(after)),
            ..TopicSettingsChange::default()
        };
        self.broker.put_topic(&name(topic), &change).await.unwrap();
    }

    /// Turns the clock and lets maintenance have its turn.
    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(11)).await;
        tokio::time::resume();
        // What maintenance asks of the disk's thread is answered in turn.
        for _ in 0..50 {
            tokio::task::yield_now().await;
            self.broker.get_topic(&name("kept")).unwrap();
            self.publish("kept", None).await;
        }
    }

    fn topics(&self) -> Vec<String> {
        let topics = self.broker.list_topics();
        let names = topics.iter().map(|topic| topic.topic.as_str().to_owned());
        names.filter(|name| name != "kept").collect()
    }
}

#[tokio::test]
async fn a_topic_that_a_reply_created_is_gone_after_ten_idle_minutes() {
    let core = Core::open();
    core.publish("kept", Some("answers-1")).await;
    assert!(core.topics().is_empty(), "no reply, no topic");
    core.publish("answers-1", None).await;
    core.publish("other", None).await;
    let reply_topic = core.broker.get_topic(&name("answers-1")).unwrap();
    let after = reply_topic.settings.expires_after.map(|after| after.0);
    assert_eq!(after, Some(10 * MINUTE));
    core.pass(MINUTE).await;
    core.pass(8 * MINUTE).await;
    assert_eq!(core.topics(), ["answers-1", "other"]);
    core.publish("answers-1", None).await;
    core.pass(9 * MINUTE).await;
    assert_eq!(core.topics(), ["answers-1", "other"], "it was used");
    core.pass(2 * MINUTE).await;
    assert_eq!(core.topics(), ["other"], "what nobody waits at stays");
    core.publish("answers-1", None).await;
    let again = core.broker.get_topic(&name("answers-1")).unwrap();
    assert!(
        again.settings.expires_after.is_some(),
        "and so is a later one"
    );
}

#[tokio::test]
async fn a_reply_topic_is_gone_soon_after_its_replies_were_taken() {
    let core = Core::open();
    core.publish("kept", Some("taken")).await;
    core.publish("kept", Some("waiting")).await;
    core.expiring("mine", 10 * MINUTE).await;
    for topic in ["taken", "waiting", "mine"] {
        core.publish(topic, None).await;
    }
    for topic in ["taken", "mine"] {
        let delivered = std::future::ready(true);
        let taken = core.broker.take_next(&name(topic), 1, delivered).await;
        assert_eq!(taken.unwrap().len(), 1);
    }
    core.pass(MINUTE).await;
    core.pass(MINUTE).await;
    assert_eq!(core.topics(), ["mine", "waiting"]);
}

#[tokio::test]
async fn who_reads_keeps_a_topic() {
    let core = Core::open();
    core.publish("kept", None).await;
    core.expiring("followed", MINUTE).await;
    core.expiring("fetched", MINUTE).await;
    core.expiring("quiet", MINUTE).await;
    let from_the_start = FetchRequest {
        partition: None,
        from: ReadFrom::Earliest,
        max_records: 1,
        max_bytes: 1,
    };
    let follower = core.broker.stream(&name("followed"), &from_the_start).await;
    core.pass(Duration::ZERO).await;
    for _ in 0..2 {
        core.pass(MINUTE / 2).await;
        let topic = name("fetched");
        let fetch = core.broker.fetch(&topic, &from_the_start, Duration::ZERO);
        soon(fetch).await.unwrap();
    }
    core.pass(MINUTE / 2).await;
    assert_eq!(core.topics(), ["fetched", "followed"]);
    drop(follower);
    core.pass(2 * MINUTE).await;
    assert!(core.topics().is_empty());
}

#[tokio::test]
async fn an_explicit_topic_is_nobodys_reply_topic() {
    let core = Core::open();
    core.publish("kept", Some("mine")).await;
    let change = TopicSettingsChange::default();
    let (mine, _) = core.broker.put_topic(&name("mine"), &change).await.unwrap();
    assert_eq!(mine.settings.expires_after, None);
}
