use crate::address::Address;
use crate::publish::messages_of;
use crate::transport::Call;
use crate::{Client, ClientError, PublishOptions};
use bytes::Bytes;
use http::Method;
use weir_protocol::Deliver;
use weir_protocol::shapes::{MoveRequest, Schedule, Scheduled, Schedules};
use weir_types::TopicName;

/// Which waiting messages to list.
#[derive(Clone, Debug, Default)]
pub struct ScheduleOptions {
    /// Of one topic; of all when absent.
    pub topic: Option<TopicName>,
    /// Messages returned at most; the broker decides when absent.
    pub limit: Option<usize>,
    /// The `next` of the page before.
    pub from: Option<String>,
}

impl Client {
    /// Publishes one JSON value that is delivered later. `Ok` means that it waits on disk.
    ///
    /// # Errors
    /// Like [`Client::publish`].
    pub async fn schedule(
        &self,
        topic: &TopicName,
        payload: Bytes,
        deliver: Deliver,
        options: &PublishOptions,
    ) -> Result<Scheduled, ClientError> {
        let address = match deliver {
            Deliver::After(delay) => messages_of(topic).with_duration("delay", Some(delay)),
            Deliver::At(at) => messages_of(topic).with("deliver_at", at),
        };
        let call = options.call(address, payload)?;
        self.transport.call(call).await
    }

    /// Lists waiting messages in order of delivery.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn schedules(&self, options: &ScheduleOptions) -> Result<Schedules, ClientError> {
        let address = Address::path(&["v1", "schedules"])
            .with_some("topic", options.topic.as_ref())
            .with_some("limit", options.limit)
            .with_some("from", options.from.as_ref());
        self.transport.call(Call::get(address)).await
    }

    /// Shows one waiting message.
    ///
    /// # Errors
    /// [`ClientError`]; one that was delivered or cancelled is an `unknown_schedule`.
    pub async fn schedule_of(&self, schedule_id: &str) -> Result<Schedule, ClientError> {
        self.transport.call(Call::get(address(schedule_id))).await
    }

    /// Gives a waiting message another time.
    ///
    /// # Errors
    /// Like [`Client::schedule_of`].
    pub async fn move_schedule(
        &self,
        schedule_id: &str,
        deliver: Deliver,
    ) -> Result<Schedule, ClientError> {
        let call = Call::new(Method::PATCH, address(schedule_id));
        let call = call.json(&MoveRequest { deliver });
        self.transport.call(call).await
    }

    /// Cancels a waiting message. `Ok` means that it is never delivered.
    ///
    /// # Errors
    /// Like [`Client::schedule_of`].
    pub async fn cancel_schedule(&self, schedule_id: &str) -> Result<(), ClientError> {
        let call = Call::new(Method::DELETE, address(schedule_id));
        self.transport.call_unit(call).await
    }
}

fn address(schedule_id: &str) -> Address {
    Address::path(&["v1", "schedules", schedule_id])
}
