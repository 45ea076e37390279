//! Dead letters: listed, shown, moved back.
//!
//! The group [`REDRIVE`] of a dead-letter topic remembers which letters were moved back. A step first
//! publishes and then remembers: a crash between the two may move the letters of that step twice,
//! never lose one.

use super::{Broker, BrokerError, FetchRequest, Fetched, FetchedLine, ReadFrom};
use crate::group::{GroupClient, GroupClosed, REDRIVEN_FOR, Record, dead_letter_topic};
use crate::topic::Topic;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use weir_commitlog::{Operation, RecordDraft};
use weir_protocol::Cursor;
use weir_protocol::shapes::{DeadLetter, DeadLetters, GroupStart, RedriveRequest, Redriven};
use weir_types::limits::MAX_FETCH_BYTES;
use weir_types::{
    GroupName, GroupOrdering, GroupSettingsChange, Headers, Offset, OffsetRange, PartitionId,
    TopicName,
};

/// The group of a dead-letter topic that has finished what was moved back.
pub(super) const REDRIVE: &str = "redrive";
/// Records of a dead-letter topic that one step looks at, unless told.
const STEP_RECORDS: usize = 1000;

/// What one step of a redrive works with.
struct RedriveStep {
    source: Arc<Topic>,
    letters: Arc<Topic>,
    group: GroupName,
    request: RedriveRequest,
    from: ReadFrom,
}

/// A dead letter, and what it takes to move it back.
pub(super) struct Letter {
    pub(super) letter: DeadLetter,
    record: Record,
}

impl Broker {
    /// Dead letters of a topic that were not moved back, of one group if it is named.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`], a cursor of another topic, or the storage engine's.
    pub async fn list_dead_letters(
        &self,
        topic: &TopicName,
        group: Option<&GroupName>,
        from: Option<Cursor>,
        limit: usize,
    ) -> Result<DeadLetters, BrokerError> {
        let Some(letters) = self.dead_letters_of(topic)? else {
            return Ok(DeadLetters {
                dead_letters: Vec::new(),
                next: None,
            });
        };
        let from = from.map_or(ReadFrom::Earliest, ReadFrom::Cursor);
        let (found, next) = self.read_letters(&letters, from, limit).await?;
        let of_group = |one: &Letter| group.is_none_or(|group| one.letter.group == *group);
        let listed = found.into_iter().filter(of_group);
        Ok(DeadLetters {
            dead_letters: listed.map(|one| one.letter).collect(),
            next: next.map(|next| next.encode()),
        })
    }

    /// One dead letter, by its id.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`], [`BrokerError::UnknownDeadLetter`], or the storage engine's.
    pub async fn get_dead_letter(
        &self,
        topic: &TopicName,
        id: &str,
    ) -> Result<DeadLetter, BrokerError> {
        let unknown = || BrokerError::UnknownDeadLetter {
            topic: topic.clone(),
            id: id.to_owned(),
        };
        let letters = self.dead_letters_of(topic)?.ok_or_else(unknown)?;
        let mut from = Some(ReadFrom::Earliest);
        while let Some(begin) = from.take() {
            let (found, next) = self.read_letters(&letters, begin, STEP_RECORDS).await?;
            let found = found.into_iter().find(|one| one.letter.id.as_str() == id);
            if let Some(found) = found {
                return Ok(found.letter);
            }
            from = next.map(ReadFrom::Cursor);
        }
        Err(unknown())
    }

    /// Moves dead letters of a group back to where they came from, with attempts reset; other groups
    /// pass over them. Looks at `limit` records, and says where the next step goes on.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`], [`BrokerError::UnknownGroup`], [`BrokerError::RedriveRuns`], a
    /// cursor of another topic, or the storage engine's: then some may have been moved.
    pub async fn redrive(
        &self,
        topic: &TopicName,
        group: &GroupName,
        request: RedriveRequest,
        from: Option<Cursor>,
    ) -> Result<Redriven, BrokerError> {
        self.check_accepts()?;
        self.group(topic, group)?;
        let source = self.topic(topic)?;
        let Some(letters) = self.dead_letters_of(topic)? else {
            return Ok(Redriven {
                redriven: 0,
                examined: 0,
                next: None,
            });
        };
        let alone = source.begin_redrive().ok_or(BrokerError::RedriveRuns {
            topic: topic.clone(),
        })?;
        let step = RedriveStep {
            source,
            letters,
            group: group.clone(),
            request,
            from: from.map_or(ReadFrom::Earliest, ReadFrom::Cursor),
        };
        // A client that goes away must not come between moving and remembering.
        let broker = self.clone();
        let step = self.shared.tasks.spawn(async move {
            let redriven = broker.redrive_step(step).await;
            drop(alone);
            redriven
        });
        step.await?
    }

    async fn redrive_step(&self, step: RedriveStep) -> Result<Redriven, BrokerError> {
        let RedriveStep {
            source,
            letters,
            group,
            request,
            from,
        } = step;
        let limit = request.limit.unwrap_or(STEP_RECORDS);
        let fetched = self.fetch_letters(&letters, from, limit).await?;
        let memory = self.redrive_group(&letters).await?;
        let examined = fetched.read.lines.len();
        let next = next_page(&letters, &fetched);
        let unfinished = unfinished(&memory, fetched.read.lines).await;
        let chosen: Vec<_> = unfinished
            .iter()
            .filter_map(|line| Letter::parse(&letters, line))
            .filter(|one| one.letter.group == group && is_asked_for(&one.letter, &request))
            .collect();
        self.move_back(&source, &group, &chosen).await?;
        remember(&memory, &chosen).await?;
        Ok(Redriven {
            redriven: chosen.len(),
            examined,
            next: next.map(|next| next.encode()),
        })
    }

    /// The dead-letter topic, if there is one.
    fn dead_letters_of(&self, topic: &TopicName) -> Result<Option<Arc<Topic>>, BrokerError> {
        let name = dead_letter_topic(topic);
        let letters = name.and_then(|name| self.shared.registry.get(&name));
        if letters.is_none() {
            self.topic(topic)?;
        }
        Ok(letters)
    }

    async fn redrive_group(&self, letters: &Arc<Topic>) -> Result<GroupClient, BrokerError> {
        let name = redrive_name()?;
        let settings = GroupSettingsChange {
            ordering: Some(GroupOrdering::None),
            ..GroupSettingsChange::default()
        };
        self.get_or_create_group(letters, &name, GroupStart::Earliest, &settings)
            .await
    }

    async fn fetch_letters(
        &self,
        letters: &Topic,
        from: ReadFrom,
        limit: usize,
    ) -> Result<Fetched, BrokerError> {
        let request = FetchRequest {
            partition: None,
            from,
            max_records: limit,
            max_bytes: MAX_FETCH_BYTES,
        };
        self.fetch(letters.core().name(), &request, Duration::ZERO)
            .await
    }

    /// The letters among the next records that were not moved back, and where to read on.
    async fn read_letters(
        &self,
        letters: &Arc<Topic>,
        from: ReadFrom,
        limit: usize,
    ) -> Result<(Vec<Letter>, Option<Cursor>), BrokerError> {
        let fetched = self.fetch_letters(letters, from, limit).await?;
        let next = next_page(letters, &fetched);
        let lines = fetched.read.lines;
        let lines = match letters.group(&redrive_name()?) {
            Some(memory) => unfinished(&memory, lines).await,
            None => lines,
        };
        let parse = |line: &FetchedLine| Letter::parse(letters, line);
        Ok((lines.iter().filter_map(parse).collect(), next))
    }

    async fn move_back(
        &self,
        source: &Topic,
        group: &GroupName,
        chosen: &[Letter],
    ) -> Result<(), BrokerError> {
        let mut by_partition: BTreeMap<PartitionId, Vec<RecordDraft>> = BTreeMap::new();
        for one in chosen {
            let to = home_of(source, &one.letter);
            by_partition.entry(to).or_default().push(one.draft(group));
        }
        let partitions = source.core().partitions();
        let append = |(id, records): (PartitionId, _)| {
            let partition = partitions.get(id.0 as usize)?.key();
            Some(Operation::Append { partition, records })
        };
        let operations: Vec<_> = by_partition.into_iter().filter_map(append).collect();
        if operations.is_empty() {
            return Ok(());
        }
        let wake = [source.core().clone()].into();
        let ticket = self.shared.committer.submit(operations.into(), wake).await;
        ticket.durable().await.map(drop)
    }
}

impl Letter {
    /// `None` for a record that was not moved here by a group.
    pub(super) fn parse(letters: &Topic, line: &FetchedLine) -> Option<Self> {
        let record = Record::parse(&line.line).ok()?;
        let header = |name| record.all_headers.get(name);
        let number = |name| header(name)?.parse::<u64>().ok();
        let payload = std::str::from_utf8(&record.payload).ok()?.to_owned();
        let letter = DeadLetter {
            id: record.id.clone(),
            topic: letters.core().name().clone(),
            partition: line.partition,
            offset: line.line.offset,
            timestamp: line.line.timestamp,
            source_topic: TopicName::parse_derived(header("weir-source-topic")?).ok()?,
            source_partition: PartitionId(header("weir-source-partition")?.parse().ok()?),
            source_offset: Offset(number("weir-source-offset")?),
            source_id: weir_types::MessageId::parse(header("weir-source-id")?).ok()?,
            source_timestamp: weir_types::Timestamp(number("weir-source-timestamp")?),
            group: GroupName::parse(header("weir-group")?).ok()?,
            attempts: header("weir-attempts")?.parse().ok()?,
            reason: header("weir-reason").cloned(),
            key: record.key.clone(),
            headers: record.headers.clone(),
            payload: serde_json::value::RawValue::from_string(payload).ok()?,
        };
        Some(Self { letter, record })
    }

    /// The record that goes back.
    fn draft(&self, group: &GroupName) -> RecordDraft {
        let mut headers = self.record.headers.clone();
        headers.insert(REDRIVEN_FOR.to_owned(), group.to_string());
        RecordDraft {
            id: self.letter.source_id.clone(),
            key: self.record.key.clone(),
            headers: Headers::of_broker(headers),
            reply_to: self.record.reply_to.clone(),
            expires_at: None,
            payload: self.record.payload.clone(),
            // It is no duplicate, although its id was seen before.
            dedupe: false,
        }
    }
}

pub(super) fn redrive_name() -> Result<GroupName, BrokerError> {
    GroupName::parse(REDRIVE).map_err(|e| BrokerError::internal(e.to_string()))
}

/// Where a letter goes back to: where it came from, or, in a topic that was made anew with fewer
/// partitions, where its key belongs.
fn home_of(source: &Topic, letter: &DeadLetter) -> PartitionId {
    let partitions = source.core().partition_count();
    let key = letter.key.as_ref().map(weir_types::Key::as_str);
    match letter.source_partition.0 < partitions {
        true => letter.source_partition,
        false => PartitionId::of_text(key.unwrap_or(letter.source_id.as_str()), partitions),
    }
}

fn is_asked_for(letter: &DeadLetter, request: &RedriveRequest) -> bool {
    let by_id = request
        .ids
        .as_ref()
        .is_none_or(|ids| ids.contains(&letter.id));
    let by_key = request.key.is_none() || request.key == letter.key;
    let reason = letter.reason.as_deref().unwrap_or_default();
    let by_reason = request
        .reason
        .as_ref()
        .is_none_or(|part| reason.contains(part.as_str()));
    by_id && by_key && by_reason
}

/// Where the next page begins; `None` at the end.
fn next_page(letters: &Topic, fetched: &Fetched) -> Option<Cursor> {
    let mut partitions = letters.core().partitions().iter();
    let has_more = partitions.any(|partition| {
        let next = fetched.next.next.get(&partition.id());
        next.is_none_or(|next| *next < partition.reader().high_watermark())
    });
    has_more.then(|| fetched.next.clone())
}

/// Leaves out what was moved back.
pub(super) async fn unfinished(memory: &GroupClient, lines: Vec<FetchedLine>) -> Vec<FetchedLine> {
    let mut by_partition: BTreeMap<PartitionId, Vec<FetchedLine>> = BTreeMap::new();
    for line in lines {
        by_partition.entry(line.partition).or_default().push(line);
    }
    let mut unfinished = Vec::new();
    for (partition, lines) in by_partition {
        let offsets = lines.iter().map(|line| line.line.offset).collect();
        // Without its memory every letter counts as not moved.
        let finished = memory
            .finished(partition, offsets)
            .await
            .unwrap_or_default();
        let finished = finished.into_iter().chain(std::iter::repeat(false));
        let open = lines.into_iter().zip(finished).filter(|(_, done)| !done);
        unfinished.extend(open.map(|(line, _)| line));
    }
    unfinished
}

async fn remember(memory: &GroupClient, chosen: &[Letter]) -> Result<(), BrokerError> {
    let mut by_partition: BTreeMap<PartitionId, Vec<OffsetRange>> = BTreeMap::new();
    for one in chosen {
        let moved = by_partition.entry(one.letter.partition).or_default();
        moved.push(OffsetRange::single(one.letter.offset));
    }
    for (partition, moved) in by_partition {
        let remembered = memory.finish(partition, moved).await;
        remembered.map_err(|GroupClosed| BrokerError::Draining)??;
    }
    Ok(())
}
