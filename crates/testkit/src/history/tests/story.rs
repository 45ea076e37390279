//! Short histories, written by hand: one partition, one call after the other, 10 ms apart.

use crate::history::event::{
    Call, Claim, Delivery, Found, Life, Message, Op, Outcome, Position, Status, Stored, Verb, What,
};
use crate::history::{History, Ordering, Promise, Promises, Violation, check, excerpt};
use std::collections::BTreeMap;
use std::time::Duration;
use weir_types::{Offset, PartitionId, Timestamp};

const STEP_MILLIS: u64 = 10;
pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) struct Story {
    history: History,
    pub(super) found: Found,
    pub(super) promises: Promises,
    now: Timestamp,
    life: Life,
}

/// A lease as its holder has it.
pub(super) struct Held {
    pub(super) delivery: Delivery,
}

impl Story {
    pub(super) fn new() -> Self {
        let promises = Promises {
            ordering: Ordering::Key,
            max_deliveries: Some(2),
            deduplicated: true,
            clock_tolerance: Duration::from_millis(2),
        };
        let mut story = Self {
            history: History::default(),
            found: Found::default(),
            promises,
            now: Timestamp(1_000_000),
            life: Life(0),
        };
        story.start();
        story
    }

    /// A story with these messages of the key "k", at offsets from 0.
    pub(super) fn with(ids: &[&str]) -> Self {
        let mut story = Self::new();
        for id in ids {
            story.publish(id);
        }
        story
    }

    pub(super) fn pass(&mut self, duration: Duration) {
        self.now = self.now.plus(duration);
    }

    pub(super) fn start(&mut self) {
        self.life = Life(self.life.0 + 1);
        self.note(What::Started(self.life));
    }

    pub(super) fn kill(&mut self) {
        self.note(What::Killed(self.life));
    }

    pub(super) fn note(&mut self, what: What) {
        self.pass(Duration::from_millis(STEP_MILLIS));
        self.history.noted(self.now, what);
    }

    pub(super) fn invoke(&mut self, client: &str, call: Call) -> Op {
        self.pass(Duration::from_millis(STEP_MILLIS));
        self.history.invoked(self.now, client, self.life, call)
    }

    pub(super) fn complete(&mut self, op: Op, outcome: Outcome) {
        self.note(What::Completed { op, outcome });
    }

    /// Publishes, is answered, and the message is stored.
    pub(super) fn publish(&mut self, id: &str) {
        let offset = Offset(self.found.log.len() as u64);
        let op = self.invoke("producer", Call::Publish(vec![message(id)]));
        self.complete(op, Outcome::Published(vec![Some(offset)]));
        self.store(id);
    }

    pub(super) fn store(&mut self, id: &str) {
        let Message {
            id, key, payload, ..
        } = message(id);
        self.found.log.push(Stored {
            position: position(self.found.log.len() as u64),
            timestamp: self.now,
            id,
            key,
            headers: BTreeMap::new(),
            payload,
        });
    }

    /// Leases one message for a second.
    pub(super) fn lease(&mut self, client: &str, offset: u64, attempt: u32) -> Held {
        let visibility_timeout = SECOND;
        let op = self.invoke(client, Call::Lease { visibility_timeout });
        let held = self.delivered(op, offset, attempt);
        self.complete(op, Outcome::Leased);
        held
    }

    pub(super) fn open_stream(&mut self, client: &str) -> Op {
        let visibility_timeout = SECOND;
        self.invoke(client, Call::Stream { visibility_timeout })
    }

    /// Delivers by a lease or a stream, granted just now.
    pub(super) fn delivered(&mut self, op: Op, offset: u64, attempt: u32) -> Held {
        let stored = self.found.log.get(usize::try_from(offset).unwrap());
        let id = stored.map_or_else(|| format!("nothing-{offset}"), |stored| stored.id.clone());
        let Message { key, payload, .. } = message(&id);
        let delivery = Delivery {
            position: position(offset),
            id,
            key,
            payload,
            attempt,
            receipt: format!("{offset}-{attempt}-{}", self.life.0),
            lease_expires_at: self.now.plus(SECOND),
        };
        let what = What::Delivered {
            op,
            delivery: delivery.clone(),
        };
        self.note(what);
        Held { delivery }
    }

    pub(super) fn send(&mut self, client: &str, verb: Verb, held: &Held) -> Op {
        let claims: Vec<Claim> = vec![held.delivery.claim()];
        self.invoke(client, Call::Settle { verb, claims })
    }

    pub(super) fn settle(&mut self, client: &str, verb: Verb, held: &Held, status: Status) {
        let op = self.send(client, verb, held);
        self.complete(op, Outcome::Settled(vec![status]));
    }

    pub(super) fn ack(&mut self, client: &str, held: &Held) {
        self.settle(client, Verb::Ack, held, Status::Acked);
    }

    pub(super) fn nack(&mut self, client: &str, held: &Held) {
        let nack = Verb::Nack { delay: None };
        self.settle(client, nack, held, Status::Nacked);
    }

    /// Leases and acks, once.
    pub(super) fn finish(&mut self, offset: u64) {
        let held = self.lease("b", offset, 1);
        self.ack("b", &held);
    }

    /// Stores a dead letter of what was found at `offset`.
    pub(super) fn bury(&mut self, offset: u64, attempts: u32) {
        self.pass(Duration::from_millis(STEP_MILLIS));
        let origin = self.found.log[usize::try_from(offset).unwrap()].clone();
        let headers = [
            ("weir-source-partition", "0".to_owned()),
            ("weir-source-offset", offset.to_string()),
            ("weir-source-id", origin.id.clone()),
            ("weir-attempts", attempts.to_string()),
        ];
        self.found.dead_letters.push(Stored {
            position: position(self.found.dead_letters.len() as u64),
            timestamp: self.now,
            id: format!("kitchen/orders/0/{offset}"),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            ..origin
        });
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        check(&self.history, &self.found, &self.promises)
    }

    #[track_caller]
    pub(super) fn is_good(&self) {
        let violations = self.violations();
        let shown: String = violations.iter().map(|v| self.excerpt(v)).collect();
        assert!(violations.is_empty(), "{shown}");
    }

    /// This promise is broken, and no other.
    #[track_caller]
    pub(super) fn breaks(&self, promise: Promise) {
        let violations = self.violations();
        let shown: String = violations.iter().map(|v| self.excerpt(v)).collect();
        assert!(!violations.is_empty(), "nothing was found");
        assert!(violations.iter().all(|v| v.promise == promise), "{shown}");
    }

    pub(super) fn excerpt(&self, violation: &Violation) -> String {
        excerpt(&self.history, violation)
    }
}

/// A message of the key "k"; "other" has another one.
pub(super) fn message(id: &str) -> Message {
    let key = if id == "other" { "l" } else { "k" };
    Message {
        id: id.to_owned(),
        key: Some(key.to_owned()),
        partition: PartitionId(0),
        payload: format!("{{\"of\":\"{id}\"}}"),
    }
}

pub(super) fn position(offset: u64) -> Position {
    Position {
        partition: PartitionId(0),
        offset: Offset(offset),
    }
}
