//! A consumer group: competing consumers that share one place in a topic.
//!
//! `partition` decides (pure), `task` owns the state and performs what was decided, `client` is
//! what the rest of the broker holds. A group's task lives from the group's creation, or the
//! broker's start, until the group or its topic is deleted or the broker stops.

mod client;
mod delivery;
mod partition;
mod task;

pub(crate) use client::{GroupClient, GroupClosed, LeaseRequest, ReceiptAction};
pub(crate) use delivery::Delivered;
pub(crate) use task::{GroupTask, Start};
