//! What happens by itself: segments roll by age, retention trims, journals are compacted, and the
//! free space of the disk is watched.

use super::dead_letters::REDRIVE;
use super::{Broker, BrokerError};
use crate::group::{GroupClient, dead_letter_topic};
use crate::metrics;
use crate::reply_topics;
use crate::topic::{Topic, TopicCore};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use weir_commitlog::Trimmed;
use weir_types::Offset;

/// How often topics are rolled, trimmed and compacted.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(10);
/// How often the free space is measured.
const SPACE_INTERVAL: Duration = Duration::from_secs(1);

impl Broker {
    /// Runs until `stop`. One failing topic does not keep the others from their turn.
    pub(super) async fn maintain(self, stop: CancellationToken) {
        // Before that, what is trimmed may be what a delivery that a crash interrupted looks for.
        let recovered = self.shared.scheduling.recovered.clone();
        let mut topics = tokio::time::interval(MAINTENANCE_INTERVAL);
        let mut space = tokio::time::interval(SPACE_INTERVAL);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = topics.tick(), if recovered.is_cancelled() => self.maintain_topics().await,
                _ = space.tick() => self.watch_space().await,
            }
        }
    }

    async fn maintain_topics(&self) {
        for topic in self.shared.registry.all() {
            let name = topic.core().name();
            match self.maintain_topic(&topic).await {
                Ok(Trimmed { records: 0, .. }) | Err(BrokerError::Draining) => {}
                Ok(Trimmed { records, forced: 0 }) => {
                    tracing::info!(topic = %name, records, "retention trimmed records");
                }
                Ok(Trimmed { records, forced }) => tracing::warn!(
                    topic = %name,
                    records,
                    forced,
                    "retention by bytes trimmed records that a group had not finished"
                ),
                Err(error) => tracing::error!(topic = %name, %error, "maintenance failed"),
            }
        }
    }

    async fn maintain_topic(&self, topic: &Topic) -> Result<Trimmed, BrokerError> {
        let floors = self.look_after_groups(topic).await;
        if self.expire_topic(topic, &floors).await? {
            return Ok(Trimmed::default());
        }
        self.shared
            .committer
            .maintain_topic(topic.core().name().clone(), floors)
            .await
    }

    /// Deletes groups that nobody has used for as long as they were to be kept. Returns the lowest
    /// committed offset of the others for each partition; nothing without groups.
    async fn look_after_groups(&self, topic: &Topic) -> Vec<Offset> {
        let mut lowest: Vec<Offset> = Vec::new();
        for group in topic.groups() {
            let Ok(upkeep) = group.upkeep().await else {
                continue;
            };
            if upkeep.is_in_use {
                topic.core().used(self.shared.clock.now());
            }
            if upkeep.has_expired {
                self.expire_group(topic, &group).await;
                continue;
            }
            if is_memory_of_redrives(topic, &group) {
                continue;
            }
            match lowest.is_empty() {
                true => lowest = upkeep.floors,
                false => lowest
                    .iter_mut()
                    .zip(upkeep.floors)
                    .for_each(|(low, floor)| *low = floor.min(*low)),
            }
        }
        lowest
    }

    /// Deletes a topic that nobody has used for as long as it was to be kept; says whether it did.
    async fn expire_topic(&self, topic: &Topic, floors: &[Offset]) -> Result<bool, BrokerError> {
        let core = topic.core();
        let Some(mut keep_for) = core.settings().expires_after.map(|after| after.0) else {
            return Ok(false);
        };
        if core.is_for_replies() && is_all_taken(core, floors) {
            keep_for = keep_for.min(reply_topics::IDLE_WHEN_TAKEN);
        }
        let now = self.shared.clock.now();
        if core.followers() > topic.groups().len() {
            core.used(now);
        }
        let last_used = core.last_used(now);
        if now.since(last_used) < keep_for {
            return Ok(false);
        }
        let name = core.name();
        let committer = &self.shared.committer;
        let deleted = committer
            .delete_topic(name.clone(), Some(last_used))
            .await?;
        if deleted {
            tracing::info!(topic = %name, "deleted a topic that nobody used");
        }
        Ok(deleted)
    }

    async fn expire_group(&self, topic: &Topic, group: &GroupClient) {
        let (topic, group) = (topic.core().name(), group.name());
        match self.delete_group(topic, group).await {
            Ok(()) => tracing::info!(%topic, %group, "deleted a group that nobody used"),
            Err(error) => tracing::warn!(%topic, %group, %error, "cannot delete an expired group"),
        }
    }

    async fn watch_space(&self) {
        let least = self.shared.options.min_free_bytes;
        let full = match self.shared.committer.available_bytes().await {
            Ok(available) => {
                metrics::available_bytes(available);
                available < least
            }
            Err(error) => {
                tracing::warn!(%error, "cannot measure the free space");
                return;
            }
        };
        if self.shared.disk_full.swap(full, Ordering::Relaxed) != full {
            match full {
                true => tracing::error!(
                    min_free_bytes = least,
                    "the disk is almost full: publishes are refused"
                ),
                false => tracing::info!("there is room on the disk again: publishes are accepted"),
            }
        }
    }
}

/// Whether groups, whose lowest committed offsets these are, have finished every record.
fn is_all_taken(topic: &TopicCore, floors: &[Offset]) -> bool {
    let ends = topic
        .partitions()
        .iter()
        .map(|p| p.reader().high_watermark());
    !floors.is_empty() && floors.iter().zip(ends).all(|(floor, end)| *floor >= end)
}

/// It knows which dead letters were moved back, and waits for none of the others.
fn is_memory_of_redrives(topic: &Topic, group: &GroupClient) -> bool {
    group.name().as_str() == REDRIVE && dead_letter_topic(topic.core().name()).is_none()
}
