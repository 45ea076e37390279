//! One file of a partition: `<base offset, 20 digits>.log`, and the sparse index over it.
//!
//! The writer appends and then moves `durable_bytes`; readers never look beyond it, so they never
//! see half a write. The index is in memory while the segment is written to; afterwards it is
//! loaded when someone reads from the middle.

use crate::error::{Context, StorageError};
use crate::fs::{File, FileSystem};
use crate::index::{Place, SparseIndex};
use crate::open_files::{FailStop, LogFile, OpenFiles};
use crate::record;
use crate::scan::LineScanner;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use weir_types::{FilePosition, Offset, Timestamp};

const SUFFIX: &str = ".log";
const INDEX_SUFFIX: &str = "index";

/// What readers and the writer share of a segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base_offset: Offset,
    file: Arc<LogFile>,
    durable_bytes: AtomicU64,
    /// While the segment is written to.
    live_index: RwLock<Option<SparseIndex>>,
    /// Nothing is appended any more.
    sealed: AtomicBool,
    first_timestamp: OnceLock<Timestamp>,
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

/// Path of the segment that begins with `base_offset` in the partition's directory.
pub(crate) fn path_in(partition_dir: &Path, base_offset: Offset) -> PathBuf {
    partition_dir.join(file_name(base_offset))
}

/// Path of that segment's index.
pub(crate) fn index_path_in(partition_dir: &Path, base_offset: Offset) -> PathBuf {
    path_in(partition_dir, base_offset).with_extension(INDEX_SUFFIX)
}

/// Base offsets of the segments in a partition's directory, in order.
pub(crate) fn bases_in(fs: &dyn FileSystem, dir: &Path) -> Result<Vec<Offset>, StorageError> {
    let names = fs.read_dir(dir).context("list", dir)?;
    let mut bases: Vec<Offset> = names
        .iter()
        .filter_map(|(name, _)| base_offset_of(name))
        .collect();
    bases.sort_unstable();
    Ok(bases)
}

/// A segment that others follow, as it lies in the partition's directory.
pub(crate) fn find_sealed(
    fs: &dyn FileSystem,
    dir: &Path,
    base_offset: Offset,
    fail_stop: &FailStop,
) -> Result<Arc<Segment>, StorageError> {
    let path = path_in(dir, base_offset);
    let bytes = fs.file_len(&path).context("measure", &path)?;
    let file = LogFile::closed(path.into_boxed_path(), fail_stop.clone());
    Ok(Segment::sealed(base_offset, file, bytes))
}

impl Segment {
    /// The last segment of a partition, of which `bytes` are durable; with an index if it is to be
    /// written to at once.
    pub(crate) fn last(
        base_offset: Offset,
        file: Arc<LogFile>,
        bytes: u64,
        live_index: Option<SparseIndex>,
    ) -> Arc<Self> {
        Arc::new(Self {
            base_offset,
            file,
            durable_bytes: AtomicU64::new(bytes),
            live_index: RwLock::new(live_index),
            sealed: AtomicBool::new(false),
            first_timestamp: OnceLock::new(),
        })
    }

    /// A segment that others follow.
    pub(crate) fn sealed(base_offset: Offset, file: Arc<LogFile>, bytes: u64) -> Arc<Self> {
        let segment = Self::last(base_offset, file, bytes, None);
        segment.sealed.store(true, Ordering::Release);
        segment
    }

    pub(crate) fn file(&self) -> &Arc<LogFile> {
        &self.file
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        self.path().with_extension(INDEX_SUFFIX)
    }

    /// Bytes that readers may see.
    pub(crate) fn durable_bytes(&self) -> u64 {
        self.durable_bytes.load(Ordering::Acquire)
    }

    /// Shows readers what was appended: first where it is, then that it is there.
    pub(crate) fn publish(&self, bytes: u64, places: impl Iterator<Item = Place>) {
        let mut index = self.live_index();
        if let Some(index) = &mut *index {
            places.for_each(|place| index.note(place));
            index.cover(bytes);
        }
        self.durable_bytes.store(bytes, Ordering::Release);
    }

    fn live_index(&self) -> std::sync::RwLockWriteGuard<'_, Option<SparseIndex>> {
        self.live_index
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Prepares a segment of an earlier start for appends: its index is kept in memory again.
    pub(crate) fn revive(self: &Arc<Self>, files: &OpenFiles) -> Result<(), StorageError> {
        let file = self.file.get(files)?;
        let index = self.load_index(files, &*file)?;
        *self.live_index() = Some(index);
        Ok(())
    }

    /// Nothing is appended from now on.
    pub(crate) fn seal(&self, files: &OpenFiles) {
        self.sealed.store(true, Ordering::Release);
        self.save_index(files);
    }

    /// Writes the index of a segment that is not written to any more in this start, and forgets it.
    /// A failure costs time later, nothing else.
    pub(crate) fn save_index(&self, files: &OpenFiles) {
        let Some(index) = self.live_index().take() else {
            return;
        };
        if index.is_worth_saving() {
            let _optional = index.save(&**files.fs(), &self.index_path());
        }
    }

    /// Asks the index; finds or rebuilds it first if necessary.
    fn consult<T>(
        self: &Arc<Self>,
        files: &OpenFiles,
        question: impl Fn(&SparseIndex) -> T,
    ) -> Result<T, StorageError> {
        {
            let live = self
                .live_index
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(index) = &*live {
                return Ok(question(index));
            }
        }
        // One that was loaded before the segment grew on says nothing about what came since.
        let current = |index: &Arc<SparseIndex>| index.covered_bytes() == self.durable_bytes();
        if let Some(index) = files.indexes().get(self).filter(current) {
            return Ok(question(&index));
        }
        let file = self.file.get(files)?;
        let mut index = self.load_index(files, &*file)?;
        index.shrink();
        let answer = question(&index);
        files.indexes().put(self, Arc::new(index));
        Ok(answer)
    }

    fn load_index(&self, files: &OpenFiles, file: &dyn File) -> Result<SparseIndex, StorageError> {
        let bytes = self.durable_bytes();
        let loaded = SparseIndex::load(&**files.fs(), &self.index_path(), bytes);
        let found = loaded.is_some();
        let mut index = loaded.unwrap_or_default();
        index.extend(file, bytes).context("read", self.path())?;
        // Only of a sealed segment: what others hold may not be durable yet, and an index must
        // never speak of bytes that a power cut replaces.
        if !found && index.is_worth_saving() && self.sealed.load(Ordering::Acquire) {
            let _optional = index.save(&**files.fs(), &self.index_path());
        }
        Ok(index)
    }

    /// Where to begin reading for `offset`: at or before its record.
    pub(crate) fn floor(
        self: &Arc<Self>,
        files: &OpenFiles,
        offset: Offset,
    ) -> Result<FilePosition, StorageError> {
        match offset == self.base_offset {
            true => Ok(FilePosition(0)),
            false => self.consult(files, |index| index.floor(offset)),
        }
    }

    /// Where to begin reading for the first record that is not older than `time`.
    pub(crate) fn floor_of_time(
        self: &Arc<Self>,
        files: &OpenFiles,
        time: Timestamp,
    ) -> Result<FilePosition, StorageError> {
        self.consult(files, |index| index.floor_of_time(time))
    }

    /// A record close behind `position`; `None` close to the end.
    pub(crate) fn ceiling(
        self: &Arc<Self>,
        files: &OpenFiles,
        position: FilePosition,
    ) -> Result<Option<Offset>, StorageError> {
        self.consult(files, |index| index.ceiling(position))
    }

    /// When the segment's first intact record was stored; `None` when it holds none.
    pub(crate) fn first_timestamp(
        self: &Arc<Self>,
        files: &OpenFiles,
    ) -> Result<Option<Timestamp>, StorageError> {
        if let Some(&known) = self.first_timestamp.get() {
            return Ok(Some(known));
        }
        let file = self.file.get(files)?;
        let mut lines = LineScanner::new(&*file, FilePosition(0), self.durable_bytes());
        while let Some(line) = lines.next_line().context("read", self.path())? {
            if let Some((_, timestamp)) = record::intact_place(line.bytes) {
                return Ok(Some(*self.first_timestamp.get_or_init(|| timestamp)));
            }
        }
        Ok(None)
    }

    /// Offset and time of the segment's last intact record; `None` when it holds none.
    pub(crate) fn last_place(
        self: &Arc<Self>,
        files: &OpenFiles,
    ) -> Result<Option<(Offset, Timestamp)>, StorageError> {
        self.consult(files, SparseIndex::last)
    }
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
            "00000000000000000042.index",
            "0000000000000000004x.log",
            "topic.json",
        ] {
            assert_eq!(base_offset_of(name), None, "{name}");
        }
    }
}
