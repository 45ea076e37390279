//! The little that the engine needs of a file system, as a trait: one implementation on the real
//! disk, one in memory that fails on purpose.

mod disk;
mod fail_stop;

pub use disk::Disk;
pub(crate) use fail_stop::FailStopDirs;

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What writes to a write-through file are aligned to; every common disk takes it.
pub const BLOCK_BYTES: usize = 4096;

/// How a file is opened. Every file can be read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist.
    Existing,
    /// It is created; what it held is cut.
    Fresh,
}

/// A directory tree. Paths are absolute or relative to the process; directory entries made by
/// `open`, `create_dir`, `rename` and `remove_*` are durable only after `sync_dir` of the parent.
pub trait FileSystem: Debug + Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Opens or creates a file whose every write is durable when it returns, length included. Each
    /// write begins and ends at a multiple of [`BLOCK_BYTES`], in the file and in memory.
    fn open_write_through(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Length of a file in bytes.
    fn file_len(&self, path: &Path) -> io::Result<u64>;
    /// Creates a directory, mode 0750; an existing one is fine.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Names in a directory, in no order, with whether each is a directory.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<(String, bool)>>;
    /// Replaces `to` by `from` in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all in it; a missing one is fine.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Takes the exclusive lock on the file `path`, or fails with `WouldBlock` and leaves it alone.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirectoryLock>>;
    /// Bytes that an ordinary user may still write below `path`.
    fn available_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// Held as long as the data directory is in use; dropping it releases the lock.
pub trait DirectoryLock: Debug + Send {}

/// An open file. Positions are explicit, so that readers and the writer can share it.
#[expect(
    clippy::len_without_is_empty,
    reason = "a call of the operating system, not a collection"
)]
pub trait File: Debug + Send + Sync {
    /// Reads up to `buffer.len()` bytes; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes all of `bytes`. After an error any part of them may have been written.
    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;
    /// Makes content and length durable. After an error nothing is known: never retried.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
}

/// The directory that holds `path`'s entry.
pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// Reads the whole of a small file.
pub(crate) fn read_all(fs: &dyn FileSystem, path: &Path) -> io::Result<Vec<u8>> {
    let file = fs.open(path, OpenMode::Existing)?;
    let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut content = vec![0; length];
    let read = read_full(&*file, &mut content, 0)?;
    content.truncate(read);
    Ok(content)
}

/// Fills `buffer` as far as the file reaches.
pub(crate) fn read_full(file: &dyn File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}
