//! Files that are opened when they are used, and how many stay open.
//!
//! A [`LogFile`] knows its path and opens itself on use; [`OpenFiles`] closes those that were not
//! used for longest when there are too many. A file with writes that are not synced stays open: an
//! error of its write-back is reported only to a descriptor that was open then.

use crate::error::{Context, StorageError};
use crate::fs::{File, FileSystem, OpenMode};
use crate::index_cache::IndexCache;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

/// Keeps count of what is open. Shared by the writer and all readers.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    fs: Arc<dyn FileSystem>,
    most: usize,
    /// In the order of opening; what was used since its last turn gets another one.
    ring: Mutex<VecDeque<Weak<LogFile>>>,
    indexes: IndexCache,
    failures: StorageFailures,
}

/// What accepts nothing more because a sync or its like failed. Grows until the next start, at most
/// to a file for each that there is. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct StorageFailures(Arc<Mutex<BTreeSet<PathBuf>>>);

impl StorageFailures {
    /// The files and directories, in order.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.iter().cloned().collect()
    }

    /// Whether nothing has failed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_empty()
    }

    fn add(&self, path: &Path) {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.insert(path.to_owned());
    }
}

/// Says once for all files of a partition, or for one journal, that a sync failed: nothing more is
/// accepted until a restart, because what is on the disk is unknown.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailStop(Arc<AtomicBool>);

impl FailStop {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A segment or a journal, open or not.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: Box<Path>,
    file: RwLock<Option<Arc<dyn File>>>,
    used: AtomicBool,
    /// Why it stays open: the round of the commit log that its writes wait in, or
    /// [`LogFile::UNLOGGED`]; 0 when all is synced.
    unsynced: AtomicU64,
    /// How many [`InUse`] there are.
    users: AtomicU64,
    syncing: Mutex<()>,
    fail_stop: FailStop,
}

impl OpenFiles {
    pub(crate) fn new(fs: Arc<dyn FileSystem>, most: usize) -> Self {
        Self {
            fs,
            most,
            ring: Mutex::default(),
            indexes: IndexCache::default(),
            failures: StorageFailures::default(),
        }
    }

    pub(crate) fn indexes(&self) -> &IndexCache {
        &self.indexes
    }

    pub(crate) fn fs(&self) -> &Arc<dyn FileSystem> {
        &self.fs
    }

    pub(crate) fn failures(&self) -> &StorageFailures {
        &self.failures
    }

    /// Notes that `path` accepts nothing more.
    pub(crate) fn note_failure(&self, path: &Path) {
        self.failures.add(path);
    }

    /// How many files may be open at once.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Notes that `opened` is open, and closes others if there are too many.
    fn admit(&self, opened: &Arc<LogFile>) {
        {
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            ring.push_back(Arc::downgrade(opened));
        }
        self.close_surplus();
    }

    /// Closes what was not used for longest as long as too much is open.
    pub(crate) fn close_surplus(&self) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        // Twice around: the first turn takes only what was not used since the last one.
        for _ in 0..2 * ring.len() {
            if ring.len() <= self.most {
                return;
            }
            let Some(oldest) = ring.pop_front() else {
                return;
            };
            if oldest.upgrade().is_some_and(|file| !file.close_if_idle()) {
                ring.push_back(oldest);
            }
        }
    }
}

impl LogFile {
    /// Marks writes that are in no commit log.
    pub(crate) const UNLOGGED: u64 = u64::MAX;

    /// A file that exists; it is opened on first use.
    pub(crate) fn closed(path: Box<Path>, fail_stop: FailStop) -> Arc<Self> {
        Arc::new(Self {
            path,
            file: RwLock::new(None),
            used: AtomicBool::new(false),
            unsynced: AtomicU64::new(0),
            users: AtomicU64::new(0),
            syncing: Mutex::default(),
            fail_stop,
        })
    }

    /// Creates the file, or empties it. The caller syncs the directory.
    pub(crate) fn create(
        files: &OpenFiles,
        path: Box<Path>,
        fail_stop: FailStop,
    ) -> Result<Arc<Self>, StorageError> {
        let created = files.fs.open(&path, OpenMode::Fresh);
        let created = created.context("create", &path)?;
        Ok(Self::opened(files, path, created, fail_stop))
    }

    /// A file that is open already.
    pub(crate) fn opened(
        files: &OpenFiles,
        path: Box<Path>,
        file: Arc<dyn File>,
        fail_stop: FailStop,
    ) -> Arc<Self> {
        let opened = Self::closed(path, fail_stop);
        *opened.file.write().unwrap_or_else(PoisonError::into_inner) = Some(file);
        files.admit(&opened);
        opened
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn fail_stop(&self) -> &FailStop {
        &self.fail_stop
    }

    /// The open file; opens it if necessary.
    pub(crate) fn get(self: &Arc<Self>, files: &OpenFiles) -> Result<Arc<dyn File>, StorageError> {
        self.used.store(true, Ordering::Relaxed);
        if let Some(open) = &*self.file.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(open.clone());
        }
        let file = {
            let mut slot = self.file.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(open) = &*slot {
                return Ok(open.clone());
            }
            let opened = files.fs.open(&self.path, OpenMode::Existing);
            let opened = opened.context("open", &self.path)?;
            *slot = Some(opened.clone());
            opened
        };
        files.admit(self);
        Ok(file)
    }

    /// Closes the file unless it was used lately or has writes to sync; false if it stays open.
    fn close_if_idle(&self) -> bool {
        let used = self.used.swap(false, Ordering::Relaxed);
        if used || self.is_unsynced() || self.is_in_use() {
            return false;
        }
        // Whoever holds the lock is using the file.
        self.file.try_write().map(|mut slot| *slot = None).is_ok()
    }

    pub(crate) fn is_unsynced(&self) -> bool {
        self.unsynced.load(Ordering::Acquire) != 0
    }

    fn is_in_use(&self) -> bool {
        self.users.load(Ordering::Acquire) > 0
    }

    /// Keeps the file open for `reason`; returns whether that is news.
    pub(crate) fn mark_unsynced(&self, reason: u64) -> bool {
        self.unsynced.swap(reason, Ordering::AcqRel) != reason
    }

    /// Lets the file go if it was kept for nothing but `reason`.
    pub(crate) fn clear_unsynced(&self, reason: u64) {
        // Kept for another reason by now: that one's end clears it.
        let _newer = self
            .unsynced
            .compare_exchange(reason, 0, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The file's owner accepts nothing more.
    pub(crate) fn fail(&self, files: &OpenFiles) {
        self.fail_stop.set();
        files.note_failure(&self.path);
    }

    /// Removes what was written behind `length` and does not count. Durably: otherwise it could come
    /// back after a loss of power, behind what is written there next. If that fails, the end of the
    /// file is unknown, and its owner accepts nothing more.
    pub(crate) fn cut_back(self: &Arc<Self>, files: &OpenFiles, length: u64) {
        let cut = self
            .get(files)
            .and_then(|file| file.set_len(length).context("cut", &self.path));
        if cut.and_then(|()| self.sync(files)).is_err() {
            self.fail(files);
        }
    }

    /// Makes everything written so far durable. After a failure the file's owner accepts nothing
    /// more, and asking again fails too: a second sync would only seem to help.
    pub(crate) fn sync(self: &Arc<Self>, files: &OpenFiles) -> Result<(), StorageError> {
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.fail_stop.is_set() {
            return Err(StorageError::FailStopped {
                path: self.path.to_path_buf(),
            });
        }
        let opened = self.get(files);
        // A closed file has nothing to lose, and can be opened another time.
        let may_lose = opened.is_ok() || self.is_unsynced() || self.is_in_use();
        let synced = opened.and_then(|file| file.sync_data().context("sync", &self.path));
        if synced.is_err() && may_lose {
            self.fail(files);
        }
        synced
    }
}

/// Keeps a file open from a write to it until it is known what makes that durable.
#[derive(Debug)]
pub(crate) struct InUse(Arc<LogFile>);

impl InUse {
    pub(crate) fn of(file: &Arc<LogFile>) -> Self {
        file.users.fetch_add(1, Ordering::AcqRel);
        Self(file.clone())
    }
}

impl Deref for InUse {
    type Target = Arc<LogFile>;
    fn deref(&self) -> &Arc<LogFile> {
        &self.0
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.users.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
