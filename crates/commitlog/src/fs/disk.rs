use super::{DirectoryLock, File, FileSystem, OpenMode};
use rustix::fs::{FlockOperation, flock, statvfs};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

#[derive(Debug)]
struct DiskFile(fs::File);

#[derive(Debug)]
struct DiskLock(#[expect(dead_code, reason = "holding the file holds the lock")] fs::File);

impl DirectoryLock for DiskLock {}

impl FileSystem for Disk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).mode(0o640);
        if mode == OpenMode::Fresh {
            options.create(true).truncate(true);
        }
        Ok(Arc::new(DiskFile(options.open(path)?)))
    }

    /// Past the page cache where the file system can (`O_DIRECT`): through it, large folios make a
    /// sync of 4 KiB write as much as 1 MiB. The flags are libc's: rustix calls `O_SYNC` DSYNC on
    /// Linux, and that commits the file's times with every write.
    fn open_write_through(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let open = |flags| {
            let mut options = fs::OpenOptions::new();
            options.read(true).write(true).create(true).mode(0o640);
            options.custom_flags(flags).truncate(false).open(path)
        };
        let file = match open(libc::O_DIRECT | libc::O_DSYNC) {
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => open(libc::O_DSYNC)?,
            result => result?,
        };
        Ok(Arc::new(DiskFile(file)))
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        fs::metadata(path).map(|metadata| metadata.len())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o750).create(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            result => result,
        }
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            // No name of ours is anything but ASCII: others are not ours to touch.
            if let Ok(name) = entry.file_name().into_string() {
                // Follows links: a topic may have been moved to another disk.
                let is_dir = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir());
                entries.push((name, is_dir));
            }
        }
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        match fs::remove_dir_all(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        rustix::fs::fsync(fs::File::open(path)?).map_err(Into::into)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(path)?;
        if let Err(refused) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            let refused = io::Error::from(refused);
            if refused.kind() != io::ErrorKind::WouldBlock {
                return Err(refused);
            }
            let mut holder = String::new();
            file.read_to_string(&mut holder)?;
            return Err(io::Error::new(refused.kind(), holder.trim().to_owned()));
        }
        file.set_len(0)?;
        write!(file, "{}", std::process::id())?;
        Ok(Box::new(DiskLock(file)))
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

impl File for DiskFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buffer, position) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }
}
