//! A consumer group: competing consumers that share one place in a topic.
//!
//! `partition` decides (pure) over `unfinished`, the compact set of what is in hand; `members` knows
//! who consumes (pure); `task` owns the state and performs what was decided; `dead_letters` moves what
//! was delivered too often; `client` is what the rest of the broker holds. A group's task lives from
//! the group's creation, or the broker's start, until the group or its topic is deleted or the broker
//! stops.

mod client;
mod dead_letters;
mod delivery;
mod handing_over;
mod members;
mod partition;
mod task;
mod unfinished;

pub use client::ReceiptAction;
pub(crate) use client::{Consumer, GroupClient, GroupClosed, LeaseRequest, OpenStream};
pub(crate) use dead_letters::{DEAD_LETTER_SUFFIX, REDRIVEN_FOR, Record, dead_letter_topic};
pub(crate) use delivery::Delivered;
pub use partition::Redelivery;
pub use task::GroupBounds;
pub(crate) use task::{GroupTask, Start};
