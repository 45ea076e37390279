//! Whether a history, and what is found at its end, keep what DESIGN promises. Pure.
//!
//! Only orders that a client can know are used: one call was answered before another was sent; and
//! times by the clock that clients and broker share, with a tolerance in favour of the broker. What
//! nobody knows, such as whether an unanswered ack was carried out, counts for the broker.

mod deliveries;
mod ends;
mod leases;
mod log;
mod order;

use super::event::{Found, Position, Stored};
use super::facts::{Facts, Handing, Moment};
use super::recorder::History;
use super::violation::{Promise, Violation};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use weir_types::Timestamp;

/// Which messages of a group wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// None do.
    None,
    /// Those of one key.
    Key,
    /// All of a partition.
    Partition,
}

/// What the group and the topic were set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promises {
    /// Order of the group.
    pub ordering: Ordering,
    /// Attempts before a message is dead-lettered; `None` if it never is.
    pub max_deliveries: Option<u32>,
    /// Whether one id is stored once.
    pub deduplicated: bool,
    /// How far times may be off, in favour of the broker.
    pub clock_tolerance: Duration,
}

/// Everything that is broken; empty is good.
#[must_use]
pub fn check(history: &History, found: &Found, promises: &Promises) -> Vec<Violation> {
    let check = Check {
        facts: Facts::of(history),
        found,
        promises,
        stored: found.log.iter().map(|s| (s.position, s)).collect(),
        dead_letters: dead_letters_by_source(found),
    };
    let mut violations = Vec::new();
    check.requests(&mut violations);
    check.log(&mut violations);
    check.deliveries(&mut violations);
    check.leases(&mut violations);
    check.order(&mut violations);
    check.ends(&mut violations);
    violations
}

struct Check<'a> {
    facts: Facts<'a>,
    found: &'a Found,
    promises: &'a Promises,
    stored: BTreeMap<Position, &'a Stored>,
    dead_letters: HashMap<Position, Vec<&'a Stored>>,
}

impl Check<'_> {
    fn requests(&self, violations: &mut Vec<Violation>) {
        for (client, text) in &self.facts.refusals {
            let says = format!("{client} was told: {text}");
            violations.push(Violation::new(Promise::RequestsAreAnswered, says));
        }
    }

    fn dead_letters(&self, position: Position) -> &[&Stored] {
        self.dead_letters.get(&position).map_or(&[], Vec::as_slice)
    }

    /// Whether `earlier` is before `later` by more than clocks may be off.
    fn is_before(&self, earlier: Timestamp, later: Timestamp) -> bool {
        earlier.plus(self.promises.clock_tolerance) < later
    }

    /// Whether a lease was certainly granted after this.
    fn is_granted_after(&self, handing: &Handing<'_>, moment: Moment) -> bool {
        let asked_after = !handing.streamed && handing.sent.number > moment.number;
        asked_after || self.is_before(moment.at, handing.granted_at)
    }
}

fn dead_letters_by_source(found: &Found) -> HashMap<Position, Vec<&Stored>> {
    let mut by_source: HashMap<_, Vec<_>> = HashMap::new();
    for stored in &found.dead_letters {
        if let Some(source) = ends::source(stored) {
            by_source.entry(source).or_default().push(stored);
        }
    }
    by_source
}
