//! The committer's handle, and the tickets it gives.

use super::queue;
use super::request::{CommitRequest, Few, Outcomes, Request};
use crate::broker::BrokerError;
use crate::topic::{Topic, TopicCore};
use std::sync::Arc;
use tokio::sync::oneshot;
use weir_commitlog::{Appended, Operation, Outcome, Trimmed};
use weir_types::{
    GroupName, GroupSettings, Incarnation, Offset, Timestamp, TopicName, TopicSettings,
};

/// Resolves when what was submitted is durable, or was not stored.
#[derive(Debug)]
pub(crate) struct Ticket(oneshot::Receiver<Outcomes>);

impl Ticket {
    /// Waits until the operations are durable; returns where appended records went.
    ///
    /// # Errors
    /// The first operation that failed; some of the others may be durable.
    pub(crate) async fn durable(self) -> Result<Few<Appended>, BrokerError> {
        let outcomes = self.0.await.map_err(|_| BrokerError::Draining)?;
        let mut appended = Few::new();
        for outcome in outcomes {
            match outcome? {
                Outcome::Appended(one) => appended.push(one),
                Outcome::Journaled => {}
            }
        }
        Ok(appended)
    }
}

/// A handle of the committer. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Committer {
    pub(super) requests: queue::Sender,
}

impl Committer {
    /// Queues operations for the next round; waits only for room in the queue.
    pub(crate) async fn submit(
        &self,
        operations: Few<Operation>,
        wake: Few<Arc<TopicCore>>,
    ) -> Ticket {
        let (reply, answer) = oneshot::channel();
        // If the committer is gone, so is `reply`, and the ticket says so.
        let _stopped = self
            .requests
            .send(Request::Commit(CommitRequest {
                operations,
                wake,
                reply,
            }))
            .await;
        Ticket(answer)
    }

    pub(crate) async fn create_topic(
        &self,
        name: TopicName,
        settings: TopicSettings,
        incarnation: Incarnation,
    ) -> Result<Arc<Topic>, BrokerError> {
        self.ask(|reply| Request::CreateTopic {
            name,
            settings,
            incarnation,
            reply,
        })
        .await
    }

    pub(crate) async fn alter_topic(
        &self,
        topic: Arc<Topic>,
        settings: TopicSettings,
    ) -> Result<(), BrokerError> {
        self.ask(|reply| Request::AlterTopic {
            topic,
            settings,
            reply,
        })
        .await
    }

    /// Returns whether it was deleted: one that was used after `unused_since` stays.
    pub(crate) async fn delete_topic(
        &self,
        name: TopicName,
        unused_since: Option<Timestamp>,
    ) -> Result<bool, BrokerError> {
        self.ask(|reply| Request::DeleteTopic {
            name,
            unused_since,
            reply,
        })
        .await
    }

    pub(crate) async fn purge_topic(&self, name: TopicName) -> Result<u64, BrokerError> {
        self.ask(|reply| Request::PurgeTopic { name, reply }).await
    }

    pub(crate) async fn maintain_topic(
        &self,
        name: TopicName,
        floors: Vec<Offset>,
    ) -> Result<Trimmed, BrokerError> {
        self.ask(|reply| Request::MaintainTopic {
            name,
            floors,
            reply,
        })
        .await
    }

    pub(crate) async fn create_group(
        &self,
        topic: Arc<Topic>,
        group: GroupName,
        settings: GroupSettings,
        starts: Vec<Offset>,
    ) -> Result<(), BrokerError> {
        self.ask(|reply| Request::CreateGroup {
            topic,
            group,
            settings,
            starts,
            reply,
        })
        .await
    }

    pub(crate) async fn delete_group(
        &self,
        topic: Arc<Topic>,
        group: GroupName,
    ) -> Result<(), BrokerError> {
        self.ask(|reply| Request::DeleteGroup {
            topic,
            group,
            reply,
        })
        .await
    }

    pub(crate) async fn available_bytes(&self) -> Result<u64, BrokerError> {
        self.ask(|reply| Request::AvailableBytes { reply }).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, BrokerError>>) -> Request,
    ) -> Result<T, BrokerError> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(request(reply))
            .await
            .map_err(|_| BrokerError::Draining)?;
        answer.await.map_err(|_| BrokerError::Draining)?
    }
}
