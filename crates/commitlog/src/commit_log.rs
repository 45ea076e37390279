//! The commit log: what makes a round durable with one write, however many files it touches.
//!
//! A round's bytes go into their plain files through the page cache, and together into one
//! [`frame`] here, which is durable when its write returns. The plain files are synced later, at a
//! checkpoint; until then the frames can write the same bytes again. Two parts of a fixed size take
//! turns: while one fills, the files whose bytes wait in the other are synced, and then it is used
//! anew. Nobody reads the commit log but [`replay`], after a crash.
//!
//! When a checkpoint's sync fails, the part that holds the bytes is kept as it is until the next
//! start, which replays it: what was acknowledged stays on the disk even though the plain file can
//! no longer be trusted.

mod aligned;
mod checkpoint;
mod frame;
mod replay;

pub use checkpoint::Checkpoint;
pub(crate) use frame::{Entry, FrameKey, LoggedFile};
pub(crate) use replay::{Replay, ReplayTarget};

use crate::error::{Context, StorageError};
use crate::fs::{BLOCK_BYTES, File, FileSystem};
use crate::open_files::{LogFile, OpenFiles};
use aligned::AlignedBuffer;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_types::BrokerStart;

/// How far a part is filled with zeros at once: writing to blocks that were written before is twice
/// as fast, and filling all of it at the first start would cost that start.
const FILL_BYTES: u64 = 256 * 1024;
/// Parts that may be kept because of failed syncs; after that, the commit log accepts nothing.
const MOST_KEPT_PARTS: u32 = 8;
const PREFIX: &str = "commit-";

/// The writing side. Only the committing thread has it.
#[derive(Debug)]
pub(crate) struct CommitLog {
    files: Arc<OpenFiles>,
    dir: PathBuf,
    part_bytes: u64,
    /// Two; `parts[current]` is written to.
    parts: Vec<Part>,
    current: usize,
    next: FrameKey,
    buffer: AlignedBuffer,
    kept_parts: u32,
    /// First frame of the oldest part that is kept.
    kept_from: Option<FrameKey>,
    failed: bool,
    written_bytes: u64,
    checkpoints: u64,
}

/// One file of the commit log.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    number: u32,
    file: Arc<dyn File>,
    /// Bytes that were ever written to.
    filled: u64,
    position: u64,
    /// First frame of this use of the part.
    first: FrameKey,
    state: PartState,
    /// Files with bytes in it.
    dirty: Vec<Arc<LogFile>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartState {
    Free,
    Current,
    /// Its checkpoint has not begun.
    Full,
    /// Its checkpoint was handed out.
    Checkpointing,
}

/// What a round adds to one file.
pub(crate) struct Addition<'a> {
    pub(crate) entry: Entry<'a>,
    pub(crate) file: &'a Arc<LogFile>,
}

impl CommitLog {
    /// Opens the parts in `dir`. The frames of earlier starts stay what they are until
    /// [`CommitLog::begin`].
    pub(crate) fn open(
        files: Arc<OpenFiles>,
        dir: PathBuf,
        part_bytes: u64,
        start: BrokerStart,
    ) -> Result<Self, StorageError> {
        let part_bytes = part_bytes.max(1).next_multiple_of(BLOCK_BYTES as u64);
        let mut log = Self {
            parts: Vec::new(),
            current: 0,
            next: FrameKey { start, number: 1 },
            buffer: AlignedBuffer::default(),
            kept_parts: 0,
            kept_from: None,
            failed: false,
            written_bytes: 0,
            checkpoints: 0,
            files,
            dir,
            part_bytes,
        };
        for number in 0..2 {
            let part = log.open_part(number)?;
            log.parts.push(part);
        }
        let fs = log.files.fs();
        fs.sync_dir(&log.dir).context("sync", &log.dir)?;
        Ok(log)
    }

    /// Makes all frames of earlier starts void: what they hold is in the plain files, durably, and
    /// so is every directory entry that leads to it.
    pub(crate) fn begin(&mut self) -> Result<(), StorageError> {
        for part in &mut self.parts {
            part.cut_to_blocks()?;
        }
        self.begin_part(0);
        self.write_frame(&[])?;
        let fs = self.files.fs().clone();
        self.remove_superfluous(&*fs)
    }

    /// Parts that a failed sync kept are of no use any more.
    fn remove_superfluous(&self, fs: &dyn FileSystem) -> Result<(), StorageError> {
        for (number, path) in part_paths(fs, &self.dir)? {
            if number >= 2 {
                fs.remove_file(&path).context("remove", &path)?;
            }
        }
        Ok(())
    }

    fn open_part(&self, number: u32) -> Result<Part, StorageError> {
        let path = self.dir.join(format!("{PREFIX}{number}"));
        let file = self.files.fs().open_write_through(&path);
        let file = file.context("open", &path)?;
        let filled = file.len().context("measure", &path)?;
        Ok(Part {
            path,
            number,
            file,
            filled,
            position: 0,
            first: self.next,
            state: PartState::Free,
            dirty: Vec::new(),
        })
    }

    /// Makes the additions durable; they are in their plain files already. Returns how many of them
    /// are, from the first one on, and what kept it from the others.
    ///
    /// After an error the next try may succeed (a full disk), unless the log
    /// [has failed](CommitLog::has_failed): then nobody knows whether the others are on the disk,
    /// and their files must accept nothing more.
    pub(crate) fn append(
        &mut self,
        additions: &[Addition<'_>],
    ) -> (usize, Result<(), StorageError>) {
        let most = usize::try_from(self.part_bytes / 4).unwrap_or(usize::MAX);
        let mut from = 0;
        while from < additions.len() {
            let until = end_of_frame(additions, from, most);
            if let Err(refused) = self.append_frame(&additions[from..until]) {
                return (from, Err(refused));
            }
            from = until;
        }
        (from, Ok(()))
    }

    /// Refuses what would be appended to a log that has failed.
    pub(crate) fn check_accepts(&self) -> Result<(), StorageError> {
        match self.failed {
            true => Err(StorageError::FailStopped {
                path: self.parts[self.current].path.clone(),
            }),
            false => Ok(()),
        }
    }

    fn append_frame(&mut self, additions: &[Addition<'_>]) -> Result<(), StorageError> {
        self.check_accepts()?;
        let entries: Vec<Entry<'_>> = additions.iter().map(|addition| addition.entry).collect();
        let length = frame::frame_bytes(&entries) as u64;
        let current = &self.parts[self.current];
        let crowded = 2 * current.dirty.len() >= self.files.most();
        if crowded || current.position + length > self.part_bytes.max(length) {
            self.turn_over()?;
        }
        self.fill_up_to(length)?;
        self.write_frame(&entries)?;
        let part = &mut self.parts[self.current];
        for addition in additions {
            if addition.file.mark_unsynced(part.turn()) {
                part.dirty.push(addition.file.clone());
            }
        }
        Ok(())
    }

    /// Writes zeros as far as the next frame reaches, and somewhat further. Beyond the last frame
    /// nothing is ever read, so a failure leaves all as it was.
    fn fill_up_to(&mut self, length: u64) -> Result<(), StorageError> {
        while self.parts[self.current].position + length > self.parts[self.current].filled {
            let zeros = usize::try_from(FILL_BYTES.min(self.part_bytes)).unwrap_or(BLOCK_BYTES);
            self.buffer.zeroed(zeros);
            let part = &mut self.parts[self.current];
            let written = part.file.write_all_at(self.buffer.bytes(), part.filled);
            written.context("write to", &part.path)?;
            part.filled += zeros as u64;
            self.written_bytes += zeros as u64;
        }
        Ok(())
    }

    fn write_frame(&mut self, entries: &[Entry<'_>]) -> Result<(), StorageError> {
        frame::encode(self.next, self.needed_from(), entries, &mut self.buffer);
        let part = &mut self.parts[self.current];
        let frame = self.buffer.bytes();
        if let Err(refused) = part.file.write_all_at(frame, part.position) {
            self.failed = true;
            self.files.note_failure(&part.path);
            return Err(refused).context("sync", &part.path);
        }
        part.position += frame.len() as u64;
        part.filled = part.filled.max(part.position);
        self.written_bytes += frame.len() as u64;
        self.next = self.next.next();
        Ok(())
    }

    /// The first frame whose bytes may be missing in their plain files.
    fn needed_from(&self) -> FrameKey {
        let busy = self
            .parts
            .iter()
            .filter(|part| part.state != PartState::Free);
        let busy = busy.map(|part| part.first).chain(self.kept_from);
        busy.min().unwrap_or(self.next)
    }

    /// The current part is full: the other one is next, when its files are synced.
    fn turn_over(&mut self) -> Result<(), StorageError> {
        self.parts[self.current].state = PartState::Full;
        let other = 1 - self.current;
        if self.parts[other].state != PartState::Free {
            // The checkpoint that was handed out has not come back: the files are synced here.
            let mut checkpoint = self.checkpoint_of(other);
            checkpoint.run();
            self.release(other, checkpoint.succeeded())?;
        }
        self.begin_part(other);
        Ok(())
    }

    fn begin_part(&mut self, index: usize) {
        self.current = index;
        let part = &mut self.parts[index];
        (part.state, part.position, part.first) = (PartState::Current, 0, self.next);
        debug_assert!(part.dirty.is_empty(), "a part begins without a past");
    }

    fn checkpoint_of(&self, index: usize) -> Checkpoint {
        let part = &self.parts[index];
        Checkpoint::new(part.turn(), part.dirty.clone(), self.files.clone())
    }

    /// The next checkpoint to run, on any thread; it comes back by [`CommitLog::finish`].
    pub(crate) fn take_checkpoint(&mut self) -> Option<Checkpoint> {
        let full = |part: &Part| part.state == PartState::Full;
        let index = self.parts.iter().position(full)?;
        self.parts[index].state = PartState::Checkpointing;
        Some(self.checkpoint_of(index))
    }

    /// Takes a checkpoint back that ran.
    pub(crate) fn finish(&mut self, checkpoint: &Checkpoint) -> Result<(), StorageError> {
        let awaited = |part: &Part| {
            part.state == PartState::Checkpointing && part.turn() == checkpoint.turn()
        };
        match self.parts.iter().position(awaited) {
            Some(index) => self.release(index, checkpoint.succeeded()),
            // It took too long, and the part was checkpointed without it.
            None => Ok(()),
        }
    }

    /// Everything in the part is in the plain files, durably; or it is kept for the next start.
    fn release(&mut self, index: usize, synced: bool) -> Result<(), StorageError> {
        let part = &mut self.parts[index];
        let dirty = std::mem::take(&mut part.dirty);
        part.state = PartState::Free;
        let (turn, first) = (part.turn(), part.first);
        let done = dirty.iter().filter(|file| !file.fail_stop().is_set());
        done.for_each(|file| file.clear_unsynced(turn));
        self.files.close_surplus();
        if synced {
            self.checkpoints += 1;
            return Ok(());
        }
        self.kept_from = Some(self.kept_from.map_or(first, |kept| kept.min(first)));
        self.kept_parts += 1;
        if self.kept_parts > MOST_KEPT_PARTS {
            self.failed = true;
            self.files.note_failure(&self.parts[index].path);
        }
        self.check_accepts()?;
        let number = self.parts.iter().map(|part| part.number).max().unwrap_or(1) + 1;
        let replaced = self.open_part(number).and_then(|part| {
            let fs = self.files.fs();
            fs.sync_dir(&self.dir).context("sync", &self.dir)?;
            Ok(part)
        });
        if replaced.is_err() {
            self.failed = true;
            self.files.note_failure(&self.dir);
        }
        self.parts[index] = replaced?;
        Ok(())
    }

    /// Syncs every file whose bytes wait here. The caller has taken back what it was handed.
    pub(crate) fn checkpoint_all(&mut self) -> Result<(), StorageError> {
        let mut result = Ok(());
        for index in 0..self.parts.len() {
            let mut checkpoint = self.checkpoint_of(index);
            checkpoint.run();
            let part = &mut self.parts[index];
            if checkpoint.succeeded() {
                let dirty = std::mem::take(&mut part.dirty);
                dirty
                    .iter()
                    .for_each(|file| file.clear_unsynced(part.turn()));
            }
            result = result.and(checkpoint.into_result());
        }
        result
    }

    /// Whether nothing more is accepted.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Bytes written since this start, zeros and padding included.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Checkpoints since this start.
    pub(crate) fn checkpoints(&self) -> u64 {
        self.checkpoints
    }
}

impl Part {
    /// Names this use of the part in its files' marks: unique in this start, and never 0.
    fn turn(&self) -> u64 {
        self.first.number
    }

    /// What is written to it begins at a block.
    fn cut_to_blocks(&mut self) -> Result<(), StorageError> {
        let odd = self.filled % BLOCK_BYTES as u64;
        if odd > 0 {
            self.filled -= odd;
            let cut = self.file.set_len(self.filled);
            cut.context("cut", &self.path)?;
        }
        Ok(())
    }
}

/// How many additions, from `from` on, go into one frame of about `most` bytes: at least one.
fn end_of_frame(additions: &[Addition<'_>], from: usize, most: usize) -> usize {
    let mut bytes = 0;
    let fits = |addition: &&Addition<'_>| {
        bytes += addition.entry.bytes.len();
        bytes <= most
    };
    let fitting = additions[from..].iter().take_while(fits).count();
    from + fitting.max(1)
}

/// The parts in `dir`, in order of number.
fn part_paths(fs: &dyn FileSystem, dir: &Path) -> Result<Vec<(u32, PathBuf)>, StorageError> {
    let names = fs.read_dir(dir).context("list", dir)?;
    let numbered = |(name, is_dir): &(String, bool)| {
        let number = name.strip_prefix(PREFIX)?.parse().ok()?;
        (!is_dir).then(|| (number, dir.join(name)))
    };
    let mut parts: Vec<_> = names.iter().filter_map(numbered).collect();
    parts.sort_unstable();
    Ok(parts)
}
