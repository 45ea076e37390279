//! Trimming: whole sealed segments go, oldest first, never the active one.

use crate::error::{Context, StorageError};
use crate::fs::FileSystem;
use crate::reader::PartitionReader;
use crate::segment::Segment;
use std::io;
use std::path::Path;
use std::sync::Arc;
use weir_types::{Offset, Timestamp, TopicSettings};

/// How many of the oldest segments `settings` ask to trim.
///
/// By age, a segment goes when its newest record is too old and no live group still needs it
/// (`floor` is the lowest committed offset of one); by bytes, whoever needs it. `newest` is the
/// time of the log's last record.
fn expired_segments(
    fs: &dyn FileSystem,
    segments: &[Arc<Segment>],
    settings: &TopicSettings,
    floor: Option<Offset>,
    newest: Timestamp,
    now: Timestamp,
) -> usize {
    let mut bytes: u64 = segments.iter().map(|segment| segment.durable_bytes()).sum();
    let mut expired = 0;
    for pair in segments.windows(2) {
        let [oldest, next] = pair else { break };
        let too_many_bytes = bytes > settings.retention_bytes.0;
        // Time never runs backwards in a partition: what follows is not older than this segment.
        // Nothing follows in a quiet partition whose active segment is still empty.
        let follower = next.first_timestamp(fs).unwrap_or(newest);
        let too_old = now.since(follower) > settings.retention_age.0;
        let unneeded = floor.is_none_or(|floor| floor >= next.base_offset);
        let expires = too_many_bytes || (too_old && unneeded);
        if !expires {
            break;
        }
        bytes -= oldest.durable_bytes();
        expired += 1;
    }
    expired
}

/// Trims what `settings` ask for; returns the new log start offset if it moved.
pub(crate) fn apply(
    fs: &dyn FileSystem,
    dir: &Path,
    reader: &PartitionReader,
    settings: &TopicSettings,
    floor: Option<Offset>,
    newest: Timestamp,
    now: Timestamp,
) -> Result<Option<Offset>, StorageError> {
    match expired_segments(fs, &reader.segments(), settings, floor, newest, now) {
        0 => Ok(None),
        count => trim(fs, dir, reader, count).map(Some),
    }
}

/// Removes the `count` oldest segments, from readers first and then from the disk, oldest first,
/// so that a crash in between leaves a log without holes.
pub(crate) fn trim(
    fs: &dyn FileSystem,
    dir: &Path,
    reader: &PartitionReader,
    count: usize,
) -> Result<Offset, StorageError> {
    for _ in 0..count {
        let Some(oldest) = reader.drop_oldest() else {
            break;
        };
        match fs.remove_file(&oldest.path) {
            Err(refused) if refused.kind() != io::ErrorKind::NotFound => {
                let result = Err(refused).context("remove", &oldest.path);
                reader.restore_oldest(oldest); // What is on the disk is tried again, not forgotten.
                return result;
            }
            _ => {}
        }
    }
    fs.sync_dir(dir).context("sync", dir)?;
    Ok(reader.log_start_offset())
}
