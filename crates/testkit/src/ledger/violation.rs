use super::Place;
use std::fmt;
use weir_types::{GroupName, MessageId, Offset};

/// How many are shown; the first ones say most.
const SHOWN: usize = 10;
const SHOWN_PAYLOAD_CHARS: usize = 80;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Acknowledged, and not there.
    Lost {
        /// Which message.
        id: MessageId,
        /// Where it was acknowledged.
        place: Place,
    },
    /// Elsewhere than it was sent to or acknowledged.
    Moved {
        /// Which message.
        id: MessageId,
        /// Where it should be.
        expected: Place,
        /// Where it is.
        found: Place,
    },
    /// There twice.
    Duplicated {
        /// Which message.
        id: MessageId,
        /// Where it was found first.
        first: Place,
        /// And again.
        second: Place,
    },
    /// Not what was sent.
    Altered {
        /// Which message.
        id: MessageId,
        /// Where.
        place: Place,
        /// The payload as it was sent.
        sent: String,
        /// The payload as it is.
        found: String,
    },
    /// Never sent.
    Alien {
        /// The id that nobody used.
        id: MessageId,
        /// Where.
        place: Place,
    },
    /// An offset that does not exceed the one before.
    OffsetNotRising {
        /// Where.
        place: Place,
        /// The offset before.
        after: Offset,
    },
    /// Behind a message that its producer sent later.
    Reordered {
        /// Which message.
        id: MessageId,
        /// Where.
        place: Place,
        /// The later one.
        behind: MessageId,
    },
    /// Delivered although the group had finished it.
    DeliveredAfterAck {
        /// The group.
        group: GroupName,
        /// Which record.
        place: Place,
    },
    /// Delivered while a member of the group held it.
    HeldTwice {
        /// The group.
        group: GroupName,
        /// Which record.
        place: Place,
    },
    /// Neither acked nor delivered again.
    NotDelivered {
        /// The group.
        group: GroupName,
        /// Which record.
        place: Place,
    },
    /// Delivered as if an answered nack had not been.
    NackForgotten {
        /// The group.
        group: GroupName,
        /// Which record.
        place: Place,
        /// The attempt it said to be.
        attempt: u32,
        /// The least it had to be.
        least: u32,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { id, place } => write!(f, "{id} was acknowledged at {place} and is lost"),
            Self::Moved {
                id,
                expected,
                found,
            } => write!(f, "{id} belongs to {expected} and is at {found}"),
            Self::Duplicated { id, first, second } => {
                write!(f, "{id} is at {first} and again at {second}")
            }
            Self::Altered {
                id,
                place,
                sent,
                found,
            } => write!(
                f,
                "{id} at {place} was sent as {} and is {}",
                shortened(sent),
                shortened(found)
            ),
            Self::Alien { id, place } => write!(f, "{id} at {place} was never sent"),
            Self::OffsetNotRising { place, after } => {
                write!(f, "{place} comes after the offset {after}")
            }
            Self::Reordered { id, place, behind } => {
                write!(
                    f,
                    "{id} at {place} comes after {behind}, which was sent later"
                )
            }
            Self::DeliveredAfterAck { group, place } => {
                write!(f, "{group} acked {place} and got it again")
            }
            Self::HeldTwice { group, place } => {
                write!(f, "{group} held {place} and got it a second time")
            }
            Self::NotDelivered { group, place } => {
                write!(f, "{group} never acked {place} and did not get it again")
            }
            Self::NackForgotten {
                group,
                place,
                attempt,
                least,
            } => write!(
                f,
                "{group} got {place} as attempt {attempt} after a nack that makes it at least {least}"
            ),
        }
    }
}

fn shortened(payload: &str) -> String {
    let start: String = payload.chars().take(SHOWN_PAYLOAD_CHARS).collect();
    format!("{start:?} ({} bytes)", payload.len())
}

/// Everything that was found wrong; empty is good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations(pub Vec<Violation>);

impl Violations {
    /// Whether nothing was wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken promises", self.0.len())?;
        let mut shown = self.0.iter().take(SHOWN);
        shown.try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}
