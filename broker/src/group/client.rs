//! The handle of a group: sends requests to the group's task and waits for the answers.

use super::delivery::Leased;
use super::handing_over::HandedOver;
use super::partition::Redelivery;
use super::task::{SettleReply, TakeReply};
use super::unfinished::Holder;
use crate::broker::BrokerError;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use weir_commitlog::StoredLine;
use weir_protocol::Receipt;
use weir_protocol::shapes::{GroupInfo, ReceiptStatus};
use weir_types::{GroupName, GroupSettingsChange, MemberName, Offset, OffsetRange, PartitionId};

/// Requests that may wait in front of a group; beyond, callers wait for room.
const MAILBOX_REQUESTS: usize = 256;

/// What a consumer asks for.
#[derive(Clone, Debug)]
pub(crate) struct LeaseRequest {
    pub(crate) max_messages: usize,
    pub(crate) max_bytes: usize,
    /// How long to wait for a first message.
    pub(crate) wait: Duration,
    /// Length of the lease; the topic's when `None`.
    pub(crate) visibility_timeout: Option<Duration>,
    pub(crate) consumer: Consumer,
    /// Only from this partition.
    pub(crate) partition: Option<PartitionId>,
}

/// Who asks.
#[derive(Clone, Debug, Default)]
pub(crate) enum Consumer {
    /// Someone who did not say.
    #[default]
    Anonymous,
    /// Someone who takes from any partition that nobody has messages of just now, whoever the
    /// partition belongs to: with order by partition, order is kept all the same.
    Passing,
    /// A member of the group, which joins by asking.
    Member(MemberName),
    /// An open stream, which holds so many messages at most.
    Stream { holder: Holder, max_in_flight: u32 },
}

/// What is to happen to leased messages.
#[derive(Clone, Debug)]
pub enum ReceiptAction {
    /// They are finished.
    Ack,
    /// They are given back.
    Nack {
        /// Whether and when they are delivered again.
        redelivery: Redelivery,
        /// Why, for people.
        reason: Option<String>,
    },
    /// They never reached a consumer: the attempt does not count, and others may have them at once.
    Release,
    /// Keep them longer.
    Extend {
        /// From now; the topic's when `None`.
        visibility_timeout: Option<Duration>,
    },
}

/// What maintenance wants to know of a group.
#[derive(Debug)]
pub(crate) struct Upkeep {
    /// The committed offset of each partition: retention by age stops there.
    pub(crate) floors: Vec<Offset>,
    /// Whether somebody has messages of it, or waits for some.
    pub(crate) is_in_use: bool,
    /// Whether nobody has used the group for as long as it was to be kept.
    pub(crate) has_expired: bool,
}

/// Where to go on, for each partition that is to move.
pub(crate) type SeekTargets = Vec<(PartitionId, Offset)>;

/// The closed list of what a group's task does.
#[derive(Debug)]
pub(super) enum GroupRequest {
    Lease {
        request: LeaseRequest,
        reply: oneshot::Sender<HandedOver>,
    },
    Take {
        reply: TakeReply,
    },
    Receipts {
        receipts: Vec<Receipt>,
        action: ReceiptAction,
        reply: SettleReply,
    },
    Join {
        member: Option<MemberName>,
        /// Dropped when the stream is over.
        closed: oneshot::Receiver<()>,
        reply: oneshot::Sender<Result<Holder, BrokerError>>,
    },
    Seek {
        targets: SeekTargets,
        reply: oneshot::Sender<Result<(), BrokerError>>,
    },
    Alter {
        change: GroupSettingsChange,
        reply: oneshot::Sender<Result<(), BrokerError>>,
    },
    Finish {
        partition: PartitionId,
        finished: Vec<OffsetRange>,
        reply: oneshot::Sender<Result<(), BrokerError>>,
    },
    Finished {
        partition: PartitionId,
        offsets: Vec<Offset>,
        reply: oneshot::Sender<Vec<bool>>,
    },
    Describe {
        reply: oneshot::Sender<GroupInfo>,
    },
    Upkeep {
        reply: oneshot::Sender<Upkeep>,
    },
}

/// The group's task is gone: the group or its topic was deleted, or the broker stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupClosed;

/// What it is like to be answered by a group that may refuse.
type Answered<T> = Result<Result<T, BrokerError>, GroupClosed>;

/// A handle of a group. Cheap to clone; all methods are cancel-safe: what was leased for a caller
/// that went away is given back.
#[derive(Clone, Debug)]
pub(crate) struct GroupClient {
    name: GroupName,
    requests: mpsc::Sender<GroupRequest>,
}

impl GroupClient {
    pub(super) fn new(name: GroupName) -> (Self, mpsc::Receiver<GroupRequest>) {
        let (requests, mailbox) = mpsc::channel(MAILBOX_REQUESTS);
        (Self { name, requests }, mailbox)
    }

    pub(crate) fn name(&self) -> &GroupName {
        &self.name
    }

    /// Leases up to `max_messages`; waits for a first one as long as the request says.
    pub(crate) async fn lease(&self, request: LeaseRequest) -> Answered<Leased> {
        let handed_over = self.ask(|reply| GroupRequest::Lease { request, reply });
        Ok(handed_over.await?.claim())
    }

    /// Hands out the next message and finishes it, durably; `None` when there is none.
    pub(crate) async fn take(&self) -> Answered<Option<StoredLine>> {
        self.ask(|reply| GroupRequest::Take { reply }).await
    }

    /// Acks, nacks or extends; one status a receipt, when that is durable.
    pub(crate) async fn settle(
        &self,
        receipts: Vec<Receipt>,
        action: ReceiptAction,
    ) -> Answered<Vec<ReceiptStatus>> {
        self.ask(|reply| GroupRequest::Receipts {
            receipts,
            action,
            reply,
        })
        .await
    }

    /// Opens a stream: what it holds is given back as soon as the returned value is dropped.
    pub(crate) async fn join(&self, member: Option<MemberName>) -> Answered<OpenStream> {
        let (open, closed) = oneshot::channel();
        let joined = self
            .ask(|reply| GroupRequest::Join {
                member,
                closed,
                reply,
            })
            .await?;
        Ok(joined.map(|holder| OpenStream {
            holder,
            _open: open,
        }))
    }

    /// Goes on from other offsets; all leases of these partitions are void.
    pub(crate) async fn seek(&self, targets: SeekTargets) -> Answered<()> {
        self.ask(|reply| GroupRequest::Seek { targets, reply })
            .await
    }

    /// Changes what was chosen for the group, as it is when its turn has come.
    pub(crate) async fn alter(&self, change: GroupSettingsChange) -> Answered<()> {
        self.ask(|reply| GroupRequest::Alter { change, reply })
            .await
    }

    /// Finishes records without a lease, durably.
    pub(crate) async fn finish(
        &self,
        partition: PartitionId,
        finished: Vec<OffsetRange>,
    ) -> Answered<()> {
        self.ask(|reply| GroupRequest::Finish {
            partition,
            finished,
            reply,
        })
        .await
    }

    /// Which of these records the group is done with.
    pub(crate) async fn finished(
        &self,
        partition: PartitionId,
        offsets: Vec<Offset>,
    ) -> Result<Vec<bool>, GroupClosed> {
        self.ask(|reply| GroupRequest::Finished {
            partition,
            offsets,
            reply,
        })
        .await
    }

    /// How far the group is.
    pub(crate) async fn describe(&self) -> Result<GroupInfo, GroupClosed> {
        self.ask(|reply| GroupRequest::Describe { reply }).await
    }

    /// What maintenance wants to know.
    pub(crate) async fn upkeep(&self) -> Result<Upkeep, GroupClosed> {
        self.ask(|reply| GroupRequest::Upkeep { reply }).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> GroupRequest,
    ) -> Result<T, GroupClosed> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(request(reply))
            .await
            .map_err(|_| GroupClosed)?;
        answer.await.map_err(|_| GroupClosed)
    }
}

/// A stream that is open as long as this lives.
#[derive(Debug)]
pub(crate) struct OpenStream {
    holder: Holder,
    _open: oneshot::Sender<()>,
}

impl OpenStream {
    pub(crate) fn holder(&self) -> Holder {
        self.holder
    }
}
