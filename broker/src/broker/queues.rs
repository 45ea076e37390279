//! Queues of tasks: the topic of that name and its group `workers`, under a number that clients
//! count on.

use super::workers::place_of_queue;
use super::{Accepted, Broker, BrokerError};
use bytes::Bytes;
use weir_protocol::shapes::{Published, QueueId, QueueRef};
use weir_protocol::{ENCODING_HEADER, NewMessage, task_payload};
use weir_types::{Headers, TopicName};

impl Broker {
    /// Registers a queue; returns when that is durable. The same name again is the same queue.
    ///
    /// # Errors
    /// [`BrokerError::InvalidName`], [`BrokerError::UnknownTopic`] where topics are created
    /// explicitly, [`BrokerError::TooManyRegistrations`], or the storage engine's.
    pub async fn register_queue(&self, name: &str) -> Result<QueueId, BrokerError> {
        self.check_serving()?;
        let topic = TopicName::parse(name)?;
        self.open_pushed_group(&place_of_queue(topic.clone())?)
            .await?;
        self.change_registrations(move |all| all.add_queue(topic))
            .await
    }

    /// The queue that a client means, and its topic.
    ///
    /// # Errors
    /// [`BrokerError::UnknownQueue`].
    pub fn queue(&self, by: &QueueRef) -> Result<(QueueId, TopicName), BrokerError> {
        self.shared.push.live().registrations.queue(by)
    }

    /// Publishes a task; returns when it is durable. The worker gets the very bytes, JSON or not.
    ///
    /// # Errors
    /// [`BrokerError::UnknownQueue`], [`BrokerError::TaskTooLarge`], and those of
    /// [`Broker::publish`].
    pub async fn submit_task(
        &self,
        queue: &QueueRef,
        data: Bytes,
    ) -> Result<Published, BrokerError> {
        let (_, topic) = self.queue(queue)?;
        let (length_bytes, max_bytes) = (data.len(), self.max_payload_bytes());
        if length_bytes > max_bytes {
            return Err(BrokerError::TaskTooLarge {
                length_bytes,
                max_bytes,
            });
        }
        match self.publish(&topic, task(&data)).await? {
            Accepted::Stored(published) => Ok(published),
            Accepted::Scheduled(_) => Err(BrokerError::internal("a task was scheduled")),
        }
    }
}

fn task(data: &Bytes) -> NewMessage {
    let (payload, encoding) = task_payload(data);
    let headers = encoding.map(|encoding| (ENCODING_HEADER.to_owned(), encoding.to_owned()));
    NewMessage {
        headers: Headers::of_broker(headers.into_iter().collect()),
        ..NewMessage::plain(payload)
    }
}
