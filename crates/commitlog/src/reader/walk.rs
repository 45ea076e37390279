//! The way of a read through the segments: chunk by chunk, line by line.

use super::PartitionReader;
use super::batch::{Gap, GapReason, ReadLimits, Sink, Walked};
use crate::checked_line::{self, Mismatch};
use crate::error::{Context, StorageError};
use crate::fs::{self, File};
use crate::record;
use crate::recovery::{Finding, FindingKind};
use crate::segment::Segment;
use bytes::Bytes;
use std::sync::{Arc, PoisonError};
use weir_types::{FilePosition, Offset, OffsetRange};

const FIRST_CHUNK_BYTES: usize = 64 * 1024;
const LARGEST_CHUNK_BYTES: usize = 1024 * 1024;

/// A segment, and the base offset of the one that follows.
struct Found {
    segment: Arc<Segment>,
    next_base: Option<Offset>,
}

impl PartitionReader {
    pub(super) fn walk_twice<S: Sink>(
        &self,
        from: Offset,
        limits: ReadLimits,
    ) -> Result<(S, Walked), StorageError> {
        match self.walk(from, limits) {
            // Retention removed the segment between finding and opening it: read what is left.
            Err(StorageError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                self.walk(from, limits)
            }
            result => result,
        }
    }

    fn walk<S: Sink>(&self, from: Offset, limits: ReadLimits) -> Result<(S, Walked), StorageError> {
        let high_watermark = self.high_watermark();
        let mut sink = S::default();
        let mut walked = Walked::begin(from, self.log_start_offset(), limits);
        while walked.next_offset < high_watermark && !walked.full {
            let Some(Found { segment, next_base }) = self.segment_of(walked.next_offset)? else {
                break;
            };
            let end = next_base.unwrap_or(high_watermark).min(high_watermark);
            self.walk_segment(&segment, end, limits, &mut walked, &mut sink)?;
        }
        Ok((sink, walked))
    }

    /// The segment that `offset` lies in.
    fn segment_of(&self, offset: Offset) -> Result<Option<Found>, StorageError> {
        let mut segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        if segments.is_empty() {
            drop(segments);
            self.segments()?;
            segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        }
        let after = segments.partition_point(|segment| segment.base_offset <= offset);
        let next_base = segments.get(after).map(|next| next.base_offset);
        let segment = segments.get(after.saturating_sub(1)).cloned();
        Ok(segment.map(|segment| Found { segment, next_base }))
    }

    /// Reads from `segment` until `end`, the limits, or the end of the file.
    fn walk_segment<S: Sink>(
        &self,
        segment: &Arc<Segment>,
        end: Offset,
        limits: ReadLimits,
        walked: &mut Walked,
        sink: &mut S,
    ) -> Result<(), StorageError> {
        let file = segment.file().get(&self.files)?;
        let mut position = segment.floor(&self.files, walked.next_offset)?;
        if position.0 > 0 && !leads_to(&*file, segment, position, walked.next_offset)? {
            position = FilePosition(0);
        }
        let mut chunk_bytes = FIRST_CHUNK_BYTES;
        let mut taker = LineTaker {
            segment,
            from: walked.next_offset,
            end,
            limits,
            damage_before: walked.damage.len(),
        };
        loop {
            let chunk = read_chunk(&*file, segment, position, chunk_bytes)?;
            let last_chunk = chunk.len() < chunk_bytes;
            let whole_lines = match memchr::memrchr(b'\n', &chunk) {
                // Where the last newline of a sealed segment was hit, its line may still be intact.
                _ if last_chunk => chunk,
                Some(last_newline) => chunk.slice(..=last_newline),
                None => {
                    chunk_bytes *= 2;
                    continue;
                }
            };
            taker.take_all(&whole_lines, position, walked, sink);
            if walked.full || walked.next_offset >= end {
                return Ok(());
            }
            if last_chunk {
                // What is missing up to `end` was damaged or never written.
                taker.pass_over(end, walked);
                return Ok(());
            }
            position.0 += whole_lines.len() as u64;
            chunk_bytes = (chunk_bytes * 2).min(LARGEST_CHUNK_BYTES);
        }
    }
}

impl Walked {
    fn begin(from: Offset, log_start_offset: Offset, limits: ReadLimits) -> Self {
        let next_offset = from.max(log_start_offset);
        let trimmed = OffsetRange {
            start: from,
            end: next_offset,
        };
        let reason = GapReason::Trimmed;
        let gap = (!trimmed.is_empty()).then_some(Gap {
            range: trimmed,
            reason,
        });
        Self {
            next_offset,
            records: 0,
            bytes: 0,
            full: limits.max_records == 0,
            damage: Vec::new(),
            gaps: gap.into_iter().collect(),
        }
    }
}

/// Whether at `position` begins an intact record at or before `offset`: an index that does not say
/// the truth costs time, never records.
fn leads_to(
    file: &dyn File,
    segment: &Segment,
    position: FilePosition,
    offset: Offset,
) -> Result<bool, StorageError> {
    let mut front = [0; 64];
    // One byte more: a record begins where a line begins.
    let read = fs::read_full(file, &mut front, position.0 - 1).context("read", segment.path())?;
    let line = front[..read].strip_prefix(b"\n");
    let found = line.and_then(record::place);
    Ok(found.is_some_and(|(found, _)| found >= segment.base_offset && found <= offset))
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
    let read = fs::read_full(file, &mut chunk, position.0).context("read", segment.path())?;
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
    fn take_all<S: Sink>(
        &mut self,
        chunk: &Bytes,
        position: FilePosition,
        walked: &mut Walked,
        sink: &mut S,
    ) {
        let mut at = 0;
        while at < chunk.len() && !walked.full && walked.next_offset < self.end {
            let newline = memchr::memchr(b'\n', &chunk[at..]);
            let line_end = newline.map_or(chunk.len(), |length| at + length);
            let line = &chunk[at..line_end];
            match (checked_line::check(line), record::place(line)) {
                (Ok(()), Some((offset, _))) if offset >= self.end => {
                    self.pass_over(self.end, walked);
                }
                (Ok(()), Some((offset, timestamp))) if offset >= walked.next_offset => {
                    if self.makes_room(line.len(), walked) {
                        self.pass_over(offset, walked);
                        walked.take(line.len(), offset, self.limits);
                        sink.take(chunk, at..line_end, offset, timestamp);
                    }
                }
                (Ok(()), Some((offset, _))) if offset < self.from => self.forget_damage(walked),
                (checked, _) => {
                    let position = FilePosition(position.0 + at as u64);
                    let found = damage(self.segment, position, checked.err());
                    walked.damage.push(found);
                }
            }
            at = line_end + 1;
        }
    }

    /// Whether the limits allow another line; if not, the walk is at its end.
    fn makes_room(&self, line_bytes: usize, walked: &mut Walked) -> bool {
        let fits = walked.records == 0 || walked.bytes + line_bytes <= self.limits.max_bytes;
        walked.full |= !fits;
        fits
    }

    /// Notes that no record between the last one and `offset` can be read.
    fn pass_over(&self, offset: Offset, walked: &mut Walked) {
        if offset == self.from {
            self.forget_damage(walked);
        }
        let range = OffsetRange {
            start: walked.next_offset,
            end: offset,
        };
        if range.is_empty() {
            return;
        }
        let reason = match walked.damage.len() > self.damage_before {
            true => GapReason::Damaged,
            false => GapReason::Missing,
        };
        walked.gaps.push(Gap { range, reason });
        walked.next_offset = offset;
    }

    /// Reading begins somewhat before `from`: damage there was reported to whoever read it.
    fn forget_damage(&self, walked: &mut Walked) {
        walked.damage.truncate(self.damage_before);
    }
}

impl Walked {
    fn take(&mut self, line_bytes: usize, offset: Offset, limits: ReadLimits) {
        self.bytes += line_bytes;
        self.records += 1;
        self.next_offset = offset.next();
        self.full = self.records >= limits.max_records || self.bytes >= limits.max_bytes;
    }
}

fn damage(segment: &Segment, position: FilePosition, mismatch: Option<Mismatch>) -> Finding {
    let (expected, found) = mismatch.map_or_else(
        || ("of a record".to_owned(), "of another line".to_owned()),
        |mismatch| (mismatch.expected, mismatch.found),
    );
    Finding {
        path: segment.path().to_owned(),
        position,
        kind: FindingKind::DamagedLine { expected, found },
    }
}
