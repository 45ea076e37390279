//! One file of a partition: `<base offset, 20 digits>.log`, and the sparse index over it.
//!
//! The writer appends and then moves `durable_bytes`; readers never look beyond it, so they never
//! see half a write. The index is memory only and holds one entry per 32 KiB; for a segment that
//! was sealed before this start it is built on first use.

use crate::checked_line;
use crate::error::{Context, StorageError};
use crate::fs::{File, FileSystem, OpenMode};
use crate::record;
use crate::scan::LineScanner;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use weir_types::{FilePosition, Offset, Timestamp};

const INDEX_EVERY_BYTES: u64 = 32 * 1024;
const SUFFIX: &str = ".log";

/// The shared part of a segment: what readers need.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base_offset: Offset,
    pub(crate) path: PathBuf,
    durable_bytes: AtomicU64,
    /// Open while the segment is active; sealed segments are opened for each read, so that the
    /// number of open files does not grow with the log.
    file: RwLock<Option<Arc<dyn File>>>,
    index: RwLock<SparseIndex>,
    first_timestamp: OnceLock<Timestamp>,
}

/// Places of some records, in rising order.
#[derive(Debug, Default)]
pub(crate) struct SparseIndex {
    places: Vec<(Offset, FilePosition)>,
    complete: bool,
}

impl SparseIndex {
    /// An index that is kept up with every append.
    pub(crate) fn complete() -> Self {
        Self {
            places: Vec::new(),
            complete: true,
        }
    }

    /// Notes a record's place if the last one noted is far enough behind.
    pub(crate) fn note(&mut self, offset: Offset, position: FilePosition) {
        let due = self
            .places
            .last()
            .is_none_or(|last| offset > last.0 && position.0 >= last.1.0 + INDEX_EVERY_BYTES);
        if due {
            self.places.push((offset, position));
        }
    }

    /// Where to begin reading for `offset`: at or before its record.
    fn floor(&self, offset: Offset) -> FilePosition {
        let after = self.places.partition_point(|&(noted, _)| noted <= offset);
        after
            .checked_sub(1)
            .map_or(FilePosition(0), |at| self.places[at].1)
    }
}

/// Name of the segment that begins with `base_offset`.
pub(crate) fn file_name(base_offset: Offset) -> String {
    format!("{:020}{SUFFIX}", base_offset.0)
}

/// The base offset in a segment's file name; `None` if it is no segment.
pub(crate) fn base_offset_of(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(SUFFIX)?;
    let well_formed = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    well_formed
        .then(|| digits.parse().ok().map(Offset))
        .flatten()
}

impl Segment {
    /// A segment that is written to.
    pub(crate) fn active(
        base_offset: Offset,
        path: PathBuf,
        file: Arc<dyn File>,
        bytes: u64,
        index: SparseIndex,
    ) -> Self {
        Self {
            base_offset,
            path,
            durable_bytes: AtomicU64::new(bytes),
            file: RwLock::new(Some(file)),
            index: RwLock::new(index),
            first_timestamp: OnceLock::new(),
        }
    }

    /// A segment that is only read.
    pub(crate) fn sealed(base_offset: Offset, path: PathBuf, bytes: u64) -> Self {
        Self {
            base_offset,
            path,
            durable_bytes: AtomicU64::new(bytes),
            file: RwLock::new(None),
            index: RwLock::new(SparseIndex::default()),
            first_timestamp: OnceLock::new(),
        }
    }

    /// Bytes that readers may see.
    pub(crate) fn durable_bytes(&self) -> u64 {
        self.durable_bytes.load(Ordering::Acquire)
    }

    /// Shows readers what was appended: first where it is, then that it is there.
    pub(crate) fn publish(&self, bytes: u64, places: impl Iterator<Item = (Offset, FilePosition)>) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        places.for_each(|(offset, position)| index.note(offset, position));
        self.durable_bytes.store(bytes, Ordering::Release);
    }

    /// The segment takes no more appends; its file is opened for each read from now on.
    pub(crate) fn seal(&self) {
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The open file.
    pub(crate) fn open(&self, fs: &dyn FileSystem) -> Result<Arc<dyn File>, StorageError> {
        let held = self
            .file
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match held {
            Some(file) => Ok(file),
            None => fs
                .open(&self.path, OpenMode::Existing)
                .context("open", &self.path),
        }
    }

    /// Where to begin reading for `offset`: at or before its record.
    pub(crate) fn floor(
        &self,
        file: &dyn File,
        offset: Offset,
    ) -> Result<FilePosition, StorageError> {
        if offset == self.base_offset {
            return Ok(FilePosition(0));
        }
        {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            if index.complete {
                return Ok(index.floor(offset));
            }
        }
        let built = self.build_index(file)?;
        let floor = built.floor(offset);
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = built;
        Ok(floor)
    }

    fn build_index(&self, file: &dyn File) -> Result<SparseIndex, StorageError> {
        let mut index = SparseIndex::complete();
        let mut lines = LineScanner::new(file, FilePosition(0), self.durable_bytes());
        while let Some(line) = lines.next_line().context("read", &self.path)? {
            // An offset from a damaged line could lead readers past the records behind it.
            if let Some((offset, _)) = intact_place(line.bytes) {
                index.note(offset, line.position);
            }
        }
        Ok(index)
    }

    /// When the segment's first intact record was stored; `None` when it holds none.
    pub(crate) fn first_timestamp(&self, fs: &dyn FileSystem) -> Option<Timestamp> {
        if let Some(&known) = self.first_timestamp.get() {
            return Some(known);
        }
        let file = self.open(fs).ok()?;
        let mut lines = LineScanner::new(&*file, FilePosition(0), self.durable_bytes());
        while let Some(line) = lines.next_line().ok()? {
            if let Some((_, timestamp)) = intact_place(line.bytes) {
                return Some(*self.first_timestamp.get_or_init(|| timestamp));
            }
        }
        None
    }

    /// Offset and time of the segment's last intact record; `None` when it holds none.
    pub(crate) fn last_place(
        &self,
        fs: &dyn FileSystem,
    ) -> Result<Option<(Offset, Timestamp)>, StorageError> {
        let file = self.open(fs)?;
        let mut last = None;
        let mut lines = LineScanner::new(&*file, FilePosition(0), self.durable_bytes());
        while let Some(line) = lines.next_line().context("read", &self.path)? {
            last = intact_place(line.bytes).or(last);
        }
        Ok(last)
    }
}

fn intact_place(line: &[u8]) -> Option<(Offset, Timestamp)> {
    record::place(line).filter(|_| checked_line::is_intact(line))
}

/// Path of the segment that begins with `base_offset` in the partition's directory.
pub(crate) fn path_in(partition_dir: &Path, base_offset: Offset) -> PathBuf {
    partition_dir.join(file_name(base_offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_named_by_their_base_offset() {
        assert_eq!(file_name(Offset(42)), "00000000000000000042.log");
        assert_eq!(base_offset_of("00000000000000000042.log"), Some(Offset(42)));
        for name in [
            "42.log",
            "00000000000000000042.tmp",
            "0000000000000000004x.log",
            "topic.json",
        ] {
            assert_eq!(base_offset_of(name), None, "{name}");
        }
    }

    #[test]
    fn the_index_is_sparse_and_never_points_past_a_record() {
        let mut index = SparseIndex::complete();
        (0..100_u64).for_each(|i| index.note(Offset(i), FilePosition(i * 10_000)));
        assert_eq!(index.places.len(), 25);
        assert_eq!(index.floor(Offset(3)), FilePosition(0));
        assert_eq!(index.floor(Offset(4)), FilePosition(40_000));
        assert_eq!(index.floor(Offset(1_000)), FilePosition(960_000));
    }
}
