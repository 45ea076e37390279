/// Long enough to see a prompt sample, short enough to get over a clock that was set.
const WINDOW_MS: i64 = 10 * 60 * 1_000;

/// How late a node's samples reach the broker, whatever the node's clock says: the least difference
/// between both clocks in the last 10 to 20 minutes counts as the clocks' own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay {
    began: i64,
    least: i64,
    least_before: i64,
}

impl Delay {
    pub(super) fn new(stored: u64, timestamp: u64) -> Self {
        let difference = difference(stored, timestamp);
        Self {
            began: signed(stored),
            least: difference,
            least_before: difference,
        }
    }

    /// Notes a sample; how many milliseconds it was late.
    pub(super) fn note(&mut self, stored: u64, timestamp: u64) -> u64 {
        let difference = difference(stored, timestamp);
        if signed(stored).saturating_sub(self.began) > WINDOW_MS {
            self.began = signed(stored);
            self.least_before = self.least;
            self.least = difference;
        }
        self.least = self.least.min(difference);
        let usual = self.least.min(self.least_before);
        u64::try_from(difference.saturating_sub(usual)).unwrap_or(0)
    }
}

fn difference(stored: u64, timestamp: u64) -> i64 {
    signed(stored).saturating_sub(signed(timestamp))
}

fn signed(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_not_lateness() {
        let mut delay = Delay::new(1_000_000, 400_000);
        assert_eq!(delay.note(1_001_000, 401_000), 0);
        assert_eq!(delay.note(1_062_000, 402_000), 60_000);
        assert_eq!(delay.note(1_063_000, 463_000), 0);
    }

    #[test]
    fn a_clock_set_back_is_got_over() {
        let mut delay = Delay::new(0, 10_000_000);
        let minute = 60_000;
        let late: Vec<_> = (1..=30)
            .map(|n| delay.note(n * minute, n * minute) > 0)
            .collect();
        assert!(late[0] && !late[29]);
    }
}
