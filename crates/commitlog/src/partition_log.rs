//! The writing side of a partition: stages a round's records, writes them with one call, syncs,
//! and then shows them to readers.

use crate::error::{Context, StorageError};
use crate::fs::{File, FileSystem, OpenMode};
use crate::reader::PartitionReader;
use crate::record::RecordDraft;
use crate::recovery::{self, Finding, FindingKind, RecoveredSegment};
use crate::segment::{self, Segment, SparseIndex};
use crate::store::Appended;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_types::{FilePosition, Offset, PartitionId, Timestamp, TopicSettings};

/// Owns the active segment of one partition. Only the committing thread has it.
///
/// A round goes `stage`, `write`, `sync` (unless the topic's durability does without), `publish`.
/// Assigned offsets are given back if the write fails; after a failed sync the partition stops.
#[derive(Debug)]
pub(crate) struct PartitionLog {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    reader: Arc<PartitionReader>,
    active: Arc<Segment>,
    file: Arc<dyn File>,
    /// Bytes of the active segment that are written.
    bytes: u64,
    first_timestamp: Option<Timestamp>,
    last_timestamp: Timestamp,
    next_offset: Offset,
    staged: Staged,
}

/// The records of the round in hand.
#[derive(Debug, Default)]
struct Staged {
    first_offset: Offset,
    lines: Vec<u8>,
    /// Offset of each record and where it begins in `lines`.
    places: Vec<(Offset, usize)>,
}

impl PartitionLog {
    /// Creates an empty partition. The caller syncs `dir` and its parent.
    pub(crate) fn create(
        fs: Arc<dyn FileSystem>,
        dir: PathBuf,
        id: PartitionId,
    ) -> Result<Self, StorageError> {
        fs.create_dir(&dir).context("create", &dir)?;
        let start = Offset::ZERO;
        let empty = RecoveredSegment::fresh(&*fs, &dir, start)?;
        Ok(Self::assemble(fs, dir, id, Vec::new(), empty, start))
    }

    /// Opens a partition, checks its last segment and mends its tail. The next offset is at least
    /// `above`, the end of what the journals speak of.
    pub(crate) fn open(
        fs: Arc<dyn FileSystem>,
        dir: PathBuf,
        id: PartitionId,
        above: Offset,
        findings: &mut Vec<Finding>,
    ) -> Result<Self, StorageError> {
        let names = fs.read_dir(&dir).context("list", &dir)?;
        let mut bases: Vec<Offset> = names
            .iter()
            .filter_map(|(name, _)| segment::base_offset_of(name))
            .collect();
        bases.sort_unstable();
        let Some(last) = bases.pop() else {
            // Created but never finished, or emptied by hand: begin behind all that is known.
            let recovered = RecoveredSegment::fresh(&*fs, &dir, above)?;
            fs.sync_dir(&dir).context("sync", &dir)?;
            return Ok(Self::assemble(fs, dir, id, Vec::new(), recovered, above));
        };
        let sealed = bases
            .into_iter()
            .map(|base| sealed_segment(&*fs, &dir, base));
        let sealed = sealed.collect::<Result<Vec<_>, _>>()?;
        let path = segment::path_in(&dir, last);
        let mut recovered = recovery::open_last_segment(&*fs, &path, last, findings)?;
        if recovered.first_timestamp.is_none() {
            recovered.follow(&*fs, &sealed)?;
        }
        if above > recovered.next_offset {
            let kind = FindingKind::MissingRecords {
                from: recovered.next_offset,
                until: above,
            };
            findings.push(Finding {
                path,
                position: FilePosition(recovered.bytes),
                kind,
            });
        }
        Ok(Self::assemble(fs, dir, id, sealed, recovered, above))
    }

    fn assemble(
        fs: Arc<dyn FileSystem>,
        dir: PathBuf,
        id: PartitionId,
        mut segments: Vec<Arc<Segment>>,
        active: RecoveredSegment,
        above: Offset,
    ) -> Self {
        segments.push(active.segment.clone());
        let next_offset = active.next_offset.max(above);
        Self {
            reader: Arc::new(PartitionReader::new(id, fs.clone(), segments, next_offset)),
            fs,
            dir,
            active: active.segment,
            file: active.file,
            bytes: active.bytes,
            first_timestamp: active.first_timestamp,
            last_timestamp: active.last_timestamp,
            next_offset,
            staged: Staged::default(),
        }
    }

    pub(crate) fn reader(&self) -> &Arc<PartitionReader> {
        &self.reader
    }

    /// When the newest record was stored; 0 if there never was one.
    pub(crate) fn last_timestamp(&self) -> Timestamp {
        self.last_timestamp
    }

    /// Gives `records` their offsets and their time, which is never earlier than that of a record
    /// before them, and encodes them. Nothing is written yet.
    pub(crate) fn stage(
        &mut self,
        records: &[RecordDraft],
        now: Timestamp,
    ) -> Result<Appended, StorageError> {
        self.check_accepts()?;
        if self.staged.places.is_empty() {
            self.staged.first_offset = self.next_offset;
        }
        let timestamp = now.max(self.last_timestamp);
        let first_offset = self.next_offset;
        for record in records {
            self.staged
                .places
                .push((self.next_offset, self.staged.lines.len()));
            record.encode(self.next_offset, timestamp, &mut self.staged.lines);
            self.next_offset = self.next_offset.next();
        }
        self.last_timestamp = timestamp;
        self.first_timestamp.get_or_insert(timestamp);
        Ok(Appended {
            first_offset,
            count: records.len() as u64,
            timestamp,
        })
    }

    fn check_accepts(&self) -> Result<(), StorageError> {
        match self.reader.has_failed() {
            true => Err(StorageError::FailStopped {
                path: self.active.path.clone(),
            }),
            false => Ok(()),
        }
    }

    /// Writes what is staged, in a new segment if the active one is full. After an error nothing of
    /// it counts.
    pub(crate) fn write(&mut self, settings: &TopicSettings) -> Result<(), StorageError> {
        let written = self.try_write(settings);
        if written.is_err() {
            self.unstage();
        }
        written
    }

    fn try_write(&mut self, settings: &TopicSettings) -> Result<(), StorageError> {
        let staged_bytes = self.staged.lines.len() as u64;
        if self.bytes > 0 && self.bytes + staged_bytes > settings.segment_bytes.0 {
            self.roll(self.staged.first_offset)?;
        }
        if let Err(refused) = self.file.write_all_at(&self.staged.lines, self.bytes) {
            self.cut_after_failed_write();
            return Err(refused).context("write to", &self.active.path);
        }
        self.bytes += staged_bytes;
        Ok(())
    }

    /// Part of the write may be there; if it cannot be cut, the end of the file is unknown.
    fn cut_after_failed_write(&self) {
        if self.file.set_len(self.bytes).is_err() {
            self.reader.fail();
        }
    }

    fn unstage(&mut self) {
        if !self.staged.places.is_empty() {
            self.next_offset = self.staged.first_offset;
        }
        self.staged = Staged::default();
    }

    /// Makes what is written durable. After an error the partition accepts nothing more: what is
    /// on the disk is unknown, and asking again would only seem to help.
    pub(crate) fn sync(&mut self) -> Result<(), StorageError> {
        self.check_accepts()?;
        let synced = self.fail_stop(self.file.sync_data());
        if synced.is_err() {
            self.staged = Staged::default();
        }
        synced.context("sync", &self.active.path)
    }

    /// Shows readers what was staged and written; returns the new high watermark.
    pub(crate) fn publish(&mut self) -> Offset {
        let staged = std::mem::take(&mut self.staged);
        let start = self.bytes - staged.lines.len() as u64;
        let places = staged.places.iter();
        let places = places.map(|&(offset, at)| (offset, FilePosition(start + at as u64)));
        self.active.publish(self.bytes, places);
        self.reader.advance(self.next_offset);
        self.next_offset
    }

    /// Begins a new segment if the active one holds records as old as the settings' segment age.
    pub(crate) fn roll_if_aged(
        &mut self,
        settings: &TopicSettings,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let aged = |first: Timestamp| now.since(first) >= settings.segment_age.0;
        match self.first_timestamp.is_some_and(aged) && self.bytes > 0 {
            true => self
                .check_accepts()
                .and_then(|()| self.roll(self.next_offset)),
            false => Ok(()),
        }
    }

    /// Begins a new, empty segment at the end of the log.
    pub(crate) fn roll_for_purge(&mut self) -> Result<(), StorageError> {
        self.check_accepts()?;
        match self.bytes {
            0 => Ok(()),
            _ => self.roll(self.next_offset),
        }
    }

    /// Seals the active segment and begins the one with `base_offset`. The old file is synced
    /// before the new one appears: recovery checks only the last segment for a torn tail.
    fn roll(&mut self, base_offset: Offset) -> Result<(), StorageError> {
        self.fail_stop(self.file.sync_data())
            .context("sync", &self.active.path)?;
        let (segment, file) = new_segment(&*self.fs, &self.dir, base_offset)?;
        self.fail_stop(self.fs.sync_dir(&self.dir))
            .context("sync", &self.dir)?;
        self.reader.push_segment(segment.clone());
        let sealed = std::mem::replace(&mut self.active, segment);
        sealed.seal();
        self.file = file;
        self.bytes = 0;
        self.first_timestamp = (!self.staged.places.is_empty()).then_some(self.last_timestamp);
        Ok(())
    }

    /// After a failed sync nobody knows what is on the disk.
    fn fail_stop(&self, synced: io::Result<()>) -> io::Result<()> {
        if synced.is_err() {
            self.reader.fail();
        }
        synced
    }
}

impl RecoveredSegment {
    /// An empty segment that was never anything else.
    fn fresh(fs: &dyn FileSystem, dir: &Path, start: Offset) -> Result<Self, StorageError> {
        let (segment, file) = new_segment(fs, dir, start)?;
        Ok(Self {
            segment,
            file,
            bytes: 0,
            next_offset: start,
            first_timestamp: None,
            last_timestamp: Timestamp(0),
        })
    }

    /// Takes time and offsets on from the segments before it, as it has no record of its own.
    fn follow(&mut self, fs: &dyn FileSystem, sealed: &[Arc<Segment>]) -> Result<(), StorageError> {
        for segment in sealed.iter().rev() {
            if let Some((offset, timestamp)) = segment.last_place(fs)? {
                self.last_timestamp = timestamp;
                self.next_offset = self.next_offset.max(offset.next());
                return Ok(());
            }
        }
        Ok(())
    }
}

fn new_segment(
    fs: &dyn FileSystem,
    dir: &Path,
    base_offset: Offset,
) -> Result<(Arc<Segment>, Arc<dyn File>), StorageError> {
    let path = segment::path_in(dir, base_offset);
    let file = fs.open(&path, OpenMode::Fresh).context("create", &path)?;
    let segment = Segment::active(base_offset, path, file.clone(), 0, SparseIndex::complete());
    Ok((Arc::new(segment), file))
}

fn sealed_segment(
    fs: &dyn FileSystem,
    dir: &Path,
    base_offset: Offset,
) -> Result<Arc<Segment>, StorageError> {
    let path = segment::path_in(dir, base_offset);
    let bytes = fs.file_len(&path).context("measure", &path)?;
    Ok(Arc::new(Segment::sealed(base_offset, path, bytes)))
}
