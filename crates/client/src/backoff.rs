use std::time::Duration;

/// How long to wait before the n-th retry: doubling from `first` up to `cap`, then a random part of
/// that. Pure: the caller brings the randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Upper end of the wait before the first retry.
    pub first: Duration,
    /// Upper end of every wait.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            cap: Duration::from_secs(10),
        }
    }
}

impl Backoff {
    /// The wait before retry number `retry` (from 0), between half and the whole of its step.
    ///
    /// `jitter` in `0.0..1.0` chooses the place in that half, so that clients that lost their
    /// broker together do not come back together. Values outside are clamped.
    #[must_use]
    pub fn delay(&self, retry: u32, jitter: f64) -> Duration {
        let step = 2_u32
            .checked_pow(retry)
            .and_then(|factor| self.first.checked_mul(factor))
            .map_or(self.cap, |step| step.min(self.cap));
        let jitter = if jitter.is_finite() {
            jitter.clamp(0.0, 1.0)
        } else {
            1.0
        };
        step.mul_f64(0.5 + jitter / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff {
        first: Duration::from_millis(100),
        cap: Duration::from_secs(1),
    };

    #[test]
    fn waits_double_up_to_the_cap() {
        let waits = [0, 1, 2, 3, 4, 31, 32, u32::MAX].map(|n| BACKOFF.delay(n, 1.0).as_millis());
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000, 1000, 1000]);
        assert_eq!(BACKOFF.delay(0, 0.0).as_millis(), 50);
    }

    proptest! {
        #[test]
        fn waits_stay_within_half_and_whole_of_a_step(retry: u32, jitter: f64) {
            let wait = BACKOFF.delay(retry, jitter);
            prop_assert!(wait >= BACKOFF.first / 2 && wait <= BACKOFF.cap);
        }
    }
}
