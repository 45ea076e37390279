//! Writes what the commit log holds into the plain files again.

use crate::commit_log::{Entry, LoggedFile, ReplayTarget};
use crate::data_dir::DataDir;
use crate::error::{Context, StorageError};
use crate::fs::{self, File, OpenMode};
use crate::journal::{self, JournalNumber};
use crate::record;
use crate::segment;
use crate::sync_many::sync_many;
use crate::topic::TopicFile;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use weir_types::{Offset, PartitionId, TopicName};

/// Files that are open at the same time.
const MOST_OPEN_FILES: usize = 256;

/// The plain files, by the names that the commit log has for them.
pub(super) struct Restore<'a> {
    dir: &'a DataDir,
    topics: &'a [(TopicName, TopicFile)],
    /// `None` until the first journal is asked for.
    journals: Option<HashMap<JournalNumber, PathBuf>>,
    open: HashMap<LoggedFile, PlainFile>,
    ends: BTreeMap<(u64, PartitionId), Offset>,
}

#[derive(Clone)]
struct PlainFile {
    path: PathBuf,
    file: Arc<dyn File>,
}

impl PlainFile {
    /// Whole lines stand before `position`. If what stood there is lost, because a power cut met
    /// damage in the commit log, what follows must not be taken for a part of it.
    fn end_line_before(&self, position: u64) -> io::Result<()> {
        let Some(end) = position.checked_sub(1) else {
            return Ok(());
        };
        let mut before = [0];
        let read = fs::read_full(&*self.file, &mut before, end)?;
        match (read, before) {
            (1, [b'\n']) => Ok(()),
            _ => self.file.write_all_at(b"\n", end),
        }
    }
}

impl<'a> Restore<'a> {
    pub(super) fn new(dir: &'a DataDir, topics: &'a [(TopicName, TopicFile)]) -> Self {
        Self {
            dir,
            topics,
            journals: None,
            open: HashMap::new(),
            ends: BTreeMap::new(),
        }
    }

    /// Makes everything durable. Returns, for partitions with segments that are gone, the offset
    /// after the last one that the commit log knows of: it must not be given again.
    pub(super) fn finish(mut self) -> Result<BTreeMap<(u64, PartitionId), Offset>, StorageError> {
        self.sync_all()?;
        Ok(self.ends)
    }

    fn sync_all(&mut self) -> Result<(), StorageError> {
        let mut open: Vec<_> = self.open.drain().map(|(_, open)| open).collect();
        // In the same order every time, so that a simulation can be repeated.
        open.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        sync_many(&open, |open| {
            open.file.sync_data().context("sync", &open.path)
        })
    }

    /// The file; `None` if it is gone, with its topic or group or by retention.
    fn file(&mut self, name: LoggedFile) -> Result<Option<PlainFile>, StorageError> {
        if let Some(open) = self.open.get(&name) {
            return Ok(Some(open.clone()));
        }
        let Some(path) = self.path(name)? else {
            return Ok(None);
        };
        let file = match self.dir.fs.open(&path, OpenMode::Existing) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.context("open", &path)?,
        };
        if self.open.len() >= MOST_OPEN_FILES {
            self.sync_all()?;
        }
        let open = PlainFile { path, file };
        self.open.insert(name, open.clone());
        Ok(Some(open))
    }

    fn path(&mut self, name: LoggedFile) -> Result<Option<PathBuf>, StorageError> {
        match name {
            LoggedFile::Segment {
                topic,
                partition,
                base_offset,
            } => {
                let mut topics = self.topics.iter();
                let found = topics.find(|(_, file)| file.incarnation == topic);
                let dir = found.map(|(name, _)| self.dir.partition_dir(name, partition));
                Ok(dir.map(|dir| segment::path_in(&dir, base_offset)))
            }
            LoggedFile::Journal(number) => {
                if self.journals.is_none() {
                    self.journals = Some(self.find_journals()?);
                }
                let journals = self.journals.as_ref();
                Ok(journals.and_then(|known| known.get(&number).cloned()))
            }
        }
    }

    fn find_journals(&self) -> Result<HashMap<JournalNumber, PathBuf>, StorageError> {
        let mut journals = HashMap::new();
        for (name, file) in self.topics {
            for id in (0..file.settings.partitions).map(PartitionId) {
                let dir = self.dir.groups_dir(name, id);
                let names = match self.dir.fs.read_dir(&dir) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    result => result.context("list", &dir)?,
                };
                for (file_name, _) in names {
                    if journal::group_of(&file_name).is_none() {
                        continue;
                    }
                    let path = dir.join(file_name);
                    if let Some(number) = journal::number_in(&*self.dir.fs, &path)? {
                        journals.insert(number, path);
                    }
                }
            }
        }
        Ok(journals)
    }

    fn note_end(&mut self, entry: &Entry<'_>) {
        let LoggedFile::Segment {
            topic, partition, ..
        } = entry.file
        else {
            return;
        };
        let lines = entry.bytes.split(|&b| b == b'\n');
        let last = lines.filter_map(record::place).next_back();
        if let Some((offset, _)) = last {
            let end = self.ends.entry((topic.0, partition)).or_default();
            *end = offset.next().max(*end);
        }
    }
}

impl ReplayTarget for Restore<'_> {
    fn apply(&mut self, entry: &Entry<'_>) -> Result<(), StorageError> {
        let Some(plain) = self.file(entry.file)? else {
            self.note_end(entry);
            return Ok(());
        };
        let written = plain.end_line_before(entry.position.0);
        let written = written.and_then(|()| plain.file.write_all_at(entry.bytes, entry.position.0));
        written.context("write to", &plain.path)
    }
}
