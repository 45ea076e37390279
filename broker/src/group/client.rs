//! The handle of a group: sends requests to the group's task and waits for the answers.

use super::delivery::Leased;
use super::task::{SettleReply, TakeReply};
use crate::broker::BrokerError;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use weir_commitlog::StoredLine;
use weir_protocol::Receipt;
use weir_protocol::shapes::{GroupInfo, ReceiptStatus};
use weir_types::{GroupName, Offset};

/// Requests that may wait in front of a group; beyond, callers wait for room.
const MAILBOX_REQUESTS: usize = 256;

/// What a consumer asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseRequest {
    pub(crate) max_messages: usize,
    pub(crate) max_bytes: usize,
    /// How long to wait for a first message.
    pub(crate) wait: Duration,
    /// Length of the lease; the topic's when `None`.
    pub(crate) visibility_timeout: Option<Duration>,
}

/// What is to happen to leased messages.
#[derive(Clone, Debug)]
pub(crate) enum ReceiptAction {
    Ack,
    Nack {
        delay: Duration,
        reason: Option<String>,
    },
    Extend {
        visibility_timeout: Option<Duration>,
    },
}

/// The closed list of what a group's task does.
#[derive(Debug)]
pub(super) enum GroupRequest {
    Lease {
        request: LeaseRequest,
        reply: oneshot::Sender<Result<Leased, BrokerError>>,
    },
    Take {
        reply: TakeReply,
    },
    Receipts {
        receipts: Vec<Receipt>,
        action: ReceiptAction,
        reply: SettleReply,
    },
    Describe {
        reply: oneshot::Sender<GroupInfo>,
    },
    Floors {
        reply: oneshot::Sender<Vec<Offset>>,
    },
}

/// The group's task is gone: the group or its topic was deleted, or the broker stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupClosed;

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
    pub(crate) async fn lease(
        &self,
        request: LeaseRequest,
    ) -> Result<Result<Leased, BrokerError>, GroupClosed> {
        self.ask(|reply| GroupRequest::Lease { request, reply })
            .await
    }

    /// Hands out the next message and finishes it, durably; `None` when there is none.
    pub(crate) async fn take(
        &self,
    ) -> Result<Result<Option<StoredLine>, BrokerError>, GroupClosed> {
        self.ask(|reply| GroupRequest::Take { reply }).await
    }

    /// Acks, nacks or extends; one status a receipt, when that is durable.
    pub(crate) async fn settle(
        &self,
        receipts: Vec<Receipt>,
        action: ReceiptAction,
    ) -> Result<Result<Vec<ReceiptStatus>, BrokerError>, GroupClosed> {
        self.ask(|reply| GroupRequest::Receipts {
            receipts,
            action,
            reply,
        })
        .await
    }

    /// How far the group is.
    pub(crate) async fn describe(&self) -> Result<GroupInfo, GroupClosed> {
        self.ask(|reply| GroupRequest::Describe { reply }).await
    }

    /// The committed offset of each partition: retention by age stops there.
    pub(crate) async fn floors(&self) -> Result<Vec<Offset>, GroupClosed> {
        self.ask(|reply| GroupRequest::Floors { reply }).await
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
