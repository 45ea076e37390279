use crate::commit_log::{Addition, Entry, LoggedFile};
use crate::open_files::{LogFile, OpenFiles};
use std::sync::Arc;
use weir_types::FilePosition;

/// What a round wrote to one file: in the page cache, not durable yet.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) file: Arc<LogFile>,
    /// The file's name in the commit log.
    pub(crate) logged: LoggedFile,
    pub(crate) position: FilePosition,
    pub(crate) lines: Vec<u8>,
}

impl Written {
    pub(crate) fn addition(&self) -> Addition<'_> {
        Addition {
            entry: Entry {
                file: self.logged,
                position: self.position,
                bytes: &self.lines,
            },
            file: &self.file,
        }
    }

    /// Removes it from the file. If that fails, the end of the file is unknown: its owner accepts
    /// nothing more.
    pub(crate) fn cut(&self, files: &OpenFiles) {
        let cut = self
            .file
            .get(files)
            .map(|file| file.set_len(self.position.0));
        if !matches!(cut, Ok(Ok(()))) {
            self.file.fail(files);
        }
    }
}
