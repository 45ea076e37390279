//! What the broker holds of an import, compared with the source message by message.

use super::place::place_of;
use super::source::{Lane, LaneReader, SourceMessage};
use crate::failure::Failure;
use std::collections::{BTreeMap, HashSet, VecDeque};
use weir_client::{Client, FetchOptions, ReadFrom};
use weir_protocol::shapes::{Message, PartitionInfo};
use weir_types::Offset;

const FETCH_RECORDS: usize = 1_000;
const FETCH_BYTES: usize = 4 * 1024 * 1024;

/// What was found to be the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Matched {
    /// Messages of the source, from its beginning on.
    pub(super) messages: u64,
    /// Records between and behind them that came from elsewhere.
    pub(super) others: u64,
    /// The offset behind the last of the messages.
    pub(super) end: Offset,
}

impl Matched {
    /// Whether every record of the partition before the end was imported.
    pub(super) fn is_all(&self) -> bool {
        self.end == Offset(self.messages)
    }
}

/// Reads what a partition holds of a lane, and the source beside it, up to the last imported message:
/// the source's next one is the first that is missing.
///
/// # Errors
/// [`Failure::Failed`] names the first difference.
pub(super) async fn compare(
    client: &Client,
    lane: &Lane,
    source: &mut LaneReader<'_>,
    held: &PartitionInfo,
) -> Result<Matched, Failure> {
    let mut stored = StoredReader::new(client, lane, held);
    let mut matched = Matched::default();
    while let Some(found) = stored.next().await? {
        let expected = source.next_message()?;
        if let Some(difference) = difference(expected.as_ref(), &found) {
            let (topic, partition, offset) = (&lane.topic, lane.partition, found.offset);
            let trimmed = trimmed(lane, held);
            let what = format!("{trimmed}{topic}/{partition}@{offset} {difference}");
            return Err(Failure::Failed(what));
        }
        matched.messages += 1;
        matched.end = found.offset.next();
    }
    matched.others = stored.others;
    Ok(matched)
}

/// Says that the beginning is gone, if it is: then nothing else needs to have happened.
fn trimmed(lane: &Lane, held: &PartitionInfo) -> String {
    let (topic, partition, start) = (&lane.topic, lane.partition, held.log_start_offset);
    match start == Offset::default() {
        true => String::new(),
        false => format!(
            "{topic}/{partition} begins at offset {start}: what was there before was trimmed or purged; "
        ),
    }
}

/// What makes a stored message another one than the source has.
fn difference(expected: Option<&SourceMessage>, found: &Message) -> Option<String> {
    let (label, position) = place_of(found)?;
    let Some(expected) = expected else {
        return Some(format!(
            "was imported from {label}@{position}, which is not in the file any more"
        ));
    };
    let place = &expected.place;
    if (&*place.label, place.position) != (label, position) {
        return Some(format!(
            "was imported from {label}@{position}, but {place} is the file's next message"
        ));
    }
    let kept = &expected.kept;
    let reply_to = kept.reply_to.as_ref().map(|topic| topic.as_str());
    let headers = found.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
    let is_same = kept.payload.as_bytes() == found.payload.get().as_bytes()
        && expected.mark.id == found.id
        && expected.headers().collect::<BTreeMap<_, _>>() == headers.collect()
        && reply_to == found.reply_to.as_deref()
        && kept.key == found.key;
    (!is_same).then(|| format!("is not what the file has at {place}"))
}

/// The messages of a partition that were imported from a lane, in order, up to the end that the partition
/// had at the beginning.
struct StoredReader<'a> {
    client: &'a Client,
    lane: &'a Lane,
    labels: HashSet<&'a str>,
    next: Offset,
    end: Offset,
    fetched: VecDeque<Message>,
    others: u64,
}

impl<'a> StoredReader<'a> {
    fn new(client: &'a Client, lane: &'a Lane, held: &PartitionInfo) -> Self {
        Self {
            client,
            lane,
            labels: lane.files.iter().map(|f| &*f.found.label).collect(),
            next: held.log_start_offset,
            end: held.high_watermark,
            fetched: VecDeque::new(),
            others: 0,
        }
    }

    async fn next(&mut self) -> Result<Option<Message>, Failure> {
        loop {
            while let Some(message) = self.fetched.pop_front() {
                let place = place_of(&message);
                if place.is_some_and(|(label, _)| self.labels.contains(label)) {
                    return Ok(Some(message));
                }
                self.others += 1;
            }
            if self.next >= self.end || !self.fetch().await? {
                return Ok(None);
            }
        }
    }

    /// False if there is nothing more.
    async fn fetch(&mut self) -> Result<bool, Failure> {
        let options = FetchOptions {
            partition: Some(self.lane.partition),
            from: ReadFrom::Offset(self.next),
            limit: Some(FETCH_RECORDS),
            max_bytes: Some(FETCH_BYTES),
            wait: None,
        };
        let fetched = self.client.fetch(&self.lane.topic, &options).await?;
        let behind_last = fetched.messages.last().map(|last| last.offset.next());
        let behind_gaps = fetched.gaps.iter().map(|gap| gap.until_offset).max();
        let Some(next) = behind_last.max(behind_gaps) else {
            return Ok(false);
        };
        self.next = next;
        let end = self.end;
        let before = fetched.messages.into_iter().filter(|m| m.offset < end);
        self.fetched.extend(before);
        Ok(true)
    }
}
