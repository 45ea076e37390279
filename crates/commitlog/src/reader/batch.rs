//! What a read returns.

use crate::recovery::Finding;
use bytes::Bytes;
use std::ops::Range;
use weir_types::{Offset, OffsetRange, Timestamp};

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

/// Offsets that a read passed over because no readable record has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Which ones.
    pub range: OffsetRange,
    /// Why.
    pub reason: GapReason,
}

/// Why offsets are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// Retention or a purge removed the records.
    Trimmed,
    /// The records are there but damaged.
    Damaged,
    /// There never was a record, or it was lost without a trace; such records were never
    /// acknowledged, unless their topic's durability is less than `fsync`.
    Missing,
}

/// What a read passed and passed over.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) next_offset: Offset,
    pub(super) records: usize,
    pub(super) bytes: usize,
    /// Whether the limits were reached.
    pub(super) full: bool,
    pub(super) damage: Vec<Finding>,
    pub(super) gaps: Vec<Gap>,
}

/// What a read returned, record by record.
#[derive(Debug)]
pub struct ReadBatch {
    /// Records in order of offset.
    pub lines: Vec<StoredLine>,
    /// Where to read on: the offset after the last record, or after the gap behind it.
    pub next_offset: Offset,
    /// Damaged lines that were passed over.
    pub damage: Vec<Finding>,
    /// Offsets that were passed over, in order.
    pub gaps: Vec<Gap>,
}

/// What a read returned, as it is stored.
#[derive(Debug)]
pub struct RawBatch {
    /// Whole lines with their newlines, in order.
    pub runs: Vec<Bytes>,
    /// How many records that is.
    pub records: usize,
    /// Where to read on: the offset after the last record, or after the gap behind it.
    pub next_offset: Offset,
    /// Damaged lines that were passed over.
    pub damage: Vec<Finding>,
    /// Offsets that were passed over, in order.
    pub gaps: Vec<Gap>,
}

impl ReadBatch {
    pub(super) fn new(lines: Lines, walked: Walked) -> Self {
        Self {
            lines: lines.0,
            next_offset: walked.next_offset,
            damage: walked.damage,
            gaps: walked.gaps,
        }
    }
}

impl RawBatch {
    pub(super) fn new(runs: Runs, walked: Walked) -> Self {
        Self {
            runs: runs.finish(),
            records: walked.records,
            next_offset: walked.next_offset,
            damage: walked.damage,
            gaps: walked.gaps,
        }
    }
}

/// Takes the intact records of a walk. A line's range is without its newline.
pub(super) trait Sink: Default {
    fn take(&mut self, chunk: &Bytes, line: Range<usize>, offset: Offset, timestamp: Timestamp);
}

/// Keeps every line by itself.
#[derive(Default)]
pub(super) struct Lines(Vec<StoredLine>);

impl Sink for Lines {
    fn take(&mut self, chunk: &Bytes, line: Range<usize>, offset: Offset, timestamp: Timestamp) {
        self.0.push(StoredLine {
            offset,
            timestamp,
            bytes: chunk.slice(line),
        });
    }
}

/// Keeps neighbouring lines of a chunk together.
#[derive(Default)]
pub(super) struct Runs {
    whole: Vec<Bytes>,
    growing: Option<(Bytes, Range<usize>)>,
}

impl Sink for Runs {
    fn take(&mut self, chunk: &Bytes, line: Range<usize>, _: Offset, _: Timestamp) {
        let end = line.end + 1;
        match &mut self.growing {
            Some((of, run)) if of.as_ptr() == chunk.as_ptr() && run.end == line.start => {
                run.end = end;
            }
            _ => {
                self.close();
                self.growing = Some((chunk.clone(), line.start..end));
            }
        }
    }
}

impl Runs {
    fn close(&mut self) {
        let Some((chunk, run)) = self.growing.take() else {
            return;
        };
        match run.end <= chunk.len() {
            true => self.whole.push(chunk.slice(run)),
            // The last line of a segment whose newline is gone.
            false => {
                self.whole.push(chunk.slice(run.start..));
                self.whole.push(Bytes::from_static(b"\n"));
            }
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.close();
        self.whole
    }
}
