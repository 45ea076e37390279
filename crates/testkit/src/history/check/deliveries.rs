//! Each delivery for itself, and against what had been settled before.

use super::super::event::{Position, Status, Verb};
use super::super::facts::{Handing, Settlement};
use super::super::violation::{Promise, Violation};
use super::Check;
use std::time::Duration;

impl Check<'_> {
    pub(super) fn deliveries(&self, violations: &mut Vec<Violation>) {
        for (&position, handings) in &self.facts.handings {
            for handing in handings {
                violations.extend(self.is_as_stored(handing));
                violations.extend(self.is_within_limit(handing));
                violations.extend(self.is_not_dead(handing));
                for settlement in self.facts.settlements(position) {
                    violations.extend(self.fits_settlement(handing, settlement));
                }
            }
            violations.extend(self.attempts_rise(position, handings));
        }
    }

    fn is_as_stored(&self, handing: &Handing<'_>) -> Option<Violation> {
        let delivery = handing.delivery;
        let stored = self.stored.get(&delivery.position);
        let is_same = stored.is_some_and(|stored| {
            (&stored.id, &stored.key, &stored.payload)
                == (&delivery.id, &delivery.key, &delivery.payload)
        });
        let there = stored.map_or("nothing".to_owned(), |stored| {
            format!("{} {}", stored.id, stored.payload)
        });
        let violation = violation(
            Promise::OnlyWhatWasPublished,
            handing,
            &format!(
                "with id {} and {}, where {there} is stored",
                delivery.id, delivery.payload
            ),
        );
        (!is_same).then_some(violation)
    }

    fn is_within_limit(&self, handing: &Handing<'_>) -> Option<Violation> {
        let max = self.promises.max_deliveries?;
        let says = format!("beyond the {max} that it may have");
        let is_beyond = handing.delivery.attempt > max;
        is_beyond.then(|| violation(Promise::DeliveriesAreLimited, handing, &says))
    }

    fn is_not_dead(&self, handing: &Handing<'_>) -> Option<Violation> {
        let dead = self.dead_letters(handing.delivery.position).first()?;
        let says = format!("after it became the dead letter {}", dead.position);
        let is_late = self.is_before(dead.timestamp, handing.granted_at);
        is_late.then(|| violation(Promise::DeliveriesAreLimited, handing, &says))
    }

    fn fits_settlement(
        &self,
        handing: &Handing<'_>,
        settlement: &Settlement<'_>,
    ) -> Option<Violation> {
        let (ended, status) = settlement.ended?;
        let is_after = self.is_granted_after(handing, ended);
        match (settlement.verb, status) {
            (Verb::Ack, Status::Acked) if is_after => Some(violation(
                Promise::AckedIsFinished,
                handing,
                "after it was acked",
            )),
            (Verb::Nack { .. }, Status::Nacked)
                if is_after && handing.delivery.attempt <= settlement.claim.attempt =>
            {
                let says = format!("after attempt {} was nacked", settlement.claim.attempt);
                Some(violation(Promise::AttemptsRise, handing, &says))
            }
            (Verb::Nack { delay: Some(delay) }, Status::Nacked) => {
                self.waits(handing, settlement, delay)
            }
            _ => None,
        }
    }

    fn waits(
        &self,
        handing: &Handing<'_>,
        settlement: &Settlement<'_>,
        delay: Duration,
    ) -> Option<Violation> {
        let is_next = handing.delivery.attempt > settlement.claim.attempt
            && handing.seen.number > settlement.sent.number;
        let is_early = self.is_before(handing.granted_at, settlement.sent.at.plus(delay));
        let waited = handing.granted_at.since(settlement.sent.at);
        let says = format!("{waited:?} after a nack for {delay:?}");
        (is_next && is_early).then(|| violation(Promise::DelayIsHonoured, handing, &says))
    }

    /// Within one life of the broker: a crash forgets the attempts that were under way.
    fn attempts_rise(&self, position: Position, handings: &[Handing<'_>]) -> Option<Violation> {
        let falls = |pair: &&[Handing<'_>]| {
            let [a, b] = pair else { return false };
            // What a broken stream may not have brought need not count.
            let may_repeat = a.cut_at.is_some() && b.delivery.attempt == a.delivery.attempt;
            a.life == b.life && b.delivery.attempt <= a.delivery.attempt && !may_repeat
        };
        let [before, handing] = handings.windows(2).find(falls)? else {
            return None;
        };
        let says = format!("after attempt {}", before.delivery.attempt);
        let violation = violation(Promise::AttemptsRise, handing, &says);
        debug_assert_eq!(violation.positions, [position]);
        Some(violation)
    }
}

/// Says of a delivery what is wrong with it.
pub(super) fn violation(promise: Promise, handing: &Handing<'_>, what: &str) -> Violation {
    let delivery = handing.delivery;
    let says = format!(
        "{} got {} as attempt {}, {what}",
        handing.client, delivery.position, delivery.attempt
    );
    Violation::new(promise, says)
        .at(delivery.position)
        .of(&delivery.id)
}
