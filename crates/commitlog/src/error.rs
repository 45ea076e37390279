use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;
use weir_types::{GroupName, TopicName};

/// Why the engine could not do what it was asked for.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The file system refused. What was not acknowledged is not stored.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The file system's words.
        source: io::Error,
    },
    /// An earlier sync of this file failed: what is on the disk is unknown, so nothing more is
    /// acknowledged on it until the broker is restarted.
    #[error("{} stopped accepting after a failed sync; restart the broker", path.display())]
    FailStopped {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds the data directory.
    #[error(
        "another broker{} uses the data directory {}; stop it or choose another directory",
        holder.as_ref().map(|pid| format!(" (process {pid})")).unwrap_or_default(),
        path.display()
    )]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// Process id of the holder, if it left one.
        holder: Option<String>,
    },
    /// The directory was written by a newer version.
    #[error(
        "{} has format version {found}; this version of Weir reads up to {supported}: use a newer one",
        path.display()
    )]
    NewerFormat {
        /// The file that says so.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest that is understood.
        supported: u32,
    },
    /// A small file of ours does not hold what it must.
    #[error("{} is damaged: {reason}", path.display())]
    DamagedFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The topic was deleted while the request waited.
    #[error("the topic was deleted")]
    Gone,
    /// A topic of that name exists.
    #[error("the topic {topic} exists already")]
    TopicExists {
        /// Its name.
        topic: TopicName,
    },
    /// A group of that name exists.
    #[error("the group {group} exists already")]
    GroupExists {
        /// Its name.
        group: GroupName,
    },
    /// There is no such topic.
    #[error("there is no topic {topic}")]
    NoSuchTopic {
        /// The name asked for.
        topic: TopicName,
    },
}

impl StorageError {
    /// Whether the disk (or a quota) is full, so that freeing room helps.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::Io { source, .. } if full.contains(&source.kind()))
    }

    /// Whether it was a sync, so that what is on the disk is unknown.
    pub(crate) fn is_failed_sync(&self) -> bool {
        matches!(self, Self::Io { action: "sync", .. })
    }

    /// The same finding for one more waiter.
    #[must_use]
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Io {
                action,
                path,
                source,
            } => Self::Io {
                action,
                path: path.clone(),
                source: source
                    .raw_os_error()
                    .map_or_else(|| source.kind().into(), io::Error::from_raw_os_error),
            },
            Self::FailStopped { path } => Self::FailStopped { path: path.clone() },
            _ => Self::Gone,
        }
    }
}

/// Names the action and the path of a failed call.
pub(crate) trait Context<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, StorageError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, StorageError> {
        self.map_err(|source| StorageError::Io {
            action,
            path: path.to_owned(),
            source,
        })
    }
}
