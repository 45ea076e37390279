//! One delivery: what goes to a worker, and what became of it.

use crate::broker::LeasedMessage;
use bytes::Bytes;
use serde::Deserialize;
use std::borrow::Cow;
use std::time::Duration;
use weir_commitlog::RecordHead;
use weir_protocol::{BASE64_ENCODING, task_bytes};
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

impl Task {
    /// What the message says, as JSON texts.
    pub(super) fn head(&self) -> Result<RecordHead<'_>, Outcome> {
        let head = RecordHead::of(&self.message.line.bytes);
        head.ok_or_else(|| Outcome::failed("the stored record cannot be read"))
    }

    /// The payload as it is stored.
    pub(super) fn payload(&self, head: &RecordHead<'_>) -> Bytes {
        self.message.line.bytes.slice_ref(head.payload)
    }

    /// The bytes that the publisher meant, and whether they had to be encoded.
    pub(super) fn data(&self, head: &RecordHead<'_>) -> (Bytes, bool) {
        let payload = self.payload(head);
        match is_base64(head) {
            true => (task_bytes(&payload, Some(BASE64_ENCODING)), true),
            false => (payload, false),
        }
    }
}

/// Whether the payload stands for bytes that are no JSON.
pub(super) fn is_base64(head: &RecordHead<'_>) -> bool {
    #[derive(Deserialize)]
    struct Encoding<'a> {
        #[serde(borrow)]
        encoding: Option<Cow<'a, str>>,
    }
    let headers = head.headers.and_then(|headers| {
        let headers: Option<Encoding<'_>> = serde_json::from_slice(headers).ok();
        headers?.encoding
    });
    headers.is_some_and(|encoding| encoding == BASE64_ENCODING)
}

/// What a JSON string of a record's head says.
pub(super) fn text(json: &[u8]) -> String {
    serde_json::from_slice(json).unwrap_or_default()
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
