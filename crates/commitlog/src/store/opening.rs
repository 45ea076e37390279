//! From a data directory to a store: after a clean stop by what that left, otherwise by replaying
//! the commit log and checking every partition.

use super::groups::FoundGroup;
use super::restore::Restore;
use super::{Store, TopicFiles};
use crate::clean_stop::{CleanStop, StoppedPartition};
use crate::commit_log::{CommitLog, Replay};
use crate::data_dir::DataDir;
use crate::error::{Context, StorageError};
use crate::fs::{FailStopDirs, FileSystem};
use crate::journal::JournalNumbers;
use crate::open_files::OpenFiles;
use crate::partition_log::PartitionLog;
use crate::recovery::Finding;
use crate::segment;
use crate::topic::TopicFile;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use weir_types::{Incarnation, Offset, PartitionId, TopicName};

/// What [`Store::open`] needs to know.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// The node's identity if the directory has none yet; any random number.
    pub new_node_id: u64,
    /// Size of the commit log, two halves.
    pub commit_log_bytes: u64,
    /// Segments and journals that stay open; more are opened and closed as they are used.
    pub max_open_files: usize,
    /// What a round brings to one file beyond this goes straight to it: written once instead of
    /// twice, and one more sync is no great matter then.
    pub direct_above_bytes: usize,
    /// A journal smaller than this is compacted after a seek only.
    pub compact_above_bytes: u64,
    /// A journal that has grown to twice its meaning, and above this, is compacted by the round that
    /// brought it there; a smaller one waits for [`Store::maintain_topic`]. So the file is bounded at
    /// every moment, and so is how long a compaction holds up the rounds: 8 MiB are 180,000 acks.
    pub compact_at_once_above_bytes: u64,
    /// Keys the hashes of publishers' ids; any random number.
    pub hash_key: u64,
}

impl OpenOptions {
    /// The defaults, with a random number.
    #[must_use]
    pub fn new(random: u64) -> Self {
        Self {
            new_node_id: random,
            commit_log_bytes: 32 << 20,
            max_open_files: 1024,
            direct_above_bytes: 256 * 1024,
            compact_above_bytes: 64 * 1024,
            compact_at_once_above_bytes: 8 << 20,
            hash_key: random,
        }
    }
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
    /// Whether the last stop was a clean one, so that nothing had to be checked.
    pub after_clean_stop: bool,
}

impl Store {
    /// Locks and opens a data directory. Unless the last stop was a clean one, replays the commit
    /// log, mends torn tails and checks the last segment of every partition.
    ///
    /// # Errors
    /// [`StorageError::Locked`] if another process has it, [`StorageError::NewerFormat`] if a newer
    /// version wrote it, else the file system's; the broker must not start then.
    pub fn open(
        fs: Arc<dyn FileSystem>,
        path: &Path,
        options: OpenOptions,
    ) -> Result<Opened, StorageError> {
        let fs: Arc<dyn FileSystem> = Arc::new(FailStopDirs::new(fs));
        let dir = DataDir::open(fs.clone(), path, options.new_node_id)?;
        let start = dir.identity.broker_start;
        let found = read_topic_files(&dir)?;
        let mut findings = Vec::new();
        let clean = CleanStop::load(&*fs, &dir.clean_stop_path(), start);
        let mut restored = BTreeMap::new();
        if clean.is_none() {
            let mut restore = Restore::new(&dir, &found);
            Replay::read(&*fs, &dir.own_dir())?.run(&mut restore, &mut findings)?;
            restored = restore.finish()?;
        }
        let files = Arc::new(OpenFiles::new(fs, options.max_open_files));
        let part_bytes = options.commit_log_bytes / 2;
        let commit_log = CommitLog::open(files.clone(), dir.own_dir(), part_bytes, start)?;
        let mut store = Self {
            dir,
            files,
            commit_log,
            journal_numbers: JournalNumbers::of(start),
            topics: BTreeMap::new(),
            partitions: HashMap::new(),
            journals: HashMap::new(),
            unsynced: BTreeMap::new(),
            spare_buffers: Vec::new(),
            options,
            last_key: 0,
        };
        let mut topics = Vec::with_capacity(found.len());
        for (name, file) in found {
            let topic = Opening {
                name: &name,
                incarnation: file.incarnation,
                partitions: file.settings.partitions,
                clean: clean.as_ref(),
                restored: &restored,
            };
            let groups = store.open_groups(&topic, &mut findings)?;
            let logs = store.open_partitions(&topic, &groups, &mut findings)?;
            let mut files = store.adopt(name.clone(), file, logs);
            let groups = groups.into_iter();
            files.groups = groups.map(|g| store.adopt_group(&name, g)).collect();
            topics.push(files);
        }
        // Not before all is settled: until then the next start may need the frames once more.
        store.commit_log.begin()?;
        Ok(Opened {
            store,
            topics,
            findings,
            after_clean_stop: clean.is_some(),
        })
    }

    fn open_partitions(
        &self,
        topic: &Opening<'_>,
        groups: &[FoundGroup],
        findings: &mut Vec<Finding>,
    ) -> Result<Vec<PartitionLog>, StorageError> {
        let dir: Arc<Path> = self.dir.topic_dir(topic.name).into();
        let mut logs = Vec::with_capacity(topic.partitions as usize);
        for id in (0..topic.partitions).map(PartitionId) {
            let log = match self.resume_partition(topic, &dir, id) {
                Some(log) => log,
                None => {
                    let seen = groups.iter().map(|group| group.end_in(id)).max();
                    let restored = topic.restored.get(&(topic.incarnation.0, id));
                    let above = seen.max(restored.copied()).unwrap_or(Offset::ZERO);
                    self.open_partition(topic, &dir, id, above, findings)?
                }
            };
            logs.push(log);
        }
        Ok(logs)
    }

    /// The partition as a clean stop left it, if nobody has touched it since.
    fn resume_partition(
        &self,
        topic: &Opening<'_>,
        topic_dir: &Arc<Path>,
        id: PartitionId,
    ) -> Option<PartitionLog> {
        let known = topic.stopped()?.get(id.0 as usize)?;
        let dir = self.dir.partition_dir(topic.name, id);
        let path = segment::path_in(&dir, known.tail.active_base);
        let length = self.dir.fs.file_len(&path).ok()?;
        (length == known.tail.active_bytes).then(|| {
            let (tail, extent) = (known.tail, known.extent());
            PartitionLog::resume(&self.files, topic_dir, topic.incarnation, id, tail, extent)
        })
    }

    /// A file that a killed broker created may be there without its entry being durable; what is
    /// about to be acknowledged in it must not disappear with it.
    fn open_partition(
        &self,
        topic: &Opening<'_>,
        topic_dir: &Arc<Path>,
        id: PartitionId,
        above: Offset,
        findings: &mut Vec<Finding>,
    ) -> Result<PartitionLog, StorageError> {
        let dir = self.dir.partition_dir(topic.name, id);
        self.dir.fs.sync_dir(&dir).context("sync", &dir)?;
        PartitionLog::open(
            &self.files,
            topic_dir,
            topic.incarnation,
            id,
            above,
            findings,
        )
    }
}

/// A topic that is being opened.
pub(super) struct Opening<'a> {
    pub(super) name: &'a TopicName,
    pub(super) incarnation: Incarnation,
    pub(super) partitions: u32,
    clean: Option<&'a CleanStop>,
    /// Ends of what the commit log holds of partitions whose segments are gone.
    restored: &'a BTreeMap<(u64, PartitionId), Offset>,
}

impl Opening<'_> {
    /// Its partitions as a clean stop left them.
    fn stopped(&self) -> Option<&[StoppedPartition]> {
        self.clean?.partitions(self.incarnation, self.partitions)
    }

    /// Whether all that is there is known to be durable.
    pub(super) fn is_settled(&self) -> bool {
        self.stopped().is_some()
    }
}

/// Every directory with a topic.json, in order of name.
fn read_topic_files(dir: &DataDir) -> Result<Vec<(TopicName, TopicFile)>, StorageError> {
    let mut found = Vec::new();
    for name in dir.topic_names()? {
        if let Some(file) = TopicFile::read(&*dir.fs, &dir.topic_dir(&name))? {
            found.push((name, file));
        }
    }
    Ok(found)
}
