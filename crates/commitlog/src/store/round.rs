//! A round: what arrived together becomes durable together.

use super::{JournalKey, OpenJournal, OpenPartition, PartitionKey, Store};
use crate::commit_log::Addition;
use crate::error::StorageError;
use crate::journal::JournalEntry;
use crate::open_files::LogFile;
use crate::partition_log::Dedupe;
use crate::recent_ids::{First, IdHasher};
use crate::record::RecordDraft;
use crate::written::Written;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use weir_types::{Durability, Offset, Timestamp};

/// Buffers that are kept for the next rounds, and how large they may be.
const SPARE_BUFFERS: usize = 64;
const SPARE_BUFFER_BYTES: usize = 512 * 1024;

/// One thing to make durable.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Appends records to a partition; they get contiguous offsets.
    Append {
        /// Where to.
        partition: PartitionKey,
        /// At least one record.
        records: Vec<RecordDraft>,
    },
    /// Notes a change of a group's progress.
    Journal {
        /// In which journal.
        journal: JournalKey,
        /// The change.
        entry: JournalEntry,
    },
}

/// Where an append went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record that was stored, the others follow; if none was, of the record
    /// that the first duplicate repeats.
    pub first_offset: Offset,
    /// How many records were stored.
    pub count: u64,
    /// When they were stored, or, if none was, the record at `first_offset`.
    pub timestamp: Timestamp,
    /// How many were not, because a record with the same id is there.
    pub duplicates: u64,
    /// Bytes of their payloads.
    pub duplicate_bytes: u64,
    /// Ids that were forgotten before their time, to make room for those of these records.
    pub forgotten_ids: u64,
}

impl Appended {
    pub(crate) fn nothing(first_offset: Offset, timestamp: Timestamp) -> Self {
        Self {
            first_offset,
            count: 0,
            timestamp,
            duplicates: 0,
            duplicate_bytes: 0,
            forgotten_ids: 0,
        }
    }

    pub(crate) fn note_stored(&mut self, offset: Offset, timestamp: Timestamp) {
        if self.count == 0 {
            (self.first_offset, self.timestamp) = (offset, timestamp);
        }
        self.count += 1;
    }

    pub(crate) fn note_duplicate(&mut self, first: First, payload_bytes: usize) {
        if self.count == 0 && self.duplicates == 0 {
            (self.first_offset, self.timestamp) = (first.offset, first.timestamp);
        }
        self.duplicates += 1;
        self.duplicate_bytes += payload_bytes as u64;
    }
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The records are durable and readable.
    Appended(Appended),
    /// The entry is durable.
    Journaled,
}

/// A file that a round writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum FileKey {
    Partition(PartitionKey),
    Journal(JournalKey),
}

/// When a written file is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncDue {
    /// `interval` after the first write that waits.
    After {
        written_at: Timestamp,
        interval: Duration,
    },
    /// When the operating system likes, but at the latest when the store is closed.
    AtClosing,
}

impl SyncDue {
    fn at(self) -> Option<Timestamp> {
        match self {
            Self::After {
                written_at,
                interval,
            } => Some(written_at.plus(interval)),
            Self::AtClosing => None,
        }
    }

    /// A clock that went back says nothing about how long a file has waited: better early.
    fn is_past(self, now: Timestamp) -> bool {
        match self {
            Self::After { written_at, .. } if now < written_at => true,
            _ => self.at().is_some_and(|due| due <= now),
        }
    }
}

impl FileKey {
    fn journal(self) -> Option<JournalKey> {
        match self {
            Self::Journal(key) => Some(key),
            Self::Partition(_) => None,
        }
    }
}

impl Operation {
    fn file(&self) -> FileKey {
        match self {
            Self::Append { partition, .. } => FileKey::Partition(*partition),
            Self::Journal { journal, .. } => FileKey::Journal(*journal),
        }
    }
}

/// What a round has written, by what makes it durable.
#[derive(Default)]
struct RoundFiles {
    logged: Vec<(FileKey, Written)>,
    direct: Vec<(FileKey, Written)>,
    later: Vec<(FileKey, Written, SyncDue)>,
    failed: HashMap<FileKey, StorageError>,
}

impl Store {
    /// Makes a round of operations durable, each as its topic's settings ask, and shows appended
    /// records to readers. Returns what became of each, in the same order.
    ///
    /// Everything goes into the plain files through the page cache, one write a file, and is made
    /// durable by one write to the commit log; what is large goes straight to its file and is
    /// synced there. Operations on different files do not share the fate of their plain files.
    pub fn commit_round(
        &mut self,
        operations: &[Operation],
        now: Timestamp,
    ) -> Vec<Result<Outcome, StorageError>> {
        let mut touched = Vec::new();
        let mut outcomes: Vec<_> = operations
            .iter()
            .map(|operation| self.stage(operation, now, &mut touched))
            .collect();
        let journals: Vec<_> = touched.iter().filter_map(|file| file.journal()).collect();
        let mut round = self.write_all(touched, now);
        self.log_all(&mut round);
        self.sync_all(&mut round);
        self.publish_all(&mut round);
        journals
            .into_iter()
            .for_each(|key| self.compact_if_grown(key));
        if !round.failed.is_empty() {
            for (operation, outcome) in operations.iter().zip(&mut outcomes) {
                if let Some(error) = round.failed.get(&operation.file())
                    && outcome.is_ok()
                {
                    *outcome = Err(error.again());
                }
            }
        }
        outcomes
    }

    fn compact_if_grown(&mut self, key: JournalKey) {
        let least_bytes = self.options.compact_at_once_above_bytes;
        if let Some(open) = self.journals.get_mut(&key) {
            let numbers = &mut self.journal_numbers;
            open.journal.compact_at_once_if_grown(least_bytes, numbers);
        }
    }

    fn stage(
        &mut self,
        operation: &Operation,
        now: Timestamp,
        touched: &mut Vec<FileKey>,
    ) -> Result<Outcome, StorageError> {
        let spare = &mut self.spare_buffers;
        let lines = || spare.pop().unwrap_or_default();
        let (outcome, first) = match operation {
            Operation::Append { partition, records } => {
                let open = self.partitions.get_mut(partition);
                let open = open.ok_or(StorageError::Gone)?;
                if open.settings.durability == Durability::Fsync {
                    self.commit_log.check_accepts()?;
                }
                let dedupe = Dedupe {
                    hasher: IdHasher::new(self.options.hash_key),
                    window: open.settings.dedupe_window.0,
                };
                let (appended, first) = open.log.stage(records, now, dedupe, lines)?;
                (Outcome::Appended(appended), first)
            }
            Operation::Journal { journal, entry } => {
                let open = self.journals.get_mut(journal).ok_or(StorageError::Gone)?;
                if open.settings.durability == Durability::Fsync {
                    self.commit_log.check_accepts()?;
                }
                (Outcome::Journaled, open.journal.stage(entry, lines)?)
            }
        };
        if first {
            touched.push(operation.file());
        }
        Ok(outcome)
    }

    /// Through the page cache into the plain files.
    fn write_all(&mut self, touched: Vec<FileKey>, now: Timestamp) -> RoundFiles {
        let mut round = RoundFiles::default();
        let direct_above_bytes = self.options.direct_above_bytes;
        for key in touched {
            match self.write(key) {
                Err(error) => {
                    round.failed.insert(key, error);
                }
                Ok((written, Durability::Interval(interval))) => {
                    let written_at = now;
                    let due = SyncDue::After {
                        written_at,
                        interval,
                    };
                    round.later.push((key, written, due));
                }
                Ok((written, Durability::Os)) => {
                    round.later.push((key, written, SyncDue::AtClosing));
                }
                Ok((written, Durability::Fsync)) if written.lines.len() > direct_above_bytes => {
                    round.direct.push((key, written));
                }
                Ok((written, Durability::Fsync)) => round.logged.push((key, written)),
            }
        }
        round
    }

    fn write(&mut self, file: FileKey) -> Result<(Written, Durability), StorageError> {
        match file {
            FileKey::Partition(key) => {
                let open = self.partitions.get_mut(&key).ok_or(StorageError::Gone)?;
                let OpenPartition { log, settings } = open;
                Ok((log.write(settings)?, settings.durability))
            }
            FileKey::Journal(key) => {
                let open = self.journals.get_mut(&key).ok_or(StorageError::Gone)?;
                let OpenJournal { journal, settings } = open;
                Ok((journal.write()?, settings.durability))
            }
        }
    }

    /// One write for all that is not large.
    fn log_all(&mut self, round: &mut RoundFiles) {
        let additions: Vec<Addition<'_>> = round
            .logged
            .iter()
            .map(|(_, written)| written.addition())
            .collect();
        let (durable, result) = self.commit_log.append(&additions);
        let Err(error) = result else {
            return;
        };
        for (key, written) in round.logged.split_off(durable) {
            match self.commit_log.has_failed() {
                // Nobody knows whether it is on the disk.
                true => written.file.fail(&self.files),
                false => self.take_back(key, &written),
            }
            round.failed.insert(key, error.again());
        }
    }

    fn take_back(&mut self, file: FileKey, written: &Written) {
        match file {
            FileKey::Partition(key) => {
                if let Some(open) = self.partitions.get_mut(&key) {
                    open.log.take_back(written);
                }
            }
            FileKey::Journal(key) => {
                if let Some(open) = self.journals.get_mut(&key) {
                    open.journal.take_back(written);
                }
            }
        }
    }

    /// Syncs what went straight to its file, and notes what is synced later.
    fn sync_all(&mut self, round: &mut RoundFiles) {
        let failed = &mut round.failed;
        round.direct.retain(|(key, written)| {
            let synced = written.file.sync(&self.files);
            synced.map_err(|error| failed.insert(*key, error)).is_ok()
        });
        for (key, written, due) in &round.later {
            written.file.mark_unsynced(LogFile::UNLOGGED);
            let waiting = self.unsynced.entry(*key).or_insert(*due);
            if *waiting == SyncDue::AtClosing {
                *waiting = *due;
            }
        }
    }

    fn publish_all(&mut self, round: &mut RoundFiles) {
        let later = round
            .later
            .drain(..)
            .map(|(key, written, _)| (key, written));
        let written = round.logged.drain(..).chain(round.direct.drain(..));
        for (key, mut written) in written.chain(later) {
            if let FileKey::Partition(key) = key
                && let Some(open) = self.partitions.get_mut(&key)
            {
                open.log.publish(&written);
            }
            let roomy = written.lines.capacity() <= SPARE_BUFFER_BYTES;
            if roomy && self.spare_buffers.len() < SPARE_BUFFERS {
                written.lines.clear();
                self.spare_buffers.push(written.lines);
            }
        }
    }

    /// The file that is written to at the moment.
    fn log_file(&self, file: FileKey) -> Option<Arc<LogFile>> {
        match file {
            FileKey::Partition(key) => self.partitions.get(&key)?.log.file(),
            FileKey::Journal(key) => Some(self.journals.get(&key)?.journal.file().clone()),
        }
    }

    pub(super) fn sync(&mut self, key: FileKey) -> Result<(), StorageError> {
        let Some(file) = self.log_file(key) else {
            return Ok(());
        };
        file.sync(&self.files)?;
        file.clear_unsynced(LogFile::UNLOGGED);
        Ok(())
    }

    /// When the next file with durability `interval` has to be synced.
    #[must_use]
    pub fn next_sync_due(&self) -> Option<Timestamp> {
        self.unsynced.values().filter_map(|due| due.at()).min()
    }

    /// Syncs the files whose interval has passed.
    ///
    /// # Errors
    /// The first sync that failed; its file accepts nothing more, the others were tried.
    pub fn sync_due(&mut self, now: Timestamp) -> Result<(), StorageError> {
        let due: Vec<FileKey> = self
            .unsynced
            .iter()
            .filter(|(_, due)| due.is_past(now))
            .map(|(file, _)| *file)
            .collect();
        let mut result = Ok(());
        for file in due {
            self.unsynced.remove(&file);
            result = result.and(self.sync(file));
        }
        result
    }
}
