//! Small JSON files of the broker's own, beside the logs: what it must remember of itself.

use crate::error::StorageError;
use crate::fs::FileSystem;
use crate::json_file;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `<data-dir>/__weir/<name>.json`, replaced as a whole. Every call blocks.
#[derive(Clone, Debug)]
pub struct Document {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
}

impl Document {
    /// The document of that name in a data directory that a [`crate::Store`] holds open. `name` is
    /// the broker's choice, never a client's.
    #[must_use]
    pub fn new(fs: Arc<dyn FileSystem>, data_dir: &Path, name: &str) -> Self {
        let path = data_dir.join("__weir").join(name).with_extension("json");
        Self { fs, path }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says; `None` if it was never written.
    ///
    /// # Errors
    /// The file system's, or [`StorageError::DamagedFile`] when it is no such value.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, StorageError> {
        json_file::read(&*self.fs, &self.path)
    }

    /// Replaces it, durably and in one step: after a crash it says the one or the other.
    ///
    /// # Errors
    /// The file system's; then it says what it said before, or already `value`.
    pub fn write(&self, value: &impl Serialize) -> Result<(), StorageError> {
        json_file::write(&*self.fs, &self.path, value)
    }
}
