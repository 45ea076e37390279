//! Folding lines of the log into the index.

use super::{
    BY_OFFSET, BY_TIME, DELIVERING, DUE, ENTRIES, Entry, Found, Index, Mark, NUMBERS, Result,
};
use crate::schedule::line::{Line, Place, Waiting};
use redb::{Durability, Error, ReadableTable, Table, WriteTransaction};
use weir_commitlog::StoredLine;
use weir_types::{Offset, Timestamp};

impl Index {
    /// Applies lines in their order, and notes that the index reaches up to `mark` now. Durable only
    /// after [`Index::sync`]. Lines that say nothing known are passed over and counted.
    pub(in crate::schedule) fn apply(&self, lines: &[StoredLine], mark: Mark) -> Result<usize> {
        let mut unknown = 0;
        self.change(|tables| {
            for line in lines {
                match Line::read(&line.bytes) {
                    Ok(read) => tables.apply(line, read)?,
                    Err(_) => unknown += 1,
                }
            }
            tables.numbers.insert("incarnation", mark.incarnation.0)?;
            tables.numbers.insert("applied", mark.applied.0)?;
            Ok(())
        })?;
        Ok(unknown)
    }

    /// Notes that attempts failed, and when the next ones are due. What is gone stays gone.
    pub(in crate::schedule) fn postpone(&self, failed: &[Postponed]) -> Result<()> {
        self.change(|tables| {
            for one in failed {
                let Some(mut entry) = tables.remove(&one.schedule_id)? else {
                    continue;
                };
                entry.failures = entry.failures.saturating_add(1);
                entry.due_at = one.due_at;
                entry.problem = Some(one.problem.clone());
                tables.insert(&one.schedule_id, &entry)?;
            }
            Ok(())
        })
    }

    fn change(&self, change: impl FnOnce(&mut Tables<'_>) -> Result<()>) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::None)?;
        change(&mut Tables::open(&transaction)?)?;
        Ok(transaction.commit()?)
    }
}

/// A failed attempt.
#[derive(Clone, Debug)]
pub(in crate::schedule) struct Postponed {
    pub(in crate::schedule) schedule_id: String,
    /// When the next attempt is due.
    pub(in crate::schedule) due_at: Timestamp,
    pub(in crate::schedule) problem: String,
}

/// All tables, in one transaction.
struct Tables<'t> {
    entries: Table<'t, &'static str, &'static [u8]>,
    by_time: Table<'t, (u64, u64), &'static str>,
    due: Table<'t, (u64, u64), &'static str>,
    by_offset: Table<'t, u64, &'static str>,
    delivering: Table<'t, &'static str, ()>,
    numbers: Table<'t, &'static str, u64>,
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self> {
        Ok(Self {
            entries: transaction.open_table(ENTRIES)?,
            by_time: transaction.open_table(BY_TIME)?,
            due: transaction.open_table(DUE)?,
            by_offset: transaction.open_table(BY_OFFSET)?,
            delivering: transaction.open_table(DELIVERING)?,
            numbers: transaction.open_table(NUMBERS)?,
        })
    }

    fn apply(&mut self, stored: &StoredLine, line: Line<'_>) -> Result<()> {
        match line {
            Line::Scheduled(waiting) => self.scheduled(stored, waiting),
            Line::Moved {
                schedule_id,
                deliver_at,
            } => self.moved(&schedule_id, deliver_at),
            Line::Cancelled { schedule_id } => self.remove(&schedule_id).map(drop),
            Line::Delivering { places } => {
                places.iter().try_for_each(|place| self.delivering(place))
            }
            Line::Delivered { schedule_ids } => schedule_ids
                .iter()
                .try_for_each(|id| self.remove(id).map(drop)),
        }
    }

    fn scheduled(&mut self, stored: &StoredLine, waiting: Waiting<'_>) -> Result<()> {
        // A later line of the same message takes the place of the one before.
        let before = self.remove(&waiting.schedule_id)?;
        let entry = Entry {
            seq: waiting.seq.unwrap_or(stored.offset),
            offset: stored.offset,
            bytes: stored.bytes.len() as u64 + 1,
            deliver_at: waiting.deliver_at,
            due_at: before.as_ref().map_or(waiting.deliver_at, |b| b.due_at),
            topic: waiting.topic,
            failures: before.as_ref().map_or(0, |b| b.failures),
            problem: before.and_then(|b| b.problem),
            delivering: waiting.delivering,
        };
        self.insert(&waiting.schedule_id, &entry)
    }

    fn moved(&mut self, schedule_id: &str, deliver_at: Timestamp) -> Result<()> {
        let Some(entry) = self.remove(schedule_id)? else {
            return Ok(());
        };
        let moved = Entry {
            deliver_at,
            due_at: deliver_at,
            failures: 0,
            problem: None,
            // It was looked for before it was moved: it is nowhere.
            delivering: None,
            ..entry
        };
        self.insert(schedule_id, &moved)
    }

    /// Where it may be is no part of any order: the other tables stay as they are.
    fn delivering(&mut self, place: &Place) -> Result<()> {
        for schedule_id in &place.schedule_ids {
            if let Some(mut entry) = entry_of(&self.entries, schedule_id)? {
                entry.delivering = Some(place.target);
                self.entries
                    .insert(schedule_id.as_str(), encode(&entry)?.as_slice())?;
                self.delivering.insert(schedule_id.as_str(), ())?;
            }
        }
        Ok(())
    }

    fn insert(&mut self, schedule_id: &str, entry: &Entry) -> Result<()> {
        self.entries
            .insert(schedule_id, encode(entry)?.as_slice())?;
        self.by_time
            .insert((entry.deliver_at.0, entry.seq.0), schedule_id)?;
        self.due
            .insert((entry.due_at.0, entry.seq.0), schedule_id)?;
        self.by_offset.insert(entry.offset.0, schedule_id)?;
        if entry.delivering.is_some() {
            self.delivering.insert(schedule_id, ())?;
        }
        self.add_live_bytes(entry.bytes.cast_signed())
    }

    fn remove(&mut self, schedule_id: &str) -> Result<Option<Entry>> {
        let Some(entry) = entry_of(&self.entries, schedule_id)? else {
            return Ok(None);
        };
        self.entries.remove(schedule_id)?;
        self.by_time.remove((entry.deliver_at.0, entry.seq.0))?;
        self.due.remove((entry.due_at.0, entry.seq.0))?;
        self.by_offset.remove(entry.offset.0)?;
        self.delivering.remove(schedule_id)?;
        self.add_live_bytes(-entry.bytes.cast_signed())?;
        Ok(Some(entry))
    }

    fn add_live_bytes(&mut self, bytes: i64) -> Result<()> {
        let before = self.numbers.get("live_bytes")?.map_or(0, |n| n.value());
        let after = before.saturating_add_signed(bytes);
        self.numbers.insert("live_bytes", after)?;
        Ok(())
    }
}

fn encode(entry: &Entry) -> Result<Vec<u8>> {
    serde_json::to_vec(entry).map_err(|e| Error::Corrupted(e.to_string()))
}

/// The entry of one message; `None` if it does not wait.
pub(super) fn entry_of(
    entries: &impl ReadableTable<&'static str, &'static [u8]>,
    schedule_id: &str,
) -> Result<Option<Entry>> {
    let Some(value) = entries.get(schedule_id)? else {
        return Ok(None);
    };
    let entry = serde_json::from_slice(value.value());
    entry.map(Some).map_err(|e| Error::Corrupted(e.to_string()))
}

/// The message that another table names.
pub(super) fn found(
    entries: &impl ReadableTable<&'static str, &'static [u8]>,
    schedule_id: &str,
) -> Result<Found> {
    let missing = || Error::Corrupted(format!("{schedule_id} has no entry"));
    Ok(Found {
        entry: entry_of(entries, schedule_id)?.ok_or_else(missing)?,
        schedule_id: schedule_id.to_owned(),
    })
}

/// Where a message stands in the order of delivery.
impl Entry {
    pub(in crate::schedule) fn order(&self) -> (Timestamp, Offset) {
        (self.deliver_at, self.seq)
    }
}
