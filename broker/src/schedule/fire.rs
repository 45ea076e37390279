//! Delivering what is due: note where it goes, append it, note that it is there.

use super::index::{Entry, Found, Postponed};
use super::line::{Line, Place, Target};
use super::task::Task;
use crate::broker::BrokerError;
use crate::committer::Ticket;
use crate::metrics;
use crate::topic::{Partition, TopicCore};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use weir_commitlog::{Operation, RecordDraft, StoredLine};
use weir_types::{DurationText, Headers, Key, MessageId, PartitionId, Timestamp, TopicName};

/// Messages and bytes that are delivered at a time: what is in memory of them.
const BATCH_MESSAGES: usize = 256;
const BATCH_BYTES: usize = 4 << 20;
/// Pause after a failed attempt, doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A message whose time has come, read from the log.
#[derive(Debug)]
pub(super) struct DueMessage {
    found: Found,
    pub(super) id: MessageId,
    dedupe: bool,
    key: Option<Key>,
    partition: Option<PartitionId>,
    headers: Headers,
    reply_to: Option<TopicName>,
    ttl: Option<DurationText>,
    pub(super) payload: Bytes,
}

impl DueMessage {
    /// `None` if the line is not there or does not hold a message.
    fn read(found: &Found, line: Option<&StoredLine>) -> Option<Self> {
        let line = line?;
        let Ok(Line::Scheduled(waiting)) = Line::read(&line.bytes) else {
            return None;
        };
        let message = waiting.message;
        Some(Self {
            found: found.clone(),
            id: message.id,
            dedupe: message.dedupe,
            key: message.key,
            partition: message.partition,
            headers: message.headers,
            reply_to: message.reply_to,
            ttl: message.ttl,
            payload: line.bytes.slice_ref(message.payload.get().as_bytes()),
        })
    }

    pub(super) fn schedule_id(&self) -> &str {
        &self.found.schedule_id
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.found.entry
    }

    /// The explicit partition, else by the key, else by the id: the same at every attempt.
    fn partition_in<'a>(&self, topic: &'a TopicCore) -> Result<&'a Partition, BrokerError> {
        let text = self.key.as_ref().map_or(self.id.as_str(), Key::as_str);
        let partitions = topic.partition_count();
        let chosen = self.partition;
        let partition = chosen.unwrap_or_else(|| PartitionId::of_text(text, partitions));
        let unknown = || BrokerError::UnknownPartition {
            topic: topic.name().clone(),
            partition,
            partitions,
        };
        let place = topic.partitions().get(partition.0 as usize);
        place.ok_or_else(unknown)
    }

    fn record(&self, now: Timestamp) -> RecordDraft {
        RecordDraft {
            id: self.id.clone(),
            key: self.key.clone(),
            headers: self.headers.clone(),
            reply_to: self.reply_to.clone(),
            expires_at: self.ttl.map(|ttl| now.plus(ttl.0)),
            dedupe: self.dedupe,
            payload: self.payload.clone(),
        }
    }
}

/// Messages that go to one partition together.
struct Delivery {
    topic: Arc<TopicCore>,
    partition: Partition,
    messages: Vec<DueMessage>,
}

impl Delivery {
    fn ids(&self) -> Vec<String> {
        let ids = self.messages.iter().map(DueMessage::schedule_id);
        ids.map(str::to_owned).collect()
    }

    fn place(&self) -> Place {
        Place {
            topic: self.topic.name().clone(),
            target: Target {
                incarnation: self.topic.incarnation(),
                partition: self.partition.id(),
                from: self.partition.reader().high_watermark(),
            },
            schedule_ids: self.ids(),
        }
    }

    fn payload_bytes(&self) -> usize {
        let payloads = self.messages.iter();
        payloads.map(|message| message.payload.len()).sum()
    }
}

impl Task {
    /// Delivers one batch of what is due.
    pub(super) async fn fire(&mut self) -> Result<(), BrokerError> {
        let now = self.clock.now();
        let due = self
            .with_index(move |index| index.due(now, BATCH_MESSAGES))
            .await?;
        if due.is_empty() {
            return self.refresh().await;
        }
        let (messages, mut failed) = self.load(due).await?;
        let (there, missing) = self.without_arrived(messages, &mut failed).await?;
        let deliveries = self.place_all(missing, &mut failed).await?;
        self.note_delivering(there, &deliveries).await?;
        let delivered = self.append_all(deliveries, &mut failed).await;
        self.note_delivered(delivered).await?;
        self.postpone(failed).await
    }

    /// Looks after what a crash may have interrupted, before anything can be trimmed.
    pub(super) async fn recover(&mut self) -> Result<(), BrokerError> {
        let interrupted = self
            .with_index(|index| index.delivering(BATCH_MESSAGES))
            .await?;
        if interrupted.is_empty() {
            return Ok(());
        }
        let (messages, mut failed) = self.load(interrupted).await?;
        let (there, missing) = self.without_arrived(messages, &mut failed).await?;
        let (arrived, due) = (there.len(), missing.len());
        tracing::info!(
            arrived,
            due,
            "a delivery of scheduled messages was interrupted"
        );
        self.note_delivered(there).await?;
        self.postpone(failed).await
    }

    /// Reads the messages, as many as fit into a batch, in the order of their times.
    pub(super) async fn load(
        &self,
        mut due: Vec<Found>,
    ) -> Result<(Vec<DueMessage>, Vec<Failed>), BrokerError> {
        due.sort_by_key(|found| found.entry.order());
        let offsets = due.iter().map(|found| found.entry.offset).collect();
        let lines = self.log.read_each(offsets, BATCH_BYTES).await?;
        let (mut messages, mut failed) = (Vec::with_capacity(lines.len()), Vec::new());
        for (found, line) in due.into_iter().zip(&lines) {
            match DueMessage::read(&found, line.as_ref()) {
                Some(message) => messages.push(message),
                None => failed.push(Failed::new(found, &UNREADABLE)),
            }
        }
        Ok((messages, failed))
    }

    /// Parts those that are in their topics already, whose ids are returned, from the others. What
    /// cannot be told now must wait.
    async fn without_arrived(
        &self,
        messages: Vec<DueMessage>,
        failed: &mut Vec<Failed>,
    ) -> Result<(Vec<String>, Vec<DueMessage>), BrokerError> {
        let (sought, mut missing): (Vec<_>, Vec<_>) = messages
            .into_iter()
            .partition(|message| message.entry().delivering.is_some());
        let mut there = Vec::new();
        match self.arrived(&sought).await {
            Ok(arrived) => {
                let others = sought.into_iter();
                missing.extend(others.filter(|m| !arrived.contains(m.schedule_id())));
                missing.sort_by_key(|message| message.entry().order());
                there.extend(arrived);
            }
            Err(BrokerError::Draining) => return Err(BrokerError::Draining),
            Err(error) => failed.extend(sought.into_iter().map(|m| Failed::new(m.found, &error))),
        }
        Ok((there, missing))
    }

    /// Groups messages by the partition that they go to. Of two with the same id in one topic the
    /// second waits for the next batch: after a crash only one could be found.
    async fn place_all(
        &self,
        messages: Vec<DueMessage>,
        failed: &mut Vec<Failed>,
    ) -> Result<Vec<Delivery>, BrokerError> {
        let mut deliveries: Vec<Delivery> = Vec::new();
        let mut by_place = HashMap::new();
        let mut ids = HashSet::new();
        for message in messages {
            let topic = message.entry().topic.clone();
            if !ids.insert((topic.clone(), message.id.clone())) {
                continue;
            }
            let placed = match self.broker.topic_to_deliver_to(&topic).await {
                Ok(topic) => message
                    .partition_in(&topic)
                    .and_then(|partition| accepting(&topic, partition))
                    .map(|partition| (topic.clone(), partition)),
                Err(error) => Err(error),
            };
            match placed {
                Ok((core, partition)) => {
                    let next = deliveries.len();
                    let place = *by_place.entry((topic, partition.id())).or_insert(next);
                    if place == next {
                        deliveries.push(Delivery {
                            topic: core,
                            partition,
                            messages: Vec::new(),
                        });
                    }
                    deliveries[place].messages.push(message);
                }
                Err(BrokerError::Draining) => return Err(BrokerError::Draining),
                Err(error) => failed.push(Failed::new(message.found, &error)),
            }
        }
        Ok(deliveries)
    }

    /// Before the append: where to look for these messages after a crash. And which were found.
    async fn note_delivering(
        &self,
        there: Vec<String>,
        deliveries: &[Delivery],
    ) -> Result<(), BrokerError> {
        let mut lines = Vec::new();
        if !there.is_empty() {
            lines.push(Line::Delivered {
                schedule_ids: there,
            });
        }
        if !deliveries.is_empty() {
            let places = deliveries.iter().map(Delivery::place).collect();
            lines.push(Line::Delivering { places });
        }
        match lines.is_empty() {
            true => Ok(()),
            false => self.log.append(&lines).await,
        }
    }

    /// Appends all at once; one partition that fails holds up no other.
    async fn append_all(&self, deliveries: Vec<Delivery>, failed: &mut Vec<Failed>) -> Vec<String> {
        let mut tickets = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            tickets.push((self.append(&delivery).await, delivery));
        }
        let mut delivered = Vec::new();
        for (ticket, delivery) in tickets {
            match ticket.durable().await {
                Ok(appended) => {
                    for appended in &appended {
                        let metrics = delivery.topic.metrics();
                        metrics.published(appended, delivery.payload_bytes());
                    }
                    delivered.extend(delivery.ids());
                }
                Err(error) => {
                    let messages = delivery.messages.into_iter();
                    failed.extend(messages.map(|m| Failed::new(m.found, &error)));
                }
            }
        }
        delivered
    }

    async fn append(&self, delivery: &Delivery) -> Ticket {
        let now = self.clock.now();
        let records = delivery.messages.iter().map(|message| message.record(now));
        let operation = Operation::Append {
            partition: delivery.partition.key(),
            records: records.collect(),
        };
        let wake = [delivery.topic.clone()].into();
        self.committer.submit([operation].into(), wake).await
    }

    pub(super) async fn note_delivered(
        &mut self,
        schedule_ids: Vec<String>,
    ) -> Result<(), BrokerError> {
        if !schedule_ids.is_empty() {
            let count = schedule_ids.len();
            self.log.append(&[Line::Delivered { schedule_ids }]).await?;
            metrics::schedules_fired(count);
        }
        self.catch_up().await
    }

    /// What failed is tried again, ever later.
    async fn postpone(&mut self, failed: Vec<Failed>) -> Result<(), BrokerError> {
        if failed.is_empty() {
            return Ok(());
        }
        metrics::schedule_failures(failed.len());
        if let Some(Failed { found, problem }) = failed.first() {
            let (messages, topic) = (failed.len(), &found.entry.topic);
            tracing::warn!(messages, %topic, %problem, "scheduled messages cannot be delivered yet");
        }
        let now = self.clock.now();
        let postponed: Vec<_> = failed.into_iter().map(|one| one.postponed(now)).collect();
        self.with_index(move |index| index.postpone(&postponed))
            .await?;
        self.refresh().await
    }
}

const UNREADABLE: &str = "its line in __schedule is damaged; cancel it";

/// A message that could not be delivered now, and why.
pub(super) struct Failed {
    found: Found,
    problem: String,
}

impl Failed {
    fn new(found: Found, problem: &impl ToString) -> Self {
        Self {
            found,
            problem: problem.to_string(),
        }
    }

    fn postponed(self, now: Timestamp) -> Postponed {
        let doubled = 2_u32.saturating_pow(self.found.entry.failures.min(16));
        let pause = FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE);
        Postponed {
            schedule_id: self.found.schedule_id,
            due_at: now.plus(pause),
            problem: self.problem,
        }
    }
}

/// Refuses a partition that accepts nothing until a restart, before anything is written about it.
fn accepting(topic: &TopicCore, partition: &Partition) -> Result<Partition, BrokerError> {
    match partition.reader().has_failed() {
        true => Err(BrokerError::PartitionFailed {
            topic: topic.name().clone(),
            partition: partition.id(),
        }),
        false => Ok(partition.clone()),
    }
}
