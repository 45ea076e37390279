//! The readable side of a partition: shared, never blocks the writer, sees exactly the records
//! between the log start offset and the high watermark.
//!
//! A partition that nobody has used since the last clean stop is only numbers; its directory is
//! listed when someone reads from it or appends to it.

mod batch;
mod walk;

pub use batch::{Gap, GapReason, RawBatch, ReadBatch, ReadLimits, StoredLine};

use crate::data_dir;
use crate::error::{Context, StorageError};
use crate::open_files::{FailStop, LogFile, OpenFiles};
use crate::record;
use crate::scan::LineScanner;
use crate::segment::{self, Segment};
use batch::{Lines, Runs};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockWriteGuard};
use weir_types::{FilePosition, Offset, PartitionId, Timestamp};

/// Reads one partition. Cheap to share; all methods may be called from any thread.
#[derive(Debug)]
pub struct PartitionReader {
    id: PartitionId,
    files: Arc<OpenFiles>,
    /// Shared by the topic's partitions: there are many of them.
    topic_dir: Arc<Path>,
    /// In order of base offset; the last is the active one. Empty until the directory is listed.
    segments: RwLock<Vec<Arc<Segment>>>,
    /// Bytes of the active segment; only of use until the directory is listed.
    active_bytes: u64,
    log_start_offset: AtomicU64,
    high_watermark: AtomicU64,
    /// Of all segments.
    bytes: AtomicU64,
    fail_stop: OnceLock<FailStop>,
}

/// What is known of a partition before its directory is listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) log_start_offset: Offset,
    pub(crate) high_watermark: Offset,
    /// Of all segments.
    pub(crate) bytes: u64,
    /// Of the active one.
    pub(crate) active_bytes: u64,
}

impl PartitionReader {
    /// A partition whose directory is listed later.
    pub(crate) fn unlisted(
        id: PartitionId,
        files: Arc<OpenFiles>,
        topic_dir: Arc<Path>,
        extent: Extent,
    ) -> Self {
        Self {
            id,
            files,
            topic_dir,
            segments: RwLock::default(),
            active_bytes: extent.active_bytes,
            log_start_offset: AtomicU64::new(extent.log_start_offset.0),
            high_watermark: AtomicU64::new(extent.high_watermark.0),
            bytes: AtomicU64::new(extent.bytes),
            fail_stop: OnceLock::new(),
        }
    }

    /// A partition with these segments.
    pub(crate) fn listed(
        id: PartitionId,
        files: Arc<OpenFiles>,
        topic_dir: Arc<Path>,
        segments: Vec<Arc<Segment>>,
        high_watermark: Offset,
        fail_stop: FailStop,
    ) -> Self {
        debug_assert!(!segments.is_empty(), "a partition has an active segment");
        let extent = Extent {
            log_start_offset: segments.first().map_or(high_watermark, |s| s.base_offset),
            high_watermark,
            bytes: segments.iter().map(|s| s.durable_bytes()).sum(),
            active_bytes: 0,
        };
        let reader = Self::unlisted(id, files, topic_dir, extent);
        Self {
            segments: RwLock::new(segments),
            fail_stop: OnceLock::from(fail_stop),
            ..reader
        }
    }

    /// Which partition this is.
    #[must_use]
    pub fn id(&self) -> PartitionId {
        self.id
    }

    pub(crate) fn dir(&self) -> PathBuf {
        data_dir::partition_dir(&self.topic_dir, self.id)
    }

    pub(crate) fn files(&self) -> &Arc<OpenFiles> {
        &self.files
    }

    /// The oldest readable offset.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        Offset(self.log_start_offset.load(Ordering::Acquire))
    }

    /// Everything below is durable and readable.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark.load(Ordering::Acquire))
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether a sync failed, so that nothing more is accepted until a restart.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.fail_stop.get().is_some_and(FailStop::is_set)
    }

    pub(crate) fn fail_stop(&self) -> &FailStop {
        self.fail_stop.get_or_init(FailStop::default)
    }

    /// Shows readers `bytes` more, up to `high_watermark`.
    pub(crate) fn advance(&self, high_watermark: Offset, bytes: u64) {
        debug_assert!(high_watermark >= self.high_watermark());
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.high_watermark
            .store(high_watermark.0, Ordering::Release);
    }

    /// All segments, oldest first, the active one last; never empty.
    pub(crate) fn segments(&self) -> Result<Vec<Arc<Segment>>, StorageError> {
        {
            let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
            if !segments.is_empty() {
                return Ok(segments.clone());
            }
        }
        let mut segments = self.segments_mut();
        if segments.is_empty() {
            *segments = self.list()?;
        }
        Ok(segments.clone())
    }

    fn segments_mut(&self) -> RwLockWriteGuard<'_, Vec<Arc<Segment>>> {
        self.segments
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self) -> Result<Vec<Arc<Segment>>, StorageError> {
        let fs = &**self.files.fs();
        let (dir, fail_stop) = (self.dir(), self.fail_stop());
        let mut bases = segment::bases_in(fs, &dir)?;
        let last = bases.pop().ok_or_else(|| StorageError::DamagedFile {
            path: dir.clone(),
            reason: "its segments are gone".to_owned(),
        })?;
        let sealed = |base| segment::find_sealed(fs, &dir, base, fail_stop);
        let mut segments = bases
            .into_iter()
            .map(sealed)
            .collect::<Result<Vec<_>, _>>()?;
        let path = segment::path_in(&dir, last).into_boxed_path();
        let file = LogFile::closed(path, fail_stop.clone());
        segments.push(Segment::last(last, file, self.active_bytes, None));
        Ok(segments)
    }

    pub(crate) fn push_segment(&self, segment: Arc<Segment>) {
        self.segments_mut().push(segment);
    }

    /// Takes the oldest segment away from readers; the active one stays.
    pub(crate) fn drop_oldest(&self) -> Option<Arc<Segment>> {
        let mut segments = self.segments_mut();
        let next_start = segments.get(1)?.base_offset;
        let oldest = segments.remove(0);
        segments.shrink_to_fit();
        self.log_start_offset.store(next_start.0, Ordering::Release);
        self.bytes
            .fetch_sub(oldest.durable_bytes(), Ordering::Relaxed);
        Some(oldest)
    }

    /// Gives back what [`PartitionReader::drop_oldest`] took.
    pub(crate) fn restore_oldest(&self, segment: Arc<Segment>) {
        self.log_start_offset
            .store(segment.base_offset.0, Ordering::Release);
        self.bytes
            .fetch_add(segment.durable_bytes(), Ordering::Relaxed);
        self.segments_mut().insert(0, segment);
    }

    /// Returns records from `from` (inclusive), or from the log start if that is later: at most
    /// what `limits` allow, at least one if there is any below the high watermark.
    ///
    /// Damaged lines are passed over and reported, never returned; so are offsets without a record.
    ///
    /// # Errors
    /// The file system's. Reading again may succeed.
    pub fn read(&self, from: Offset, limits: ReadLimits) -> Result<ReadBatch, StorageError> {
        let (lines, walked) = self.walk_twice::<Lines>(from, limits)?;
        Ok(ReadBatch::new(lines, walked))
    }

    /// Like [`PartitionReader::read`], but returns the lines as they are stored, newlines included,
    /// in as few pieces as possible.
    ///
    /// # Errors
    /// The file system's. Reading again may succeed.
    pub fn read_raw(&self, from: Offset, limits: ReadLimits) -> Result<RawBatch, StorageError> {
        let (runs, walked) = self.walk_twice::<Runs>(from, limits)?;
        Ok(RawBatch::new(runs, walked))
    }

    /// The offset of the first record that is not older than `time`; the high watermark if there is
    /// none. Reads a part of one segment, however many there are.
    ///
    /// # Errors
    /// The file system's. Asking again may succeed.
    pub fn offset_at(&self, time: Timestamp) -> Result<Offset, StorageError> {
        let high_watermark = self.high_watermark();
        let segments = self.segments()?;
        // Time never runs backwards in a partition.
        let (mut low, mut high) = (0, segments.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.newest_in(&segments[low..=middle])? {
                Some((at, timestamp)) if timestamp >= time => high = low + at,
                _ => low = middle + 1,
            }
        }
        let Some(segment) = segments.get(low) else {
            return Ok(high_watermark);
        };
        let from = segment.floor_of_time(&self.files, time)?;
        let file = segment.file().get(&self.files)?;
        let mut lines = LineScanner::new(&*file, from, segment.durable_bytes());
        while let Some(line) = lines.next_line().context("read", segment.path())? {
            match record::intact_place(line.bytes) {
                Some((offset, timestamp)) if timestamp >= time => {
                    return Ok(offset.min(high_watermark));
                }
                _ => {}
            }
        }
        Ok(high_watermark)
    }

    /// An offset that has at most `bytes` behind it, and hardly less if there are that many.
    pub(crate) fn offset_before_end(&self, bytes: u64) -> Result<Offset, StorageError> {
        let mut left = bytes;
        let mut behind = self.high_watermark();
        for segment in self.segments()?.iter().rev() {
            let length = segment.durable_bytes();
            if length > left {
                let position = FilePosition(length - left);
                let found = segment.ceiling(&self.files, position)?;
                return Ok(found.unwrap_or(behind));
            }
            left -= length;
            behind = segment.base_offset;
        }
        Ok(behind)
    }

    /// The last of `segments` that holds a record, and the time of its last one. One that holds
    /// none, because it is new or damaged, says nothing about those before it.
    fn newest_in(
        &self,
        segments: &[Arc<Segment>],
    ) -> Result<Option<(usize, Timestamp)>, StorageError> {
        for (at, segment) in segments.iter().enumerate().rev() {
            if let Some((_, timestamp)) = segment.last_place(&self.files)? {
                return Ok(Some((at, timestamp)));
            }
        }
        Ok(None)
    }
}
