use crate::error::StorageError;
use crate::open_files::{LogFile, OpenFiles};
use crate::sync_many::sync_many;
use std::sync::Arc;

/// Syncs the files whose bytes wait in one part of the commit log, so that the part can be used
/// anew. May run on any thread while rounds go on; [`Store::finish_checkpoint`] takes it back.
///
/// [`Store::finish_checkpoint`]: crate::Store::finish_checkpoint
#[derive(Debug)]
pub struct Checkpoint {
    turn: u64,
    dirty: Vec<Arc<LogFile>>,
    files: Arc<OpenFiles>,
    result: Result<(), StorageError>,
    ran: bool,
}

impl Checkpoint {
    pub(super) fn new(turn: u64, dirty: Vec<Arc<LogFile>>, files: Arc<OpenFiles>) -> Self {
        Self {
            turn,
            dirty,
            files,
            result: Ok(()),
            ran: false,
        }
    }

    pub(super) fn turn(&self) -> u64 {
        self.turn
    }

    /// How many files it syncs.
    #[must_use]
    pub fn files(&self) -> usize {
        self.dirty.len()
    }

    /// Syncs all files. One that fails accepts nothing more; the others are synced all the same.
    pub fn run(&mut self) {
        self.result = sync_many(&self.dirty, |file| match file.is_unsynced() {
            true => file.sync(&self.files),
            // What was synced for another reason may be closed and gone by now.
            false => Ok(()),
        });
        self.ran = true;
    }

    /// Whether all was made durable.
    pub(super) fn succeeded(&self) -> bool {
        self.ran && self.result.is_ok()
    }

    /// The first failure.
    pub(super) fn into_result(self) -> Result<(), StorageError> {
        self.result
    }

    /// The first failure, for the log.
    #[must_use]
    pub fn failure(&self) -> Option<&StorageError> {
        self.result.as_ref().err()
    }
}
