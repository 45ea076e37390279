//! A disk in memory that fails, fills up, loses power and remembers what was asked of it.
//!
//! It keeps what was written apart from what was synced, for the content of each file and for the
//! entries of each directory. [`FaultyDisk::cut_power`] is the disk as it may be found afterwards;
//! [`FaultyDisk::kill`] is what another process finds. As on Linux, a sync that failed is not made
//! good by a later one that succeeds: what waited for it stays at risk.
//!
//! A rename is one step, also between directories, and durable when either of them is synced.

mod fault;
mod node;
mod tree;

pub use fault::{Call, Event, Fault};

use crate::fs::{BLOCK_BYTES, DirectoryLock, File, FileSystem, OpenMode};
use fault::Faults;
use node::NodeId;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tree::Tree;

/// The disk; clones share it. See the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    tree: Tree,
    faults: Faults,
    events: Vec<Event>,
    capacity_bytes: Option<u64>,
    locked: Vec<PathBuf>,
}

impl FaultyDisk {
    /// An empty, healthy disk without end.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_tree(tree: Tree, capacity_bytes: Option<u64>) -> Self {
        let state = State {
            tree,
            capacity_bytes,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Adds a fault; several may wait, the first that matches a call strikes.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.add(fault);
    }

    /// Removes all faults. What they did stays done.
    pub fn heal(&self) {
        self.state().faults = Faults::default();
    }

    /// Limits the bytes of all files together; a write beyond it writes what fits and fails with
    /// `StorageFull`. `None` is without limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity_bytes = bytes;
    }

    /// Bytes of all files together.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.state().tree.used_bytes()
    }

    /// Every call that changed or synced something, or tried to, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    /// Forgets the events so far and returns them.
    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.state().events)
    }

    /// The content of a file, unsynced changes included.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn content(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let state = self.state();
        let id = state.tree.find(path.as_ref())?;
        Ok(state.tree.file(id)?.content().to_vec())
    }

    /// Replaces the content of a file, durably, as damage or an operator might. Creates the file
    /// and its directories where they are missing.
    ///
    /// # Errors
    /// Where a directory has the name.
    pub fn set_content(&self, path: impl AsRef<Path>, content: &[u8]) -> io::Result<()> {
        self.state().tree.plant(path.as_ref(), content)
    }

    /// Paths of all files, in order.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.state().tree.files()
    }

    /// The disk as it may be found after a loss of power: all that was synced, and any part of what
    /// was not; the last write that survives in a file may be torn at any byte, or be there in some
    /// of its sectors only. Locks are released,
    /// faults forgotten. This disk goes on unchanged.
    #[must_use]
    pub fn cut_power(&self, rng: &mut fastrand::Rng) -> Self {
        let state = self.state();
        Self::with_tree(state.tree.after_power_cut(rng), state.capacity_bytes)
    }

    /// The disk after the worst loss of power: nothing is there but what was synced.
    #[must_use]
    pub fn cut_power_hard(&self) -> Self {
        let state = self.state();
        Self::with_tree(state.tree.as_synced(), state.capacity_bytes)
    }

    /// The disk as the next process finds it when this one is killed: all that was written,
    /// synced or not. Locks are released, faults forgotten; what a failed sync left at risk, the
    /// next sync makes durable. This disk goes on unchanged.
    #[must_use]
    pub fn kill(&self) -> Self {
        let state = self.state();
        Self::with_tree(state.tree.after_kill(), state.capacity_bytes)
    }
}

impl State {
    /// Notes the call; fails if a fault strikes.
    fn enter(&mut self, call: Call, path: &Path) -> io::Result<()> {
        let struck = self.faults.strike(call, path).map(|struck| struck.error);
        self.note(call, path, struck.is_none());
        struck.map_or(Ok(()), Err)
    }

    fn note(&mut self, call: Call, path: &Path, succeeded: bool) {
        if call != Call::Read {
            self.events.push(Event {
                call,
                path: path.to_owned(),
                succeeded,
            });
        }
    }

    /// How many of the `wanted` more bytes fit on the disk.
    fn room_for(&self, wanted: u64) -> u64 {
        let room = |capacity: u64| capacity.saturating_sub(self.tree.used_bytes());
        self.capacity_bytes.map_or(wanted, |c| room(c).min(wanted))
    }

    /// Durable when it succeeds; after a failure, whatever of it was written stays at risk.
    fn write_through(
        &mut self,
        node: NodeId,
        path: &Path,
        bytes: &[u8],
        at: u64,
    ) -> io::Result<()> {
        assert_aligned(bytes, at);
        let written = self.write(Call::WriteThrough, node, path, bytes, at);
        self.tree.file_mut(node)?.sync(written.is_ok());
        written
    }

    fn write(
        &mut self,
        call: Call,
        node: NodeId,
        path: &Path,
        bytes: &[u8],
        at: u64,
    ) -> io::Result<()> {
        let end = at + bytes.len() as u64;
        let growth = end.saturating_sub(self.tree.file(node)?.content().len() as u64);
        let missing = growth - self.room_for(growth);
        let mut fitting = bytes.len() as u64 - missing.min(bytes.len() as u64);
        let mut error = (missing > 0).then(|| io::ErrorKind::StorageFull.into());
        if let Some(struck) = self.faults.strike(call, path) {
            fitting = fitting.min(struck.after_bytes);
            error = Some(struck.error);
        }
        let fitting = usize::try_from(fitting).unwrap_or(usize::MAX);
        self.tree.file_mut(node)?.write(&bytes[..fitting], at);
        self.note(call, path, error.is_none());
        error.map_or(Ok(()), Err)
    }

    fn sync(&mut self, node: NodeId, path: &Path) -> io::Result<()> {
        let result = self.enter(Call::Sync, path);
        self.tree.file_mut(node)?.sync(result.is_ok());
        result
    }
}

/// Direct I/O takes nothing else.
fn assert_aligned(bytes: &[u8], at: u64) {
    let address = bytes.as_ptr().align_offset(BLOCK_BYTES);
    let odd = at % BLOCK_BYTES as u64 + bytes.len() as u64 % BLOCK_BYTES as u64;
    assert_eq!(
        (address, odd),
        (0, 0),
        "a write-through write is not aligned"
    );
}

impl FileSystem for FaultyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        let call = match mode {
            OpenMode::Existing => Call::Open,
            OpenMode::Fresh => Call::Create,
        };
        state.enter(call, path)?;
        let node = match mode {
            OpenMode::Existing => state.tree.find(path)?,
            OpenMode::Fresh => state.tree.create_file(path)?,
        };
        state.tree.file(node)?;
        Ok(Arc::new(FaultyFile {
            disk: self.clone(),
            node,
            path: path.to_owned(),
            write_through: false,
        }))
    }

    fn open_write_through(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        let found = state.tree.find(path);
        state.enter(
            if found.is_ok() {
                Call::Open
            } else {
                Call::Create
            },
            path,
        )?;
        let node = found.or_else(|_| state.tree.create_file(path))?;
        Ok(Arc::new(FaultyFile {
            disk: self.clone(),
            node,
            path: path.to_owned(),
            write_through: true,
        }))
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        let state = self.state();
        let node = state.tree.find(path)?;
        Ok(state
            .tree
            .file(node)
            .map_or(0, |f| f.content().len() as u64))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.enter(Call::CreateDir, path)?;
        state.tree.create_dir(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        self.state().tree.read_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.enter(Call::Rename, to)?;
        state.tree.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.enter(Call::Remove, path)?;
        state.tree.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.enter(Call::RemoveDir, path)?;
        state.tree.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let result = state.enter(Call::SyncDir, path);
        state.tree.sync_dir(path, result.is_ok())?;
        result
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        let mut state = self.state();
        state.enter(Call::Lock, path)?;
        if state.locked.iter().any(|locked| locked == path) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "another life"));
        }
        state.locked.push(path.to_owned());
        Ok(Box::new(FaultyLock {
            disk: self.clone(),
            path: path.to_owned(),
        }))
    }

    fn available_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(self.state().room_for(u64::MAX))
    }
}

#[derive(Debug)]
struct FaultyLock {
    disk: FaultyDisk,
    path: PathBuf,
}

impl DirectoryLock for FaultyLock {}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        self.disk.state().locked.retain(|path| *path != self.path);
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    node: NodeId,
    path: PathBuf,
    write_through: bool,
}

impl File for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.enter(Call::Read, &self.path)?;
        let content = state.tree.file(self.node)?.content();
        let start = usize::try_from(position)
            .unwrap_or(usize::MAX)
            .min(content.len());
        let read = buffer.len().min(content.len() - start);
        buffer[..read].copy_from_slice(&content[start..start + read]);
        Ok(read)
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        match self.write_through {
            true => state.write_through(self.node, &self.path, bytes, position),
            false => state.write(Call::Write, self.node, &self.path, bytes, position),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.state().sync(self.node, &self.path)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.enter(Call::SetLen, &self.path)?;
        state.tree.file_mut(self.node)?.set_len(length);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.disk.state();
        Ok(state.tree.file(self.node)?.content().len() as u64)
    }
}
