use super::plan::Plan;
use crate::history::check::check;
use crate::history::event::{Found, Outcome, What};
use crate::history::excerpt::excerpt;
use crate::history::recorder::History;
use crate::history::violation::Violation;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Of each promise, the first violations are shown.
const SHOWN_OF_A_KIND: usize = 2;

/// A history with its end.
#[derive(Debug)]
pub struct Lived {
    /// How it was made.
    pub plan: Plan,
    /// What clients saw.
    pub history: History,
    /// What is stored now.
    pub found: Found,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Deliveries of messages.
    pub deliveries: usize,
    /// Of these, later attempts.
    pub later_attempts: usize,
    /// Calls that nobody knows the end of.
    pub unanswered: usize,
}

impl Lived {
    /// Everything that was broken.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        check(&self.history, &self.found, &self.plan.promises())
    }

    /// How much happened: a history in which nothing did proves nothing.
    #[must_use]
    pub fn volume(&self) -> Volume {
        let mut volume = Volume::default();
        for event in self.history.events() {
            match &event.what {
                What::Delivered { delivery, .. } => {
                    volume.deliveries += 1;
                    volume.later_attempts += usize::from(delivery.attempt > 1);
                }
                What::Completed {
                    outcome: Outcome::Unknown,
                    ..
                } => volume.unanswered += 1,
                _ => {}
            }
        }
        volume
    }

    /// For people: how much happened, what was broken how often, and the first excerpts.
    #[must_use]
    pub fn report(&self, violations: &[Violation]) -> String {
        let Volume {
            deliveries,
            later_attempts,
            unanswered,
        } = self.volume();
        let mut report = format!(
            "{} lives ended, {} messages, {} dead letters, {deliveries} deliveries ({later_attempts} later \
             attempts), {unanswered} calls without an answer, {} broken promises\n",
            self.plan.kills,
            self.found.log.len(),
            self.found.dead_letters.len(),
            violations.len()
        );
        let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for violation in violations {
            kinds.entry(violation.promise).or_default().push(violation);
        }
        for (promise, kind) in &kinds {
            let _infallible = writeln!(report, "  {promise:?}: {} times", kind.len());
        }
        for violation in kinds
            .values()
            .flat_map(|kind| kind.iter().take(SHOWN_OF_A_KIND))
        {
            report.push('\n');
            report.push_str(&excerpt(&self.history, violation));
        }
        report
    }
}
