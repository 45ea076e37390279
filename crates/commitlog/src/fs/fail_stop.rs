use super::{DirectoryLock, File, FileSystem, OpenMode};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A file system that never asks again for a directory sync that failed: the second answer would
/// be "done" although the entries may be lost. Only a restart helps.
#[derive(Debug)]
pub(crate) struct FailStopDirs {
    inner: Arc<dyn FileSystem>,
    failed: Mutex<HashSet<PathBuf>>,
}

impl FailStopDirs {
    pub(crate) fn new(inner: Arc<dyn FileSystem>) -> Self {
        Self {
            inner,
            failed: Mutex::default(),
        }
    }
}

impl FileSystem for FailStopDirs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        self.inner.open(path, mode)
    }

    fn open_write_through(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.inner.open_write_through(path)
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.inner.file_len(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        self.inner.read_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.contains(path) {
            return Err(io::Error::other(
                "an earlier sync failed; restart the broker",
            ));
        }
        let synced = self.inner.sync_dir(path);
        let missing = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
        if synced.as_ref().is_err_and(|e| !missing(e)) {
            failed.insert(path.to_owned());
        }
        synced
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        self.inner.lock(path)
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        self.inner.available_bytes(path)
    }
}
