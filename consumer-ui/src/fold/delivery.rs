//! Workers, backends and the partitioned queue: what the broker said of each, or why it did not.
//! The parts fail apart from each other, and nothing of an earlier answer is shown as if it were new.

use super::shapes::{Delivery, GatewayRow, Listing, Missing, TargetRow, WorkerRow};
use weir_client::BreakerState;

/// Rows shown of a table.
pub(super) const MAX_ROWS: usize = 200;
/// Characters shown of an error, which is the target's own text.
const MAX_ERROR: usize = 300;

/// What the broker said at one time; an error is why it did not, for people.
#[derive(Clone, Debug)]
pub struct DeliveryReading {
    /// Registered workers, in any order.
    pub workers: Result<Vec<WorkerRow>, String>,
    /// Backends, in the order of the settings.
    pub backends: Result<Vec<TargetRow>, String>,
    /// `None` where the gateway is closed.
    pub gateway: Result<Option<GatewayRow>, String>,
}

impl DeliveryReading {
    /// Its tables.
    #[must_use]
    pub fn tables(self) -> Delivery {
        let mut missing = Vec::new();
        let mut workers = told("workers", self.workers, &mut missing);
        let mut backends = told("backends", self.backends, &mut missing);
        let gateway = told("gateway", self.gateway, &mut missing);
        workers.sort_by(|one, other| place(one).cmp(&place(other)));
        let of_workers = workers.iter_mut().map(|worker| &mut worker.target);
        of_workers.chain(&mut backends).for_each(shorten);
        Delivery {
            workers: listing(workers, |worker| &worker.target),
            backends: listing(backends, |backend| backend),
            gateway,
            missing,
        }
    }
}

fn told<T: Default>(
    part: &'static str,
    reading: Result<T, String>,
    missing: &mut Vec<Missing>,
) -> T {
    reading.unwrap_or_else(|reason| {
        missing.push(Missing { part, reason });
        T::default()
    })
}

fn place(worker: &WorkerRow) -> (&str, &str, &str, u64) {
    let target = worker.target.target.as_str();
    (&worker.topic, &worker.group, target, worker.id)
}

/// Open breakers come first, whatever is cut.
fn listing<T>(mut rows: Vec<T>, target: fn(&T) -> &TargetRow) -> Listing<T> {
    let total = rows.len();
    let state = |row: &T| target(row).breaker.state;
    let open = rows.iter().filter(|row| state(row) == BreakerState::Open);
    let open = open.count();
    rows.sort_by_key(|row| rank(state(row)));
    rows.truncate(MAX_ROWS);
    Listing { rows, total, open }
}

const fn rank(state: BreakerState) -> u8 {
    match state {
        BreakerState::Open => 0,
        BreakerState::HalfOpen => 1,
        BreakerState::Closed => 2,
    }
}

fn shorten(target: &mut TargetRow) {
    if let Some(error) = &mut target.last_error
        && let Some((end, _)) = error.char_indices().nth(MAX_ERROR)
    {
        error.truncate(end);
        error.push('…');
    }
}

#[cfg(test)]
mod tests;
