use super::event::Position;
use std::fmt;

/// What can be broken. Each has a test with a history that breaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// An acknowledged message is stored, where it was acknowledged.
    AcknowledgedIsStored,
    /// What is stored or delivered was published, as it was published.
    OnlyWhatWasPublished,
    /// One id is stored once.
    StoredOnce,
    /// Offsets follow the order of publishing, as far as a client can know it.
    OffsetsFollowPublishing,
    /// A message is leased to one consumer at a time.
    OneLeaseAtATime,
    /// The attempts of a message rise, and an answered nack counts as one.
    AttemptsRise,
    /// What was acked is not delivered again.
    AckedIsFinished,
    /// A lease counts until it ends.
    LeaseIsHonoured,
    /// A message that was given back with a delay is not delivered before it has passed.
    DelayIsHonoured,
    /// A message of a line is not delivered while an earlier one is unfinished.
    OrderIsKept,
    /// After `max_deliveries` a message is not delivered any more.
    DeliveriesAreLimited,
    /// A message that is not finished comes back, or is a dead letter after `max_deliveries`.
    NothingIsForgotten,
    /// A message is dead-lettered once, for a reason, as it was, and not also acked.
    DeadLetteredOnce,
    /// Good requests are answered.
    RequestsAreAnswered,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// In words.
    pub says: String,
    /// The messages it is about, by place; the history of these shows it.
    pub positions: Vec<Position>,
    /// The messages it is about, by id.
    pub ids: Vec<String>,
}

impl Violation {
    pub(super) fn new(promise: Promise, says: impl Into<String>) -> Self {
        Self {
            promise,
            says: says.into(),
            positions: Vec::new(),
            ids: Vec::new(),
        }
    }

    pub(super) fn at(mut self, position: Position) -> Self {
        self.positions.push(position);
        self
    }

    pub(super) fn of(mut self, id: &str) -> Self {
        self.ids.push(id.to_owned());
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.says)
    }
}
