//! Publishing: from messages to records in partitions.

use super::{Broker, BrokerError};
use crate::topic::{Partition, TopicCore};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use weir_commitlog::{Appended, Operation, RecordDraft};
use weir_protocol::shapes::{BatchPart, BatchPublished, Published};
use weir_protocol::{MultiTopicLine, NewMessage};
use weir_types::{MessageId, PartitionId, TopicName};

/// The records of a batch that go to one partition.
struct Part {
    topic: Arc<TopicCore>,
    partition: Partition,
    records: Vec<RecordDraft>,
    payload_bytes: usize,
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
    ) -> Result<Published, BrokerError> {
        self.check_accepts()?;
        self.check_place(topic, &message)?;
        let topic = self.get_or_create(topic).await?;
        let topic = topic.core();
        let partition = partition_for(topic, &message)?.clone();
        let payload_bytes = message.payload.as_bytes().len();
        let record = record(message);
        let id = record.id.clone();
        let operation = Operation::Append {
            partition: partition.key(),
            records: vec![record],
        };
        let ticket = self
            .shared
            .committer
            .submit(vec![operation], vec![topic.clone()])
            .await;
        let appended = ticket.durable().await?;
        let Some(appended) = appended.first() else {
            return Err(BrokerError::internal("an append was not answered"));
        };
        topic.metrics().published(1, payload_bytes);
        Ok(Published {
            topic: topic.name().clone(),
            partition: partition.id(),
            offset: appended.first_offset,
            id,
            timestamp: appended.timestamp,
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
        let lines = messages.into_iter().map(|message| MultiTopicLine {
            topic: topic.clone(),
            message,
        });
        self.publish_lines(lines.collect()).await
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
        self.check_lines(&lines)?;
        let parts = self.split(lines).await?;
        let wake = wake_once(&parts);
        let mut places = Vec::with_capacity(parts.len());
        let mut operations = Vec::with_capacity(parts.len());
        for part in parts {
            operations.push(Operation::Append {
                partition: part.partition.key(),
                records: part.records,
            });
            places.push((part.topic, part.partition.id(), part.payload_bytes));
        }
        let ticket = self.shared.committer.submit(operations, wake).await;
        let appended = ticket.durable().await?;
        let partitions: Vec<_> = places
            .into_iter()
            .zip(appended)
            .map(published_part)
            .collect();
        let count = partitions.iter().map(|part| part.count).sum::<u64>();
        Ok(BatchPublished {
            count: usize::try_from(count).unwrap_or(usize::MAX),
            partitions,
        })
    }

    /// Before anything is created or stored: every line must have a place to go to.
    fn check_lines(&self, lines: &[MultiTopicLine]) -> Result<(), BrokerError> {
        let mut new_topics = BTreeSet::new();
        for (line, MultiTopicLine { topic, message }) in (1..).zip(lines) {
            let named = |source| BrokerError::BatchLine {
                line,
                source: Box::new(source),
            };
            self.check_place(topic, message).map_err(named)?;
            if self.shared.registry.get(topic).is_none() && new_topics.insert(topic) {
                self.check_room(new_topics.len()).map_err(named)?;
            }
        }
        Ok(())
    }

    /// Whether the topic exists or may be created, and has the partition that the message names.
    fn check_place(&self, topic: &TopicName, message: &NewMessage) -> Result<(), BrokerError> {
        let partitions = self.partitions_of(topic)?;
        match message.partition {
            Some(partition) if partition.0 >= partitions => Err(BrokerError::UnknownPartition {
                topic: topic.clone(),
                partition,
                partitions,
            }),
            _ => Ok(()),
        }
    }

    async fn split(&self, lines: Vec<MultiTopicLine>) -> Result<Vec<Part>, BrokerError> {
        let mut parts: BTreeMap<(TopicName, PartitionId), Part> = BTreeMap::new();
        let mut topics: BTreeMap<TopicName, Arc<TopicCore>> = BTreeMap::new();
        for (line, MultiTopicLine { topic, message }) in (1..).zip(lines) {
            if !topics.contains_key(&topic) {
                let created = self.get_or_create(&topic).await?;
                topics.insert(topic.clone(), created.core().clone());
            }
            let core = &topics[&topic];
            let partition =
                partition_for(core, &message).map_err(|source| BrokerError::BatchLine {
                    line,
                    source: Box::new(source),
                })?;
            let part = parts
                .entry((topic, partition.id()))
                .or_insert_with(|| Part {
                    topic: core.clone(),
                    partition: partition.clone(),
                    records: Vec::new(),
                    payload_bytes: 0,
                });
            part.payload_bytes += message.payload.as_bytes().len();
            part.records.push(record(message));
        }
        Ok(parts.into_values().collect())
    }

    fn check_accepts(&self) -> Result<(), BrokerError> {
        self.check_serving()?;
        match self.shared.disk_full.load(Ordering::Relaxed) {
            true => Err(BrokerError::DiskAlmostFull {
                min_free_bytes: self.shared.options.min_free_bytes,
            }),
            false => Ok(()),
        }
    }
}

/// The message's explicit partition, else by its key, else by its id, else the next in turn.
fn partition_for<'a>(
    topic: &'a TopicCore,
    message: &NewMessage,
) -> Result<&'a Partition, BrokerError> {
    let partitions = topic.settings().partitions;
    let key = message.key.as_ref().map(weir_types::Key::as_str);
    let text = key.or(message.id.as_ref().map(MessageId::as_str));
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

fn record(message: NewMessage) -> RecordDraft {
    RecordDraft {
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

fn published_part(
    ((topic, partition, payload_bytes), appended): ((Arc<TopicCore>, PartitionId, usize), Appended),
) -> BatchPart {
    topic.metrics().published(appended.count, payload_bytes);
    BatchPart {
        topic: topic.name().clone(),
        partition,
        first_offset: appended.first_offset,
        last_offset: appended.first_offset.plus(appended.count - 1),
        count: appended.count,
    }
}
