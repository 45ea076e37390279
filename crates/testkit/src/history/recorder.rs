use super::event::{Call, Delivery, Event, Life, Op, Outcome, What};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use weir_types::Timestamp;

/// Everything that all clients did and saw, in one order that each of them agrees with: an event is
/// noted before a call is sent, and after its answer was read.
#[derive(Clone, Debug, Default)]
pub struct History {
    events: Vec<Event>,
    calls: u64,
}

impl History {
    /// What happened, in order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Notes the beginning of a call, on a connection to `life` of the broker.
    pub fn invoked(&mut self, at: Timestamp, client: &str, life: Life, call: Call) -> Op {
        let op = Op(self.calls);
        self.calls += 1;
        let client = client.to_owned();
        let what = What::Invoked {
            op,
            client,
            life,
            call,
        };
        self.noted(at, what);
        op
    }

    /// Notes anything else.
    pub fn noted(&mut self, at: Timestamp, what: What) {
        self.events.push(Event { at, what });
    }
}

/// A history that many clients write, with the system's clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorder(Arc<Mutex<History>>);

impl Recorder {
    pub(super) fn invoked(&self, client: &str, life: Life, call: Call) -> Op {
        self.history().invoked(now(), client, life, call)
    }

    /// Notes the end of a call, and what it brought before.
    pub(super) fn completed(&self, op: Op, deliveries: Vec<Delivery>, outcome: Outcome) {
        let (mut history, at) = (self.history(), now());
        for delivery in deliveries {
            history.noted(at, What::Delivered { op, delivery });
        }
        history.noted(at, What::Completed { op, outcome });
    }

    /// Notes what came on a stream.
    pub(super) fn delivered(&self, op: Op, delivery: Delivery) {
        self.noted(What::Delivered { op, delivery });
    }

    pub(super) fn noted(&self, what: What) {
        self.history().noted(now(), what);
    }

    /// What was noted so far; nothing is left behind.
    pub(super) fn take(&self) -> History {
        std::mem::take(&mut *self.history())
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time as the broker's clock has it.
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(0).plus(since_epoch.unwrap_or_default())
}
