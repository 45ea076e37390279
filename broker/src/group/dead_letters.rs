//! The way to the dead-letter topic, of messages that were delivered as often as is allowed.
//!
//! Three steps, each durable before the next: the journal notes the intent and where the dead-letter
//! log ends; the message is appended there, under an id made of where it came from; the journal
//! notes that it is finished. Whoever finds an intent without the end, after a crash or a failed
//! append, first looks for that id from the noted offset on: so the message is there exactly once.

use super::partition::Exhausted;
use crate::broker::BrokerError;
use crate::committer::{Committer, Few};
use crate::metrics;
use crate::reads;
use crate::topic::{Partition, TopicCore};
use crate::topics::Topics;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use weir_commitlog::{
    DeadLetterIntent, JournalEntry, JournalKey, Operation, ReadLimits, RecordDraft, RecordHead,
    StoredLine,
};
use weir_service::clock::Clock;
use weir_types::limits::MAX_ID_BYTES;
use weir_types::{
    GroupName, Headers, Key, MessageId, Offset, OffsetRange, PartitionId, TopicName, stable_hash,
};

/// A dead-letter topic is named after its source, with this at the end.
pub(crate) const DEAD_LETTER_SUFFIX: &str = ".dead-letter";
/// Header of a message that was moved back: the one group that is to have it.
pub(crate) const REDRIVEN_FOR: &str = "weir-redriven-for";
/// Prefix of the headers that the broker adds.
const OWN_HEADERS: &str = "weir-";
/// Records of a dead-letter topic that are looked through at a time.
const SEARCH: ReadLimits = ReadLimits {
    max_records: 1000,
    max_bytes: 1024 * 1024,
};
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The name of a topic's dead-letter topic; `None` if it is one.
pub(crate) fn dead_letter_topic(source: &TopicName) -> Option<TopicName> {
    if source.as_str().ends_with(DEAD_LETTER_SUFFIX) {
        return None;
    }
    TopicName::parse_derived(&format!("{source}{DEAD_LETTER_SUFFIX}")).ok()
}

/// The id of a dead letter: where it came from. A long one is shortened to a hash of group and topic.
fn dead_letter_id(
    group: &GroupName,
    topic: &TopicName,
    partition: PartitionId,
    offset: Offset,
) -> Result<MessageId, BrokerError> {
    let full = format!("{group}/{topic}/{partition}/{offset}");
    let id = match full.len() <= MAX_ID_BYTES {
        true => full,
        false => {
            let hash = |first, second| stable_hash(&format!("{first}/{second}"));
            let (one, other) = (
                hash(group.as_str(), topic.as_str()),
                hash(topic.as_str(), group.as_str()),
            );
            format!("{one:016x}{other:016x}/{partition}/{offset}")
        }
    };
    MessageId::parse(&id).map_err(|e| BrokerError::internal(format!("a dead letter's id: {e}")))
}

/// Moves the messages of one group.
#[derive(Clone, Debug)]
pub(super) struct DeadLetters {
    pub(super) topics: Arc<Topics>,
    pub(super) committer: Committer,
    pub(super) clock: Clock,
    pub(super) source: Arc<TopicCore>,
    pub(super) group: GroupName,
}

/// What became of a message that was to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// It is in the dead-letter topic, and finished in the journal.
    There,
    /// Its record is gone: trimmed, purged or damaged.
    Missing,
    /// The broker stops; the next start goes on.
    Stopped,
}

impl DeadLetters {
    /// Moves a message; tries until it is done or the broker stops.
    pub(super) async fn move_message(
        self,
        log: Partition,
        journal: JournalKey,
        mut message: Exhausted,
    ) -> Moved {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.try_move(&log, journal, &mut message).await {
                Ok(moved) => return moved,
                Err(BrokerError::Draining) => return Moved::Stopped,
                Err(error) => {
                    metrics::dead_letter_failure();
                    tracing::warn!(
                        topic = %self.source.name(), group = %self.group, partition = %log.id(),
                        offset = %message.offset, retry_seconds = pause.as_secs(), %error,
                        "a message cannot move to the dead-letter topic; it stays until it can"
                    );
                }
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    async fn try_move(
        &self,
        log: &Partition,
        journal: JournalKey,
        message: &mut Exhausted,
    ) -> Result<Moved, BrokerError> {
        let Some(line) = reads::record_at(log, message.offset).await? else {
            return Ok(Moved::Missing);
        };
        let letter = self.letter(log.id(), &line, message)?;
        let target = self.target().await?;
        let partition = place_of(&letter, &target)?;
        // The note stays until it is known what became of it: a failure must not make us write a
        // second one, from behind the letter that the first one leads to.
        let begun = message.intent.as_ref();
        let begun = begun.filter(|intent| intent.incarnation == target.incarnation());
        let is_there = match begun {
            Some(intent) => is_there(&target, intent, &letter.id).await?,
            None => {
                let noted = self.note_intent(journal, message, &target, partition);
                message.intent = Some(noted.await?);
                false
            }
        };
        if !is_there {
            self.append(&target, partition, letter).await?;
        }
        let finished = JournalEntry {
            finished: vec![OffsetRange::single(message.offset)],
            ..JournalEntry::default()
        };
        self.journal(journal, finished).await?;
        Ok(Moved::There)
    }

    /// Where the broker puts dead letters, whether or not its users create topics by using them.
    async fn target(&self) -> Result<Arc<TopicCore>, BrokerError> {
        let name = dead_letter_topic(self.source.name());
        let name = name.ok_or_else(|| BrokerError::internal("dead letters of dead letters"))?;
        let topic = match self.topics.get(&name) {
            Some(topic) => topic,
            None => {
                let settings = self.topics.default_settings(&name);
                self.topics.create(&name, settings).await?
            }
        };
        Ok(topic.core().clone())
    }

    async fn note_intent(
        &self,
        journal: JournalKey,
        message: &Exhausted,
        target: &TopicCore,
        partition: &Partition,
    ) -> Result<DeadLetterIntent, BrokerError> {
        let intent = DeadLetterIntent {
            offset: message.offset,
            attempts: message.attempts,
            incarnation: target.incarnation(),
            partition: partition.id(),
            from: partition.reader().high_watermark(),
            at: self.clock.now(),
            reason: message.reason.clone(),
        };
        let entry = JournalEntry {
            dead_letters: vec![intent.clone()],
            ..JournalEntry::default()
        };
        self.journal(journal, entry).await?;
        Ok(intent)
    }

    async fn append(
        &self,
        target: &Arc<TopicCore>,
        partition: &Partition,
        letter: RecordDraft,
    ) -> Result<(), BrokerError> {
        let append = Operation::Append {
            partition: partition.key(),
            records: vec![letter],
        };
        let wake = [target.clone()].into();
        let ticket = self.committer.submit([append].into(), wake).await;
        ticket.durable().await.map(drop)
    }

    async fn journal(&self, journal: JournalKey, entry: JournalEntry) -> Result<(), BrokerError> {
        let operation = Operation::Journal { journal, entry };
        let ticket = self.committer.submit([operation].into(), Few::new()).await;
        ticket.durable().await.map(drop)
    }

    /// The message as it is kept in the dead-letter topic. It does not expire there.
    fn letter(
        &self,
        partition: PartitionId,
        line: &StoredLine,
        message: &Exhausted,
    ) -> Result<RecordDraft, BrokerError> {
        let record = Record::parse(line)?;
        let mut own = vec![
            ("weir-source-topic", self.source.name().to_string()),
            ("weir-source-partition", partition.to_string()),
            ("weir-source-offset", line.offset.to_string()),
            ("weir-source-id", record.id.to_string()),
            ("weir-source-timestamp", line.timestamp.to_string()),
            ("weir-group", self.group.to_string()),
            ("weir-attempts", message.attempts.to_string()),
        ];
        own.extend(
            message
                .reason
                .as_ref()
                .map(|reason| ("weir-reason", reason.to_string())),
        );
        let own = own
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        Ok(RecordDraft {
            id: dead_letter_id(&self.group, self.source.name(), partition, line.offset)?,
            key: record.key,
            headers: Headers::of_broker(record.headers.into_iter().chain(own).collect()),
            reply_to: record.reply_to,
            expires_at: None,
            payload: record.payload,
            // After a seek the same message may die again; the search for its id does all that is needed.
            dedupe: false,
        })
    }
}

/// A stored record, taken apart.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: MessageId,
    pub(crate) key: Option<Key>,
    /// All of them, the broker's too.
    pub(crate) all_headers: BTreeMap<String, String>,
    /// The producer's.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) reply_to: Option<TopicName>,
    pub(crate) payload: bytes::Bytes,
}

impl Record {
    /// Takes a stored line apart.
    pub(crate) fn parse(line: &StoredLine) -> Result<Self, BrokerError> {
        let unreadable = || BrokerError::internal(format!("offset {} is no record", line.offset));
        let head = RecordHead::of(&line.bytes).ok_or_else(unreadable)?;
        let all_headers: BTreeMap<String, String> = parsed(head.headers)?.unwrap_or_default();
        let producers = all_headers
            .iter()
            .filter(|(name, _)| !name.starts_with(OWN_HEADERS));
        Ok(Self {
            id: parsed(Some(head.id))?.ok_or_else(unreadable)?,
            key: parsed(head.key)?,
            headers: producers.map(|(n, v)| (n.clone(), v.clone())).collect(),
            all_headers,
            reply_to: parsed(head.reply_to)?,
            payload: line.bytes.slice_ref(head.payload),
        })
    }
}

fn parsed<T: serde::de::DeserializeOwned>(text: Option<&[u8]>) -> Result<Option<T>, BrokerError> {
    let parse = |text| {
        serde_json::from_slice(text)
            .map_err(|e| BrokerError::internal(format!("a stored record: {e}")))
    };
    text.map(parse).transpose()
}

/// Letters of one key stay in one partition.
fn place_of<'a>(letter: &RecordDraft, target: &'a TopicCore) -> Result<&'a Partition, BrokerError> {
    let text = letter.key.as_ref().map_or(letter.id.as_str(), Key::as_str);
    let id = PartitionId::of_text(text, target.partition_count());
    let missing = || BrokerError::internal("a topic without its partition");
    target.partitions().get(id.0 as usize).ok_or_else(missing)
}

/// Looks for a letter where its journal says that it may be.
async fn is_there(
    target: &TopicCore,
    intent: &DeadLetterIntent,
    id: &MessageId,
) -> Result<bool, BrokerError> {
    let Some(partition) = target.partitions().get(intent.partition.0 as usize) else {
        return Ok(false);
    };
    let quoted = serde_json::to_vec(id.as_str()).unwrap_or_default();
    let mut from = intent.from;
    while from < partition.reader().high_watermark() {
        let batch = reads::read(partition, from, SEARCH).await?;
        let mut heads = batch
            .lines
            .iter()
            .filter_map(|line| RecordHead::of(&line.bytes));
        if heads.any(|head| head.id == quoted) {
            return Ok(true);
        }
        if batch.next_offset <= from {
            break;
        }
        from = batch.next_offset;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_topic_has_none_itself() {
        let orders = TopicName::parse("orders").unwrap();
        let letters = dead_letter_topic(&orders).unwrap();
        assert_eq!(letters.as_str(), "orders.dead-letter");
        assert_eq!(dead_letter_topic(&letters), None);
        let longest = TopicName::parse(&"x".repeat(200)).unwrap();
        assert!(dead_letter_topic(&longest).is_some());
    }

    #[test]
    fn ids_say_where_a_letter_came_from_and_are_never_too_long() {
        let id = |group: &str, topic: &str| {
            let (group, topic) = (GroupName::parse(group), TopicName::parse(topic));
            dead_letter_id(&group.unwrap(), &topic.unwrap(), PartitionId(3), Offset(42)).unwrap()
        };
        assert_eq!(id("g", "orders").as_str(), "g/orders/3/42");
        let (one, other) = (id("g", &"x".repeat(200)), id("h", &"x".repeat(200)));
        assert_eq!(one.as_str().len(), 32 + "/3/42".len());
        assert_ne!(one, other);
    }
}
