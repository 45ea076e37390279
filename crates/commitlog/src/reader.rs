//! The readable side of a partition: shared, never blocks the writer, sees exactly the records
//! between the log start offset and the high watermark.

use crate::checked_line;
use crate::error::{Context, StorageError};
use crate::fs::{self, File, FileSystem};
use crate::record;
use crate::recovery::{Finding, FindingKind};
use crate::segment::Segment;
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use weir_types::{FilePosition, Offset, PartitionId, Timestamp};

const FIRST_CHUNK_BYTES: usize = 64 * 1024;
const LARGEST_CHUNK_BYTES: usize = 1024 * 1024;

/// How much a read returns at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Records.
    pub max_records: usize,
    /// Bytes of lines; the first record is returned whatever its size.
    pub max_bytes: usize,
}

/// A record as it is stored: an intact line without its newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLine {
    /// Its offset.
    pub offset: Offset,
    /// When it was stored.
    pub timestamp: Timestamp,
    /// A JSON object, checksum included.
    pub bytes: Bytes,
}

/// What a read returned.
#[derive(Debug)]
pub struct ReadBatch {
    /// Records in order of offset.
    pub lines: Vec<StoredLine>,
    /// Where to read on: the offset after the last record, or after the damage behind it.
    pub next_offset: Offset,
    /// Damaged lines that were passed over.
    pub damage: Vec<Finding>,
    bytes: usize,
    /// Whether the limits were reached.
    full: bool,
}

impl ReadBatch {
    /// Takes the line unless that would exceed the limits; then the batch is full.
    fn take(&mut self, line: StoredLine, limits: ReadLimits) {
        let first = self.lines.is_empty();
        if !first && self.bytes + line.bytes.len() > limits.max_bytes {
            self.full = true;
            return;
        }
        self.bytes += line.bytes.len();
        self.next_offset = line.offset.next();
        self.lines.push(line);
        self.full = self.lines.len() >= limits.max_records || self.bytes >= limits.max_bytes;
    }
}

/// Reads one partition. Cheap to share; all methods may be called from any thread.
#[derive(Debug)]
pub struct PartitionReader {
    id: PartitionId,
    fs: Arc<dyn FileSystem>,
    /// In order of base offset, never empty; the last is the active one.
    segments: RwLock<Vec<Arc<Segment>>>,
    high_watermark: AtomicU64,
    failed: AtomicBool,
}

impl PartitionReader {
    pub(crate) fn new(
        id: PartitionId,
        fs: Arc<dyn FileSystem>,
        segments: Vec<Arc<Segment>>,
        high_watermark: Offset,
    ) -> Self {
        debug_assert!(!segments.is_empty(), "a partition has an active segment");
        Self {
            id,
            fs,
            segments: RwLock::new(segments),
            high_watermark: AtomicU64::new(high_watermark.0),
            failed: AtomicBool::new(false),
        }
    }

    /// Which partition this is.
    #[must_use]
    pub fn id(&self) -> PartitionId {
        self.id
    }

    /// The oldest readable offset.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments
            .first()
            .map_or(Offset::ZERO, |first| first.base_offset)
    }

    /// Everything below is durable and readable.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark.load(Ordering::Acquire))
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments()
            .iter()
            .map(|segment| segment.durable_bytes())
            .sum()
    }

    /// Whether a sync failed, so that nothing more is accepted until a restart.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    pub(crate) fn advance(&self, high_watermark: Offset) {
        debug_assert!(high_watermark >= self.high_watermark());
        self.high_watermark
            .store(high_watermark.0, Ordering::Release);
    }

    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn push_segment(&self, segment: Arc<Segment>) {
        self.segments
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(segment);
    }

    /// Takes the oldest segment away from readers; the active one stays.
    pub(crate) fn drop_oldest(&self) -> Option<Arc<Segment>> {
        let mut segments = self
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        (segments.len() > 1).then(|| segments.remove(0))
    }

    /// Gives back what [`PartitionReader::drop_oldest`] took.
    pub(crate) fn restore_oldest(&self, segment: Arc<Segment>) {
        self.segments
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(0, segment);
    }

    /// The segment that `offset` lies in, and where it ends.
    fn segment_of(&self, offset: Offset) -> Option<(Arc<Segment>, Option<Offset>)> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let after = segments.partition_point(|segment| segment.base_offset <= offset);
        let next_base = segments.get(after).map(|next| next.base_offset);
        let segment = segments.get(after.saturating_sub(1))?;
        Some((segment.clone(), next_base))
    }

    /// Returns records from `from` (inclusive), or from the log start if that is later: at most
    /// what `limits` allow, at least one if there is any below the high watermark.
    ///
    /// Damaged lines are passed over and reported, never returned.
    ///
    /// # Errors
    /// The file system's. Reading again may succeed.
    pub fn read(&self, from: Offset, limits: ReadLimits) -> Result<ReadBatch, StorageError> {
        match self.try_read(from, limits) {
            // Retention removed the segment between finding and opening it: read what is left.
            Err(StorageError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                self.try_read(from, limits)
            }
            result => result,
        }
    }

    fn try_read(&self, from: Offset, limits: ReadLimits) -> Result<ReadBatch, StorageError> {
        let high_watermark = self.high_watermark();
        let mut batch = ReadBatch {
            lines: Vec::new(),
            next_offset: from.max(self.log_start_offset()),
            damage: Vec::new(),
            bytes: 0,
            full: limits.max_records == 0,
        };
        while batch.next_offset < high_watermark && !batch.full {
            let Some((segment, next_base)) = self.segment_of(batch.next_offset) else {
                break;
            };
            let end = next_base.unwrap_or(high_watermark).min(high_watermark);
            self.read_segment(&segment, end, limits, &mut batch)?;
        }
        Ok(batch)
    }

    /// Reads from `segment` until `end`, the limits, or the end of the file.
    fn read_segment(
        &self,
        segment: &Segment,
        end: Offset,
        limits: ReadLimits,
        batch: &mut ReadBatch,
    ) -> Result<(), StorageError> {
        let file = segment.open(&*self.fs)?;
        let mut position = segment.floor(&*file, batch.next_offset)?;
        let mut chunk_bytes = FIRST_CHUNK_BYTES;
        let mut lines = LineTaker {
            segment,
            from: batch.next_offset,
            end,
            limits,
            damage_before: batch.damage.len(),
        };
        loop {
            let chunk = read_chunk(&*file, segment, position, chunk_bytes)?;
            let last_chunk = chunk.len() < chunk_bytes;
            let whole_lines = match chunk.iter().rposition(|&b| b == b'\n') {
                // Where the last newline of a sealed segment was hit, its line may still be intact.
                _ if last_chunk => chunk,
                Some(last_newline) => chunk.slice(..=last_newline),
                None => {
                    chunk_bytes *= 2;
                    continue;
                }
            };
            lines.take_all(&whole_lines, position, batch);
            if batch.full || batch.next_offset >= end {
                return Ok(());
            }
            if last_chunk {
                // What is missing up to `end` was damaged or never written.
                batch.next_offset = end;
                return Ok(());
            }
            position.0 += whole_lines.len() as u64;
            chunk_bytes = (chunk_bytes * 2).min(LARGEST_CHUNK_BYTES);
        }
    }
}

fn read_chunk(
    file: &dyn File,
    segment: &Segment,
    position: FilePosition,
    chunk_bytes: usize,
) -> Result<Bytes, StorageError> {
    let left = segment.durable_bytes().saturating_sub(position.0);
    let length = usize::try_from(left).unwrap_or(usize::MAX).min(chunk_bytes);
    let mut chunk = vec![0; length];
    let read = fs::read_full(file, &mut chunk, position.0).context("read", &segment.path)?;
    chunk.truncate(read);
    Ok(chunk.into())
}

/// Sorts the lines of a segment into wanted, passed over and damaged.
struct LineTaker<'a> {
    segment: &'a Segment,
    from: Offset,
    end: Offset,
    limits: ReadLimits,
    /// How much damage was found before this segment.
    damage_before: usize,
}

impl LineTaker<'_> {
    fn take_all(&mut self, chunk: &Bytes, position: FilePosition, batch: &mut ReadBatch) {
        let mut at = 0;
        while at < chunk.len() && !batch.full && batch.next_offset < self.end {
            let newline = chunk[at..].iter().position(|&b| b == b'\n');
            let line_end = newline.map_or(chunk.len(), |length| at + length);
            let line_position = FilePosition(position.0 + at as u64);
            self.take(chunk.slice(at..line_end), line_position, batch);
            at = line_end + 1;
        }
    }

    fn take(&mut self, line: Bytes, position: FilePosition, batch: &mut ReadBatch) {
        let checked = checked_line::check(&line);
        match (checked, record::place(&line)) {
            (Ok(()), Some((offset, _))) if offset >= self.end => batch.next_offset = self.end,
            (Ok(()), Some((offset, timestamp))) if offset >= batch.next_offset => {
                if offset == self.from {
                    self.forget_damage(batch);
                }
                let bytes = line;
                batch.take(
                    StoredLine {
                        offset,
                        timestamp,
                        bytes,
                    },
                    self.limits,
                );
            }
            (Ok(()), Some((offset, _))) if offset < self.from => self.forget_damage(batch),
            (checked, _) => batch
                .damage
                .push(damage(self.segment, position, checked.err())),
        }
    }

    /// Reading begins somewhat before `from`: damage there was reported to whoever read it.
    fn forget_damage(&self, batch: &mut ReadBatch) {
        batch.damage.truncate(self.damage_before);
    }
}

fn damage(
    segment: &Segment,
    position: FilePosition,
    mismatch: Option<checked_line::Mismatch>,
) -> Finding {
    let (expected, found) = mismatch.map_or_else(
        || ("of a record".to_owned(), "of another line".to_owned()),
        |mismatch| (mismatch.expected, mismatch.found),
    );
    Finding {
        path: segment.path.clone(),
        position,
        kind: FindingKind::DamagedLine { expected, found },
    }
}
