//! One delivery: what goes to a worker, and what became of it.

use crate::broker::LeasedMessage;
use std::time::Duration;
use weir_types::TopicName;

/// A message on its way to a worker.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// The queue's number, if it has one.
    pub(crate) queue: Option<i32>,
    pub(crate) topic: TopicName,
    pub(crate) message: LeasedMessage,
    /// How long the delivery may take in all.
    pub(crate) timeout: Duration,
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The worker did it.
    Done,
    /// The worker said no, not now; its target is healthy.
    Returned {
        /// When to try again; by the group's backoff when `None`.
        delay: Option<Duration>,
        reason: String,
    },
    /// The worker said no, for good: a dead letter. Its target is healthy.
    Refused { reason: String },
    /// An error, a broken connection or no answer in time: the attempt counts, also against the
    /// target.
    Failed {
        reason: String,
        /// How long the target asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// Nothing of it was sent: the attempt does not count, but counts against the target.
    Unreachable { reason: String },
}

impl Outcome {
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Self::Failed {
            reason: reason.into(),
            retry_after: None,
        }
    }

    pub(crate) fn unreachable(reason: impl Into<String>) -> Self {
        Self::Unreachable {
            reason: reason.into(),
        }
    }

    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused {
            reason: reason.into(),
        }
    }
}
