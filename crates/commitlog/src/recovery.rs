//! What opening a partition finds in its last segment, and what it does about it.
//!
//! Only an unterminated last line without a valid checksum, or trailing NULs, is cut: that is what
//! a crash in the middle of a write leaves. An unterminated last line with a valid checksum gets its
//! newline, also where one byte stands in its place. A terminated bad line is damage even at the
//! end: it stays, its offset is skipped.

use crate::checked_line;
use crate::error::{Context, StorageError};
use crate::fs::File;
use crate::index::{Place, SparseIndex};
use crate::open_files::{FailStop, LogFile, OpenFiles};
use crate::partition_log::Tail;
use crate::record;
use crate::scan::{LineScanner, ScannedLine};
use crate::segment::Segment;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_types::{FilePosition, Offset, Timestamp};

/// Something that opening a data directory found out of order. Reported, never hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub position: FilePosition,
    /// What it was, and what was done.
    pub kind: FindingKind,
}

/// Kinds of [`Finding`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// The rest of an interrupted write was cut. It was never acknowledged.
    TornTailCut {
        /// Bytes removed.
        bytes: u64,
    },
    /// The last line was whole but for its newline, which was added.
    NewlineRestored,
    /// A line does not fit its checksum; it stays in the file and is never served.
    DamagedLine {
        /// Checksum of the bytes that are there.
        expected: String,
        /// Checksum that the line carries.
        found: String,
    },
    /// A frame of the commit log was not written to its end, or was damaged later. What it held is
    /// in the plain files, unless the power failed too.
    UnreadableFrame,
    /// Lines of a group's journal do not fit their checksums: messages are delivered again.
    DamagedJournal {
        /// How many lines.
        lines: u64,
    },
    /// Offsets that no record carries.
    MissingRecords {
        /// First missing offset.
        from: Offset,
        /// First offset that is there again.
        until: Offset,
    },
}

impl FindingKind {
    /// The kind in one word, for counting.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::TornTailCut { .. } => "torn_tail",
            Self::NewlineRestored => "newline_restored",
            Self::DamagedLine { .. } => "damaged_line",
            Self::UnreadableFrame => "unreadable_frame",
            Self::DamagedJournal { .. } => "damaged_journal",
            Self::MissingRecords { .. } => "missing_records",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: ", self.path.display(), self.position)?;
        match &self.kind {
            FindingKind::TornTailCut { bytes } => {
                write!(f, "cut {bytes} bytes of an interrupted write")
            }
            FindingKind::NewlineRestored => f.write_str("restored the last line's newline"),
            FindingKind::DamagedLine { expected, found } => {
                write!(
                    f,
                    "damaged line, never served: checksum {expected} expected, {found} found"
                )
            }
            FindingKind::UnreadableFrame => {
                f.write_str("a frame of the commit log was interrupted or is damaged; passed over")
            }
            FindingKind::DamagedJournal { lines } => {
                write!(
                    f,
                    "{lines} damaged lines of a group's journal; messages may be delivered again"
                )
            }
            FindingKind::MissingRecords { from, until } => {
                write!(
                    f,
                    "no records with offsets {from} to {}",
                    until.0.saturating_sub(1)
                )
            }
        }
    }
}

/// The last segment of a partition, ready for appends.
pub(crate) struct RecoveredSegment {
    pub(crate) segment: Arc<Segment>,
    pub(crate) tail: Tail,
}

/// What a scan of all lines adds up to.
struct Scan<'a> {
    path: &'a Path,
    findings: &'a mut Vec<Finding>,
    index: SparseIndex,
    /// The lowest offset that a record in order may have here: the one after the last intact one.
    in_order: Offset,
    /// Exceeds every offset found, those that damaged lines may have had included.
    next_offset: Offset,
    first_timestamp: Option<Timestamp>,
    last_timestamp: Timestamp,
    /// End of the file as it should be.
    bytes: u64,
    newline_missing: bool,
}

/// Opens the last segment of a partition, checks every line of it and mends its tail.
///
/// # Errors
/// The file system's; the partition must then stay closed.
pub(crate) fn open_last_segment(
    files: &OpenFiles,
    path: &Path,
    base_offset: Offset,
    fail_stop: FailStop,
    findings: &mut Vec<Finding>,
) -> Result<RecoveredSegment, StorageError> {
    let log_file = LogFile::closed(path.into(), fail_stop);
    let file = log_file.get(files)?;
    let length = file.len().context("measure", path)?;
    let mut scan = Scan {
        path,
        findings,
        index: SparseIndex::default(),
        in_order: base_offset,
        next_offset: base_offset,
        first_timestamp: None,
        last_timestamp: Timestamp(0),
        bytes: 0,
        newline_missing: false,
    };
    let mut lines = LineScanner::new(&*file, FilePosition(0), length);
    while let Some(line) = lines.next_line().context("read", path)? {
        scan.take(&line);
    }
    scan.mend(&*file, length)?;
    // Also without a repair: a line that was written but not yet synced when the broker was
    // killed is about to be served, so it must not disappear in a power cut afterwards.
    log_file.sync(files)?;
    scan.index.cover(scan.bytes);
    let tail = Tail {
        active_base: base_offset,
        active_bytes: scan.bytes,
        first_timestamp: scan.first_timestamp,
        last_timestamp: scan.last_timestamp,
        next_offset: scan.next_offset,
    };
    let index = Some(scan.index);
    Ok(RecoveredSegment {
        segment: Segment::last(base_offset, log_file, tail.active_bytes, index),
        tail,
    })
}

impl Scan<'_> {
    fn take(&mut self, line: &ScannedLine<'_>) {
        let checked = checked_line::check(line.bytes);
        let place = record::place(line.bytes).filter(|&(offset, _)| offset >= self.in_order);
        match (checked, place) {
            (Ok(()), Some((offset, timestamp))) => self.take_record(line, offset, timestamp),
            (_, _) if !line.terminated => self.take_tail(line),
            (checked, _) => self.take_damage(line, checked.err()),
        }
    }

    fn take_record(&mut self, line: &ScannedLine<'_>, offset: Offset, timestamp: Timestamp) {
        if offset > self.next_offset {
            let kind = FindingKind::MissingRecords {
                from: self.next_offset,
                until: offset,
            };
            self.report(line.position, kind);
        }
        self.index.note(Place {
            offset,
            position: line.position,
            timestamp,
        });
        self.in_order = offset.next();
        self.next_offset = self.next_offset.max(self.in_order);
        self.first_timestamp.get_or_insert(timestamp);
        self.last_timestamp = timestamp.max(self.last_timestamp);
        self.newline_missing = !line.terminated;
        self.bytes = line.position.0 + line.bytes.len() as u64 + 1;
    }

    /// A whole record and one byte more: no write ends like that, its newline was damaged. Anything
    /// else is a torn tail; `bytes` stays before it.
    fn take_tail(&mut self, line: &ScannedLine<'_>) {
        let before = line.bytes.split_last().map(|(_, before)| before);
        let place = before.and_then(record::intact_place);
        let place = place.filter(|&(offset, _)| offset >= self.in_order);
        if let (Some(bytes), Some((offset, timestamp))) = (before, place) {
            self.take_record(&ScannedLine { bytes, ..*line }, offset, timestamp);
        }
    }

    /// A damaged line costs at least its own offset; where a newline was hit, it hides more.
    fn take_damage(&mut self, line: &ScannedLine<'_>, mismatch: Option<checked_line::Mismatch>) {
        let hidden = record::highest_legible_offset(line.bytes, self.next_offset);
        self.next_offset = hidden.unwrap_or(self.next_offset).next();
        self.bytes = line.position.0 + line.bytes.len() as u64 + 1;
        let (expected, found) = match mismatch {
            Some(mismatch) => (mismatch.expected, mismatch.found),
            None => (
                "of a record in order".to_owned(),
                "of another line".to_owned(),
            ),
        };
        self.report(line.position, FindingKind::DamagedLine { expected, found });
    }

    fn report(&mut self, position: FilePosition, kind: FindingKind) {
        self.findings.push(Finding {
            path: self.path.to_owned(),
            position,
            kind,
        });
    }

    fn mend(&mut self, file: &dyn File, length: u64) -> Result<(), StorageError> {
        if self.newline_missing {
            let at = self.bytes - 1;
            file.write_all_at(b"\n", at).context("mend", self.path)?;
            self.report(FilePosition(at), FindingKind::NewlineRestored);
        } else if length > self.bytes {
            file.set_len(self.bytes).context("cut", self.path)?;
            let kind = FindingKind::TornTailCut {
                bytes: length - self.bytes,
            };
            self.report(FilePosition(self.bytes), kind);
        }
        Ok(())
    }
}
