//! The data directory as a whole.
//!
//! ```text
//! <data-dir>/__weir/lock                 held while a broker uses the directory; its process id
//! <data-dir>/__weir/node.json            format version, node identity, number of the last start
//! <data-dir>/__weir/commit-<N>           the commit log (`commit_log`)
//! <data-dir>/__weir/clean-stop.jsonl     what the last clean stop left (`clean_stop`)
//! <data-dir>/__weir/schedule-index.redb  when each waiting message is due; derived, the broker's
//! <data-dir>/__weir/<name>.json          what the broker must remember of itself (`document`)
//! <data-dir>/__weir/trash/               deleted topics until their files are gone
//! <data-dir>/<topic>/topic.json          see `topic`
//! <data-dir>/<topic>/partition-<N>/      segments (`segment`), and groups/ with journals (`journal`)
//! <data-dir>/__schedule/                 messages that wait for their time; laid out like a topic
//! ```
//!
//! Directories without a topic.json, such as `lost+found`, are left alone.

use crate::error::{Context, StorageError};
use crate::fs::{self, DirectoryLock, FileSystem};
use crate::json_file;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_types::{BrokerStart, Incarnation, PartitionId, TopicName};

/// Version of everything on disk. A reader refuses a newer one.
const FORMAT_VERSION: u32 = 1;

/// Who uses this data directory, and for which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeIdentity {
    /// Chosen at the first start, kept for ever.
    pub node_id: u64,
    /// Which start this is, from 1.
    pub broker_start: BrokerStart,
}

#[derive(Serialize, Deserialize)]
struct NodeFile {
    format_version: u32,
    node_id: String,
    broker_start: BrokerStart,
}

/// An open, locked data directory.
#[derive(Debug)]
pub(crate) struct DataDir {
    pub(crate) fs: Arc<dyn FileSystem>,
    path: PathBuf,
    pub(crate) identity: NodeIdentity,
    _lock: Box<dyn DirectoryLock>,
}

impl DataDir {
    /// Creates what is missing, takes the lock, checks the format and counts this start.
    pub(crate) fn open(
        fs: Arc<dyn FileSystem>,
        path: &Path,
        new_node_id: u64,
    ) -> Result<Self, StorageError> {
        create_durably(&*fs, path)?;
        let own = path.join("__weir");
        fs.create_dir(&own).context("create", &own)?;
        let lock = lock(&*fs, path, &own.join("lock"))?;
        let identity = count_start(&*fs, &own.join("node.json"), new_node_id)?;
        fs.sync_dir(path).context("sync", path)?;
        let dir = Self {
            fs,
            path: path.to_owned(),
            identity,
            _lock: lock,
        };
        dir.empty_trash()?;
        Ok(dir)
    }

    /// The data directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Directory of what belongs to no topic.
    pub(crate) fn own_dir(&self) -> PathBuf {
        self.path.join("__weir")
    }

    /// The file that a clean stop leaves.
    pub(crate) fn clean_stop_path(&self) -> PathBuf {
        self.own_dir().join("clean-stop.jsonl")
    }

    /// Directory of a topic.
    pub(crate) fn topic_dir(&self, topic: &TopicName) -> PathBuf {
        self.path.join(topic.as_str())
    }

    /// Directory of a partition.
    pub(crate) fn partition_dir(&self, topic: &TopicName, partition: PartitionId) -> PathBuf {
        partition_dir(&self.topic_dir(topic), partition)
    }

    /// Directory of the journals of a partition.
    pub(crate) fn groups_dir(&self, topic: &TopicName, partition: PartitionId) -> PathBuf {
        self.partition_dir(topic, partition).join("groups")
    }

    /// Where a deleted topic waits until its files are gone.
    pub(crate) fn trash_dir(&self, incarnation: Incarnation) -> PathBuf {
        self.trash().join(incarnation.to_string())
    }

    fn trash(&self) -> PathBuf {
        self.own_dir().join("trash")
    }

    /// A crash may have left deleted topics behind.
    fn empty_trash(&self) -> Result<(), StorageError> {
        let trash = self.trash();
        self.fs.remove_dir_all(&trash).context("remove", &trash)?;
        self.fs.create_dir(&trash).context("create", &trash)?;
        let own = self.own_dir();
        self.fs.sync_dir(&own).context("sync", &own)
    }

    /// Names of the directories that may be topics.
    pub(crate) fn topic_names(&self) -> Result<Vec<TopicName>, StorageError> {
        let entries = self.fs.read_dir(&self.path).context("list", &self.path)?;
        let directories = entries.into_iter().filter(|(_, is_dir)| *is_dir);
        let mut names: Vec<_> = directories
            .filter_map(|(name, _)| TopicName::parse_stored(&name).ok())
            .collect();
        names.sort_unstable();
        Ok(names)
    }
}

/// Directory of a partition in its topic's.
pub(crate) fn partition_dir(topic_dir: &Path, partition: PartitionId) -> PathBuf {
    topic_dir.join(format!("partition-{partition}"))
}

/// Creates a directory and those above it. What is in it is only as durable as its own entry.
fn create_durably(fs: &dyn FileSystem, path: &Path) -> Result<(), StorageError> {
    let mut missing = Vec::new();
    let named = path.ancestors().filter(|dir| !dir.as_os_str().is_empty());
    for ancestor in named {
        match fs.file_len(ancestor) {
            Ok(_) => break,
            Err(e) if e.kind() == io::ErrorKind::NotFound => missing.push(ancestor),
            Err(e) => return Err(e).context("find", ancestor),
        }
    }
    if missing.is_empty() {
        // An earlier start may have been killed before it came to this; but the directory may also
        // lie in one that we have no right to open.
        let _best_effort = fs.sync_dir(fs::parent_of(path));
    }
    for dir in missing.into_iter().rev() {
        fs.create_dir(dir).context("create", dir)?;
        let parent = fs::parent_of(dir);
        fs.sync_dir(parent).context("sync", parent)?;
    }
    Ok(())
}

fn lock(
    fs: &dyn FileSystem,
    data_dir: &Path,
    path: &Path,
) -> Result<Box<dyn DirectoryLock>, StorageError> {
    match fs.lock(path) {
        Err(held) if held.kind() == io::ErrorKind::WouldBlock => Err(StorageError::Locked {
            path: data_dir.to_owned(),
            holder: Some(held.to_string()).filter(|pid| !pid.is_empty()),
        }),
        result => result.context("lock", path),
    }
}

/// Reads who we are and durably counts this start, before anything refers to it.
fn count_start(
    fs: &dyn FileSystem,
    path: &Path,
    new_node_id: u64,
) -> Result<NodeIdentity, StorageError> {
    check_format(fs, path)?;
    let identity = match json_file::read::<NodeFile>(fs, path)? {
        Some(before) => before.next_start(path)?,
        None => NodeIdentity {
            node_id: new_node_id,
            broker_start: BrokerStart(1),
        },
    };
    let node = NodeFile {
        format_version: FORMAT_VERSION,
        node_id: format!("{:016x}", identity.node_id),
        broker_start: identity.broker_start,
    };
    json_file::write(fs, path, &node)?;
    Ok(identity)
}

/// Looks at nothing but the version: what else is there may be unknown to us.
fn check_format(fs: &dyn FileSystem, path: &Path) -> Result<(), StorageError> {
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
    }
    match json_file::read::<Version>(fs, path)? {
        Some(Version { format_version }) if format_version > FORMAT_VERSION => {
            Err(StorageError::NewerFormat {
                path: path.to_owned(),
                found: format_version,
                supported: FORMAT_VERSION,
            })
        }
        _ => Ok(()),
    }
}

impl NodeFile {
    fn next_start(&self, path: &Path) -> Result<NodeIdentity, StorageError> {
        let damaged = |reason| StorageError::DamagedFile {
            path: path.to_owned(),
            reason,
        };
        let digits = &self.node_id;
        let well_formed = digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let node_id = u64::from_str_radix(digits, 16).ok().filter(|_| well_formed);
        let start = self.broker_start.0.checked_add(1);
        Ok(NodeIdentity {
            node_id: node_id
                .ok_or_else(|| damaged(format!("node_id {digits:?} has not 16 hex digits")))?,
            broker_start: start
                .map(BrokerStart)
                .ok_or_else(|| damaged("broker_start is at its end".to_owned()))?,
        })
    }
}
