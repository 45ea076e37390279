//! Records go: by purge, and by retention, with all that is done from time to time.

use super::{OpenPartition, PartitionKey, Store};
use crate::error::StorageError;
use crate::retention::{self, Expiry};
use weir_types::{Offset, Timestamp, TopicName};

/// What retention removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Records.
    pub records: u64,
    /// Those of them that a live group had not finished: `retention_bytes` forced it.
    pub forced: u64,
}

impl Store {
    /// Removes every record that a topic holds; offsets go on where they were. Returns how many
    /// records went.
    ///
    /// # Errors
    /// [`StorageError::NoSuchTopic`], or the file system's; some partitions may be purged then.
    pub fn purge_topic(&mut self, name: &TopicName) -> Result<u64, StorageError> {
        let keys = self.topic(name)?.partitions.clone();
        let mut records = 0;
        for key in keys {
            let Some(open) = self.partitions.get_mut(&key) else {
                continue;
            };
            let reader = open.log.reader().clone();
            let log_start = reader.log_start_offset();
            open.log.roll_for_purge(open.settings.durability)?;
            open.log.keep_time();
            let sealed = reader.segments()?.len() - 1;
            retention::trim(&reader, sealed)?;
            records += reader.log_start_offset().since(log_start);
        }
        Ok(records)
    }

    /// Rolls segments that are old enough, trims what retention asks for and compacts journals
    /// that have grown, in one topic; forgets old ids of publishers. `floors` are the lowest committed offsets of live groups, in
    /// order of partition; empty without groups.
    ///
    /// # Errors
    /// The first failure; everything else was done, and the next call tries again.
    pub fn maintain_topic(
        &mut self,
        name: &TopicName,
        floors: &[Offset],
        now: Timestamp,
    ) -> Result<Trimmed, StorageError> {
        let topic = self.topic(name)?;
        let keys = topic.partitions.clone();
        let journals: Vec<_> = topic.groups.values().flatten().copied().collect();
        let mut trimmed = Ok(Trimmed::default());
        for (id, key) in keys.into_iter().enumerate() {
            let floor = floors.get(id).copied();
            let more = self.maintain_partition(key, floor, now);
            trimmed = trimmed.and_then(|all| more.map(|more| all.and(more)));
        }
        for key in journals {
            if let Some(open) = self.journals.get_mut(&key) {
                let least = self.options.compact_above_bytes;
                let compacted = open
                    .journal
                    .compact_if_grown(least, &mut self.journal_numbers);
                trimmed = trimmed.and_then(|all| compacted.map(|()| all));
            }
        }
        trimmed
    }

    fn maintain_partition(
        &mut self,
        key: PartitionKey,
        floor: Option<Offset>,
        now: Timestamp,
    ) -> Result<Trimmed, StorageError> {
        let Some(OpenPartition { log, settings }) = self.partitions.get_mut(&key) else {
            return Ok(Trimmed::default());
        };
        log.forget_old_ids(now);
        let rolled = log.roll_if_aged(settings, now);
        let reader = log.reader().clone();
        let before = reader.log_start_offset();
        if before == log.tail().active_base {
            // Nothing but the last segment, which is never trimmed.
            return rolled.map(|()| Trimmed::default());
        }
        let expiry = Expiry {
            settings,
            floor,
            newest: log.tail().last_timestamp,
            now,
        };
        let expired = expiry.expired_segments(&reader)?;
        if expired > 0 {
            log.keep_time();
            retention::trim(&reader, expired)?;
        }
        rolled.map(|()| Trimmed::between(before, reader.log_start_offset(), floor))
    }
}

impl Trimmed {
    fn between(start: Offset, end: Offset, floor: Option<Offset>) -> Self {
        let needed_from = floor.map_or(end, |floor| floor.max(start));
        Self {
            records: end.since(start),
            forced: end.since(needed_from.min(end)),
        }
    }

    fn and(self, more: Self) -> Self {
        Self {
            records: self.records + more.records,
            forced: self.forced + more.forced,
        }
    }
}
