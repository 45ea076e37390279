//! The one writer of a data directory.
//!
//! [`Store`] owns every file that is written. It is driven by one thread: a round of operations
//! goes in, and when [`Store::commit_round`] returns, what it answers is durable. Topics and groups
//! come and go between rounds.

mod groups;
mod round;
mod topics;
mod trimming;

pub use groups::GroupProgress;
pub use round::{Appended, Operation, Outcome};
pub use topics::TopicFiles;

use crate::data_dir::{DataDir, NodeIdentity};
use crate::error::{Context, StorageError};
use crate::fs::{FailStopDirs, FileSystem};
use crate::journal::Journal;
use crate::partition_log::PartitionLog;
use crate::recovery::Finding;
use round::{FileKey, SyncDue};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use weir_types::{GroupName, Incarnation, Timestamp, TopicName, TopicSettings};

/// Names an open partition in an [`Operation`]. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey(u64);

/// Names an open journal in an [`Operation`]. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JournalKey(u64);

/// What [`Store::open`] needs to know.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// The node's identity if the directory has none yet; any random number.
    pub new_node_id: u64,
}

/// An opened data directory.
#[derive(Debug)]
pub struct Opened {
    /// The writer.
    pub store: Store,
    /// Every topic, in order of name.
    pub topics: Vec<TopicFiles>,
    /// What was out of order.
    pub findings: Vec<Finding>,
}

/// The one writer of a data directory.
#[derive(Debug)]
pub struct Store {
    dir: DataDir,
    topics: BTreeMap<TopicName, OpenTopic>,
    partitions: HashMap<PartitionKey, OpenPartition>,
    journals: HashMap<JournalKey, OpenJournal>,
    /// Written files that wait for a sync.
    unsynced: HashMap<FileKey, SyncDue>,
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

impl Store {
    /// Locks and opens a data directory, mends torn tails and replays every journal.
    ///
    /// # Errors
    /// [`StorageError::Locked`] if another process has it, [`StorageError::NewerFormat`] if a newer
    /// version wrote it, else the file system's; the broker must not start then.
    pub fn open(
        fs: Arc<dyn FileSystem>,
        path: &Path,
        options: OpenOptions,
    ) -> Result<Opened, StorageError> {
        let fs = Arc::new(FailStopDirs::new(fs));
        let dir = DataDir::open(fs, path, options.new_node_id)?;
        let names = dir.topic_names()?;
        let mut store = Self {
            dir,
            topics: BTreeMap::new(),
            partitions: HashMap::new(),
            journals: HashMap::new(),
            unsynced: HashMap::new(),
            last_key: 0,
        };
        let mut findings = Vec::new();
        let mut topics = Vec::new();
        for name in names {
            topics.extend(store.open_topic(&name, &mut findings)?);
        }
        Ok(Opened {
            store,
            topics,
            findings,
        })
    }

    /// Who uses this data directory.
    #[must_use]
    pub fn identity(&self) -> NodeIdentity {
        self.dir.identity
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

    /// Syncs whatever still waits for it and closes all files. Nothing depends on it: a crash
    /// instead costs at most what the topics' durability allows.
    ///
    /// # Errors
    /// The first sync that failed; the others were tried.
    pub fn close(mut self) -> Result<(), StorageError> {
        let waiting: Vec<FileKey> = self.unsynced.drain().map(|(key, _)| key).collect();
        let mut result = Ok(());
        for key in waiting {
            result = result.and(self.sync(key));
        }
        result
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
