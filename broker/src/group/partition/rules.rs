//! What applies to every message of a group.

use std::time::Duration;
use weir_types::{GroupOrdering, RetryBackoff};

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
    pub(super) fn is_exhausted(&self, attempts: u32) -> bool {
        self.moves_dead_letters && attempts >= self.max_deliveries
    }

    /// How long a message waits whose delivery number `attempts` ended, if its consumer asked for
    /// `asked`.
    pub(super) fn retry_delay(
        &self,
        attempts: u32,
        asked: Option<Duration>,
        random: u64,
    ) -> Duration {
        let delay = asked.unwrap_or_else(|| self.retry_backoff.delay(attempts, random));
        match attempts < self.max_deliveries {
            true => delay,
            false => delay.max(self.retry_backoff.cap()).max(LEAST_LAST_RESORT),
        }
    }
}
