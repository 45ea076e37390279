//! How each message ended: acked or a dead letter, never first the one and then the other, never neither.

use super::super::event::{Position, Status, Stored};
use super::super::violation::{Promise, Violation};
use super::Check;

impl Check<'_> {
    pub(super) fn ends(&self, violations: &mut Vec<Violation>) {
        for stored in &self.found.log {
            violations.extend(self.has_one_end(stored));
        }
        for dead in &self.found.dead_letters {
            violations.extend(self.is_rightly_dead(dead));
        }
    }

    fn has_one_end(&self, stored: &Stored) -> Option<Violation> {
        let Stored { position, id, .. } = stored;
        let settlements = self.facts.settlements(*position);
        let acked_before = |dead: &Stored| {
            let acked = settlements.iter().filter_map(|s| s.ended);
            let mut acked = acked.filter(|(_, status)| *status == Status::Acked);
            acked.any(|(ended, _)| self.is_before(ended.at, dead.timestamp))
        };
        let may_be_acked = settlements.iter().any(|s| s.may_finish());
        let dead = self.dead_letters(*position);
        let (promise, says) = match dead {
            [] if may_be_acked => return None,
            [] => (
                Promise::NothingIsForgotten,
                "neither acked nor dead-lettered",
            ),
            // A later ack is answered `acked`, too: the group is done with the message, and after
            // a restart it does not know any more by whose doing.
            [dead] if acked_before(dead) => {
                (Promise::DeadLetteredOnce, "acked and then dead-lettered")
            }
            [_] => return None,
            _ => (Promise::DeadLetteredOnce, "dead-lettered more than once"),
        };
        let says = format!("{position} ({id}) was {says}");
        Some(Violation::new(promise, says).at(*position).of(id))
    }

    fn is_rightly_dead(&self, dead: &Stored) -> Option<Violation> {
        let source = source(dead);
        let origin = source.and_then(|source| self.stored.get(&source));
        let attempts = number(dead, "weir-attempts");
        let says = match (origin, self.promises.max_deliveries) {
            (None, _) => "of nothing that is stored".to_owned(),
            (Some(origin), _) if !is_copy(dead, origin) => {
                format!("which is no copy of {} ({})", origin.position, origin.id)
            }
            (_, None) => "although the group never gives up".to_owned(),
            (_, Some(max)) if attempts != Some(u64::from(max)) => {
                format!("after {attempts:?} of {max} attempts")
            }
            _ => return None,
        };
        let says = format!(
            "there is a dead letter {} ({}), {says}",
            dead.position, dead.id
        );
        let violation = Violation::new(Promise::DeadLetteredOnce, says);
        Some(source.into_iter().fold(violation, Violation::at))
    }
}

fn is_copy(dead: &Stored, origin: &Stored) -> bool {
    let source_id = dead.headers.get("weir-source-id");
    (&dead.key, &dead.payload) == (&origin.key, &origin.payload) && source_id == Some(&origin.id)
}

/// Where a dead letter comes from.
pub(super) fn source(dead: &Stored) -> Option<Position> {
    let partition = u32::try_from(number(dead, "weir-source-partition")?).ok()?;
    Some(Position {
        partition: weir_types::PartitionId(partition),
        offset: weir_types::Offset(number(dead, "weir-source-offset")?),
    })
}

fn number(dead: &Stored, header: &str) -> Option<u64> {
    dead.headers.get(header)?.parse().ok()
}
