//! Trimming: whole sealed segments go, oldest first, never the active one.

use crate::error::{Context, StorageError};
use crate::fs::FileSystem;
use crate::open_files::OpenFiles;
use crate::reader::PartitionReader;
use crate::segment::Segment;
use std::io;
use std::path::Path;
use std::sync::Arc;
use weir_types::{Offset, Timestamp, TopicSettings};

/// Why segments are trimmed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expiry<'a> {
    pub(crate) settings: &'a TopicSettings,
    /// The lowest committed offset of a live group.
    pub(crate) floor: Option<Offset>,
    /// When the log's last record was stored.
    pub(crate) newest: Timestamp,
    pub(crate) now: Timestamp,
}

impl Expiry<'_> {
    /// How many of the oldest segments expire.
    ///
    /// By age, a segment goes when its newest record is too old and no live group still needs it;
    /// by bytes, whoever needs it.
    pub(crate) fn expired_segments(&self, reader: &PartitionReader) -> Result<usize, StorageError> {
        let (files, segments) = (reader.files(), reader.segments()?);
        let mut bytes: u64 = segments.iter().map(|segment| segment.durable_bytes()).sum();
        let mut expired = 0;
        for pair in segments.windows(2) {
            let [oldest, next] = pair else { break };
            let too_many_bytes = bytes > self.settings.retention_bytes.0;
            if !too_many_bytes && !self.is_too_old(files, next)? {
                break;
            }
            bytes -= oldest.durable_bytes();
            expired += 1;
        }
        Ok(expired)
    }

    /// Whether what lies before `next` is too old. Time never runs backwards in a partition: what
    /// follows is not older. Nothing follows in a quiet partition whose last segment is empty.
    fn is_too_old(&self, files: &OpenFiles, next: &Arc<Segment>) -> Result<bool, StorageError> {
        if self.floor.is_some_and(|floor| floor < next.base_offset) {
            return Ok(false);
        }
        let follower = next.first_timestamp(files)?.unwrap_or(self.newest);
        Ok(self.now.since(follower) > self.settings.retention_age.0)
    }
}

/// Removes the `count` oldest segments, from readers first and then from the disk, oldest first,
/// so that a crash in between leaves a log without holes.
pub(crate) fn trim(reader: &PartitionReader, count: usize) -> Result<(), StorageError> {
    let (fs, dir) = (reader.files().fs(), &reader.dir());
    for _ in 0..count {
        let Some(oldest) = reader.drop_oldest() else {
            break;
        };
        // Nobody misses an index that is gone; nobody would remove one that is left over.
        let removed =
            remove(&**fs, &oldest.index_path()).and_then(|()| remove(&**fs, oldest.path()));
        if removed.is_err() {
            reader.restore_oldest(oldest); // What is on the disk is tried again, not forgotten.
            return removed;
        }
    }
    let synced = fs.sync_dir(dir);
    if synced.is_err() {
        // What was removed may come back: the next start must look.
        reader.files().note_failure(dir);
    }
    synced.context("sync", dir)
}

fn remove(fs: &dyn FileSystem, path: &Path) -> Result<(), StorageError> {
    match fs.remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.context("remove", path),
    }
}
