//! One node: its latest samples, what is missing, and its last hour.

mod summary;

use super::charts::{self, ChartId, Rates};
use super::delay::Delay;
use super::history::{Columns, Position, WINDOW_MS};
use super::sequence::Sequence;
use super::shapes::{NodePoints, NodeState};
use super::{Allowance, Arrival};
use crate::sample::{HostTopic, Sample, Values};

/// No node counts as silent before this.
const LEAST_SILENCE_MS: u64 = 15_000;
const LATE_MS: u64 = 5 * 60 * 1_000;
/// Beyond so many intervals a rate would tell of another time than its point says.
const MAX_INTERVALS_OF_A_RATE: u64 = 3;
const TOPICS: usize = HostTopic::ALL.len();

/// What is known of one node.
#[derive(Clone, Debug)]
pub struct Node {
    name: String,
    boot_id: String,
    /// The newest sample of each topic, in the order of [`HostTopic::ALL`].
    latest: [Option<Latest>; TOPICS],
    delay: Option<Delay>,
    last_seen: u64,
    missed_samples: u64,
    rates: Rates,
    charts: [Columns; ChartId::COUNT],
}

#[derive(Clone, Debug)]
struct Latest {
    values: Values,
    timestamp: u64,
    interval_ms: u64,
    sequence: Sequence,
    /// When the broker got it, less what it was late: a replayed or spooled sample is not news.
    seen_at: u64,
    boot_id: String,
    /// The boot before, of which samples may be left over.
    earlier_boot_id: Option<String>,
}

/// Where a reader of a node's charts stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place([Position; ChartId::COUNT]);

impl Node {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            boot_id: String::new(),
            latest: Default::default(),
            delay: None,
            last_seen: 0,
            missed_samples: 0,
            rates: Rates::default(),
            charts: Default::default(),
        }
    }

    /// The node was heard of at `stored`.
    pub(super) fn seen(&mut self, stored: u64) {
        self.last_seen = self.last_seen.max(stored);
    }

    /// Takes a sample that the broker stored at `stored`.
    pub(super) fn apply(
        &mut self,
        sample: Sample,
        stored: u64,
        now: u64,
        allowance: &mut Allowance,
    ) -> Arrival {
        let late = self
            .delay
            .get_or_insert_with(|| Delay::new(stored, sample.timestamp))
            .note(stored, sample.timestamp);
        let seen_at = stored.saturating_sub(late);
        self.seen(seen_at);
        let slot = sample.values.topic() as usize;
        let before = self.latest[slot].take();
        let (sequence, arrival) = arrival(before.as_ref(), &sample);
        self.count(&arrival, &sample.values);
        if !matches!(arrival, Arrival::First | Arrival::Next { .. }) {
            self.latest[slot] = before.map(|before| Latest { sequence, ..before });
            return arrival;
        }
        self.boot_id.clone_from(&sample.boot_id);
        if sample.timestamp.saturating_add(WINDOW_MS) > now {
            self.extend_history(before.as_ref(), &sample, &arrival, allowance);
        }
        let earlier_boot_id = before.and_then(|before| {
            let rebooted = before.boot_id != sample.boot_id;
            if rebooted {
                Some(before.boot_id)
            } else {
                before.earlier_boot_id
            }
        });
        self.latest[slot] = Some(Latest {
            earlier_boot_id,
            values: sample.values,
            timestamp: sample.timestamp,
            interval_ms: sample.interval_ms,
            sequence,
            seen_at,
            boot_id: sample.boot_id,
        });
        arrival
    }

    fn count(&mut self, arrival: &Arrival, values: &Values) {
        // host.info has the numbers of a shorter interval than its own.
        if matches!(values, Values::Info(_)) {
            return;
        }
        match arrival {
            Arrival::Next { missed } => {
                self.missed_samples = self.missed_samples.saturating_add(*missed);
            }
            Arrival::OutOfOrder => self.missed_samples = self.missed_samples.saturating_sub(1),
            Arrival::First | Arrival::Duplicate => {}
        }
    }

    fn extend_history(
        &mut self,
        before: Option<&Latest>,
        sample: &Sample,
        arrival: &Arrival,
        allowance: &mut Allowance,
    ) {
        let earlier = before.and_then(|before| before.comparable_with(sample));
        let points = charts::points(earlier, &sample.values);
        let broken = before.is_some() && !matches!(arrival, Arrival::Next { missed: 0 });
        for (chart, row) in points.rows {
            let columns = &mut self.charts[chart as usize];
            if broken && let Some(last) = columns.last_time() {
                let gap = last.saturating_add(sample.interval_ms);
                if gap < sample.timestamp {
                    columns.push_gap(gap);
                }
            }
            columns.push(sample.timestamp, &row, allowance);
        }
        match sample.values {
            Values::Cpu(_) => self.rates.cpu_busy_ratio = points.rates.cpu_busy_ratio,
            Values::Network(_) => {
                let Rates { cpu_busy_ratio, .. } = self.rates;
                self.rates = Rates {
                    cpu_busy_ratio,
                    ..points.rates
                };
            }
            _ => {}
        }
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When the node was last heard of, on the broker's clock.
    #[must_use]
    pub const fn last_seen(&self) -> u64 {
        self.last_seen
    }

    /// How long ago the node was heard of.
    #[must_use]
    pub fn state(&self, now: u64) -> NodeState {
        let any_fresh = self
            .latest
            .iter()
            .flatten()
            .any(|latest| latest.is_fresh(now));
        if any_fresh {
            NodeState::Live
        } else if now.saturating_sub(self.last_seen) <= LATE_MS {
            NodeState::Late
        } else {
            NodeState::Gone
        }
    }

    /// The newest values of each topic that tell of now, with the time they were read. What the
    /// node is counts as long as it is live.
    pub fn fresh(&self, now: u64) -> impl Iterator<Item = (&Values, u64)> {
        let live = self.state(now) == NodeState::Live;
        self.latest.iter().flatten().filter_map(move |latest| {
            let lasting = matches!(latest.values, Values::Info(_));
            let fresh = live && (lasting || latest.is_fresh(now));
            fresh.then_some((&latest.values, latest.timestamp))
        })
    }

    pub(super) fn line_count(&self) -> usize {
        self.charts.iter().map(Columns::line_count).sum()
    }

    /// The place after everything there is.
    #[must_use]
    pub fn end(&self) -> Place {
        Place(std::array::from_fn(|chart| self.charts[chart].end()))
    }

    /// What came after `place`; `None` if nothing did.
    #[must_use]
    pub fn points_since(&self, place: &Place) -> Option<NodePoints> {
        let read = ChartId::ALL
            .iter()
            .map(|&id| self.charts[id as usize].since(place.0[id as usize], id.id()));
        let charts: Option<Vec<_>> = read.collect();
        let reset = charts.is_none();
        let mut charts = charts.unwrap_or_default();
        charts.retain(|chart| !chart.time.is_empty());
        (reset || !charts.is_empty()).then(|| NodePoints {
            node: self.name.clone(),
            charts,
            reset,
        })
    }
}

impl Latest {
    /// Whether the values tell of now. What a node is comes once an hour and never does.
    fn is_fresh(&self, now: u64) -> bool {
        let silence = match self.values {
            Values::Info(_) => LEAST_SILENCE_MS,
            _ => self.interval_ms.saturating_mul(3).max(LEAST_SILENCE_MS),
        };
        now.saturating_sub(self.seen_at) <= silence
    }

    /// These values and the seconds up to `sample`, if counters of both may be compared.
    fn comparable_with(&self, sample: &Sample) -> Option<(&Values, f64)> {
        let elapsed = sample.timestamp.checked_sub(self.timestamp)?;
        // Half an interval for ticks that are not quite on time.
        let longest = sample.interval_ms * MAX_INTERVALS_OF_A_RATE + sample.interval_ms / 2;
        let comparable = self.boot_id == sample.boot_id && elapsed > 0 && elapsed <= longest;
        comparable.then(|| (&self.values, elapsed as f64 / 1_000.0))
    }
}

/// What a sample is, seen from the one before, and the numbers seen with it.
fn arrival(before: Option<&Latest>, sample: &Sample) -> (Sequence, Arrival) {
    let first = (Sequence::starting_at(sample.seq), Arrival::First);
    let Some(before) = before else {
        return first;
    };
    if before.boot_id != sample.boot_id {
        // Clocks may go back across a boot, so its id alone tells what is left over.
        let left_over = before.earlier_boot_id.as_ref() == Some(&sample.boot_id);
        return if left_over {
            (before.sequence.clone(), Arrival::Duplicate)
        } else {
            first
        };
    }
    let mut sequence = before.sequence.clone();
    let arrival = sequence.note(sample.seq);
    let restarted = sequence.is_far_above(sample.seq) && sample.timestamp > before.timestamp;
    // A producer that counts from its own start, or gave a wild number before.
    if restarted {
        first
    } else {
        (sequence, arrival)
    }
}
