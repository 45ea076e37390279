//! Records go: by purge, and by retention, with all that is done from time to time.

use super::{OpenPartition, PartitionKey, Store};
use crate::error::StorageError;
use crate::retention::{self, Expiry};
use weir_types::{Offset, Timestamp, TopicName};

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
            let sealed = reader.segments()?.len() - 1;
            retention::trim(&reader, sealed)?;
            records += reader.log_start_offset().since(log_start);
        }
        Ok(records)
    }

    /// Rolls segments that are old enough, trims what retention asks for and compacts journals
    /// that have grown, in one topic. `floors` are the lowest committed offsets of live groups, in
    /// order of partition; empty without groups. Returns how many records were trimmed.
    ///
    /// # Errors
    /// The first failure; everything else was done, and the next call tries again.
    pub fn maintain_topic(
        &mut self,
        name: &TopicName,
        floors: &[Offset],
        now: Timestamp,
    ) -> Result<u64, StorageError> {
        let topic = self.topic(name)?;
        let keys = topic.partitions.clone();
        let journals: Vec<_> = topic.groups.values().flatten().copied().collect();
        let mut trimmed = Ok(0);
        for (id, key) in keys.into_iter().enumerate() {
            let floor = floors.get(id).copied();
            let more = self.maintain_partition(key, floor, now);
            trimmed = trimmed.and_then(|records| more.map(|more| records + more));
        }
        for key in journals {
            if let Some(open) = self.journals.get_mut(&key) {
                let least = self.options.compact_above_bytes;
                let compacted = open
                    .journal
                    .compact_if_grown(least, &mut self.journal_numbers);
                trimmed = trimmed.and_then(|records| compacted.map(|()| records));
            }
        }
        trimmed
    }

    fn maintain_partition(
        &mut self,
        key: PartitionKey,
        floor: Option<Offset>,
        now: Timestamp,
    ) -> Result<u64, StorageError> {
        let Some(OpenPartition { log, settings }) = self.partitions.get_mut(&key) else {
            return Ok(0);
        };
        let rolled = log.roll_if_aged(settings, now);
        let reader = log.reader();
        let before = reader.log_start_offset();
        if before == log.tail().active_base {
            return rolled.map(|()| 0); // Nothing but the last segment, which is never trimmed.
        }
        let expiry = Expiry {
            settings,
            floor,
            newest: log.tail().last_timestamp,
            now,
        };
        expiry.apply(reader)?;
        rolled.map(|()| reader.log_start_offset().since(before))
    }
}
