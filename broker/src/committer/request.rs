//! What the committer can be asked for.

use crate::broker::BrokerError;
use crate::topic::{Topic, TopicCore};
use smallvec::SmallVec;
use std::sync::Arc;
use tokio::sync::oneshot;
use weir_commitlog::{Checkpoint, Operation, Outcome, StorageError, Trimmed};
use weir_types::{
    GroupName, GroupSettings, Incarnation, Offset, Timestamp, TopicName, TopicSettings,
};

/// The closed list of what the committer does.
pub(super) enum Request {
    Commit(CommitRequest),
    /// A checkpoint that was handed out has run.
    Checkpointed(Checkpoint),
    CreateTopic {
        name: TopicName,
        settings: TopicSettings,
        incarnation: Incarnation,
        reply: oneshot::Sender<Result<Arc<Topic>, BrokerError>>,
    },
    AlterTopic {
        topic: Arc<Topic>,
        settings: TopicSettings,
        reply: oneshot::Sender<Result<(), BrokerError>>,
    },
    DeleteTopic {
        name: TopicName,
        /// Only if nobody has used it since then.
        unused_since: Option<Timestamp>,
        reply: oneshot::Sender<Result<bool, BrokerError>>,
    },
    PurgeTopic {
        name: TopicName,
        reply: oneshot::Sender<Result<u64, BrokerError>>,
    },
    MaintainTopic {
        name: TopicName,
        floors: Vec<Offset>,
        reply: oneshot::Sender<Result<Trimmed, BrokerError>>,
    },
    CreateGroup {
        topic: Arc<Topic>,
        group: GroupName,
        settings: GroupSettings,
        starts: Vec<Offset>,
        reply: oneshot::Sender<Result<(), BrokerError>>,
    },
    DeleteGroup {
        topic: Arc<Topic>,
        group: GroupName,
        reply: oneshot::Sender<Result<(), BrokerError>>,
    },
    AvailableBytes {
        reply: oneshot::Sender<Result<u64, BrokerError>>,
    },
    /// Serve what is queued, then close every file.
    Close,
}

/// Mostly one, and then without an allocation.
pub(crate) type Few<T> = SmallVec<[T; 1]>;

/// What became of a request's operations.
pub(super) type Outcomes = Few<Result<Outcome, StorageError>>;

pub(super) struct CommitRequest {
    pub(super) operations: Few<Operation>,
    /// Topics whose waiting readers are woken.
    pub(super) wake: Few<Arc<TopicCore>>,
    pub(super) reply: oneshot::Sender<Outcomes>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Request")
    }
}
