//! A time during which something is left alone.

use std::time::Duration;
use weir_types::Timestamp;

/// Until when something is left alone; over from the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    until: Timestamp,
    length: Duration,
}

impl Rest {
    pub(super) fn begin(now: Timestamp, length: Duration) -> Self {
        let until = now.plus(length);
        Self { until, length }
    }

    pub(super) const fn length(&self) -> Duration {
        self.length
    }

    /// When it ends, unless it is over.
    pub(super) fn end(&self, now: Timestamp) -> Option<Timestamp> {
        (self.until > now).then_some(self.until)
    }

    /// That which ends later.
    pub(super) fn or_longer(self, other: Self) -> Self {
        match other.until > self.until {
            true => other,
            false => self,
        }
    }

    /// If the clock was set back, it begins anew rather than lasting as long as the jump.
    pub(super) fn notice(&mut self, now: Timestamp) {
        self.until = self.until.min(now.plus(self.length));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_makes_it_begin_anew() {
        let mut rest = Rest::begin(Timestamp(1_000_000), Duration::from_secs(7));
        assert_eq!(rest.end(Timestamp(1_000_000)), Some(Timestamp(1_007_000)));
        assert_eq!(rest.end(Timestamp(1_007_000)), None);
        for now in [0, 6_999] {
            rest.notice(Timestamp(now));
            assert_eq!(rest.end(Timestamp(now)), Some(Timestamp(7_000)));
        }
        rest.notice(Timestamp(7_000));
        assert_eq!(rest.end(Timestamp(7_000)), None);
    }
}
