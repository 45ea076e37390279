//! Producers and group members that work until the broker goes away, and note everything in a ledger.
//!
//! Each producer sends one request after the other: single messages, batches for one topic, batches
//! over several. Members lease, and then ack, nack or just keep what they got.

use fastrand::Rng;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::task::JoinSet;
use weir_client::{Client, ClientError, FetchOptions, LeaseOptions, PublishOptions, ReadFrom};
use weir_protocol::ErrorCode;
use weir_protocol::shapes::{BatchPublished, LeasedMessage, ReceiptStatus};
use weir_testkit::{BrokerProcess, Found, Ledger, Place, Sent, Violation, Violations};
use weir_types::{
    ByteCount, GroupName, MessageId, Offset, PartitionId, TopicName, TopicSettingsChange,
};

/// Topics and their partitions.
const TOPICS: [(&str, u32); 2] = [("orders", 3), ("events", 1)];
/// Small, so that segments roll all the time.
const SEGMENT_BYTES: u64 = 16 * 1024;
/// Leases never end by themselves here.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(3600);

/// All that works on one broker, over its restarts.
pub(crate) struct Load {
    book: Arc<Book>,
    rng: Rng,
    actors: Vec<Actor>,
    at_work: JoinSet<Actor>,
}

/// What the actors write down.
#[derive(Default)]
struct Book {
    ledger: Mutex<Ledger>,
    violations: Mutex<Vec<Violation>>,
}

enum Actor {
    Producer(Producer),
    Member(Member),
}

struct Producer {
    kind: ProducerKind,
    id: u32,
    next_number: u64,
    rng: Rng,
    /// A topic that does not exist yet, some of the time.
    new_topic: TopicName,
}

#[derive(Clone, Copy)]
enum ProducerKind {
    Single,
    Batch,
    SeveralTopics,
}

struct Member {
    topic: TopicName,
    group: GroupName,
    rng: Rng,
    /// What it was given and neither acked nor nacked.
    kept: Vec<Held>,
}

#[derive(Clone)]
struct Held {
    receipt: String,
    place: Place,
    attempt: u32,
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

impl Book {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    fn delivered(&self, group: &GroupName, found: &Found, attempt: u32) {
        let noted = self.ledger().delivered(group, found, attempt);
        if let Err(violation) = noted {
            self.violations.lock().unwrap().push(violation);
        }
    }
}

impl Load {
    /// A load that repeats itself, as far as the broker's timing lets it.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let kinds = [
            ProducerKind::Single,
            ProducerKind::Single,
            ProducerKind::Batch,
            ProducerKind::SeveralTopics,
        ];
        let producers = (0..).zip(kinds).map(|(id, kind)| {
            Actor::Producer(Producer {
                kind,
                id,
                next_number: 0,
                rng: rng.fork(),
                new_topic: topic("new"),
            })
        });
        let mut actors: Vec<_> = producers.collect();
        for (name, group_name) in [
            ("orders", "workers"),
            ("orders", "workers"),
            ("orders", "auditors"),
            ("events", "workers"),
        ] {
            actors.push(Actor::Member(Member {
                topic: topic(name),
                group: group(group_name),
                rng: rng.fork(),
                kept: Vec::new(),
            }));
        }
        Self {
            book: Arc::default(),
            rng,
            actors,
            at_work: JoinSet::new(),
        }
    }

    /// Makes the topics.
    pub(crate) async fn create_topics(&self, broker: &BrokerProcess) {
        for (name, partitions) in TOPICS {
            let change = TopicSettingsChange {
                partitions: Some(partitions),
                segment_bytes: Some(ByteCount(SEGMENT_BYTES)),
                ..TopicSettingsChange::default()
            };
            let created = broker.client().put_topic(&topic(name), &change).await;
            created.unwrap();
        }
    }

    /// Sets everyone to work.
    pub(crate) fn begin(&mut self, broker: &BrokerProcess) {
        let new_topic = topic(&format!("new-{:08x}", self.rng.u32(..)));
        for actor in self.actors.drain(..) {
            let (client, book) = (broker.client(), Arc::clone(&self.book));
            let new_topic = new_topic.clone();
            self.at_work.spawn(async move {
                match actor {
                    Actor::Producer(mut producer) => {
                        producer.new_topic = new_topic;
                        expect_the_end(producer.work(&client, &book).await);
                        Actor::Producer(producer)
                    }
                    Actor::Member(mut member) => {
                        expect_the_end(member.work(&client, &book).await);
                        Actor::Member(member)
                    }
                }
            });
        }
    }

    /// Waits until everyone has noticed that the broker is gone.
    pub(crate) async fn end(&mut self) {
        while let Some(ended) = self.at_work.join_next().await {
            self.actors.push(ended.unwrap());
        }
        self.book.ledger().restarted();
    }

    /// Messages acknowledged and messages acked so far.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let ledger = self.book.ledger();
        let acked = ["workers", "auditors"].map(|name| ledger.acked_count(&group(name)));
        (ledger.acknowledged_count(), acked.iter().sum())
    }

    /// Acks some of what was leased before the broker ended. Nobody else holds it, so it counts.
    pub(crate) async fn ack_late(&mut self, broker: &BrokerProcess) {
        let client = broker.client();
        for actor in &mut self.actors {
            let Actor::Member(member) = actor else {
                continue;
            };
            let late: Vec<_> = std::mem::take(&mut member.kept);
            let late = late.into_iter().filter(|_| member.rng.bool()).collect();
            member.ack(&client, &self.book, late).await.unwrap();
        }
    }

    /// Fails unless the logs, on the disk and over the API, hold what was promised. Returns them.
    pub(crate) async fn check_logs(&self, broker: &BrokerProcess) -> Vec<Found> {
        let mut on_disk = weir_testkit::read_data_dir(&broker.setup().data_dir());
        let mut served = fetch_everything(&broker.client()).await;
        for log in [&on_disk, &served] {
            let violations = self.book.ledger().check_log(log);
            assert!(violations.is_empty(), "{violations}");
        }
        let by_place = |a: &Found, b: &Found| a.place.cmp(&b.place);
        on_disk.sort_by(by_place);
        served.sort_by(by_place);
        assert!(on_disk == served, "the disk and the API differ");
        self.check_deliveries();
        on_disk
    }

    /// Lets every group finish what is left, and fails unless it gets all of that and nothing else.
    pub(crate) async fn check_groups(&mut self, broker: &BrokerProcess, log: &[Found]) {
        let client = broker.client();
        for actor in &mut self.actors {
            let Actor::Member(member) = actor else {
                continue;
            };
            member.drain(&client, &self.book).await;
            let (group, topic) = (&member.group, &member.topic);
            let violations = self.book.ledger().check_drained(group, topic, log);
            assert!(violations.is_empty(), "{violations}");
            let info = client.group(topic, group).await.unwrap();
            assert_eq!(
                (info.lag_records, info.in_flight),
                (0, 0),
                "{group} on {topic}"
            );
        }
        self.check_deliveries();
    }

    fn check_deliveries(&self) {
        let violations = Violations(self.book.violations.lock().unwrap().clone());
        assert!(violations.is_empty(), "{violations}");
    }
}

/// Only the broker's end ends the work: nothing may be refused or go unanswered before.
fn expect_the_end(work: Result<(), ClientError>) {
    match work {
        Err(ClientError::Unreachable { .. } | ClientError::Interrupted { .. }) => {}
        Err(ClientError::Refused {
            code: ErrorCode::Draining,
            ..
        }) => {}
        other => panic!("the work ended with {other:?}"),
    }
}

impl Producer {
    async fn work(&mut self, client: &Client, book: &Book) -> Result<(), ClientError> {
        loop {
            match self.kind {
                ProducerKind::Single => self.publish_one(client, book).await?,
                ProducerKind::Batch => {
                    let place = self.choose_topic();
                    self.publish_batch(client, book, Some(&place)).await?;
                }
                ProducerKind::SeveralTopics => self.publish_batch(client, book, None).await?,
            }
        }
    }

    async fn publish_one(&mut self, client: &Client, book: &Book) -> Result<(), ClientError> {
        let to = self.choose_topic();
        let sent = self.next(&to);
        let options = PublishOptions {
            id: Some(sent.id()),
            partition: Some(sent.partition),
            ..PublishOptions::default()
        };
        book.ledger().sent(sent.clone());
        let payload = sent.payload.clone().into();
        let published = client.publish(&sent.topic, payload, &options).await?;
        assert_eq!((&published.topic, &published.id), (&sent.topic, &sent.id()));
        assert_eq!(published.partition, sent.partition);
        book.ledger().acknowledged(&sent.id(), published.offset);
        Ok(())
    }

    /// To one topic, or to several.
    async fn publish_batch(
        &mut self,
        client: &Client,
        book: &Book,
        to: Option<&(TopicName, u32)>,
    ) -> Result<(), ClientError> {
        let mut batch = Vec::new();
        for _ in 0..self.rng.usize(1..30) {
            let to = to.cloned().unwrap_or_else(|| self.choose_topic());
            batch.push(self.next(&to));
        }
        let lines: String = batch.iter().map(|sent| line(sent, to.is_none())).collect();
        batch
            .iter()
            .for_each(|sent| book.ledger().sent(sent.clone()));
        let published = match to {
            Some((topic, _)) => client.publish_batch(topic, lines.into()).await?,
            None => client.publish_to_topics(lines.into()).await?,
        };
        for (id, offset) in batch_offsets(&batch, &published) {
            book.ledger().acknowledged(&id, offset);
        }
        Ok(())
    }

    fn choose_topic(&mut self) -> (TopicName, u32) {
        match self.rng.usize(..20) {
            0 => (self.new_topic.clone(), 1),
            n => {
                let (name, partitions) = TOPICS[n % TOPICS.len()];
                (topic(name), partitions)
            }
        }
    }

    fn next(&mut self, (topic, partitions): &(TopicName, u32)) -> Sent {
        let (producer, number) = (self.id, self.next_number);
        self.next_number += 1;
        Sent {
            producer,
            number,
            topic: topic.clone(),
            partition: PartitionId(self.rng.u32(..*partitions)),
            payload: payload(producer, number, &mut self.rng),
        }
    }
}

/// Mostly small, sometimes larger than a segment; with spaces, escapes and letters of all lengths.
fn payload(producer: u32, number: u64, rng: &mut Rng) -> String {
    let letters = match rng.u32(..100) {
        0 => rng.usize(..40_000),
        1..10 => rng.usize(..4_000),
        _ => rng.usize(..200),
    };
    let mut payload = format!("{{ \"producer\":{producer} ,\"number\": {number},\"text\":\"");
    for _ in 0..letters {
        payload.push_str(
            rng.choice(["a", "Ü", "€", "🦦", "\\n", "\\u0000", " "])
                .unwrap(),
        );
    }
    payload.push_str("\"}");
    payload
}

fn line(sent: &Sent, with_topic: bool) -> String {
    let mut line = format!(
        "{{\"payload\":{},\"id\":\"{}\",\"partition\":{}",
        sent.payload,
        sent.id(),
        sent.partition
    );
    if with_topic {
        write!(line, ",\"topic\":\"{}\"", sent.topic).unwrap();
    }
    line.push_str("}\n");
    line
}

/// The lines for one partition have the part's offsets in their order.
fn batch_offsets(batch: &[Sent], published: &BatchPublished) -> Vec<(MessageId, Offset)> {
    assert_eq!(published.count, batch.len());
    let mut next = HashMap::new();
    for part in &published.partitions {
        let count = part.last_offset.since(part.first_offset) + 1;
        assert_eq!(part.count, count);
        next.insert((&part.topic, part.partition), part.first_offset);
    }
    let mut offsets = Vec::new();
    for sent in batch {
        let next = next.get_mut(&(&sent.topic, sent.partition)).unwrap();
        offsets.push((sent.id(), *next));
        *next = next.next();
    }
    offsets
}

impl Member {
    async fn work(&mut self, client: &Client, book: &Book) -> Result<(), ClientError> {
        loop {
            let options = LeaseOptions {
                max: Some(self.rng.usize(1..20)),
                wait: Some(Duration::from_secs(1)),
                visibility_timeout: Some(VISIBILITY_TIMEOUT),
                ..LeaseOptions::default()
            };
            let (mut ack, mut nack) = (Vec::new(), Vec::new());
            for held in self.lease(client, book, &options).await? {
                match self.rng.u32(..100) {
                    0..80 => ack.push(held),
                    80..95 => nack.push(held),
                    _ => self.kept.push(held),
                }
            }
            self.ack(client, book, ack).await?;
            self.nack(client, book, nack).await?;
        }
    }

    /// Acks until nothing is left.
    async fn drain(&mut self, client: &Client, book: &Book) {
        let options = LeaseOptions {
            max: Some(1000),
            visibility_timeout: Some(VISIBILITY_TIMEOUT),
            ..LeaseOptions::default()
        };
        loop {
            let leased = self.lease(client, book, &options).await.unwrap();
            if leased.is_empty() {
                return;
            }
            self.ack(client, book, leased).await.unwrap();
        }
    }

    async fn lease(
        &self,
        client: &Client,
        book: &Book,
        options: &LeaseOptions,
    ) -> Result<Vec<Held>, ClientError> {
        let leased = client.lease(&self.topic, &self.group, options).await?;
        let note = |message: LeasedMessage| {
            let place = Place::new(&message.topic, message.partition, message.offset);
            let found = Found {
                place: place.clone(),
                id: message.id,
                payload: message.payload.get().to_owned(),
            };
            book.delivered(&self.group, &found, message.delivery_attempt);
            Held {
                receipt: message.receipt,
                place,
                attempt: message.delivery_attempt,
            }
        };
        Ok(leased.messages.into_iter().map(note).collect())
    }

    async fn ack(&self, client: &Client, book: &Book, held: Vec<Held>) -> Result<(), ClientError> {
        let note_sent = |held: &Held| book.ledger().ack_sent(&self.group, &held.place);
        held.iter().for_each(note_sent);
        let receipts: Vec<_> = held.iter().map(|held| held.receipt.clone()).collect();
        if receipts.is_empty() {
            return Ok(());
        }
        let answer = client.ack(&self.topic, &self.group, receipts).await?;
        for (held, result) in held.iter().zip(answer.results) {
            assert_eq!(result.status, ReceiptStatus::Acked, "{}", held.place);
            book.ledger().acked(&self.group, &held.place);
        }
        Ok(())
    }

    async fn nack(&self, client: &Client, book: &Book, held: Vec<Held>) -> Result<(), ClientError> {
        let note_sent = |held: &Held| book.ledger().nack_sent(&self.group, &held.place);
        held.iter().for_each(note_sent);
        let receipts: Vec<_> = held.iter().map(|held| held.receipt.clone()).collect();
        if receipts.is_empty() {
            return Ok(());
        }
        let nacking = client.nack(&self.topic, &self.group, receipts, None, None);
        for (held, result) in held.iter().zip(nacking.await?.results) {
            assert_eq!(result.status, ReceiptStatus::Nacked, "{}", held.place);
            book.ledger().nacked(&self.group, &held.place, held.attempt);
        }
        Ok(())
    }
}

async fn fetch_everything(client: &Client) -> Vec<Found> {
    let mut found = Vec::new();
    for info in client.topics().await.unwrap().topics {
        let mut options = FetchOptions {
            limit: Some(10_000),
            ..FetchOptions::default()
        };
        loop {
            let fetched = client.fetch(&info.topic, &options).await.unwrap();
            if fetched.messages.is_empty() {
                break;
            }
            options.from = ReadFrom::At(fetched.next);
            found.extend(fetched.messages.into_iter().map(|message| Found {
                place: Place::new(&message.topic, message.partition, message.offset),
                id: message.id,
                payload: message.payload.get().to_owned(),
            }));
        }
    }
    found
}

/// A seed for this run: the variable `TEST_SEED`, else a new one. Shown when the test fails.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("TEST_SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("to try this again: TEST_SEED={seed}");
    seed
}
