//! What a clean stop leaves behind, so that the next start need not open a single partition.
//!
//! `__weir/clean-stop.jsonl`, checked lines. The first says `broker_start`, whose stop it was, and
//! how many `topics` follow; then each topic with its `incarnation` and, for each partition,
//! `[log start offset, bytes, base offset and bytes of the last segment, next offset, first
//! timestamp of the last segment or null, last timestamp]`.
//!
//! It counts only for the very next start, and only as a whole: after anything else every partition
//! is checked.

use crate::checked_line;
use crate::error::StorageError;
use crate::fs::{self, FileSystem};
use crate::json_file;
use crate::partition_log::{PartitionLog, Tail};
use crate::reader::Extent;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use weir_types::{BrokerStart, Incarnation, Offset, Timestamp, TopicName};

#[derive(Serialize, Deserialize)]
struct FirstLine {
    broker_start: BrokerStart,
    topics: usize,
}

#[derive(Serialize, Deserialize)]
struct TopicLine {
    topic: String,
    incarnation: Incarnation,
    partitions: Vec<Numbers>,
}

type Numbers = (u64, u64, u64, u64, u64, Option<u64>, u64);

/// A partition as it was when the broker stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoppedPartition {
    pub(crate) tail: Tail,
    log_start_offset: Offset,
    bytes: u64,
}

impl StoppedPartition {
    pub(crate) fn of(log: &PartitionLog) -> Self {
        Self {
            tail: *log.tail(),
            log_start_offset: log.reader().log_start_offset(),
            bytes: log.reader().bytes(),
        }
    }

    pub(crate) fn extent(&self) -> Extent {
        Extent {
            log_start_offset: self.log_start_offset,
            high_watermark: self.tail.next_offset,
            bytes: self.bytes,
            active_bytes: self.tail.active_bytes,
        }
    }

    fn numbers(&self) -> Numbers {
        let tail = &self.tail;
        (
            self.log_start_offset.0,
            self.bytes,
            tail.active_base.0,
            tail.active_bytes,
            tail.next_offset.0,
            tail.first_timestamp.map(|timestamp| timestamp.0),
            tail.last_timestamp.0,
        )
    }

    fn from_numbers(numbers: Numbers) -> Self {
        let (log_start, bytes, active_base, active_bytes, next, first, last) = numbers;
        Self {
            tail: Tail {
                active_base: Offset(active_base),
                active_bytes,
                first_timestamp: first.map(Timestamp),
                last_timestamp: Timestamp(last),
                next_offset: Offset(next),
            },
            log_start_offset: Offset(log_start),
            bytes,
        }
    }
}

/// What the last clean stop left.
#[derive(Debug, Default)]
pub(crate) struct CleanStop {
    /// Of all topics, in one piece: it is given back as a whole when the store is open.
    partitions: Vec<StoppedPartition>,
    topics: HashMap<Incarnation, Range<usize>>,
}

impl CleanStop {
    /// Reads the file. `None` unless the start before `this_start` wrote it and all of it is intact.
    pub(crate) fn load(fs: &dyn FileSystem, path: &Path, this_start: BrokerStart) -> Option<Self> {
        let content = fs::read_all(fs, path).ok()?;
        let mut lines = content.strip_suffix(b"\n")?.split(|&b| b == b'\n');
        let first: FirstLine = checked_line::read(lines.next()?)?;
        let mut stop = Self::default();
        for line in lines {
            let line: TopicLine = checked_line::read(line)?;
            let partitions = line.partitions.into_iter();
            let from = stop.partitions.len();
            stop.partitions
                .extend(partitions.map(StoppedPartition::from_numbers));
            let range = from..stop.partitions.len();
            stop.topics.insert(line.incarnation, range);
        }
        let latest = first.broker_start.0.checked_add(1) == Some(this_start.0);
        (latest && stop.topics.len() == first.topics).then_some(stop)
    }

    /// The partitions of a topic, if it has as many as then.
    pub(crate) fn partitions(
        &self,
        topic: Incarnation,
        partitions: u32,
    ) -> Option<&[StoppedPartition]> {
        let known = self.partitions.get(self.topics.get(&topic)?.clone())?;
        (known.len() == partitions as usize).then_some(known)
    }
}

/// A topic as it was when the broker stopped.
pub(crate) struct StoppedTopic<'a> {
    pub(crate) name: &'a TopicName,
    pub(crate) incarnation: Incarnation,
    pub(crate) partitions: Vec<StoppedPartition>,
}

/// Writes the file, durably.
pub(crate) fn save(
    fs: &dyn FileSystem,
    path: &Path,
    broker_start: BrokerStart,
    topics: &[StoppedTopic<'_>],
) -> Result<(), StorageError> {
    let mut content = Vec::new();
    let first = FirstLine {
        broker_start,
        topics: topics.len(),
    };
    checked_line::push(&mut content, &first);
    for topic in topics {
        let partitions = topic.partitions.iter();
        let line = TopicLine {
            topic: topic.name.to_string(),
            incarnation: topic.incarnation,
            partitions: partitions.map(StoppedPartition::numbers).collect(),
        };
        checked_line::push(&mut content, &line);
    }
    json_file::replace(fs, path, &content).map(drop)
}
