//! The journal of one group in one partition: what it has finished and what came back.
//!
//! One JSON object a line, closed by the same checksum as a record. Every line is a change, and
//! all members are optional:
//!
//! | member | content |
//! |---|---|
//! | `journal` | number of this file, unique in the data directory; in its first line |
//! | `incarnation` | tells the group from an earlier one of its name; in its first line |
//! | `committed` | all offsets below are finished |
//! | `finished` | ranges `[start, end)` of finished offsets |
//! | `returned` | `{"offset","attempts","available_at","reason"}`: leases that ended without an ack |
//! | `crc` | see `checked_line` |
//!
//! A journal that has grown is replaced by a new file, with a new number, of one line that says the
//! same. A damaged or torn line is passed over: its messages are delivered again, none is lost.

use crate::checked_line;
use crate::commit_log::LoggedFile;
use crate::error::{Context, StorageError};
use crate::fs::{self, FileSystem};
use crate::open_files::{FailStop, InUse, LogFile, OpenFiles};
use crate::recovery::{Finding, FindingKind};
use crate::written::Written;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use weir_types::{
    BrokerStart, FilePosition, GroupName, Incarnation, Offset, OffsetRange, OffsetSet, Timestamp,
};

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
    pub(crate) group: Incarnation,
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

/// A message that was leased and came back unfinished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// Which message.
    pub offset: Offset,
    /// How many leases of it have ended without an ack.
    pub attempts: u32,
    /// It is not delivered again before this time.
    pub available_at: Timestamp,
    /// Why the consumer gave it back, if it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
}

/// A change of a group's progress in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalEntry {
    /// All offsets below are finished.
    pub committed: Option<Offset>,
    /// Further offsets that are finished.
    pub finished: Vec<OffsetRange>,
    /// Messages that came back.
    pub returned: Vec<Returned>,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(default, rename = "journal", skip_serializing_if = "Option::is_none")]
    number: Option<JournalNumber>,
    #[serde(
        default,
        rename = "incarnation",
        skip_serializing_if = "Option::is_none"
    )]
    group: Option<Incarnation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    committed: Option<Offset>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    finished: Vec<(Offset, Offset)>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    returned: Cow<'a, [Returned]>,
}

impl JournalEntry {
    /// Whether it changes nothing; such an entry is not written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.committed.is_none() && self.finished.is_empty() && self.returned.is_empty()
    }

    /// Appends the entry's line, newline included; the first line of a file tells its identity.
    fn encode(&self, identity: Option<JournalIdentity>, out: &mut Vec<u8>) {
        debug_assert!(!self.is_empty(), "a line has a member before its checksum");
        let line = Line {
            number: identity.map(|identity| identity.number),
            group: identity.map(|identity| identity.group),
            committed: self.committed,
            finished: self
                .finished
                .iter()
                .map(|range| (range.start, range.end))
                .collect(),
            returned: Cow::Borrowed(&self.returned),
        };
        checked_line::push(out, &line);
    }
}

impl Line<'_> {
    fn decode(line: &[u8]) -> Option<Line<'static>> {
        if !checked_line::is_intact(line) {
            return None;
        }
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        Some(Line {
            returned: Cow::Owned(line.returned.into_owned()),
            ..line
        })
    }

    fn identity(&self) -> Option<JournalIdentity> {
        let (number, group) = (self.number?, self.group?);
        Some(JournalIdentity { number, group })
    }

    fn into_entry(self) -> JournalEntry {
        let ranges = self.finished.iter();
        JournalEntry {
            committed: self.committed,
            finished: ranges
                .map(|&(start, end)| OffsetRange { start, end })
                .collect(),
            returned: self.returned.into_owned(),
        }
    }
}

/// Where a group stands in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// All offsets below are finished.
    pub committed: Offset,
    /// Finished offsets above it.
    pub finished: OffsetSet,
    /// Unfinished messages that came back at least once.
    pub returned: BTreeMap<Offset, Returned>,
}

impl Progress {
    /// Applies one change.
    pub fn apply(&mut self, entry: &JournalEntry) {
        if let Some(committed) = entry.committed {
            self.committed = committed;
        }
        for &range in &entry.finished {
            self.finished.insert(range);
            self.forget_returned(range);
        }
        self.settle();
        for returned in &entry.returned {
            if !self.is_finished(returned.offset) {
                self.returned.insert(returned.offset, returned.clone());
            }
        }
    }

    /// Whether the group is done with `offset`.
    #[must_use]
    pub fn is_finished(&self, offset: Offset) -> bool {
        offset < self.committed || self.finished.contains(offset)
    }

    /// How many offsets the group is done with.
    #[must_use]
    pub fn finished_records(&self) -> u64 {
        self.committed.0 + self.finished.len()
    }

    /// Moves the committed offset over what is finished right above it.
    fn settle(&mut self) {
        if let Some(range) = self.finished.range_of(self.committed) {
            self.committed = range.end;
        }
        self.finished.remove_below(self.committed);
        self.forget_returned(OffsetRange {
            start: Offset::ZERO,
            end: self.committed,
        });
    }

    fn forget_returned(&mut self, finished: OffsetRange) {
        while let Some((&offset, _)) = self.returned.range(finished.start..finished.end).next() {
            self.returned.remove(&offset);
        }
    }

    /// The offset after the highest that the group has seen.
    pub(crate) fn end(&self) -> Offset {
        let finished = self.finished.iter().next_back().map(|range| range.end);
        let returned = self.returned.keys().next_back().map(|offset| offset.next());
        self.committed
            .max(finished.unwrap_or_default())
            .max(returned.unwrap_or_default())
    }

    fn as_line(&self, identity: JournalIdentity) -> Vec<u8> {
        let mut line = Vec::new();
        self.as_entry().encode(Some(identity), &mut line);
        line
    }

    /// The one change that leads from nothing to here.
    fn as_entry(&self) -> JournalEntry {
        JournalEntry {
            committed: Some(self.committed),
            finished: self.finished.iter().collect(),
            returned: self.returned.values().cloned().collect(),
        }
    }
}

/// Owns one journal file. Only the committing thread has it.
#[derive(Debug)]
pub(crate) struct Journal {
    files: Arc<OpenFiles>,
    file: Arc<LogFile>,
    identity: JournalIdentity,
    bytes: u64,
    /// What its whole meaning took when it was last written as one line, or read.
    compacted_bytes: u64,
    staged: Vec<u8>,
}

/// What a journal file holds.
pub(crate) struct ReadJournal {
    /// `None` if its first line is damaged.
    pub(crate) identity: Option<JournalIdentity>,
    pub(crate) progress: Progress,
    bytes: u64,
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
        Ok(Self {
            identity: folded.identity,
            progress: folded.progress,
            bytes: whole as u64,
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
        start: Offset,
    ) -> Result<(Self, Progress), StorageError> {
        let progress = Progress {
            committed: start,
            ..Progress::default()
        };
        let line = progress.as_line(identity);
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
            staged: Vec::new(),
        };
        Ok((journal, progress))
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
            compacted_bytes: read.progress.as_line(identity).len() as u64,
            staged: Vec::new(),
        }
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

    /// Replaces a journal that has grown to twice its meaning, and above `least_bytes`, by one line
    /// that says the same. Nothing staged may wait.
    pub(crate) fn compact_if_grown(
        &mut self,
        least_bytes: u64,
        numbers: &mut JournalNumbers,
    ) -> Result<(), StorageError> {
        let compact_above = least_bytes.max(2 * self.compacted_bytes);
        match self.file.fail_stop().is_set() || self.bytes <= compact_above {
            true => Ok(()),
            false => self.compact(numbers),
        }
    }

    /// Replaces the journal by one line that says the same.
    pub(crate) fn compact(&mut self, numbers: &mut JournalNumbers) -> Result<(), StorageError> {
        let (fs, path) = (self.files.fs().clone(), self.file.path().to_owned());
        let content = fs::read_all(&*fs, &path).context("read", &path)?;
        let identity = JournalIdentity {
            number: numbers.next(),
            ..self.identity
        };
        let line = Folded::of(&content).progress.as_line(identity);
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
        Ok(())
    }
}

/// What all intact lines say together.
#[derive(Default)]
struct Folded {
    identity: Option<JournalIdentity>,
    progress: Progress,
    damaged_lines: u64,
}

impl Folded {
    fn of(content: &[u8]) -> Self {
        let mut folded = Self::default();
        let lines = content.split(|&b| b == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            match Line::decode(line) {
                Some(line) => {
                    folded.identity = line.identity().or(folded.identity);
                    folded.progress.apply(&line.into_entry());
                }
                None => folded.damaged_lines += 1,
            }
        }
        folded
    }
}

/// The number in a journal's first line; `None` if it is damaged or not there.
pub(crate) fn number_in(
    fs: &dyn FileSystem,
    path: &Path,
) -> Result<Option<JournalNumber>, StorageError> {
    let content = fs::read_all(fs, path).context("read", path)?;
    let first = content.split(|&b| b == b'\n').next();
    let identity = first
        .and_then(Line::decode)
        .and_then(|line| line.identity());
    Ok(identity.map(|identity| identity.number))
}
