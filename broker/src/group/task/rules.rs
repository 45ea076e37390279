//! What applies to every message of the group, and how it changes.

use super::super::dead_letters::dead_letter_topic;
use super::super::partition::Rules;
use super::{GroupBounds, GroupTask};
use crate::topic::TopicCore;
use std::sync::Arc;
use weir_types::{GroupSettings, TopicSettings};

impl GroupTask {
    /// The topic's settings may have changed.
    pub(super) fn renew_rules(&mut self) {
        let current = self.topic.settings();
        if !Arc::ptr_eq(&current, &self.topic_settings) {
            self.topic_settings = current;
            self.make_rules();
        }
    }

    pub(super) fn make_rules(&mut self) {
        self.rules = rules(
            &self.topic,
            &self.topic_settings,
            &self.settings,
            self.bounds,
        );
    }
}

/// What applies now: the group's own choice, else the topic's.
pub(super) fn rules(
    topic: &TopicCore,
    of_topic: &TopicSettings,
    of_group: &GroupSettings,
    bounds: GroupBounds,
) -> Rules {
    let backoff = of_group.retry_backoff.as_ref();
    Rules {
        ordering: of_group.ordering,
        max_deliveries: of_group.max_deliveries.unwrap_or(of_topic.max_deliveries),
        moves_dead_letters: dead_letter_topic(topic.name()).is_some(),
        retry_backoff: backoff.unwrap_or(&of_topic.retry_backoff).clone(),
        max_held_back: bounds.max_held_back,
        max_active: bounds.max_in_flight,
    }
}
