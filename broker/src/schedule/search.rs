//! Looking for a message that may have been appended before a crash.

use super::fire::DueMessage;
use super::line::Target;
use super::task::Task;
use crate::broker::BrokerError;
use crate::reads;
use crate::topic::Partition;
use std::collections::{BTreeMap, HashMap, HashSet};
use weir_commitlog::{ReadLimits, RecordHead, StoredLine};
use weir_types::{Incarnation, Offset, PartitionId, TopicName};

/// What is read at a time.
const LIMITS: ReadLimits = ReadLimits {
    max_records: 4096,
    max_bytes: 1 << 20,
};

type Where<'a> = (&'a TopicName, Incarnation, PartitionId);

impl Task {
    /// Which of `messages` are in their topics already. A topic that is gone, or another one of its
    /// name, holds none of them.
    pub(super) async fn arrived(
        &self,
        messages: &[DueMessage],
    ) -> Result<HashSet<String>, BrokerError> {
        let mut places: BTreeMap<(&str, u64, PartitionId), Sought<'_>> = BTreeMap::new();
        for message in messages {
            if let Some(target) = message.entry().delivering {
                let topic = &message.entry().topic;
                let place = (topic.as_str(), target.incarnation.0, target.partition);
                let sought = places
                    .entry(place)
                    .or_insert_with(|| Sought::new(topic, target));
                sought.add(message, target.from);
            }
        }
        let mut arrived = HashSet::new();
        for sought in places.into_values() {
            let (topic, incarnation, partition) = sought.place;
            let topic = self.broker.existing_topic(topic);
            let topic = topic.filter(|topic| topic.incarnation() == incarnation);
            let place = topic.and_then(|t| t.partitions().get(partition.0 as usize).cloned());
            if let Some(partition) = place {
                sought.find(&partition, &mut arrived).await?;
            }
        }
        Ok(arrived)
    }
}

/// Messages that are looked for in one partition.
struct Sought<'a> {
    place: Where<'a>,
    from: Offset,
    /// By their ids as they stand in a record.
    by_id: HashMap<Vec<u8>, Vec<(&'a DueMessage, Offset)>>,
}

impl<'a> Sought<'a> {
    fn new(topic: &'a TopicName, target: Target) -> Self {
        Self {
            place: (topic, target.incarnation, target.partition),
            from: target.from,
            by_id: HashMap::new(),
        }
    }

    fn add(&mut self, message: &'a DueMessage, from: Offset) {
        self.from = self.from.min(from);
        // Texts always serialize.
        let id = serde_json::to_vec(&message.id).unwrap_or_default();
        self.by_id.entry(id).or_default().push((message, from));
    }

    /// Reads the partition up to its end.
    async fn find(
        mut self,
        partition: &Partition,
        arrived: &mut HashSet<String>,
    ) -> Result<(), BrokerError> {
        let mut from = self.from;
        let end = partition.reader().high_watermark();
        if partition.reader().log_start_offset() > from {
            let topic = self.place.0;
            tracing::warn!(%topic, "records were trimmed among which a scheduled message may have been");
        }
        while from < end && !self.by_id.is_empty() {
            let batch = reads::read(partition, from, LIMITS).await?;
            batch
                .lines
                .iter()
                .for_each(|line| self.compare(line, arrived));
            if batch.next_offset <= from {
                break;
            }
            from = batch.next_offset;
        }
        Ok(())
    }

    /// One record is one message: of two with the same id, each has to be found.
    fn compare(&mut self, line: &StoredLine, arrived: &mut HashSet<String>) {
        let Some(head) = RecordHead::of(&line.bytes) else {
            return;
        };
        let Some(same_id) = self.by_id.get_mut(head.id) else {
            return;
        };
        let is_it = |(message, from): &(&DueMessage, Offset)| {
            line.offset >= *from && head.payload == &message.payload[..]
        };
        if let Some(at) = same_id.iter().position(is_it) {
            let (message, _) = same_id.remove(at);
            arrived.insert(message.schedule_id().to_owned());
            if same_id.is_empty() {
                self.by_id.remove(head.id);
            }
        }
    }
}
