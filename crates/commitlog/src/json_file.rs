//! Small files of JSON that are replaced as a whole: written beside, synced, renamed.

use crate::error::{Context, StorageError};
use crate::fs::{self, File, FileSystem, OpenMode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Replaces `path` by `content`, durably and in one step. Returns the new file, open.
pub(crate) fn replace(
    fs: &dyn FileSystem,
    path: &Path,
    content: &[u8],
) -> Result<Arc<dyn File>, StorageError> {
    let beside = path.with_extension("tmp");
    let file = fs
        .open(&beside, OpenMode::Fresh)
        .context("create", &beside)?;
    file.write_all_at(content, 0).context("write to", &beside)?;
    file.sync_data().context("sync", &beside)?;
    fs.rename(&beside, path).context("replace", path)?;
    let parent = fs::parent_of(path);
    fs.sync_dir(parent).context("sync", parent)?;
    Ok(file)
}

/// Writes `value` as indented JSON.
pub(crate) fn write(
    fs: &dyn FileSystem,
    path: &Path,
    value: &impl Serialize,
) -> Result<(), StorageError> {
    let unfit = |e: serde_json::Error| StorageError::DamagedFile {
        path: path.to_owned(),
        reason: e.to_string(),
    };
    let mut content = serde_json::to_vec_pretty(value).map_err(unfit)?;
    content.push(b'\n');
    replace(fs, path, &content).map(drop)
}

/// Reads a value; `None` if there is no such file.
pub(crate) fn read<T: DeserializeOwned>(
    fs: &dyn FileSystem,
    path: &Path,
) -> Result<Option<T>, StorageError> {
    let content = match fs::read_all(fs, path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result.context("read", path)?,
    };
    let damaged = |e: serde_json::Error| StorageError::DamagedFile {
        path: path.to_owned(),
        reason: e.to_string(),
    };
    serde_json::from_slice(&content).map(Some).map_err(damaged)
}
