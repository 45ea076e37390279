use crate::commit_log::{Addition, Entry, LoggedFile};
use crate::open_files::{InUse, OpenFiles};
use weir_types::FilePosition;

/// What a round wrote to one file: in the page cache, not durable yet.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) file: InUse,
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

    /// Removes it from the file.
    pub(crate) fn cut(&self, files: &OpenFiles) {
        self.file.cut_back(files, self.position.0);
    }
}
