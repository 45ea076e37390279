//! What can stand in a history: calls, what came back, and the broker's lives.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use weir_types::{Offset, PartitionId, Timestamp};

/// One call of one client; calls are numbered in the order of their invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Op(pub u64);

/// One life of the broker, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life(pub u32);

/// Where a record is in its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The partition.
    pub partition: PartitionId,
    /// The offset there.
    pub offset: Offset,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.partition, self.offset)
    }
}

/// A message as it is published, always with an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id; a retry has the same.
    pub id: String,
    /// Its key, if it has one.
    pub key: Option<String>,
    /// Where it belongs: by its key, or as its publisher asked.
    pub partition: PartitionId,
    /// Its JSON.
    pub payload: String,
}

/// A message as a lease or a group's stream delivered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Where it is stored.
    pub position: Position,
    /// Its id.
    pub id: String,
    /// Its key, if it has one.
    pub key: Option<String>,
    /// Its JSON.
    pub payload: String,
    /// Which attempt the broker says this is, from 1.
    pub attempt: u32,
    /// The token of the lease.
    pub receipt: String,
    /// When the lease ends, by the broker's clock.
    pub lease_expires_at: Timestamp,
}

impl Delivery {
    /// What its consumer holds up to settle it.
    #[must_use]
    pub fn claim(&self) -> Claim {
        Claim {
            position: self.position,
            attempt: self.attempt,
            receipt: self.receipt.clone(),
        }
    }
}

/// A receipt, and what its holder knows about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The message.
    pub position: Position,
    /// The attempt it was delivered as.
    pub attempt: u32,
    /// The token of the lease.
    pub receipt: String,
}

/// What a consumer does with what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It is done.
    Ack,
    /// It gives it back.
    Nack {
        /// Not to be delivered before this has passed; `None` leaves it to the group's backoff.
        delay: Option<Duration>,
    },
    /// It keeps it for so long from now.
    Extend {
        /// The new length of the lease.
        visibility_timeout: Duration,
    },
}

/// The broker's answer for one receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Finished.
    Acked,
    /// Given back.
    Nacked,
    /// Kept longer.
    Extended,
    /// Too late.
    LeaseExpired,
    /// No such lease.
    Unknown,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// One message or a batch.
    Publish(Vec<Message>),
    /// Messages under leases of this length.
    Lease {
        /// Length of each lease.
        visibility_timeout: Duration,
    },
    /// The same, one after the other for as long as the connection lives.
    Stream {
        /// Length of each lease.
        visibility_timeout: Duration,
    },
    /// To settle what was delivered.
    Settle {
        /// How.
        verb: Verb,
        /// What.
        claims: Vec<Claim>,
    },
}

/// How a call ended, as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Stored: the offset of each message, `None` where the answer does not tell.
    Published(Vec<Option<Offset>>),
    /// Everything that was leased has been noted as delivered.
    Leased,
    /// One status for each claim.
    Settled(Vec<Status>),
    /// The client closed its stream.
    Closed,
    /// The broker refused, or did not answer although it lived: it never should.
    Refused(String),
    /// The connection broke, or the client left: it was carried out, or not, or in part.
    Unknown,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A client began a call, on a connection to this life of the broker.
    Invoked {
        /// Number of the call.
        op: Op,
        /// Who.
        client: String,
        /// Which life of the broker is asked.
        life: Life,
        /// What for.
        call: Call,
    },
    /// A client got a message.
    Delivered {
        /// By which call.
        op: Op,
        /// The message.
        delivery: Delivery,
    },
    /// A call ended.
    Completed {
        /// Which.
        op: Op,
        /// How.
        outcome: Outcome,
    },
    /// The broker was ready.
    Started(Life),
    /// The broker was gone.
    Killed(Life),
}

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was noted, by the clock that the broker has, too.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// A record as it was read at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where.
    pub position: Position,
    /// When it was stored.
    pub timestamp: Timestamp,
    /// Its id.
    pub id: String,
    /// Its key, if it has one.
    pub key: Option<String>,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its JSON.
    pub payload: String,
}

/// What the topic and its dead-letter topic hold at the end, each partition in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The topic.
    pub log: Vec<Stored>,
    /// Its dead-letter topic.
    pub dead_letters: Vec<Stored>,
}
