//! The storage engine: durable per-topic logs of JSON lines, and the journals of groups.
//!
//! [`Store`] owns a data directory and is its only writer; [`Store::commit_round`] makes a round of
//! appends and journal entries durable before it returns. [`PartitionReader`] is the shared,
//! read-only side: it sees exactly the records below the high watermark. Everything is synchronous,
//! goes through [`FileSystem`], and takes time and randomness as arguments, so that a test can
//! break the disk, cut the power and turn the clock.
//!
//! Only this crate knows bytes on disk. The formats have one table each: records in `record`,
//! journals in `journal`, the directory in `data_dir`.
//!
//! Absent on purpose: threads (but to sync many files at once), async, sockets, leases, and any parsing of payloads.

mod checked_line;
mod clean_stop;
mod commit_log;
mod data_dir;
mod document;
mod error;
#[cfg(feature = "faulty")]
pub mod faulty;
mod fs;
mod index;
mod index_cache;
mod journal;
mod json_file;
mod open_files;
mod partition_log;
mod reader;
mod recent_ids;
mod record;
mod recovery;
mod retention;
mod scan;
mod segment;
mod store;
mod sync_many;
mod topic;
mod written;

pub use commit_log::Checkpoint;
pub use data_dir::NodeIdentity;
pub use document::Document;
pub use error::StorageError;
pub use fs::{BLOCK_BYTES, DirectoryLock, Disk, File, FileSystem, OpenMode};
pub use journal::{DeadLetterIntent, JournalEntry, Progress, Returned, Seek};
pub use open_files::StorageFailures;
pub use reader::{Gap, GapReason, PartitionReader, RawBatch, ReadBatch, ReadLimits, StoredLine};
pub use record::{RecordDraft, RecordHead};
pub use recovery::{Finding, FindingKind};
pub use store::{
    Appended, CommitLogStats, GroupProgress, JournalKey, OpenOptions, Opened, Operation, Outcome,
    PartitionKey, PartitionProgress, Store, TopicFiles, Trimmed,
};
