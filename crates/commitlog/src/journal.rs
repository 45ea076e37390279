//! The journal of one group in one partition: what it has finished and what came back.
//!
//! One JSON object a line, closed by the same checksum as a record. Every line is a change, and
//! all members are optional:
//!
//! | member | content |
//! |---|---|
//! | `journal` | number of this file, unique in the data directory; in its first line |
//! | `incarnation` | of the group in this partition; in the first line |
//! | `seek` | `{"to","incarnation"}`: all before is void, the group begins at `to` anew |
//! | `settings` | what was chosen for the group, see `weir_types::GroupSettings`; in partition 0 |
//! | `committed` | all offsets below are finished |
//! | `finished` | ranges `[start, end)` of finished offsets |
//! | `returned` | `{"offset","attempts","available_at","reason"}`: leases that ended without an ack; `available_at` is 2^64-1 for a message that a consumer refused for good |
//! | `dead_letters` | see [`DeadLetterIntent`]: messages on their way to the dead-letter topic |
//! | `crc` | see `checked_line` |
//!
//! A journal that has grown is replaced by a new file, with a new number, of one line that says the
//! same: from time to time, and by the round that makes it large.
//!
//! A damaged or torn line is passed over. What was finished in it is delivered again; none is lost.
//! - A dead-letter intent: the message is delivered again, and may come to the dead-letter topic twice.
//! - Settings: those of the line before hold, or the defaults.
//! - A seek would leave finished what was asked for again. So the round that seeks also compacts, and
//!   then `to` is the `committed` of the first line: without that the group begins at the start of
//!   the log. Only where the compaction failed, the seek depends on a line that others follow.

mod entry;
mod progress;

pub use entry::{DeadLetterIntent, JournalEntry, Returned, Seek};
pub use progress::Progress;

use crate::checked_line;
use crate::commit_log::LoggedFile;
use crate::error::{Context, StorageError};
use crate::fs::{self, FileSystem};
use crate::open_files::{FailStop, InUse, LogFile, OpenFiles};
use crate::recovery::{Finding, FindingKind};
use crate::written::Written;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use progress::Folded;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use weir_types::{BrokerStart, FilePosition, GroupName, GroupSettings, Incarnation, Offset};

const SUFFIX: &str = ".journal";
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// Names a journal file in the commit log. Unique in the data directory, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct JournalNumber(pub(crate) u64);

/// Gives out journal numbers: the broker's start and a count.
#[derive(Debug)]
pub(crate) struct JournalNumbers(u64);

impl JournalNumbers {
    pub(crate) fn of(start: BrokerStart) -> Self {
        Self(u64::from(start.0) << 32)
    }

    pub(crate) fn next(&mut self) -> JournalNumber {
        self.0 += 1;
        JournalNumber(self.0)
    }
}

/// What a journal is, apart from what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalIdentity {
    pub(crate) number: JournalNumber,
    /// Of the group in this partition.
    pub(crate) incarnation: Incarnation,
}

/// File name of a group's journal.
pub(crate) fn file_name(group: &GroupName) -> String {
    format!("{}{SUFFIX}", utf8_percent_encode(group.as_str(), KEPT))
}

/// The group a journal belongs to; `None` if the file is no journal.
pub(crate) fn group_of(file_name: &str) -> Option<GroupName> {
    let name = percent_decode_str(file_name.strip_suffix(SUFFIX)?)
        .decode_utf8()
        .ok()?;
    GroupName::parse(&name).ok()
}

/// Owns one journal file. Only the committing thread has it.
#[derive(Debug)]
pub(crate) struct Journal {
    files: Arc<OpenFiles>,
    file: Arc<LogFile>,
    identity: JournalIdentity,
    bytes: u64,
    /// What its whole meaning took when it was last written as one line.
    compacted_bytes: u64,
    /// Whether a seek may stand in it, instead of in its first line.
    has_seek: bool,
    /// A compaction failed: rounds try it again when the file has grown to this.
    put_off_until_bytes: u64,
    staged: Vec<u8>,
}

/// What a journal file holds.
pub(crate) struct ReadJournal {
    pub(crate) folded: Folded,
    bytes: u64,
    first_line_bytes: u64,
}

impl ReadJournal {
    /// Reads and folds a journal. A torn last line is cut.
    pub(crate) fn open(
        fs: &dyn FileSystem,
        path: &Path,
        findings: &mut Vec<Finding>,
    ) -> Result<Self, StorageError> {
        let content = fs::read_all(fs, path).context("read", path)?;
        let whole = memchr::memrchr(b'\n', &content).map_or(0, |at| at + 1);
        if whole < content.len() {
            let file = fs.open(path, fs::OpenMode::Existing);
            let file = file.context("open", path)?;
            file.set_len(whole as u64).context("cut", path)?;
        }
        let folded = Folded::of(&content[..whole]);
        if folded.damaged_lines > 0 {
            findings.push(Finding {
                path: path.to_owned(),
                position: FilePosition(0),
                kind: FindingKind::DamagedJournal {
                    lines: folded.damaged_lines,
                },
            });
        }
        let first_line = memchr::memchr(b'\n', &content).map_or(0, |at| at + 1);
        Ok(Self {
            folded,
            bytes: whole as u64,
            first_line_bytes: first_line as u64,
        })
    }
}

impl Journal {
    /// Creates the journal of a group that begins at `start`, synced. The caller syncs the
    /// directory.
    pub(crate) fn create(
        files: Arc<OpenFiles>,
        path: &Path,
        identity: JournalIdentity,
        settings: Option<&GroupSettings>,
        start: Offset,
    ) -> Result<(Self, Progress), StorageError> {
        let folded = Folded::beginning_at(start, settings);
        let line = folded.as_line(identity);
        let file = LogFile::create(&files, path.into(), FailStop::default())?;
        let written = file.get(&files)?.write_all_at(&line, 0);
        written.context("write to", path)?;
        file.sync(&files)?;
        let journal = Self {
            files,
            file,
            identity,
            bytes: line.len() as u64,
            compacted_bytes: line.len() as u64,
            has_seek: false,
            put_off_until_bytes: 0,
            staged: Vec::new(),
        };
        Ok((journal, folded.progress))
    }

    /// The journal that was read from `path`.
    pub(crate) fn resume(
        files: Arc<OpenFiles>,
        path: &Path,
        identity: JournalIdentity,
        read: &ReadJournal,
    ) -> Self {
        Self {
            file: LogFile::closed(path.into(), FailStop::default()),
            files,
            identity,
            bytes: read.bytes,
            compacted_bytes: read.first_line_bytes,
            has_seek: read.folded.has_seek,
            put_off_until_bytes: 0,
            staged: Vec::new(),
        }
    }

    /// Of the group in this partition.
    pub(crate) fn incarnation(&self) -> Incarnation {
        self.identity.incarnation
    }

    pub(crate) fn file(&self) -> &Arc<LogFile> {
        &self.file
    }

    /// Makes what an earlier start wrote durable.
    pub(crate) fn settle(&self) -> Result<(), StorageError> {
        self.file.sync(&self.files)
    }

    /// Encodes an entry for the round in hand; `lines` is what it is encoded into if it is the
    /// first one. Returns whether it was the first.
    pub(crate) fn stage(
        &mut self,
        entry: &JournalEntry,
        lines: impl FnOnce() -> Vec<u8>,
    ) -> Result<bool, StorageError> {
        if self.file.fail_stop().is_set() {
            return Err(StorageError::FailStopped {
                path: self.file.path().to_owned(),
            });
        }
        if entry.is_empty() {
            return Ok(false);
        }
        let first = self.staged.is_empty();
        if first {
            self.staged = lines();
        }
        self.has_seek |= entry.seek.is_some();
        entry.encode(None, &mut self.staged);
        Ok(first)
    }

    /// Writes what is staged. After an error nothing of it counts.
    pub(crate) fn write(&mut self) -> Result<Written, StorageError> {
        let lines = std::mem::take(&mut self.staged);
        let position = FilePosition(self.bytes);
        let in_use = InUse::of(&self.file);
        let file = in_use.get(&self.files)?;
        if let Err(refused) = file.write_all_at(&lines, self.bytes) {
            in_use.cut_back(&self.files, self.bytes);
            return Err(refused).context("write to", self.file.path());
        }
        self.bytes += lines.len() as u64;
        Ok(Written {
            file: in_use,
            logged: LoggedFile::Journal(self.identity.number),
            position,
            lines,
        })
    }

    /// Takes back what was written but did not become durable.
    pub(crate) fn take_back(&mut self, written: &Written) {
        self.bytes = written.position.0;
        written.cut(&self.files);
    }

    /// From time to time: compacts a journal that has grown to twice its meaning, and above
    /// `least_bytes`, or that holds a seek. Nothing staged may wait.
    pub(crate) fn compact_if_grown(
        &mut self,
        least_bytes: u64,
        numbers: &mut JournalNumbers,
    ) -> Result<(), StorageError> {
        match self.is_grown(least_bytes) {
            true => self.compact(numbers),
            false => Ok(()),
        }
    }

    /// After a round: as [`Self::compact_if_grown`], with larger `least_bytes`, for what cannot wait
    /// for that. A failure costs nothing but room.
    pub(crate) fn compact_at_once_if_grown(
        &mut self,
        least_bytes: u64,
        numbers: &mut JournalNumbers,
    ) {
        if self.bytes < self.put_off_until_bytes || !self.is_grown(least_bytes) {
            return;
        }
        if self.compact(numbers).is_err() {
            // Not again in every round; who maintains the topic is told of the failure.
            self.put_off_until_bytes = 2 * self.bytes;
        }
    }

    fn is_grown(&self, least_bytes: u64) -> bool {
        let most_bytes = least_bytes.max(2 * self.compacted_bytes);
        !self.file.fail_stop().is_set() && (self.has_seek || self.bytes > most_bytes)
    }

    /// Replaces the journal by one line that says the same.
    pub(crate) fn compact(&mut self, numbers: &mut JournalNumbers) -> Result<(), StorageError> {
        let (fs, path) = (self.files.fs().clone(), self.file.path().to_owned());
        let content = fs::read_all(&*fs, &path).context("read", &path)?;
        let folded = Folded::of(&content);
        let identity = JournalIdentity {
            number: numbers.next(),
            incarnation: folded.incarnation.unwrap_or(self.identity.incarnation),
        };
        let line = folded.as_line(identity);
        let replaced = crate::json_file::replace(&*fs, &path, &line);
        if replaced.as_ref().is_err_and(StorageError::is_failed_sync) {
            // The new file may be in place already: what went to the old one would be lost.
            self.file.fail(&self.files);
        }
        let fail_stop = self.file.fail_stop().clone();
        self.file = LogFile::opened(&self.files, path.into(), replaced?, fail_stop);
        self.identity = identity;
        self.bytes = line.len() as u64;
        self.compacted_bytes = self.bytes;
        (self.has_seek, self.put_off_until_bytes) = (false, 0);
        Ok(())
    }
}

/// The number in a journal's first line; `None` if it is damaged or not there.
pub(crate) fn number_in(
    fs: &dyn FileSystem,
    path: &Path,
) -> Result<Option<JournalNumber>, StorageError> {
    #[derive(Deserialize)]
    struct FirstLine {
        journal: JournalNumber,
    }
    let content = fs::read_all(fs, path).context("read", path)?;
    let first = content.split(|&b| b == b'\n').next();
    let first: Option<FirstLine> = first.and_then(checked_line::read);
    Ok(first.map(|line| line.journal))
}
