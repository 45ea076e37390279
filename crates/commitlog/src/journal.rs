//! The journal of one group in one partition: what it has finished and what came back.
//!
//! One JSON object a line, closed by the same checksum as a record. Every line is a change, and
//! all members are optional:
//!
//! | member | content |
//! |---|---|
//! | `committed` | all offsets below are finished |
//! | `finished` | ranges `[start, end)` of finished offsets |
//! | `returned` | `{"offset","attempts","available_at","reason"}`: leases that ended without an ack |
//! | `crc` | see `checked_line` |
//!
//! A journal that has grown is replaced by one line that says the same. A damaged or torn line is
//! passed over: its messages are delivered again, none is lost.

use crate::checked_line;
use crate::error::{Context, StorageError};
use crate::fs::{self, File, FileSystem, OpenMode};
use crate::recovery::{Finding, FindingKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use weir_types::{FilePosition, GroupName, Offset, OffsetRange, OffsetSet, Timestamp};

const SUFFIX: &str = ".journal";
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');
/// A journal smaller than this is never compacted.
const COMPACT_ABOVE_BYTES: u64 = 64 * 1024;

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

    /// Appends the entry's line, newline included.
    fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(!self.is_empty(), "a line has a member before its checksum");
        let start = out.len();
        let line = Line {
            committed: self.committed,
            finished: self
                .finished
                .iter()
                .map(|range| (range.start, range.end))
                .collect(),
            returned: Cow::Borrowed(&self.returned),
        };
        // Numbers and texts always serialize, and a Vec always takes them.
        let _infallible = serde_json::to_writer(&mut *out, &line);
        out.pop(); // The closing brace comes with the checksum.
        checked_line::seal(out, start);
    }

    fn decode(line: &[u8]) -> Option<Self> {
        if !checked_line::is_intact(line) {
            return None;
        }
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        Some(Self {
            committed: line.committed,
            finished: line
                .finished
                .iter()
                .map(|&(start, end)| OffsetRange { start, end })
                .collect(),
            returned: line.returned.into_owned(),
        })
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

    fn as_line(&self) -> Vec<u8> {
        let mut line = Vec::new();
        self.as_entry().encode(&mut line);
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
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    file: Arc<dyn File>,
    bytes: u64,
    compact_above: u64,
    staged: Vec<u8>,
    failed: bool,
}

impl Journal {
    /// Creates the journal of a group that begins at `start`, synced. The caller syncs the
    /// directory.
    pub(crate) fn create(
        fs: Arc<dyn FileSystem>,
        path: PathBuf,
        start: Offset,
    ) -> Result<(Self, Progress), StorageError> {
        let progress = Progress {
            committed: start,
            ..Progress::default()
        };
        let file = fs.open(&path, OpenMode::Fresh).context("create", &path)?;
        let mut journal = Self::on(fs, path, file, 0);
        journal.stage(&progress.as_entry())?;
        journal.write()?;
        journal.sync()?;
        Ok((journal, progress))
    }

    /// Opens a journal and folds it. A torn last line is cut.
    pub(crate) fn open(
        fs: Arc<dyn FileSystem>,
        path: PathBuf,
        findings: &mut Vec<Finding>,
    ) -> Result<(Self, Progress), StorageError> {
        let content = fs::read_all(&*fs, &path).context("read", &path)?;
        let file = fs.open(&path, OpenMode::Existing).context("open", &path)?;
        let whole = content
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1);
        if whole < content.len() {
            file.set_len(whole as u64).context("cut", &path)?;
        }
        file.sync_data().context("sync", &path)?;
        let (progress, damaged_lines) = fold(&content[..whole]);
        if damaged_lines > 0 {
            findings.push(Finding {
                path: path.clone(),
                position: FilePosition(0),
                kind: FindingKind::DamagedJournal {
                    lines: damaged_lines,
                },
            });
        }
        let mut journal = Self::on(fs, path, file, whole as u64);
        journal.compact_above = compact_above(progress.as_line().len());
        Ok((journal, progress))
    }

    fn on(fs: Arc<dyn FileSystem>, path: PathBuf, file: Arc<dyn File>, bytes: u64) -> Self {
        Self {
            fs,
            path,
            file,
            bytes,
            compact_above: COMPACT_ABOVE_BYTES,
            staged: Vec::new(),
            failed: false,
        }
    }

    pub(crate) fn stage(&mut self, entry: &JournalEntry) -> Result<(), StorageError> {
        self.check_accepts()?;
        if !entry.is_empty() {
            entry.encode(&mut self.staged);
        }
        Ok(())
    }

    fn check_accepts(&self) -> Result<(), StorageError> {
        match self.failed {
            true => Err(StorageError::FailStopped {
                path: self.path.clone(),
            }),
            false => Ok(()),
        }
    }

    pub(crate) fn write(&mut self) -> Result<(), StorageError> {
        let staged = std::mem::take(&mut self.staged);
        if let Err(refused) = self.file.write_all_at(&staged, self.bytes) {
            self.failed = self.file.set_len(self.bytes).is_err();
            return Err(refused).context("write to", &self.path);
        }
        self.bytes += staged.len() as u64;
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<(), StorageError> {
        self.check_accepts()?;
        let synced = self.file.sync_data();
        self.failed |= synced.is_err();
        synced.context("sync", &self.path)
    }

    /// Replaces a journal that has grown by one line that says the same. Nothing staged may wait.
    pub(crate) fn compact_if_grown(&mut self) -> Result<(), StorageError> {
        if self.failed || self.bytes <= self.compact_above {
            return Ok(());
        }
        let content = fs::read_all(&*self.fs, &self.path).context("read", &self.path)?;
        let (progress, _) = fold(&content);
        let line = progress.as_line();
        let replaced = crate::json_file::replace(&*self.fs, &self.path, &line);
        // The new file may be in place already: what went to the old one would be lost.
        self.failed = replaced.as_ref().is_err_and(StorageError::is_failed_sync);
        self.file = replaced?;
        self.bytes = line.len() as u64;
        self.compact_above = compact_above(line.len());
        Ok(())
    }
}

/// Size at which a journal is compacted whose whole meaning takes `compacted_bytes`.
fn compact_above(compacted_bytes: usize) -> u64 {
    COMPACT_ABOVE_BYTES.max(2 * compacted_bytes as u64)
}

/// Folds all intact lines; also counts the others.
fn fold(content: &[u8]) -> (Progress, u64) {
    let mut progress = Progress::default();
    let mut damaged = 0;
    for line in content
        .split(|&b| b == b'\n')
        .filter(|line| !line.is_empty())
    {
        match JournalEntry::decode(line) {
            Some(entry) => progress.apply(&entry),
            None => damaged += 1,
        }
    }
    (progress, damaged)
}
