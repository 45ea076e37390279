//! Messages of one line wait for each other.

use super::super::event::{Position, Stored};
use super::super::facts::Handing;
use super::super::violation::{Promise, Violation};
use super::deliveries::violation;
use super::{Check, Ordering};
use std::collections::BTreeMap;
use weir_types::{PartitionId, Timestamp};

/// What is known of the end of a message.
struct End<'a> {
    stored: &'a Stored,
    /// Number of the first event that may have finished it; 0 for a dead letter, which nobody sends.
    earliest: Option<usize>,
    earliest_at: Option<Timestamp>,
    /// It was unfinished then.
    last_granted_at: Option<Timestamp>,
}

impl Check<'_> {
    pub(super) fn order(&self, violations: &mut Vec<Violation>) {
        for line in self.lines().into_values() {
            let ends: Vec<_> = line.iter().map(|stored| self.end(stored)).collect();
            for (index, stored) in line.iter().enumerate() {
                let handings = self.facts.handings(stored.position);
                let early = handings.iter().find_map(|handing| {
                    let mut earlier = ends[..index].iter();
                    earlier.find_map(|end| self.is_its_turn(handing, end))
                });
                violations.extend(early);
            }
        }
    }

    fn lines(&self) -> BTreeMap<(PartitionId, Option<&str>), Vec<&Stored>> {
        let mut lines: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for stored in self.stored.values() {
            let partition = stored.position.partition;
            let line = match (self.promises.ordering, stored.key.as_deref()) {
                (Ordering::Partition, _) => (partition, None),
                (Ordering::Key, Some(key)) => (partition, Some(key)),
                (Ordering::Key | Ordering::None, _) => continue,
            };
            lines.entry(line).or_default().push(*stored);
        }
        lines
    }

    fn end<'b>(&self, stored: &'b Stored) -> End<'b> {
        let Stored { position, .. } = *stored;
        let dead_at = self
            .dead_letters(position)
            .iter()
            .map(|dead| dead.timestamp);
        let acks = || {
            let settlements = self.facts.settlements(position).iter();
            settlements.filter(|settlement| settlement.may_finish())
        };
        let numbers = acks().map(|ack| ack.sent.number);
        let granted = self.facts.handings(position).iter();
        End {
            stored,
            earliest: dead_at.clone().map(|_| 0).chain(numbers).min(),
            earliest_at: dead_at.chain(acks().map(|ack| ack.sent.at)).min(),
            last_granted_at: granted.map(|handing| handing.granted_at).max(),
        }
    }

    fn is_its_turn(&self, handing: &Handing<'_>, earlier: &End<'_>) -> Option<Violation> {
        let before = earlier.stored.position;
        let is_finished_first = earlier.earliest.is_some_and(|n| n < handing.seen.number)
            && earlier
                .earliest_at
                .is_some_and(|at| !self.is_before(handing.granted_at, at));
        let comes_again = earlier
            .last_granted_at
            .is_some_and(|at| self.is_before(handing.granted_at, at));
        let says = match (is_finished_first, comes_again) {
            (true, false) => return None,
            (true, true) => format!("before {before} of its line was delivered again"),
            (false, _) => format!("while {before} of its line was {}", self.state_of(before)),
        };
        let violation = violation(Promise::OrderIsKept, handing, &says);
        Some(violation.at(before).of(&earlier.stored.id))
    }

    fn state_of(&self, position: Position) -> &'static str {
        match self.facts.handings(position) {
            [] => "never delivered",
            _ => "unfinished",
        }
    }
}
