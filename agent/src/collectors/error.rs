use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a collector has no values.
#[derive(Debug, Error)]
pub(crate) enum CollectError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("cannot understand {}: {reason}", path.display())]
    Parse { path: PathBuf, reason: String },
}

impl CollectError {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Read { path, source }
    }

    pub(crate) fn parse(path: &Path, reason: String) -> Self {
        let path = path.to_owned();
        Self::Parse { path, reason }
    }

    /// Whether the kernel does not have the file, or has what is behind it switched off.
    pub(crate) fn is_absent(&self) -> bool {
        const SWITCHED_OFF: i32 = 95; // EOPNOTSUPP, as /proc/pressure answers after psi=0
        match self {
            Self::Read { source, .. } => {
                source.kind() == io::ErrorKind::NotFound
                    || source.raw_os_error() == Some(SWITCHED_OFF)
            }
            Self::Parse { .. } => false,
        }
    }
}
