//! The handle of the waiting messages: sends requests to their task and waits for the answers.

use crate::broker::BrokerError;
use crate::topic::TopicCore;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use weir_protocol::ScheduleCursor;
use weir_protocol::shapes::Schedule;
use weir_types::{Timestamp, TopicName};

/// Requests that may wait in front of the task; beyond, callers wait for room.
const MAILBOX_REQUESTS: usize = 256;

/// Which waiting messages to list.
#[derive(Clone, Debug)]
pub(crate) struct PageRequest {
    /// Of one topic, or of all.
    pub(crate) topic: Option<TopicName>,
    /// Where the page before ended.
    pub(crate) after: Option<ScheduleCursor>,
    pub(crate) max_messages: usize,
}

/// Waiting messages in the order of delivery.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) schedules: Vec<Schedule>,
    /// Where to go on; `None` when nothing comes after.
    pub(crate) next: Option<ScheduleCursor>,
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, BrokerError>>;

/// The closed list of what the task does.
#[derive(Debug)]
pub(super) enum ScheduleRequest {
    List {
        request: PageRequest,
        reply: Reply<Page>,
    },
    Get {
        schedule_id: String,
        reply: Reply<Option<Schedule>>,
    },
    Move {
        schedule_id: String,
        deliver_at: Timestamp,
        reply: Reply<Option<Schedule>>,
    },
    /// Answers whether it was waiting.
    Cancel {
        schedule_id: String,
        reply: Reply<bool>,
    },
}

/// A handle of the waiting messages. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Schedules {
    log: Arc<TopicCore>,
    requests: mpsc::Sender<ScheduleRequest>,
}

impl Schedules {
    pub(super) fn new(log: Arc<TopicCore>) -> (Self, mpsc::Receiver<ScheduleRequest>) {
        let (requests, mailbox) = mpsc::channel(MAILBOX_REQUESTS);
        (Self { log, requests }, mailbox)
    }

    /// The log that waiting messages are appended to.
    pub(crate) fn log(&self) -> &Arc<TopicCore> {
        &self.log
    }

    pub(crate) async fn list(&self, request: PageRequest) -> Result<Page, BrokerError> {
        self.ask(|reply| ScheduleRequest::List { request, reply })
            .await
    }

    /// `None` if there is no such message, or it was delivered.
    pub(crate) async fn get(&self, schedule_id: String) -> Result<Option<Schedule>, BrokerError> {
        self.ask(|reply| ScheduleRequest::Get { schedule_id, reply })
            .await
    }

    /// Returns the message when its new time is durable.
    pub(crate) async fn move_to(
        &self,
        schedule_id: String,
        deliver_at: Timestamp,
    ) -> Result<Option<Schedule>, BrokerError> {
        self.ask(|reply| ScheduleRequest::Move {
            schedule_id,
            deliver_at,
            reply,
        })
        .await
    }

    /// Returns when it is durable that the message is never delivered; or `false`.
    pub(crate) async fn cancel(&self, schedule_id: String) -> Result<bool, BrokerError> {
        self.ask(|reply| ScheduleRequest::Cancel { schedule_id, reply })
            .await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(Reply<T>) -> ScheduleRequest,
    ) -> Result<T, BrokerError> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(request(reply))
            .await
            .map_err(|_| BrokerError::Draining)?;
        answer.await.map_err(|_| BrokerError::Draining)?
    }
}
