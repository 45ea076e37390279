//! The one writer of a data directory.
//!
//! [`Store`] owns every file that is written. It is driven by one thread: a round of operations
//! goes in, and when [`Store::commit_round`] returns, what it answers is durable. Topics and groups
//! come and go between rounds.

mod groups;
mod opening;
mod restore;
mod round;
mod topics;
mod trimming;

pub use groups::{GroupProgress, PartitionProgress};
pub use opening::{OpenOptions, Opened};
pub use round::{Appended, Operation, Outcome};
pub use topics::TopicFiles;
pub use trimming::Trimmed;

use crate::clean_stop::{self, StoppedPartition, StoppedTopic};
use crate::commit_log::{Checkpoint, CommitLog};
use crate::data_dir::{DataDir, NodeIdentity};
use crate::error::{Context, StorageError};
use crate::journal::{Journal, JournalNumbers};
use crate::open_files::{OpenFiles, StorageFailures};
use crate::partition_log::PartitionLog;
use round::{FileKey, SyncDue};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use weir_types::{GroupName, Incarnation, Timestamp, TopicName, TopicSettings};

/// Names an open partition in an [`Operation`]. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey(u64);

/// Names an open journal in an [`Operation`]. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JournalKey(u64);

/// The one writer of a data directory.
#[derive(Debug)]
pub struct Store {
    dir: DataDir,
    files: Arc<OpenFiles>,
    commit_log: CommitLog,
    journal_numbers: JournalNumbers,
    topics: BTreeMap<TopicName, OpenTopic>,
    partitions: HashMap<PartitionKey, OpenPartition>,
    journals: HashMap<JournalKey, OpenJournal>,
    /// Written files that are in no commit log and wait for a sync.
    unsynced: BTreeMap<FileKey, SyncDue>,
    /// Buffers that rounds use again.
    spare_buffers: Vec<Vec<u8>>,
    options: OpenOptions,
    last_key: u64,
}

#[derive(Debug)]
struct OpenTopic {
    incarnation: Incarnation,
    created_at: Timestamp,
    settings: Arc<TopicSettings>,
    /// In order of partition.
    partitions: Vec<PartitionKey>,
    groups: BTreeMap<GroupName, Vec<JournalKey>>,
}

#[derive(Debug)]
struct OpenPartition {
    log: PartitionLog,
    settings: Arc<TopicSettings>,
}

#[derive(Debug)]
struct OpenJournal {
    journal: Journal,
    settings: Arc<TopicSettings>,
}

/// What the commit log has done since this start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitLogStats {
    /// Bytes written to it, padding included.
    pub written_bytes: u64,
    /// Times that its files were synced and a part of it used anew.
    pub checkpoints: u64,
    /// Whether it accepts nothing more: a write to it failed.
    pub failed: bool,
}

impl Store {
    /// Who uses this data directory.
    #[must_use]
    pub fn identity(&self) -> NodeIdentity {
        self.dir.identity
    }

    /// What the commit log has done.
    #[must_use]
    pub fn commit_log_stats(&self) -> CommitLogStats {
        CommitLogStats {
            written_bytes: self.commit_log.written_bytes(),
            checkpoints: self.commit_log.checkpoints(),
            failed: self.commit_log.has_failed(),
        }
    }

    /// What accepts nothing more; stays true while the store is used.
    #[must_use]
    pub fn failures(&self) -> StorageFailures {
        self.files.failures().clone()
    }

    /// Bytes that may still be written where the data directory is.
    ///
    /// # Errors
    /// The file system's.
    pub fn available_bytes(&self) -> Result<u64, StorageError> {
        self.dir
            .fs
            .available_bytes(self.dir.path())
            .context("measure", self.dir.path())
    }

    /// A part of the commit log is full: the caller runs the checkpoint, best on another thread, and
    /// gives it back to [`Store::finish_checkpoint`]. If it takes too long, the round that needs the
    /// part does the same work itself.
    pub fn take_checkpoint(&mut self) -> Option<Checkpoint> {
        self.commit_log.take_checkpoint()
    }

    /// Takes back a checkpoint that ran.
    ///
    /// # Errors
    /// The commit log cannot go on. That a file could not be synced is no such error: its owner
    /// accepts nothing more, and what it holds stays in the commit log until the next start.
    pub fn finish_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), StorageError> {
        self.commit_log.finish(checkpoint)
    }

    /// Syncs whatever still waits for it and closes all files. Nothing depends on it: a
    /// crash instead costs the next start some time, and at most what the topics' durability
    /// allows.
    ///
    /// # Errors
    /// The first sync that failed; the others were tried.
    pub fn close(mut self) -> Result<(), StorageError> {
        let mut result = Ok(());
        for key in std::mem::take(&mut self.unsynced).into_keys() {
            result = result.and(self.sync(key));
        }
        result = result.and(self.commit_log.checkpoint_all());
        // Otherwise the next start must replay what the commit log holds, and look at what is there
        // instead of what should be.
        if result.is_ok() && self.files.failures().is_empty() {
            result = self.save_clean_stop();
        }
        result
    }

    fn save_clean_stop(&self) -> Result<(), StorageError> {
        let mut topics = Vec::with_capacity(self.topics.len());
        for (name, topic) in &self.topics {
            let keys = topic.partitions.iter();
            let logs = keys.filter_map(|key| self.partitions.get(key));
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for open in logs {
                open.log.save_index();
                partitions.push(StoppedPartition::of(&open.log));
            }
            topics.push(StoppedTopic {
                name,
                incarnation: topic.incarnation,
                partitions,
            });
        }
        let start = self.dir.identity.broker_start;
        clean_stop::save(&*self.dir.fs, &self.dir.clean_stop_path(), start, &topics)
    }

    fn next_key(&mut self) -> u64 {
        self.last_key += 1;
        self.last_key
    }

    fn topic(&self, name: &TopicName) -> Result<&OpenTopic, StorageError> {
        let missing = || StorageError::NoSuchTopic {
            topic: name.clone(),
        };
        self.topics.get(name).ok_or_else(missing)
    }
}
