//! The writing side of a partition: stages a round's records, writes them with one call, and, when
//! they are durable, shows them to readers.

use crate::commit_log::LoggedFile;
use crate::data_dir;
use crate::error::{Context, StorageError};
use crate::index::{INDEX_EVERY_BYTES, Place, SparseIndex};
use crate::open_files::{FailStop, InUse, LogFile, OpenFiles};
use crate::reader::{Extent, PartitionReader};
use crate::recent_ids::{First, IdHasher, RecentIds};
use crate::record::RecordDraft;
use crate::recovery::{self, Finding, FindingKind, RecoveredSegment};
use crate::segment::{self, Segment};
use crate::store::Appended;
use crate::written::Written;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use weir_types::{
    Durability, FilePosition, Incarnation, Offset, PartitionId, Timestamp, TopicSettings,
};

/// Owns the active segment of one partition. Only the committing thread has it.
///
/// A round goes `stage`, `write`, then whatever makes it durable, then `publish`; or `take_back`,
/// which gives the offsets back.
#[derive(Debug)]
pub(crate) struct PartitionLog {
    reader: Arc<PartitionReader>,
    topic: Incarnation,
    /// `None` until the partition is used for the first time after a clean stop.
    active: Option<Arc<Segment>>,
    tail: Tail,
    /// Made when it is needed for the first time: most partitions are quiet.
    staged: Option<Box<Staged>>,
}

/// Where the log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) active_base: Offset,
    /// Bytes of the active segment that are written.
    pub(crate) active_bytes: u64,
    /// When the active segment's first record was stored.
    pub(crate) first_timestamp: Option<Timestamp>,
    /// When the newest record was stored; 0 if there never was one.
    pub(crate) last_timestamp: Timestamp,
    pub(crate) next_offset: Offset,
}

/// The records of the round in hand.
#[derive(Debug, Default)]
struct Staged {
    first_offset: Offset,
    lines: Vec<u8>,
    /// Some of them, for the index: the position is the one in `lines`.
    places: Vec<Place>,
    /// Those of the round included. `None` if nobody knows: then the log is asked when a record
    /// comes with an id of its publisher.
    ids: Option<Box<RecentIds>>,
}

/// How records that were published before are recognised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dedupe {
    pub(crate) hasher: IdHasher,
    /// Zero: not at all.
    pub(crate) window: Duration,
}

impl Staged {
    /// Whether the record is there already, which `appended` then tells; else its id is noted as
    /// that of the record at `place`.
    fn is_duplicate(
        &mut self,
        record: &RecordDraft,
        dedupe: Dedupe,
        place: First,
        appended: &mut Appended,
    ) -> bool {
        let Some(ids) = self.ids.as_mut().filter(|_| record.dedupe) else {
            return false;
        };
        let hash = dedupe.hasher.hash(record.id.as_str().as_bytes());
        let Some(first) = ids.find(&hash) else {
            appended.forgotten_ids += u64::from(ids.insert(hash, place));
            return false;
        };
        appended.note_duplicate(first, record.payload.len());
        true
    }

    /// Forgets the records of the round.
    fn take_back(&mut self) {
        self.lines = Vec::new();
        self.places = Vec::new();
        if let Some(ids) = &mut self.ids {
            ids.forget_from(self.first_offset);
        }
    }

    fn note(&mut self, offset: Offset, timestamp: Timestamp) {
        let position = FilePosition(self.lines.len() as u64);
        let last = self.places.last().map(|place| place.position.0);
        if last.is_none_or(|last| position.0 >= last + INDEX_EVERY_BYTES) {
            self.places.push(Place {
                offset,
                position,
                timestamp,
            });
        }
    }
}

impl PartitionLog {
    /// Creates an empty partition. The caller syncs `dir` and its parent.
    pub(crate) fn create(
        files: &Arc<OpenFiles>,
        topic_dir: &Arc<Path>,
        topic: Incarnation,
        id: PartitionId,
    ) -> Result<Self, StorageError> {
        let dir = &data_dir::partition_dir(topic_dir, id);
        files.fs().create_dir(dir).context("create", dir)?;
        let empty = RecoveredSegment::fresh(files, dir, Offset::ZERO, FailStop::default())?;
        let sealed = Vec::new();
        Ok(Self::assemble(files, topic_dir, topic, id, sealed, empty))
    }

    /// A partition as the last clean stop left it. Nothing is opened or read.
    pub(crate) fn resume(
        files: &Arc<OpenFiles>,
        topic_dir: &Arc<Path>,
        topic: Incarnation,
        id: PartitionId,
        tail: Tail,
        extent: Extent,
    ) -> Self {
        let reader = PartitionReader::unlisted(id, files.clone(), topic_dir.clone(), extent);
        Self {
            reader: Arc::new(reader),
            topic,
            active: None,
            tail,
            staged: None,
        }
    }

    /// Opens a partition, checks its last segment and mends its tail. The next offset is at least
    /// `above`, the end of what else speaks of the partition.
    pub(crate) fn open(
        files: &Arc<OpenFiles>,
        topic_dir: &Arc<Path>,
        topic: Incarnation,
        id: PartitionId,
        above: Offset,
        findings: &mut Vec<Finding>,
    ) -> Result<Self, StorageError> {
        let (fs, dir) = (&**files.fs(), &data_dir::partition_dir(topic_dir, id));
        let fail_stop = FailStop::default();
        let mut bases = segment::bases_in(fs, dir)?;
        let Some(last) = bases.pop() else {
            // Created but never finished, or emptied by hand: begin behind all that is known.
            let fresh = RecoveredSegment::fresh(files, dir, above, fail_stop)?;
            fs.sync_dir(dir).context("sync", dir)?;
            return Ok(Self::assemble(
                files,
                topic_dir,
                topic,
                id,
                Vec::new(),
                fresh,
            ));
        };
        let find = |base| segment::find_sealed(fs, dir, base, &fail_stop);
        let sealed = bases.into_iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let path = segment::path_in(dir, last);
        let mut recovered =
            recovery::open_last_segment(files, &path, last, fail_stop.clone(), findings)?;
        if recovered.tail.first_timestamp.is_none() {
            recovered.follow(files, &sealed)?;
        }
        let missing = above > recovered.tail.next_offset;
        if missing {
            let kind = FindingKind::MissingRecords {
                from: recovered.tail.next_offset,
                until: above,
            };
            let position = FilePosition(recovered.tail.active_bytes);
            findings.push(Finding {
                path,
                position,
                kind,
            });
            recovered.tail.next_offset = above;
        }
        let mut log = Self::assemble(files, topic_dir, topic, id, sealed, recovered);
        if missing {
            // What knows of these offsets may be gone at the next start: a segment's name stays.
            log.roll(above, Durability::Fsync)?;
        }
        Ok(log)
    }

    fn assemble(
        files: &Arc<OpenFiles>,
        topic_dir: &Arc<Path>,
        topic: Incarnation,
        id: PartitionId,
        mut segments: Vec<Arc<Segment>>,
        active: RecoveredSegment,
    ) -> Self {
        segments.push(active.segment.clone());
        let fail_stop = active.segment.file().fail_stop().clone();
        let reader = PartitionReader::listed(
            id,
            files.clone(),
            topic_dir.clone(),
            segments,
            active.tail.next_offset,
            fail_stop,
        );
        Self {
            reader: Arc::new(reader),
            topic,
            active: Some(active.segment),
            tail: active.tail,
            staged: None,
        }
    }

    pub(crate) fn reader(&self) -> &Arc<PartitionReader> {
        &self.reader
    }

    /// The file that is written to; `None` before its first use after a clean stop.
    pub(crate) fn file(&self) -> Option<Arc<LogFile>> {
        self.active.as_ref().map(|active| active.file().clone())
    }

    pub(crate) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The segment that is written to; opens it on first use.
    fn active(&mut self) -> Result<Arc<Segment>, StorageError> {
        if let Some(active) = &self.active {
            return Ok(active.clone());
        }
        let segments = self.reader.segments()?;
        let last = segments.last().filter(|last| {
            last.base_offset == self.tail.active_base
                && last.durable_bytes() == self.tail.active_bytes
        });
        let last = last.cloned().ok_or_else(|| StorageError::DamagedFile {
            path: self.reader.dir(),
            reason: "its last segment has changed since the broker stopped".to_owned(),
        })?;
        last.revive(self.reader.files())?;
        self.active = Some(last.clone());
        Ok(last)
    }

    /// Gives `records` their offsets and their time, which is never earlier than that of a record
    /// before them, and encodes them, but for those that are there already. Nothing is written yet.
    /// `lines` is what they are encoded into if they are the first of the round. Returns also
    /// whether they were.
    pub(crate) fn stage(
        &mut self,
        records: &[RecordDraft],
        now: Timestamp,
        dedupe: Dedupe,
        lines: impl FnOnce() -> Vec<u8>,
    ) -> Result<(Appended, bool), StorageError> {
        self.check_accepts()?;
        let timestamp = now.max(self.tail.last_timestamp);
        let by_id = !dedupe.window.is_zero() && records.iter().any(|record| record.dedupe);
        if by_id {
            self.know_ids(dedupe, timestamp)?;
        }
        let staged = self.staged.get_or_insert_default();
        let (first, mut lines) = (staged.lines.is_empty(), Some(lines));
        let mut appended = Appended::nothing(self.tail.next_offset, timestamp);
        for record in records {
            let offset = self.tail.next_offset;
            let place = First { offset, timestamp };
            if by_id && staged.is_duplicate(record, dedupe, place, &mut appended) {
                continue;
            }
            if staged.lines.is_empty()
                && let Some(lines) = lines.take()
            {
                (staged.lines, staged.first_offset) = (lines(), offset);
            }
            staged.note(offset, timestamp);
            record.encode(offset, timestamp, &mut staged.lines);
            appended.note_stored(offset, timestamp);
            self.tail.next_offset = offset.next();
        }
        if appended.count > 0 {
            self.tail.last_timestamp = timestamp;
        }
        Ok((appended, first && appended.count > 0))
    }

    /// Makes sure that the ids of the window are known, and forgets older ones.
    fn know_ids(&mut self, dedupe: Dedupe, now: Timestamp) -> Result<(), StorageError> {
        let staged = self.staged.get_or_insert_default();
        let known = staged.ids.take();
        let mut ids = match known.filter(|ids| ids.window() >= dedupe.window) {
            Some(ids) => ids,
            None => Box::new(RecentIds::load(
                &self.reader,
                dedupe.window,
                now,
                dedupe.hasher,
            )?),
        };
        ids.narrow(dedupe.window);
        ids.forget_old(now);
        staged.ids = Some(ids);
        Ok(())
    }

    /// Gives back the memory of ids that are older than the window, at `now` or the newest record.
    pub(crate) fn forget_old_ids(&mut self, now: Timestamp) {
        let now = now.max(self.tail.last_timestamp);
        if let Some(ids) = self.staged.as_mut().and_then(|staged| staged.ids.as_mut()) {
            ids.forget_old(now);
            ids.shrink();
        }
    }

    fn check_accepts(&self) -> Result<(), StorageError> {
        match self.reader.has_failed() {
            true => Err(StorageError::FailStopped {
                path: self.reader.dir(),
            }),
            false => Ok(()),
        }
    }

    /// Writes what is staged, in a new segment if the active one is full. After an error nothing of
    /// it counts.
    pub(crate) fn write(&mut self, settings: &TopicSettings) -> Result<Written, StorageError> {
        let written = self.try_write(settings);
        if written.is_err() {
            self.unstage();
        }
        written
    }

    fn try_write(&mut self, settings: &TopicSettings) -> Result<Written, StorageError> {
        let mut active = self.active()?;
        let staged = self.staged.get_or_insert_default();
        let (first_offset, lines) = (staged.first_offset, std::mem::take(&mut staged.lines));
        let staged_bytes = lines.len() as u64;
        let full = self.tail.active_bytes + staged_bytes > settings.segment_bytes.0;
        if full && self.tail.active_bytes > 0 {
            active = self.roll(first_offset, settings.durability)?;
        }
        let position = FilePosition(self.tail.active_bytes);
        let written = Written {
            file: InUse::of(active.file()),
            logged: LoggedFile::Segment {
                topic: self.topic,
                partition: self.reader.id(),
                base_offset: active.base_offset,
            },
            position,
            lines,
        };
        let file = written.file.get(self.reader.files())?;
        if let Err(refused) = file.write_all_at(&written.lines, position.0) {
            // Part of the write may be there.
            written.cut(self.reader.files());
            return Err(refused).context("write to", active.path());
        }
        self.tail.active_bytes += staged_bytes;
        let timestamp = self.tail.last_timestamp;
        self.tail.first_timestamp.get_or_insert(timestamp);
        Ok(written)
    }

    fn unstage(&mut self) {
        if let Some(staged) = &mut self.staged {
            self.tail.next_offset = staged.first_offset;
            staged.take_back();
        }
    }

    /// Takes back what was written but did not become durable.
    pub(crate) fn take_back(&mut self, written: &Written) {
        self.tail.active_bytes = written.position.0;
        if self.tail.active_bytes == 0 {
            self.tail.first_timestamp = None;
        }
        written.cut(self.reader.files());
        self.unstage();
    }

    /// Shows readers what was staged and written.
    pub(crate) fn publish(&mut self, written: &Written) {
        let start = written.position.0;
        if let (Some(active), Some(staged)) = (&self.active, &mut self.staged) {
            let places = staged.places.drain(..).map(|place| Place {
                position: FilePosition(start + place.position.0),
                ..place
            });
            active.publish(self.tail.active_bytes, places);
        }
        let bytes = written.lines.len() as u64;
        self.reader.advance(self.tail.next_offset, bytes);
    }

    /// Begins a new segment if the active one holds records as old as the settings' segment age.
    pub(crate) fn roll_if_aged(
        &mut self,
        settings: &TopicSettings,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let aged = |first: Timestamp| now.since(first) >= settings.segment_age.0;
        match self.tail.first_timestamp.is_some_and(aged) && self.tail.active_bytes > 0 {
            true => self.roll_now(settings.durability),
            false => Ok(()),
        }
    }

    /// Begins a new, empty segment at the end of the log.
    pub(crate) fn roll_for_purge(&mut self, durability: Durability) -> Result<(), StorageError> {
        // What is purged may be published anew.
        if let Some(staged) = &mut self.staged {
            staged.ids = None;
        }
        match self.tail.active_bytes {
            0 => self.check_accepts(),
            _ => self.roll_now(durability),
        }
    }

    fn roll_now(&mut self, durability: Durability) -> Result<(), StorageError> {
        self.check_accepts()?;
        self.active()?;
        self.roll(self.tail.next_offset, durability).map(drop)
    }

    /// Seals the active segment and begins the one with `base_offset`.
    ///
    /// Recovery checks only the last segment for a torn tail: what is sealed must not be torn. With
    /// `fsync` all of it is durable or in the commit log; otherwise it is synced first.
    fn roll(
        &mut self,
        base_offset: Offset,
        durability: Durability,
    ) -> Result<Arc<Segment>, StorageError> {
        let files = self.reader.files().clone();
        let (fs, dir) = (files.fs(), &self.reader.dir());
        if let Some(active) = &self.active
            && durability != Durability::Fsync
        {
            active.file().sync(&files)?;
            active.file().clear_unsynced(LogFile::UNLOGGED);
        }
        let fail_stop = self.reader.fail_stop();
        let segment = new_segment(&files, dir, base_offset, fail_stop.clone())?;
        if let Err(refused) = fs.sync_dir(dir) {
            fail_stop.set();
            files.note_failure(dir);
            return Err(refused).context("sync", dir);
        }
        self.reader.push_segment(segment.clone());
        if let Some(sealed) = self.active.replace(segment.clone()) {
            sealed.seal(&files);
        }
        self.tail.active_base = base_offset;
        self.tail.active_bytes = 0;
        self.tail.first_timestamp = None;
        Ok(segment)
    }

    /// What came before the active segment is about to go: if that one is empty, nothing would be
    /// left that knows how late it is. As far as the disk allows; trimming must work on a full one.
    pub(crate) fn keep_time(&self) {
        let (tail, files) = (&self.tail, self.reader.files());
        let Some(last) = tail.next_offset.0.checked_sub(1).map(Offset) else {
            return;
        };
        if tail.active_bytes == 0 {
            let path = segment::index_path_in(&self.reader.dir(), tail.active_base);
            let index = SparseIndex::behind((last, tail.last_timestamp));
            let saved = index.save(&**files.fs(), &path);
            let _best_effort = saved.map(|file| file.sync_data());
        }
    }

    /// Keeps the index of the active segment for the next start.
    pub(crate) fn save_index(&self) {
        if let Some(active) = &self.active {
            active.save_index(self.reader.files());
        }
    }
}

impl RecoveredSegment {
    /// An empty segment that was never anything else.
    fn fresh(
        files: &OpenFiles,
        dir: &Path,
        start: Offset,
        fail_stop: FailStop,
    ) -> Result<Self, StorageError> {
        let segment = new_segment(files, dir, start, fail_stop)?;
        let tail = Tail {
            active_base: start,
            active_bytes: 0,
            first_timestamp: None,
            last_timestamp: Timestamp(0),
            next_offset: start,
        };
        Ok(Self { segment, tail })
    }

    /// Takes time and offsets on from what was before it, as it has no record of its own.
    fn follow(&mut self, files: &OpenFiles, sealed: &[Arc<Segment>]) -> Result<(), StorageError> {
        for segment in sealed.iter().rev() {
            if let Some((offset, timestamp)) = segment.last_place(files)? {
                self.tail.last_timestamp = timestamp;
                self.tail.next_offset = self.tail.next_offset.max(offset.next());
                return Ok(());
            }
        }
        let (fs, path) = (&**files.fs(), self.segment.index_path());
        let index = SparseIndex::load(fs, &path, self.tail.active_bytes);
        if let Some((offset, timestamp)) = index.and_then(|index| index.last()) {
            self.tail.last_timestamp = timestamp;
            self.tail.next_offset = self.tail.next_offset.max(offset.next());
        }
        Ok(())
    }
}

fn new_segment(
    files: &OpenFiles,
    dir: &Path,
    base_offset: Offset,
    fail_stop: FailStop,
) -> Result<Arc<Segment>, StorageError> {
    let path = segment::path_in(dir, base_offset).into_boxed_path();
    let file = LogFile::create(files, path, fail_stop)?;
    let index = Some(SparseIndex::default());
    Ok(Segment::last(base_offset, file, 0, index))
}
