use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// A message this late or less is laid to the generator's timer (1 ms grain), not to the broker.
const TIMER_SLACK: Duration = Duration::from_millis(2);

/// When messages are due, at a steady rate, and from when the way of each of them is timed.
pub(crate) struct Departures {
    start: Instant,
    rate: u64,
    /// Nanoseconds after `start`, a number for each message.
    left: Vec<AtomicU64>,
}

impl Departures {
    /// `rate` messages a second.
    pub(crate) fn new(start: Instant, rate: u64, messages: u64) -> Self {
        Self {
            start,
            rate,
            left: (0..messages).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(crate) fn messages(&self) -> u64 {
        self.left.len() as u64
    }

    pub(crate) fn due(&self, number: u64) -> Instant {
        self.start + Duration::from_nanos(number * 1_000_000_000 / self.rate)
    }

    /// A message that leaves late is timed from when it was due, so that a broker that holds up the
    /// sender cannot hide it.
    pub(crate) fn leaves(&self, number: u64, now: Instant) {
        let due = self.due(number);
        let is_late = now.saturating_duration_since(due) > TIMER_SLACK;
        let from = if is_late { due } else { now };
        self.of(number).store(self.nanos(from), Relaxed);
    }

    /// How long a message that is one of ours was on its way.
    pub(crate) fn way_of(&self, number: u64, now: Instant) -> Duration {
        let left = self.of(number).load(Relaxed);
        Duration::from_nanos(self.nanos(now).saturating_sub(left))
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "numbers are below the length of a Vec"
    )]
    fn of(&self, number: u64) -> &AtomicU64 {
        &self.left[number as usize]
    }

    fn nanos(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.start).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_messages_are_timed_from_when_they_were_due() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let departures = Departures::new(start, 100, 4);
        assert_eq!(departures.due(3), ms(30));
        for (number, left, timed_from) in [(1, 10, 10), (2, 21, 21), (3, 35, 30)] {
            departures.leaves(number, ms(left));
            let way = departures.way_of(number, ms(50));
            assert_eq!(way, Duration::from_millis(50 - timed_from));
        }
    }
}
