use super::workers::InvalidWorker;
use crate::push::InvalidTarget;
use std::time::Duration;
use thiserror::Error;
use weir_commitlog::StorageError;
use weir_protocol::shapes::{QueueRef, WorkerId};
use weir_protocol::{ErrorCode, InvalidCursor, InvalidDelivery, InvalidScheduleCursor};
use weir_types::{
    DurationText, GroupName, GroupOrdering, InvalidName, InvalidSettings, MessageId, Offset,
    PartitionId, TopicName,
};

/// Why the broker refused or failed; every front end maps it by [`BrokerError::code`].
#[derive(Debug, Error)]
pub enum BrokerError {
    /// There is no such topic.
    #[error("there is no topic {topic}")]
    UnknownTopic {
        /// The name asked for.
        topic: TopicName,
    },
    /// There is no such group.
    #[error("the topic {topic} has no group {group}")]
    UnknownGroup {
        /// The topic.
        topic: TopicName,
        /// The name asked for.
        group: GroupName,
    },
    /// There is no such partition.
    #[error("the topic {topic} has no partition {partition}; it has {partitions}, counted from 0")]
    UnknownPartition {
        /// The topic.
        topic: TopicName,
        /// The partition asked for.
        partition: PartitionId,
        /// How many it has.
        partitions: u32,
    },
    /// A message of a batch cannot go where it asks to; nothing of the batch is stored.
    #[error("line {line}: {source}")]
    BatchLine {
        /// Counted from 1, blank lines left out.
        line: usize,
        /// What is wrong with it.
        source: Box<Self>,
    },
    /// The number of partitions of a topic is fixed.
    #[error(
        "the topic {topic} has {partitions} partitions, which is fixed: key order depends on it"
    )]
    PartitionsFixed {
        /// The topic.
        topic: TopicName,
        /// How many it has.
        partitions: u32,
    },
    /// The cursor belongs to a topic of this name that was deleted.
    #[error("the cursor belongs to an earlier topic {topic}, which was deleted; begin anew")]
    StaleCursor {
        /// The topic.
        topic: TopicName,
    },
    /// A text that is no cursor.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// An offset says nothing without its partition.
    #[error("an offset needs a partition: add partition=<number>, or begin from a cursor")]
    OffsetWithoutPartition,
    /// A topic that would have the name of a place for replies.
    #[error("{topic} cannot be a topic: names beginning with \"_reply.\" are for replies")]
    ReservedName {
        /// The name.
        topic: TopicName,
    },
    /// A reply that comes too late, or a second time.
    #[error("nobody waits for a reply at {place}: the caller has its answer, or is gone")]
    NobodyWaits {
        /// Where the reply was to go.
        place: TopicName,
    },
    /// A reply with a time of delivery.
    #[error("a reply is delivered at once, without delay and deliver_at")]
    ReplyLater,
    /// A request was published, but nobody replied.
    #[error("no reply came within {}", DurationText(*timeout))]
    NoReply {
        /// How long the caller waited.
        timeout: Duration,
    },
    /// The request's id was published before; the reply goes to whoever did.
    #[error(
        "a message with the id {id} was published before: the reply to it goes elsewhere; \
         ask again with another id"
    )]
    RequestRepeated {
        /// The request's id.
        id: MessageId,
    },
    /// The settings name no topic for the gateway.
    #[error("there is no gateway here: the setting gateway-topic names none")]
    NoGateway,
    /// A time of delivery that cannot be.
    #[error(transparent)]
    InvalidDelivery(#[from] InvalidDelivery),
    /// The order of a group is fixed.
    #[error(
        "the group {group} has ordering={ordering}, which is fixed: what is leased already would \
         break another one; delete the group or take another name"
    )]
    OrderingFixed {
        /// The group.
        group: GroupName,
        /// The one it has.
        ordering: GroupOrdering,
    },
    /// A group with order by partition must know who asks.
    #[error(
        "the group {group} spreads partitions over its members (ordering=partition): say who you \
         are with member=<name>"
    )]
    MemberNeeded {
        /// The group.
        group: GroupName,
    },
    /// A group cannot move behind the newest record.
    #[error("partition {partition} ends before offset {end}; allowed is at most {end}")]
    BeyondEnd {
        /// The partition.
        partition: PartitionId,
        /// The offset after its newest record.
        end: Offset,
    },
    /// There is no such dead letter.
    #[error("the topic {topic} has no dead letter {id}")]
    UnknownDeadLetter {
        /// The topic it would have come from.
        topic: TopicName,
        /// The id asked for.
        id: String,
    },
    /// Dead letters of the topic are being moved back already.
    #[error("dead letters of {topic} are being moved back already; go on when that is done")]
    RedriveRuns {
        /// The topic.
        topic: TopicName,
    },
    /// There is no such waiting message, or no more.
    #[error("no scheduled message has the id {schedule_id:?}; it may be delivered or cancelled")]
    UnknownSchedule {
        /// The id asked for.
        schedule_id: String,
    },
    /// A text that is no cursor of a list of waiting messages.
    #[error(transparent)]
    InvalidScheduleCursor(#[from] InvalidScheduleCursor),
    /// The index of waiting messages failed. The messages are safe; it is opened anew.
    #[error("the index of scheduled messages failed: {reason}; it is opened again")]
    ScheduleIndex {
        /// What happened.
        reason: String,
    },
    /// A partition accepts nothing until a restart.
    #[error("partition {partition} of {topic} accepts nothing until the broker is restarted")]
    PartitionFailed {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: PartitionId,
    },
    /// Settings outside their range.
    #[error(transparent)]
    InvalidSettings(#[from] InvalidSettings),
    /// The data directory belongs to another place among several brokers.
    #[error(
        "this data directory is that of broker-index {} of broker-count {}, but the settings say {} \
         of {}: messages in partitions of another broker would be stranded; go back to those \
         settings, use another data directory, or delete all topics under the old settings first",
        kept.0, kept.1, given.0, given.1
    )]
    OwnershipChanged {
        /// Index and count it has.
        kept: (u32, u32),
        /// Index and count of the settings.
        given: (u32, u32),
    },
    /// A name that no topic may have.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// There is no such queue of tasks.
    #[error("there is no queue {queue}; register it first")]
    UnknownQueue {
        /// What was asked for.
        queue: QueueRef,
    },
    /// A task that is larger than a payload may be.
    #[error("the task has {length_bytes} bytes; at most {max_bytes} are allowed")]
    TaskTooLarge {
        /// Bytes given.
        length_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// There is no such worker.
    #[error("there is no worker {id}; it may have been removed")]
    UnknownWorker {
        /// The number asked for.
        id: WorkerId,
    },
    /// A worker that cannot be.
    #[error(transparent)]
    InvalidWorker(#[from] InvalidWorker),
    /// A target that cannot be, or may not be reached.
    #[error(transparent)]
    InvalidTarget(#[from] InvalidTarget),
    /// As many queues or workers as may be.
    #[error("there are {max} {what}, as many as are allowed")]
    TooManyRegistrations {
        /// Which.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// No backend took the message.
    #[error("no backend took the message: {}", shown(reasons))]
    NoBackend {
        /// Why, for each of them.
        reasons: Vec<String>,
    },
    /// Pushing cannot begin.
    #[error("cannot push messages: {reason}")]
    Push {
        /// Why, for the operator.
        reason: String,
    },
    /// No more topics may be created.
    #[error("there are {max_topics} topics, as many as max-topics allows")]
    TooManyTopics {
        /// The limit.
        max_topics: usize,
    },
    /// Too much is in flight.
    #[error("too much is in flight; retry after {} s", retry_after.as_secs())]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The broker is stopping.
    #[error("the broker is stopping; reconnect")]
    Draining,
    /// Less than the reserve is left on the disk.
    #[error("less than {min_free_bytes} bytes are free on the disk; publishes are refused")]
    DiskAlmostFull {
        /// The reserve.
        min_free_bytes: u64,
    },
    /// The storage engine failed. What was not acknowledged is not stored.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A defect.
    #[error("internal error: {0}")]
    Internal(String),
}

impl BrokerError {
    pub(crate) fn internal(what: impl Into<String>) -> Self {
        Self::Internal(what.into())
    }

    pub(crate) fn push(reason: &impl ToString) -> Self {
        let reason = reason.to_string();
        Self::Push { reason }
    }

    /// The code that programs see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownTopic { .. } | Self::NobodyWaits { .. } => ErrorCode::UnknownTopic,
            Self::ReservedName { .. } => ErrorCode::InvalidTopic,
            Self::NoGateway => ErrorCode::NotFound,
            Self::NoReply { .. } => ErrorCode::Timeout,
            Self::UnknownGroup { .. } => ErrorCode::UnknownGroup,
            Self::UnknownPartition { .. } => ErrorCode::UnknownPartition,
            Self::UnknownSchedule { .. } => ErrorCode::UnknownSchedule,
            Self::ScheduleIndex { .. } | Self::PartitionFailed { .. } => ErrorCode::Storage,
            Self::BatchLine { source, .. } => source.code(),
            Self::PartitionsFixed { .. }
            | Self::RequestRepeated { .. }
            | Self::OrderingFixed { .. }
            | Self::OwnershipChanged { .. }
            | Self::RedriveRuns { .. } => ErrorCode::Conflict,
            Self::MemberNeeded { .. } | Self::BeyondEnd { .. } => ErrorCode::InvalidArgument,
            Self::UnknownDeadLetter { .. } => ErrorCode::UnknownDeadLetter,
            Self::StaleCursor { .. } => ErrorCode::StaleCursor,
            Self::InvalidCursor(_)
            | Self::OffsetWithoutPartition
            | Self::InvalidDelivery(_)
            | Self::ReplyLater
            | Self::InvalidScheduleCursor(_)
            | Self::InvalidSettings(_) => ErrorCode::InvalidArgument,
            Self::UnknownQueue { .. } => ErrorCode::UnknownQueue,
            Self::UnknownWorker { .. } => ErrorCode::UnknownWorker,
            Self::InvalidName(_) => ErrorCode::InvalidTopic,
            Self::InvalidWorker(_) | Self::InvalidTarget(_) => ErrorCode::InvalidArgument,
            Self::TaskTooLarge { .. } => ErrorCode::TooLarge,
            Self::NoBackend { .. } => ErrorCode::Unavailable,
            Self::TooManyTopics { .. }
            | Self::TooManyRegistrations { .. }
            | Self::DiskAlmostFull { .. } => ErrorCode::StorageFull,
            Self::Overloaded { .. } => ErrorCode::Overloaded,
            Self::Draining => ErrorCode::Draining,
            Self::Storage(StorageError::Gone | StorageError::NoSuchTopic { .. }) => {
                ErrorCode::UnknownTopic
            }
            Self::Storage(error) if error.is_full() => ErrorCode::StorageFull,
            Self::Storage(_) => ErrorCode::Storage,
            Self::Push { .. } | Self::Internal(_) => ErrorCode::Internal,
        }
    }
}

fn shown(reasons: &[String]) -> String {
    match reasons.is_empty() {
        true => "there is none; name some with --backend-targets".to_owned(),
        false => reasons.join("; "),
    }
}

impl From<tokio::task::JoinError> for BrokerError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::internal(format!("a reading task failed: {error}"))
    }
}
