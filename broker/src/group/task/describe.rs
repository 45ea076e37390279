//! How far the group is.

use super::{GroupPartition, GroupTask};
use crate::reads;
use weir_protocol::shapes::{GroupInfo, GroupPartitionInfo, MemberInfo};

impl GroupTask {
    pub(super) async fn describe(&mut self) -> GroupInfo {
        let mut partitions = Vec::with_capacity(self.partitions.len());
        let mut lag_seconds: f64 = 0.0;
        for index in 0..self.partitions.len() {
            self.pass_over_trimmed(index);
            lag_seconds = lag_seconds.max(self.lag_seconds(index).await);
            partitions.push(self.describe_partition(index));
        }
        let totals = || self.partitions.iter().map(|p| p.state.totals());
        GroupInfo {
            group: self.client.name().clone(),
            topic: self.topic.name().clone(),
            ordering: self.rules.ordering,
            max_deliveries: self.rules.max_deliveries,
            retry_backoff: self.rules.retry_backoff.clone(),
            expires_after: self.settings.expires_after,
            lag_records: partitions.iter().map(|p| p.lag_records).sum(),
            lag_seconds,
            in_flight: partitions.iter().map(|p| p.in_flight).sum(),
            waiting: partitions.iter().map(|p| p.waiting).sum(),
            held_back: partitions.iter().map(|p| p.held_back).sum(),
            moving: partitions.iter().map(|p| p.moving).sum(),
            redelivered: totals().map(|t| t.redelivered).sum(),
            dead_lettered: totals().map(|t| t.dead_lettered).sum(),
            expired: totals().map(|t| t.expired).sum(),
            lost_records: partitions.iter().map(|p| p.lost_records).sum(),
            members: self.describe_members(),
            partitions,
        }
    }

    fn describe_partition(&self, index: usize) -> GroupPartitionInfo {
        let GroupPartition { log, state, .. } = &self.partitions[index];
        let high_watermark = log.reader().high_watermark();
        GroupPartitionInfo {
            partition: log.id(),
            committed_offset: state.committed_offset(),
            high_watermark,
            lag_records: state.lag_records(high_watermark),
            in_flight: state.in_flight(),
            waiting: state.waiting(),
            held_back: state.held_back(),
            moving: state.moving(),
            read_ahead_stopped: state.is_full(&self.rules),
            lost_records: state.totals().lost_records,
            member: self.members.of_partition(index).cloned(),
        }
    }

    fn describe_members(&self) -> Vec<MemberInfo> {
        let views = self.members.view(self.clock.now()).into_iter();
        views
            .map(|member| {
                let held = |p: &GroupPartition| -> u64 {
                    let holders = member.holders.iter();
                    let held = holders.map(|&holder| u64::from(p.state.leased_by(holder)));
                    held.sum()
                };
                MemberInfo {
                    in_flight: self.partitions.iter().map(held).sum(),
                    member: member.name,
                    idle_seconds: member.idle.as_secs_f64(),
                    partitions: member.partitions,
                }
            })
            .collect()
    }

    /// Age of the oldest unfinished record of a partition; 0 when there is none.
    async fn lag_seconds(&mut self, index: usize) -> f64 {
        let GroupPartition {
            log, state, oldest, ..
        } = &self.partitions[index];
        let first = state.committed_offset();
        if state.lag_records(log.reader().high_watermark()) == 0 {
            return 0.0;
        }
        let known = oldest.filter(|(offset, _)| *offset == first);
        let stored_at = match known {
            Some((_, stored_at)) => Some(stored_at),
            None => reads::timestamp_at(log, first).await,
        };
        self.partitions[index].oldest = stored_at.map(|stored_at| (first, stored_at));
        let now = self.clock.now();
        stored_at.map_or(0.0, |stored_at| now.since(stored_at).as_secs_f64())
    }
}
