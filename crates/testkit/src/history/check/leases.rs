//! Leases of one message do not overlap, and count until they end.

use super::super::event::{Position, Status, Verb};
use super::super::facts::{Handing, Settlement};
use super::super::violation::{Promise, Violation};
use super::Check;
use super::deliveries::violation;
use weir_types::Timestamp;

impl Check<'_> {
    pub(super) fn leases(&self, violations: &mut Vec<Violation>) {
        for (&position, handings) in &self.facts.handings {
            for (index, held) in handings.iter().enumerate() {
                let next = handings[index + 1..].iter();
                let next = next.filter(|next| next.life == held.life);
                violations.extend(next.filter_map(|next| self.is_free_for(held, next)));
            }
            let settlements = self.facts.settlements(position);
            for (index, settlement) in settlements.iter().enumerate() {
                let before = &settlements[..index];
                violations.extend(self.is_honoured(position, settlement, before));
            }
        }
    }

    fn is_free_for(&self, held: &Handing<'_>, next: &Handing<'_>) -> Option<Violation> {
        let settlements = self.facts.settlements(held.delivery.position);
        let held_until = self.held_until(held, settlements, next.granted_at);
        let says = format!(
            "{:?} before {}'s lease (attempt {}) ended",
            held_until.since(next.granted_at),
            held.client,
            held.delivery.attempt
        );
        let overlaps = self.is_before(next.granted_at, held_until);
        overlaps.then(|| violation(Promise::OneLeaseAtATime, next, &says))
    }

    /// The earliest end of a lease that fits what its holder, and everybody else, did until then.
    fn held_until(
        &self,
        held: &Handing<'_>,
        settlements: &[Settlement<'_>],
        asked_at: Timestamp,
    ) -> Timestamp {
        let mut until = held.delivery.lease_expires_at;
        let counts = |s: &&Settlement<'_>| {
            !matches!(s.status(), Some(Status::LeaseExpired | Status::Unknown))
        };
        for settlement in settlements.iter().filter(counts) {
            let own = settlement.claim.receipt == held.delivery.receipt;
            until = match settlement.verb {
                Verb::Extend { visibility_timeout } if own => {
                    let extended = settlement.sent.at.plus(visibility_timeout);
                    // Until it is answered, either may count; it may also shorten the lease.
                    let is_in_force = settlement
                        .ended
                        .is_some_and(|(ended, _)| self.is_before(ended.at, asked_at));
                    if is_in_force {
                        extended
                    } else {
                        until.min(extended)
                    }
                }
                Verb::Nack { .. } if own => until.min(settlement.sent.at),
                // Anybody's ack that counted ends it.
                Verb::Ack => until.min(settlement.sent.at),
                Verb::Extend { .. } | Verb::Nack { .. } => until,
            };
        }
        held.cut_at.map_or(until, |cut_at| until.min(cut_at))
    }

    fn is_honoured(
        &self,
        position: Position,
        settlement: &Settlement<'_>,
        before: &[Settlement<'_>],
    ) -> Option<Violation> {
        let (ended, status) = settlement.ended?;
        let says = match status {
            Status::Unknown => "which the broker does not know",
            Status::LeaseExpired if self.was_acked(settlement, before) => {
                "too late, although it was acked before"
            }
            Status::LeaseExpired => {
                let of_claim = |h: &&Handing<'_>| h.delivery.receipt == settlement.claim.receipt;
                let held = self.facts.handings(position).iter().find(of_claim)?;
                let held_until = self.held_until(held, before, ended.at);
                let counts = held.life == settlement.life && self.is_before(ended.at, held_until);
                counts.then_some("too late, although its lease counted")?
            }
            _ if !fits(settlement.verb, status) => "and got an answer to another question",
            _ => return None,
        };
        let says = format!(
            "{position}, attempt {}: {:?} was sent and answered {status:?}, {says}",
            settlement.claim.attempt, settlement.verb
        );
        Some(Violation::new(Promise::LeaseIsHonoured, says).at(position))
    }

    /// A second ack says `acked` again.
    fn was_acked(&self, settlement: &Settlement<'_>, before: &[Settlement<'_>]) -> bool {
        let answered_before = |first: &Settlement<'_>| {
            let ended = first.ended.filter(|(_, status)| *status == Status::Acked);
            ended.is_some_and(|(ended, _)| ended.number < settlement.sent.number)
        };
        settlement.verb == Verb::Ack && before.iter().any(answered_before)
    }
}

fn fits(verb: Verb, status: Status) -> bool {
    matches!(
        (verb, status),
        (Verb::Ack, Status::Acked)
            | (Verb::Nack { .. }, Status::Nacked)
            | (Verb::Extend { .. }, Status::Extended)
    )
}
