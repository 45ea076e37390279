//! Whether the sampler still looks at the host, for whoever restarts an agent that does not. Pure:
//! the time since boot is passed in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A look may be this late: on a host without a free processor, or beside a disk that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Set by the sampler's loop, read by probes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    looks: AtomicU64,
    /// Milliseconds since boot at which the next look is due.
    next_look_ms: AtomicU64,
}

impl Pulse {
    /// Notes a look, and when the next one is due.
    pub(crate) fn beat(&self, next_look: Duration) {
        let next_look_ms = u64::try_from(next_look.as_millis()).unwrap_or(u64::MAX);
        self.0.next_look_ms.store(next_look_ms, Ordering::Relaxed);
        self.0.looks.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has looked.
    pub(crate) fn looks(&self) -> u64 {
        self.0.looks.load(Ordering::Relaxed)
    }

    /// Whether a look is overdue. Before the first one, none is.
    pub(crate) fn is_overdue(&self, since_boot: Duration) -> bool {
        let next_look = Duration::from_millis(self.0.next_look_ms.load(Ordering::Relaxed));
        self.looks() > 0 && since_boot > next_look + PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampler_that_stopped_looking_is_overdue_after_a_minute() {
        let pulse = Pulse::default();
        let at = Duration::from_secs;
        assert!(!pulse.is_overdue(at(1_000_000)));
        pulse.beat(at(101));
        assert_eq!(pulse.looks(), 1);
        assert!(!pulse.is_overdue(at(161)));
        assert!(pulse.is_overdue(at(162)));
        pulse.beat(at(163));
        assert!(!pulse.is_overdue(at(162)));
    }
}
