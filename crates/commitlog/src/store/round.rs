//! A round: what arrived together becomes durable together.

use super::{JournalKey, OpenJournal, OpenPartition, PartitionKey, Store};
use crate::error::StorageError;
use crate::journal::JournalEntry;
use crate::record::RecordDraft;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use weir_types::{Durability, Offset, Timestamp};

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
    /// Offset of the first record; the others follow.
    pub first_offset: Offset,
    /// How many records.
    pub count: u64,
    /// When they were stored.
    pub timestamp: Timestamp,
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

impl Operation {
    fn file(&self) -> FileKey {
        match self {
            Self::Append { partition, .. } => FileKey::Partition(*partition),
            Self::Journal { journal, .. } => FileKey::Journal(*journal),
        }
    }
}

impl Store {
    /// Makes a round of operations durable, each as its topic's settings ask, and shows appended
    /// records to readers. Returns what became of each, in the same order.
    ///
    /// Operations on different files do not share their fate: a failing file fails what was meant
    /// for it. Everything written to one file goes with one write and one sync.
    pub fn commit_round(
        &mut self,
        operations: &[Operation],
        now: Timestamp,
    ) -> Vec<Result<Outcome, StorageError>> {
        let staged: Vec<_> = operations
            .iter()
            .map(|op| (op.file(), self.stage(op, now)))
            .collect();
        let mut seen = HashSet::new();
        let files = staged
            .iter()
            .filter(|(_, result)| result.is_ok())
            .map(|(file, _)| *file);
        let files: Vec<FileKey> = files.filter(|file| seen.insert(*file)).collect();
        let mut failed = HashMap::new();
        for file in files {
            if let Err(error) = self.commit_file(file, now) {
                failed.insert(file, error);
            }
        }
        let outcome = |(file, result): (FileKey, Result<Outcome, StorageError>)| {
            failed.get(&file).map_or(result, |error| Err(error.again()))
        };
        staged.into_iter().map(outcome).collect()
    }

    fn stage(&mut self, operation: &Operation, now: Timestamp) -> Result<Outcome, StorageError> {
        match operation {
            Operation::Append { partition, records } => {
                let open = self
                    .partitions
                    .get_mut(partition)
                    .ok_or(StorageError::Gone)?;
                open.log.stage(records, now).map(Outcome::Appended)
            }
            Operation::Journal { journal, entry } => {
                let open = self.journals.get_mut(journal).ok_or(StorageError::Gone)?;
                open.journal.stage(entry).map(|()| Outcome::Journaled)
            }
        }
    }

    fn commit_file(&mut self, file: FileKey, now: Timestamp) -> Result<(), StorageError> {
        let durability = self.write(file)?;
        match durability {
            Durability::Fsync => self.sync(file)?,
            Durability::Interval(interval) => {
                let due = SyncDue::After {
                    written_at: now,
                    interval,
                };
                let waiting = self.unsynced.entry(file).or_insert(due);
                if *waiting == SyncDue::AtClosing {
                    *waiting = due;
                }
            }
            Durability::Os => {
                self.unsynced.entry(file).or_insert(SyncDue::AtClosing);
            }
        }
        if let FileKey::Partition(key) = file
            && let Some(open) = self.partitions.get_mut(&key)
        {
            open.log.publish();
        }
        Ok(())
    }

    fn write(&mut self, file: FileKey) -> Result<Durability, StorageError> {
        match file {
            FileKey::Partition(key) => {
                let OpenPartition { log, settings } =
                    self.partitions.get_mut(&key).ok_or(StorageError::Gone)?;
                log.write(settings).map(|()| settings.durability)
            }
            FileKey::Journal(key) => {
                let OpenJournal { journal, settings } =
                    self.journals.get_mut(&key).ok_or(StorageError::Gone)?;
                journal.write().map(|()| settings.durability)
            }
        }
    }

    pub(super) fn sync(&mut self, file: FileKey) -> Result<(), StorageError> {
        match file {
            FileKey::Partition(key) => self.partitions.get_mut(&key).map(|open| open.log.sync()),
            FileKey::Journal(key) => self.journals.get_mut(&key).map(|open| open.journal.sync()),
        }
        .unwrap_or(Ok(()))
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
