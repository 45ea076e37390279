//! How far the group is.

use super::{GroupPartition, GroupTask};
use crate::reads;
use weir_protocol::shapes::{GroupInfo, GroupPartitionInfo};

impl GroupTask {
    pub(super) async fn describe(&mut self) -> GroupInfo {
        let mut partitions = Vec::with_capacity(self.partitions.len());
        let mut lag_seconds: f64 = 0.0;
        for index in 0..self.partitions.len() {
            self.pass_over_trimmed(index);
            lag_seconds = lag_seconds.max(self.lag_seconds(index).await);
            let GroupPartition { log, state, .. } = &self.partitions[index];
            let high_watermark = log.reader().high_watermark();
            partitions.push(GroupPartitionInfo {
                partition: log.id(),
                committed_offset: state.committed_offset(),
                high_watermark,
                lag_records: state.lag_records(high_watermark),
                in_flight: state.in_flight(),
                lost_records: state.lost_records(),
            });
        }
        GroupInfo {
            group: self.client.name().clone(),
            topic: self.topic.name().clone(),
            lag_records: partitions.iter().map(|p| p.lag_records).sum(),
            lag_seconds,
            in_flight: partitions.iter().map(|p| p.in_flight).sum(),
            redelivered: self.partitions.iter().map(|p| p.state.redelivered()).sum(),
            lost_records: partitions.iter().map(|p| p.lost_records).sum(),
            partitions,
        }
    }

    /// Age of the oldest unfinished record of a partition; 0 when there is none.
    async fn lag_seconds(&mut self, partition: usize) -> f64 {
        let GroupPartition { log, state, .. } = &self.partitions[partition];
        let oldest = state.committed_offset();
        if state.lag_records(log.reader().high_watermark()) == 0 {
            return 0.0;
        }
        let known = self.oldest[partition].filter(|(offset, _)| *offset == oldest);
        let stored_at = match known {
            Some((_, stored_at)) => Some(stored_at),
            None => reads::timestamp_at(log, oldest).await,
        };
        self.oldest[partition] = stored_at.map(|stored_at| (oldest, stored_at));
        let now = self.clock.now();
        stored_at.map_or(0.0, |stored_at| now.since(stored_at).as_secs_f64())
    }
}
