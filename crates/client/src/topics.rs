use crate::address::Address;
use crate::transport::Call;
use crate::{Client, ClientError};
use http::Method;
use std::collections::BTreeMap;
use weir_protocol::shapes::{Purged, TopicInfo, Topics};
use weir_types::{PartitionId, TopicName, TopicSettingsChange};

impl Client {
    /// Lists all topics, in order of name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn topics(&self) -> Result<Topics, ClientError> {
        let call = Call::get(Address::path(&["v1", "topics"]));
        self.transport.call(call).await
    }

    /// Lists the partitions that this broker has of each topic, where several brokers share them; the
    /// topics that first use would create are listed, too.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn owned_partitions(
        &self,
    ) -> Result<BTreeMap<TopicName, Vec<PartitionId>>, ClientError> {
        let call = Call::get(Address::path(&["topics"]));
        self.transport.call(call).await
    }

    /// Shows one topic.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn topic(&self, topic: &TopicName) -> Result<TopicInfo, ClientError> {
        self.transport.call(Call::get(address(topic))).await
    }

    /// Creates a topic, or changes one that exists; what `change` leaves out stays as it is.
    ///
    /// # Errors
    /// [`ClientError`]; another number of partitions than the topic has is a `conflict`.
    pub async fn put_topic(
        &self,
        topic: &TopicName,
        change: &TopicSettingsChange,
    ) -> Result<TopicInfo, ClientError> {
        let call = Call::new(Method::PUT, address(topic)).json(change);
        self.transport.call(call).await
    }

    /// Deletes a topic with its records and groups.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_topic(&self, topic: &TopicName) -> Result<(), ClientError> {
        let call = Call::new(Method::DELETE, address(topic));
        self.transport.call_unit(call).await
    }

    /// Removes all records of a topic; offsets go on rising.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn purge_topic(&self, topic: &TopicName) -> Result<Purged, ClientError> {
        let address = Address::path(&["v1", "topics", topic.as_str(), "purge"]);
        self.transport.call(Call::post(address)).await
    }
}

fn address(topic: &TopicName) -> Address {
    Address::path(&["v1", "topics", topic.as_str()])
}
