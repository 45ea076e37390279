//! What applies to every message of a group.

use super::terms::Redelivery;
use std::time::Duration;
use weir_commitlog::Returned;
use weir_types::{GroupOrdering, RetryBackoff, Timestamp};

/// What applies to every message of the group.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) ordering: GroupOrdering,
    /// After so many deliveries a message moves to the dead-letter topic.
    pub(crate) max_deliveries: u32,
    /// `false` in a group that reads dead letters: it keeps trying.
    pub(crate) moves_dead_letters: bool,
    pub(crate) retry_backoff: RetryBackoff,
    /// Messages that may be held back behind others.
    pub(crate) max_held_back: usize,
    /// Messages that may be leased or wait for their next delivery.
    pub(crate) max_active: usize,
}

/// How long a message waits at least that was delivered as often as is allowed, and cannot move to a
/// dead-letter topic.
const LEAST_LAST_RESORT: Duration = Duration::from_secs(30);

impl Rules {
    /// Whether a message that came back becomes a dead letter.
    pub(super) fn must_move(&self, returned: &Returned) -> bool {
        let for_good = returned.available_at == Timestamp::NEVER;
        self.moves_dead_letters && (for_good || returned.attempts >= self.max_deliveries)
    }

    /// When a message may be delivered again whose delivery number `attempts` ended at `now`.
    pub(super) fn available_at(
        &self,
        now: Timestamp,
        attempts: u32,
        redelivery: Redelivery,
        random: u64,
    ) -> Timestamp {
        let last_resort = self.retry_backoff.cap().max(LEAST_LAST_RESORT);
        let delay = match redelivery {
            Redelivery::ByBackoff => self.retry_backoff.delay(attempts, random),
            Redelivery::After(delay) => delay,
            Redelivery::Never if self.moves_dead_letters => return Timestamp::NEVER,
            Redelivery::Never => last_resort,
        };
        now.plus(match attempts < self.max_deliveries {
            true => delay,
            false => delay.max(last_resort),
        })
    }
}
