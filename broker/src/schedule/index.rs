//! What is due when: an index on disk over the log of waiting messages.
//!
//! It holds nothing that the log does not hold, and so it may be lost: `applied` says, in the same
//! transaction as everything else, up to where of which log it was made, and opening checks every
//! page. Its file may be a little behind after a crash; the log is read on from there.
//!
//! | table | key | value |
//! |---|---|---|
//! | `entries` | schedule id | [`Entry`] as JSON |
//! | `by_time` | `deliver_at`, `seq` | schedule id |
//! | `due` | the next attempt, `seq` | schedule id |
//! | `by_offset` | offset of the message's line | schedule id |
//! | `delivering` | schedule id | |
//! | `numbers` | a name | `incarnation`, `applied`, `live_bytes` |

mod apply;
mod backend;
mod query;

pub(super) use apply::Postponed;

use super::line::Target;
use backend::Backend;
use redb::{Builder, Database, Durability, Error, ReadableDatabase, TableDefinition};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use weir_commitlog::{FileSystem, OpenMode};
use weir_types::{Incarnation, Offset, Timestamp, TopicName};

const ENTRIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("entries");
const BY_TIME: TableDefinition<'_, (u64, u64), &str> = TableDefinition::new("by_time");
const DUE: TableDefinition<'_, (u64, u64), &str> = TableDefinition::new("due");
const BY_OFFSET: TableDefinition<'_, u64, &str> = TableDefinition::new("by_offset");
const DELIVERING: TableDefinition<'_, &str, ()> = TableDefinition::new("delivering");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// Whatever the number of waiting messages, this much of the index is in memory.
const CACHE_BYTES: usize = 4 << 20;

/// What the index knows of one waiting message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The offset of its first line: the order of what is due at the same time.
    pub(super) seq: Offset,
    /// The offset of the line that holds it now.
    pub(super) offset: Offset,
    /// Of that line.
    pub(super) bytes: u64,
    pub(super) deliver_at: Timestamp,
    /// When it is tried next: `deliver_at`, or later after a failure.
    pub(super) due_at: Timestamp,
    pub(super) topic: TopicName,
    /// Failures so far, since the index was made.
    #[serde(default)]
    pub(super) failures: u32,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
    /// Where it may have been appended to already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delivering: Option<Target>,
}

/// A waiting message and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) schedule_id: String,
    pub(super) entry: Entry,
}

/// Up to where of which log the index was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) incarnation: Incarnation,
    /// The first offset that is not in the index.
    pub(super) applied: Offset,
}

/// What all waiting messages come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) messages: u64,
    /// Bytes of their lines.
    pub(super) live_bytes: u64,
    /// The lowest offset of any of their lines.
    pub(super) lowest: Option<Offset>,
}

/// What is kept in memory of an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// When the next attempt is due.
    pub(super) next_due: Option<Timestamp>,
    pub(super) totals: Totals,
}

/// An open index.
#[derive(Debug)]
pub(super) struct Index {
    database: Database,
}

type Result<T> = std::result::Result<T, Error>;

impl Index {
    /// Opens the index at `path` if it can be trusted, that is if no page is damaged and its mark
    /// is `usable`; otherwise, or with `discard`, begins an empty one.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn open_or_begin(
        fs: &dyn FileSystem,
        path: &Path,
        discard: bool,
        usable: impl Fn(&Mark) -> bool,
    ) -> Result<(Self, Option<Mark>)> {
        if !discard {
            match Self::open(fs, path).and_then(|index| Ok((index.mark()?, index))) {
                Ok((None, index)) => return Ok((index, None)),
                Ok((Some(mark), index)) if usable(&mark) => return Ok((index, Some(mark))),
                Ok((Some(mark), _)) => {
                    tracing::warn!(?mark, "the index of scheduled messages is of another log");
                }
                Err(error) => {
                    tracing::warn!(%error, "the index of scheduled messages is damaged");
                }
            }
        }
        tracing::warn!("making the index of scheduled messages anew");
        match fs.remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok((Self::open(fs, path)?, None)),
        }
    }

    /// Opens the index at `path`, checking every page, or creates an empty one.
    fn open(fs: &dyn FileSystem, path: &Path) -> Result<Self> {
        let file = match fs.open(path, OpenMode::Existing) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => fs.open(path, OpenMode::Fresh)?,
            result => result?,
        };
        let database = Builder::new()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(Backend::new(file))?;
        let index = Self { database };
        index.create_tables()?;
        Ok(index)
    }

    fn create_tables(&self) -> Result<()> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(ENTRIES)?;
        transaction.open_table(BY_TIME)?;
        transaction.open_table(DUE)?;
        transaction.open_table(BY_OFFSET)?;
        transaction.open_table(DELIVERING)?;
        transaction.open_table(NUMBERS)?;
        Ok(transaction.commit()?)
    }

    /// `None` for an index of nothing.
    pub(super) fn mark(&self) -> Result<Option<Mark>> {
        let numbers = self.database.begin_read()?.open_table(NUMBERS)?;
        let number = |name: &str| Ok::<_, Error>(numbers.get(name)?.map(|n| n.value()));
        let (incarnation, applied) = (number("incarnation")?, number("applied")?);
        Ok(incarnation.zip(applied).map(|(incarnation, applied)| Mark {
            incarnation: Incarnation(incarnation),
            applied: Offset(applied),
        }))
    }

    /// Makes everything durable that was applied.
    pub(super) fn sync(&self) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction
            .set_durability(Durability::Immediate)
            .map_err(Error::from)?;
        Ok(transaction.commit()?)
    }
}
