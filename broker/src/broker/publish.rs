//! Publishing: from messages to records in partitions.

use super::request::nobody_waits;
use super::{Broker, BrokerError};
use crate::replies::{self, Reply};
use crate::topic::{Partition, TopicCore};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use weir_commitlog::{Appended, Operation, RecordDraft};
use weir_protocol::shapes::{BatchPart, BatchPublished, Published, Scheduled};
use weir_protocol::{MultiTopicLine, NewMessage};
use weir_types::{MessageId, Offset, PartitionId, Timestamp, TopicName};

/// What became of a message that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It has its place.
    Stored(Published),
    /// It waits for its time.
    Scheduled(Scheduled),
}

/// A message that is delivered later. There is a place for it, and `due` is not too far ahead.
#[derive(Debug)]
pub(super) struct LaterMessage {
    /// Its line in the batch, from 1.
    pub(super) line: usize,
    pub(super) topic: TopicName,
    pub(super) message: NewMessage,
    pub(super) due: Timestamp,
}

/// The records of a batch that go to one partition.
struct Part {
    topic: Arc<TopicCore>,
    partition: Partition,
    records: Vec<RecordDraft>,
    payload_bytes: usize,
}

/// A batch by partition.
struct Parts {
    now: Timestamp,
    later: Vec<LaterMessage>,
    /// With where they go.
    replies: Vec<(TopicName, Reply)>,
    parts: Vec<Part>,
    by_place: BTreeMap<(TopicName, PartitionId), usize>,
    /// The part of the last message: mostly that of the next, too.
    last: usize,
}

impl Parts {
    fn new(now: Timestamp) -> Self {
        Self {
            now,
            later: Vec::new(),
            replies: Vec::new(),
            parts: Vec::new(),
            by_place: BTreeMap::new(),
            last: 0,
        }
    }

    fn push(
        &mut self,
        line: usize,
        topic: &Arc<TopicCore>,
        message: NewMessage,
    ) -> Result<(), BrokerError> {
        let named = |source| BrokerError::BatchLine {
            line,
            source: Box::new(source),
        };
        if let Some(deliver) = message.deliver {
            let due = deliver.due(self.now).map_err(|e| named(e.into()))?;
            let topic = topic.name().clone();
            self.later.push(LaterMessage {
                line,
                topic,
                message,
                due,
            });
            return Ok(());
        }
        let partition = partition_for(topic, &message).map_err(named)?;
        let now = self.now;
        topic.used(now);
        let part = self.part(topic, partition);
        part.payload_bytes += message.payload.as_bytes().len();
        part.records.push(record(message, now));
        Ok(())
    }

    fn part(&mut self, topic: &Arc<TopicCore>, partition: &Partition) -> &mut Part {
        let is_here =
            |part: &Part| Arc::ptr_eq(&part.topic, topic) && part.partition.id() == partition.id();
        if !self.parts.get(self.last).is_some_and(is_here) {
            let next = self.parts.len();
            let place = (topic.name().clone(), partition.id());
            self.last = *self.by_place.entry(place).or_insert(next);
            if self.last == next {
                self.parts.push(Part {
                    topic: topic.clone(),
                    partition: partition.clone(),
                    records: Vec::new(),
                    payload_bytes: 0,
                });
            }
        }
        &mut self.parts[self.last]
    }

    /// By topic and partition.
    fn in_order(mut parts: Vec<Part>) -> Vec<Part> {
        parts.sort_by(|a, b| {
            let topics = a.topic.name().cmp(b.topic.name());
            topics.then_with(|| a.partition.id().cmp(&b.partition.id()))
        });
        parts
    }
}

impl Broker {
    /// Publishes one message; returns when it is durable. Creates the topic if that is allowed.
    ///
    /// # Errors
    /// [`BrokerError`]; then nothing was stored, unless it is `Storage`: then nothing was
    /// acknowledged, and retrying with an id is safe.
    pub async fn publish(
        &self,
        topic: &TopicName,
        message: NewMessage,
    ) -> Result<Accepted, BrokerError> {
        if replies::is_place(topic) {
            return self.reply(topic, message).map(Accepted::Stored);
        }
        self.check_accepts()?;
        self.expect_reply(&message);
        match message.deliver {
            Some(deliver) => {
                let due = deliver.due(self.shared.clock.now())?;
                self.publish_later(topic, message, due).await
            }
            None => self.publish_now(topic, message).await.map(Accepted::Stored),
        }
    }

    async fn publish_later(
        &self,
        topic: &TopicName,
        message: NewMessage,
        due: Timestamp,
    ) -> Result<Accepted, BrokerError> {
        self.check_place(topic, &message)?;
        if self.shared.registry.get(topic).is_none() {
            self.shared.topics.check_room(1)?;
        }
        let later = LaterMessage {
            line: 1,
            topic: topic.clone(),
            message,
            due,
        };
        let Some(later) = self.later(vec![later]).await? else {
            return Err(BrokerError::internal("a message for later was not taken"));
        };
        let committer = &self.shared.committer;
        let (operations, wake) = ([later.operation].into(), [later.log].into());
        committer.submit(operations, wake).await.durable().await?;
        let kept = later.lines.into_iter().next();
        let kept = kept.ok_or_else(|| BrokerError::internal("a schedule was not answered"))?;
        Ok(Accepted::Scheduled(Scheduled {
            schedule_id: kept.schedule_id,
            deliver_at: kept.deliver_at,
        }))
    }

    async fn publish_now(
        &self,
        topic: &TopicName,
        message: NewMessage,
    ) -> Result<Published, BrokerError> {
        let topic = match self.shared.registry.get(topic) {
            Some(topic) => topic,
            None => {
                self.check_place(topic, &message)?;
                self.get_or_create(topic).await?
            }
        };
        let topic = topic.core();
        let partition = partition_for(topic, &message)?;
        let payload_bytes = message.payload.as_bytes().len();
        let now = self.shared.clock.now();
        topic.used(now);
        let record = record(message, now);
        let id = record.id.clone();
        let operation = Operation::Append {
            partition: partition.key(),
            records: vec![record],
        };
        let committer = &self.shared.committer;
        let ticket = committer
            .submit([operation].into(), [topic.clone()].into())
            .await;
        let appended = ticket.durable().await?;
        let Some(appended) = appended.first() else {
            return Err(BrokerError::internal("an append was not answered"));
        };
        topic.metrics().published(appended, payload_bytes);
        Ok(Published {
            topic: topic.name().clone(),
            partition: partition.id(),
            offset: appended.first_offset,
            id,
            timestamp: appended.timestamp,
            duplicate: appended.duplicates > 0,
        })
    }

    /// Publishes a batch to one topic; returns when all of it is durable.
    ///
    /// # Errors
    /// Like [`Broker::publish`]; validation is all or nothing.
    pub async fn publish_batch(
        &self,
        topic: &TopicName,
        messages: Vec<NewMessage>,
    ) -> Result<BatchPublished, BrokerError> {
        if replies::is_place(topic) {
            let topics = std::iter::repeat(topic.clone());
            let lines = topics.zip(messages);
            let lines = lines.map(|(topic, message)| MultiTopicLine { topic, message });
            return self.publish_lines(lines.collect()).await;
        }
        self.check_accepts()?;
        let now = self.shared.clock.now();
        self.check_lines(now, messages.iter().map(|message| (topic, message)))?;
        let mut parts = Parts::new(now);
        let core = self.get_or_create(topic).await?.core().clone();
        for (line, message) in (1..).zip(messages) {
            parts.push(line, &core, message)?;
        }
        self.commit(parts).await
    }

    /// Publishes a batch over several topics; returns when all of it is durable.
    ///
    /// # Errors
    /// Like [`Broker::publish_batch`].
    pub async fn publish_lines(
        &self,
        lines: Vec<MultiTopicLine>,
    ) -> Result<BatchPublished, BrokerError> {
        self.check_accepts()?;
        let now = self.shared.clock.now();
        self.check_lines(now, lines.iter().map(|line| (&line.topic, &line.message)))?;
        let mut parts = Parts::new(now);
        let mut topic: Option<Arc<TopicCore>> = None;
        for (
            line,
            MultiTopicLine {
                topic: name,
                message,
            },
        ) in (1..).zip(lines)
        {
            if replies::is_place(&name) {
                parts.replies.push((name, self.reply_of(message)));
                continue;
            }
            let core = match topic.take().filter(|last| *last.name() == name) {
                Some(last) => last,
                None => self.get_or_create(&name).await?.core().clone(),
            };
            parts.push(line, &core, message)?;
            topic = Some(core);
        }
        self.commit(parts).await
    }

    /// Commits all parts in one round, what is delivered later among them; then hands over replies.
    async fn commit(&self, parts: Parts) -> Result<BatchPublished, BrokerError> {
        let later = self.later(parts.later).await?;
        let replies = parts.replies;
        let parts = Parts::in_order(parts.parts);
        let mut wake = wake_once(&parts);
        let mut places = Vec::with_capacity(parts.len());
        let mut operations = Vec::with_capacity(parts.len());
        for part in parts {
            operations.push(Operation::Append {
                partition: part.partition.key(),
                records: part.records,
            });
            places.push((part.topic, part.partition.id(), part.payload_bytes));
        }
        // Last, so that the answers of the others are in the order of their places.
        let mut scheduled = Vec::new();
        if let Some(later) = later {
            operations.push(later.operation);
            wake.push(later.log);
            scheduled = later.lines;
        }
        let committer = &self.shared.committer;
        let ticket = committer.submit(operations.into(), wake.into()).await;
        let appended = ticket.durable().await?;
        let mut published = BatchPublished {
            count: scheduled.len(),
            duplicates: 0,
            partitions: Vec::with_capacity(places.len()),
            scheduled,
        };
        for ((topic, partition, payload_bytes), appended) in places.into_iter().zip(appended) {
            topic.metrics().published(&appended, payload_bytes);
            add_part(&mut published, topic.name(), partition, &appended);
        }
        for (place, reply) in replies {
            published.count += 1;
            published.partitions.push(BatchPart {
                topic: place.clone(),
                partition: PartitionId(0),
                first_offset: Offset::ZERO,
                last_offset: Offset::ZERO,
                count: 1,
            });
            // Who went away since the lines were checked might as well have gone a moment later.
            self.shared.replies.deliver(&place, reply);
        }
        Ok(published)
    }

    /// Before anything is created or stored: every line must have a place to go to, at a time.
    fn check_lines<'a>(
        &self,
        now: Timestamp,
        lines: impl Iterator<Item = (&'a TopicName, &'a NewMessage)>,
    ) -> Result<(), BrokerError> {
        let (mut new_topics, mut places) = (BTreeSet::new(), BTreeSet::new());
        // Of the line before: mostly that of this one too.
        let mut known: Option<(&TopicName, u32)> = None;
        for (line, (topic, message)) in (1..).zip(lines) {
            let named = |source| BrokerError::BatchLine {
                line,
                source: Box::new(source),
            };
            if replies::is_place(topic) {
                self.check_reply(topic, message).map_err(named)?;
                match places.insert(topic) {
                    true => continue,
                    // A place takes one reply.
                    false => return Err(named(nobody_waits(topic))),
                }
            }
            let as_before = known.filter(|(last, _)| *last == topic);
            let partitions = match as_before {
                Some((_, partitions)) => partitions,
                None => self.shared.topics.partitions_of(topic).map_err(named)?,
            };
            check_partition(topic, partitions, message).map_err(named)?;
            if let Some(deliver) = message.deliver {
                deliver.due(now).map_err(|e| named(e.into()))?;
            }
            self.expect_reply(message);
            let is_new = as_before.is_none() && self.shared.registry.get(topic).is_none();
            if is_new && new_topics.insert(topic) {
                self.shared
                    .topics
                    .check_room(new_topics.len())
                    .map_err(named)?;
            }
            known = Some((topic, partitions));
        }
        Ok(())
    }

    fn expect_reply(&self, message: &NewMessage) {
        if let Some(place) = &message.reply_to {
            self.shared.topics.expect_reply(place);
        }
    }

    /// Whether the topic exists or may be created, and has the partition that the message names.
    fn check_place(&self, topic: &TopicName, message: &NewMessage) -> Result<(), BrokerError> {
        check_partition(topic, self.shared.topics.partitions_of(topic)?, message)
    }

    pub(super) fn check_accepts(&self) -> Result<(), BrokerError> {
        self.check_serving()?;
        match self.shared.disk_full.load(Ordering::Relaxed) {
            true => Err(BrokerError::DiskAlmostFull {
                min_free_bytes: self.shared.options.min_free_bytes,
            }),
            false => Ok(()),
        }
    }
}

pub(super) fn check_partition(
    topic: &TopicName,
    partitions: u32,
    message: &NewMessage,
) -> Result<(), BrokerError> {
    match message.partition {
        Some(partition) if partition.0 >= partitions => Err(BrokerError::UnknownPartition {
            topic: topic.clone(),
            partition,
            partitions,
        }),
        _ => Ok(()),
    }
}

/// The message's explicit partition, else by its key, else by its id, else the next in turn.
fn partition_for<'a>(
    topic: &'a TopicCore,
    message: &NewMessage,
) -> Result<&'a Partition, BrokerError> {
    let key = message.key.as_ref().map(weir_types::Key::as_str);
    let text = key.or(message.id.as_ref().map(MessageId::as_str));
    let partitions = topic.partition_count();
    let chosen = message
        .partition
        .or(text.map(|text| PartitionId::of_text(text, partitions)));
    match chosen {
        None => Ok(topic.next_partition()),
        Some(partition) => {
            let unknown = || BrokerError::UnknownPartition {
                topic: topic.name().clone(),
                partition,
                partitions,
            };
            topic
                .partitions()
                .get(partition.0 as usize)
                .ok_or_else(unknown)
        }
    }
}

fn record(message: NewMessage, now: Timestamp) -> RecordDraft {
    RecordDraft {
        dedupe: message.id.is_some(),
        expires_at: message.ttl.map(|ttl| now.plus(ttl)),
        id: message
            .id
            .unwrap_or_else(|| MessageId::from_bits(fastrand::u128(..))),
        key: message.key,
        headers: message.headers,
        reply_to: message.reply_to,
        payload: message.payload.into_bytes(),
    }
}

/// Every topic of the parts, once; parts come in order of topic.
fn wake_once(parts: &[Part]) -> Vec<Arc<TopicCore>> {
    let mut topics: Vec<_> = parts.iter().map(|part| part.topic.clone()).collect();
    topics.dedup_by(|a, b| Arc::ptr_eq(a, b));
    topics
}

/// Adds what one append came to; a part of nothing but duplicates went nowhere.
fn add_part(
    published: &mut BatchPublished,
    topic: &TopicName,
    partition: PartitionId,
    appended: &Appended,
) {
    let acknowledged = appended.count + appended.duplicates;
    published.count += usize::try_from(acknowledged).unwrap_or(usize::MAX);
    published.duplicates += appended.duplicates;
    if appended.count > 0 {
        published.partitions.push(BatchPart {
            topic: topic.clone(),
            partition,
            first_offset: appended.first_offset,
            last_offset: appended.first_offset.plus(appended.count - 1),
            count: appended.count,
        });
    }
}
