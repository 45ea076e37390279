//! What is said of messages: by consumers, and to them.

use super::super::unfinished::Holder;
use std::time::Duration;
use weir_commitlog::DeadLetterIntent;
use weir_types::{Offset, Timestamp};

/// What a consumer says it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseToken {
    pub(crate) offset: Offset,
    pub(crate) attempt: u32,
    /// Whether this start of the broker granted it: a restart ends all leases.
    pub(crate) current_start: bool,
}

/// How a lease is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) until: Timestamp,
    pub(crate) holder: Holder,
}

/// A message that was delivered as often as is allowed, or whose move to the dead-letter topic was
/// begun before the broker started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted {
    pub(crate) offset: Offset,
    pub(crate) attempts: u32,
    /// Why its last delivery ended.
    pub(crate) reason: Option<Box<str>>,
    /// What the journal says of a move that was begun.
    pub(crate) intent: Option<DeadLetterIntent>,
}

/// Whether and when a message that was given back is delivered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redelivery {
    /// As the group's backoff says.
    ByBackoff,
    /// After so long.
    After(Duration),
    /// Never: it becomes a dead letter, however often it was delivered. A group that reads dead
    /// letters tries it again at the backoff's cap.
    Never,
}

/// How a message was given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NackTerms<'a> {
    pub(crate) redelivery: Redelivery,
    pub(crate) reason: Option<&'a str>,
    pub(crate) now: Timestamp,
    pub(crate) random: u64,
}

/// How a lease ended of which its consumer said nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeaseEnd {
    pub(super) reason: &'static str,
    pub(super) at: Timestamp,
    pub(super) redelivery: Redelivery,
    pub(super) random: u64,
}

/// Totals since the broker started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Deliveries beyond a message's first.
    pub(crate) redelivered: u64,
    /// Messages that moved to the dead-letter topic.
    pub(crate) dead_lettered: u64,
    /// Messages whose time to live was over.
    pub(crate) expired: u64,
    /// Unfinished records that were gone: trimmed, purged or damaged.
    pub(crate) lost_records: u64,
}
