//! What real clients of a broker saw while it was killed again and again, and whether it fits what
//! is promised.
//!
//! [`History`] is the record: every call with its beginning and its end, every delivery, every start
//! and kill. [`check`] judges it together with what is stored at the end, and is pure; its tests
//! break every [`Promise`] once. [`live`] makes a history with producers and consumers of all
//! manners, from one seed; [`excerpt`] shows the few lines of it that a violation is about.
//!
//! [`Ledger`](crate::Ledger) judges while it notes, knows one call of a producer at a time and
//! leases that never end by themselves; it is for crashes of the storage.

mod check;
mod driver;
mod event;
mod excerpt;
mod facts;
mod recorder;
mod violation;

pub use check::{Ordering, Promises, check};
pub use driver::{Ending, Features, Lived, Plan, Volume, live};
pub use event::{
    Call, Claim, Delivery, Event, Found, Life, Message, Op, Outcome, Position, Status, Stored,
    Verb, What,
};
pub use excerpt::excerpt;
pub use recorder::History;
pub use violation::{Promise, Violation};

#[cfg(test)]
mod tests;
