//! Dead letters as services report them, and one list of these and the broker's own.
//!
//! A reported letter is a JSON object, all members optional, stored as it came in the topic
//! [`TOPIC`]; its key is its member `topic`. Lists read backwards from the ends of the logs: what they
//! cost depends on what they return, and on the number of dead-letter topics, not on their size.

mod newest;

use super::dead_letters::{Letter, redrive_name, unfinished};
use super::subscriptions::ServiceName;
use super::{Accepted, Broker, BrokerError, FetchedLine};
use crate::group::{DEAD_LETTER_SUFFIX, Record, dead_letter_topic};
use crate::reads;
use crate::topic::{Partition, Topic};
use newest::{Newest, Rank};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::borrow::Cow;
use std::sync::Arc;
use weir_commitlog::{ReadLimits, StoredLine};
use weir_protocol::shapes::{DeadLetter, Published};
use weir_protocol::{NewMessage, Payload, RawObject};
use weir_types::limits::MAX_FETCH_BYTES;
use weir_types::{Key, Offset, OffsetRange, Timestamp, TopicName};

/// Where reported letters are stored.
const TOPIC: &str = "deadletter";
/// Records of a partition that one list looks at, at most.
const LOOK_BACK_RECORDS: u64 = 20_000;
/// Records that are looked at together, from the end of a partition on.
const STEP_RECORDS: u64 = 200;
/// Bytes of records that are held besides what is kept for the list.
const READ_BYTES: usize = 1024 * 1024;

/// The members that every listed letter has, in this order; `null` where nothing is known.
const MEMBERS: [&str; 8] = [
    "id",
    "source_service",
    "target_service",
    "topic",
    "payload",
    "reason",
    "attempt_count",
    "timestamp_ms",
];

/// A log of dead letters.
struct Source {
    letters: Arc<Topic>,
    kind: Kind,
}

/// Who wrote the letters of a log.
enum Kind {
    /// Services; those of one topic only, if it is named.
    Reported { of_topic: Option<Key> },
    /// The broker.
    Own,
}

impl Broker {
    /// Stores a dead letter that a service reports, a JSON object, durably. `topic` is its member of
    /// that name; the time is added if it has none.
    ///
    /// # Errors
    /// The letter is no object, or those of [`Broker::publish`].
    pub async fn report_letter(
        &self,
        letter: &Payload,
        topic: Option<Key>,
    ) -> Result<Published, BrokerError> {
        self.check_accepts()?;
        let name = reports()?;
        let topics = &self.shared.topics;
        if topics.get(&name).is_none() {
            // As the broker's own dead letters, whether or not users create topics by using them.
            topics.create(&name, topics.default_settings(&name)).await?;
        }
        let message = NewMessage {
            key: topic,
            ..NewMessage::plain(self.with_time(letter)?)
        };
        match self.publish(&name, message).await? {
            Accepted::Stored(published) => Ok(published),
            Accepted::Scheduled(_) => Err(BrokerError::internal("a letter was put off")),
        }
    }

    fn with_time(&self, letter: &Payload) -> Result<Payload, BrokerError> {
        let mut object = object_of(letter.as_bytes())?;
        if object.get("timestamp_ms").is_some_and(is_known) {
            return Ok(letter.clone());
        }
        object.set("timestamp_ms", raw(&self.shared.clock.now())?);
        let timed = serde_json::to_vec(&object).map_err(defect)?.into();
        Payload::parse(&timed, usize::MAX).map_err(|e| BrokerError::internal(e.to_string()))
    }

    /// The newest dead letters, newest first: those that services reported, and the broker's own that
    /// were not moved back. With `topic` only those of this topic. Each is a JSON object.
    ///
    /// As many as fit into 16 MiB. Of each partition the newest 20,000 records are looked at.
    ///
    /// # Errors
    /// The storage engine's.
    pub async fn list_letters(
        &self,
        topic: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Box<RawValue>>, BrokerError> {
        let mut newest = Newest::new(limit, MAX_FETCH_BYTES);
        for (index, source) in self.letter_sources(topic)?.iter().enumerate() {
            for partition in source.letters.core().partitions() {
                look_back(source, index, partition, &mut newest).await?;
            }
        }
        Ok(newest.into_items())
    }

    fn letter_sources(&self, topic: Option<&Key>) -> Result<Vec<Source>, BrokerError> {
        let registry = &self.shared.registry;
        let own = match topic {
            None => registry.all().into_iter().filter(|t| is_own(t)).collect(),
            Some(topic) => {
                let name = TopicName::parse_derived(topic.as_str()).ok();
                let name = name.and_then(|name| dead_letter_topic(&name));
                Vec::from_iter(name.and_then(|name| registry.get(&name)))
            }
        };
        let own = own.into_iter().map(|letters| Source {
            letters,
            kind: Kind::Own,
        });
        let reported = registry.get(&reports()?).map(|letters| Source {
            letters,
            kind: Kind::Reported {
                of_topic: topic.cloned(),
            },
        });
        Ok(reported.into_iter().chain(own).collect())
    }
}

fn reports() -> Result<TopicName, BrokerError> {
    TopicName::parse(TOPIC).map_err(|e| BrokerError::internal(e.to_string()))
}

fn is_own(topic: &Topic) -> bool {
    topic.core().name().as_str().ends_with(DEAD_LETTER_SUFFIX)
}

/// Offers what a partition has, from its end on, until nothing older can be among the newest.
async fn look_back(
    source: &Source,
    index: usize,
    partition: &Partition,
    newest: &mut Newest<Box<RawValue>>,
) -> Result<(), BrokerError> {
    let reader = partition.reader();
    let mut end = reader.high_watermark();
    let first = Offset(end.0.saturating_sub(LOOK_BACK_RECORDS)).max(reader.log_start_offset());
    while end > first {
        let begin = Offset(end.0.saturating_sub(STEP_RECORDS)).max(first);
        let step = OffsetRange { start: begin, end };
        let oldest = look_at(source, index, partition, step, newest).await?;
        if oldest.is_some_and(|oldest| newest.is_closed_to(oldest)) {
            return Ok(());
        }
        end = begin;
    }
    Ok(())
}

/// Offers the records of a step. Returns the time of the oldest, if there are any.
async fn look_at(
    source: &Source,
    index: usize,
    partition: &Partition,
    step: OffsetRange,
    newest: &mut Newest<Box<RawValue>>,
) -> Result<Option<Timestamp>, BrokerError> {
    let (mut next, mut oldest) = (step.start, None);
    while next < step.end {
        let limits = ReadLimits {
            max_records: usize::try_from(step.end.since(next)).unwrap_or(usize::MAX),
            max_bytes: READ_BYTES,
        };
        let batch = reads::read(partition, next, limits).await?;
        oldest = oldest.or(batch.lines.first().map(|line| line.timestamp));
        let rank = |line: &StoredLine| Rank {
            at: line.timestamp,
            place: (index, partition.id(), line.offset),
        };
        let lines = batch.lines.into_iter();
        let wanted = lines.filter(|line| newest.wants(rank(line)));
        let wanted = wanted.map(|line| FetchedLine {
            partition: partition.id(),
            line,
        });
        for line in source.open(wanted.collect()).await? {
            if let Some(letter) = source.letter(&line)? {
                let bytes = letter.get().len();
                newest.offer(rank(&line.line), letter, bytes);
            }
        }
        next = batch.next_offset.max(next.next());
    }
    Ok(oldest)
}

impl Source {
    /// Leaves out what was moved back.
    async fn open(&self, lines: Vec<FetchedLine>) -> Result<Vec<FetchedLine>, BrokerError> {
        if lines.is_empty() || matches!(self.kind, Kind::Reported { .. }) {
            return Ok(lines);
        }
        Ok(match self.letters.group(&redrive_name()?) {
            Some(memory) => unfinished(&memory, lines).await,
            None => lines,
        })
    }

    /// The letter of a record; `None` if it is none, or of another topic.
    fn letter(&self, line: &FetchedLine) -> Result<Option<Box<RawValue>>, BrokerError> {
        match &self.kind {
            Kind::Own => {
                let letter = Letter::parse(&self.letters, line).map(|one| one.letter);
                letter.map(own_letter).transpose()
            }
            Kind::Reported { of_topic } => {
                let record = Record::parse(&line.line)?;
                let is_asked_for = of_topic.is_none() || *of_topic == record.key;
                is_asked_for.then(|| reported_letter(&record)).transpose()
            }
        }
    }
}

/// A letter of the broker in the shape of the reported ones: the service is who had the
/// subscription, else the group.
fn own_letter(letter: DeadLetter) -> Result<Box<RawValue>, BrokerError> {
    let target = ServiceName::of_group(&letter.group).unwrap_or(letter.group.as_str());
    let values = [
        raw(&letter.source_id)?,
        RawValue::NULL.to_owned(),
        raw(&target)?,
        raw(&letter.source_topic)?,
        letter.payload,
        raw(&letter.reason)?,
        raw(&letter.attempts)?,
        raw(&letter.timestamp)?,
    ];
    let members = MEMBERS.into_iter().zip(values.map(Cow::Owned));
    raw(&members.collect::<RawObject<'_>>())
}

/// A reported letter with all that every letter has, then what else its service said. What was
/// published to the topic natively, and is no object, is a letter's payload.
fn reported_letter(record: &Record) -> Result<Box<RawValue>, BrokerError> {
    let payload = text(&record.payload)?;
    let reported = match RawObject::parse(payload) {
        Ok(reported) => reported,
        Err(_) => {
            let payload: &RawValue = serde_json::from_str(payload).map_err(defect)?;
            RawObject::from_iter([("payload", Cow::Borrowed(payload))])
        }
    };
    let known = |name| {
        (
            name,
            Cow::Borrowed(reported.get(name).unwrap_or(RawValue::NULL)),
        )
    };
    let borrowed = |(name, value)| (name, Cow::Borrowed(value));
    let members = MEMBERS.into_iter().map(known);
    let members = members.chain(reported.members().map(borrowed));
    let mut letter: RawObject<'_> = members.collect();
    if !letter.get("id").is_some_and(is_known) {
        letter.set("id", raw(&record.id)?);
    }
    raw(&letter)
}

fn object_of(payload: &[u8]) -> Result<RawObject<'_>, BrokerError> {
    RawObject::parse(text(payload)?).map_err(defect)
}

fn text(payload: &[u8]) -> Result<&str, BrokerError> {
    std::str::from_utf8(payload).map_err(|e| BrokerError::internal(e.to_string()))
}

fn is_known(value: &RawValue) -> bool {
    value.get() != RawValue::NULL.get()
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>, BrokerError> {
    to_raw_value(value).map_err(defect)
}

#[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn defect(error: serde_json::Error) -> BrokerError {
    BrokerError::internal(format!("a dead letter cannot be read or written: {error}"))
}
