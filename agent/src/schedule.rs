//! When which topic is due, and which number its sample gets. Pure: the time since boot is passed
//! in.
//!
//! Time since boot is cut into slots of one interval. A topic is due once in each slot, and the
//! sample's `seq` is the slot's number. So a missed slot is a gap of exactly one, an agent that
//! restarts goes on with the right number, and one that restarts within a slot repeats that slot's
//! id, which the broker and every reader drop as a duplicate.

use crate::sample::Topic;
use std::time::Duration;

/// `host.info` comes this often.
const INFO_INTERVAL_SECONDS: u64 = 3600;
/// Everything but `host.cpu` comes at most this often.
const SLOW_INTERVAL_SECONDS: u64 = 5;

/// Which topics are wanted, and what has been sent of them.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    base_seconds: u64,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    topic: Topic,
    interval_seconds: u64,
    last_slot: Option<u64>,
}

/// A topic whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) topic: Topic,
    pub(crate) seq: u64,
    pub(crate) interval_seconds: u64,
}

impl Schedule {
    /// `base_seconds` is the interval of `host.cpu`, at least 1.
    pub(crate) fn new(base_seconds: u64, wanted: &[Topic]) -> Self {
        let row = |topic| Row {
            topic,
            interval_seconds: interval_seconds(topic, base_seconds),
            last_slot: None,
        };
        let topics = Topic::ALL.into_iter().filter(|t| wanted.contains(t));
        Self {
            base_seconds,
            rows: topics.map(row).collect(),
        }
    }

    /// What is due, each topic once a slot.
    pub(crate) fn due(&mut self, since_boot: Duration) -> Vec<Due> {
        let seconds = since_boot.as_secs();
        let base_slot = seconds / self.base_seconds;
        let due = |row: &mut Row| {
            let slot = seconds / row.interval_seconds;
            if row.last_slot.is_some_and(|last| slot <= last) {
                return None;
            }
            row.last_slot = Some(slot);
            Some(Due {
                topic: row.topic,
                // A restarted agent tells its version and labels at once, so the hour is no slot.
                seq: if row.topic == Topic::Info {
                    base_slot
                } else {
                    slot
                },
                interval_seconds: row.interval_seconds,
            })
        };
        self.rows.iter_mut().filter_map(due).collect()
    }

    /// How long it is to the next slot.
    pub(crate) fn pause(&self, since_boot: Duration) -> Duration {
        let slot = since_boot.as_secs() / self.base_seconds;
        Duration::from_secs((slot + 1) * self.base_seconds).saturating_sub(since_boot)
    }
}

/// Whole multiples of the base, so that slots begin together.
fn interval_seconds(topic: Topic, base_seconds: u64) -> u64 {
    let at_most_every = match topic {
        Topic::Cpu => base_seconds,
        Topic::Info => INFO_INTERVAL_SECONDS,
        Topic::Memory | Topic::Disk | Topic::Network | Topic::System => SLOW_INTERVAL_SECONDS,
    };
    at_most_every.div_ceil(base_seconds) * base_seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn due(schedule: &mut Schedule, seconds: f64) -> Vec<(&'static str, u64)> {
        let due = schedule.due(at(seconds)).into_iter();
        due.map(|d| (d.topic.name(), d.seq)).collect()
    }

    #[test]
    fn cpu_comes_every_second_and_the_others_every_five() {
        let mut schedule = Schedule::new(1, &Topic::ALL);
        let first = due(&mut schedule, 7202.3);
        let expected = [
            ("host.info", 7202),
            ("host.cpu", 7202),
            ("host.memory", 1440),
            ("host.disk", 1440),
            ("host.network", 1440),
            ("host.system", 1440),
        ];
        assert_eq!(first, expected);
        assert_eq!(schedule.pause(at(7202.3)), at(0.7));
        assert_eq!(due(&mut schedule, 7202.9), []);
        assert_eq!(due(&mut schedule, 7203.0), [("host.cpu", 7203)]);
        assert_eq!(due(&mut schedule, 7205.0).len(), 5);
        assert_eq!(due(&mut schedule, 10_800.0)[0], ("host.info", 10_800));
    }

    #[test]
    fn missed_slots_are_exact_gaps() {
        let mut schedule = Schedule::new(1, &[Topic::Cpu]);
        assert_eq!(due(&mut schedule, 10.0), [("host.cpu", 10)]);
        assert_eq!(due(&mut schedule, 14.2), [("host.cpu", 14)]);
        assert_eq!(due(&mut schedule, 13.0), []);
    }

    #[test]
    fn a_restart_within_a_slot_repeats_the_number_and_later_ones_do_not() {
        let first = due(&mut Schedule::new(1, &[Topic::Memory]), 12.0);
        assert_eq!(due(&mut Schedule::new(1, &[Topic::Memory]), 14.9), first);
        assert_ne!(due(&mut Schedule::new(1, &[Topic::Memory]), 15.0), first);
    }

    #[test]
    fn longer_intervals_stretch_all_others() {
        let intervals = |base| {
            let due = Schedule::new(base, &[Topic::Cpu, Topic::Disk, Topic::Info]).due(at(1.0));
            due.iter().map(|d| d.interval_seconds).collect::<Vec<_>>()
        };
        assert_eq!(intervals(1), [3600, 1, 5]);
        assert_eq!(intervals(2), [3600, 2, 6]);
        assert_eq!(intervals(7), [3605, 7, 7]);
        assert_eq!(intervals(3600), [3600, 3600, 3600]);
    }
}
