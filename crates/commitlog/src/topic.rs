//! A topic on disk: `topic.json` makes a directory a topic, and is written last when one is created.
//!
//! | member | content |
//! |---|---|
//! | `incarnation` | 16 hex digits; tells the topic from an earlier one of its name |
//! | `created_at` | milliseconds since the Unix epoch |
//! | `settings` | see `weir_types::TopicSettings` |

use crate::error::{Context, StorageError};
use crate::fs::FileSystem;
use crate::json_file;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use weir_types::{Incarnation, Timestamp, TopicSettings};

/// Content of topic.json.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TopicFile {
    pub(crate) incarnation: Incarnation,
    pub(crate) created_at: Timestamp,
    pub(crate) settings: TopicSettings,
}

const NAME: &str = "topic.json";

impl TopicFile {
    /// Reads the file in `topic_dir`; `None` if the directory is no topic.
    pub(crate) fn read(
        fs: &dyn FileSystem,
        topic_dir: &Path,
    ) -> Result<Option<Self>, StorageError> {
        json_file::read(fs, &topic_dir.join(NAME))
    }

    /// Makes the directory no topic; fine if it is none.
    pub(crate) fn remove(fs: &dyn FileSystem, topic_dir: &Path) -> Result<(), StorageError> {
        let path = topic_dir.join(NAME);
        match fs.remove_file(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.context("remove", &path),
        }
    }

    /// Writes the file into `topic_dir`, durably and in one step.
    pub(crate) fn write(&self, fs: &dyn FileSystem, topic_dir: &Path) -> Result<(), StorageError> {
        json_file::write(fs, &topic_dir.join(NAME), self)
    }
}
