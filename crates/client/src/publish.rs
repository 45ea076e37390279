use crate::address::Address;
use crate::transport::Call;
use crate::{Client, ClientError};
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use std::collections::BTreeMap;
use weir_protocol::shapes::{BatchPublished, Published};
use weir_protocol::{MESSAGE_HEADER_PREFIX, NDJSON};
use weir_types::{Headers, Key, MessageId, PartitionId, TopicName};

/// What may accompany a published message.
#[derive(Clone, Debug, Default)]
pub struct PublishOptions {
    /// Chooses the partition and the order.
    pub key: Option<Key>,
    /// The publisher's id: makes repeating a publish safe within the dedupe window.
    pub id: Option<MessageId>,
    /// An explicit partition.
    pub partition: Option<PartitionId>,
    /// Names and texts that travel with the message. HTTP makes the names lower case.
    pub headers: Headers,
    /// Topic that an answer goes to.
    pub reply_to: Option<TopicName>,
}

impl PublishOptions {
    /// The call that publishes `payload` with these options.
    pub(crate) fn call(&self, address: Address, payload: Bytes) -> Result<Call, ClientError> {
        let address = address
            .with_some("key", self.key.as_ref().map(Key::as_str))
            .with_some("id", self.id.as_ref())
            .with_some("partition", self.partition)
            .with_some("reply_to", self.reply_to.as_ref());
        let json = HeaderValue::from_static("application/json");
        let call = Call::post(address).body(json, payload);
        with_message_headers(call, &self.headers)
    }
}

impl Client {
    /// Publishes one JSON value. `Ok` means that it is as durable as the topic demands.
    ///
    /// # Errors
    /// [`ClientError`]; after anything but `Refused` and `Unreachable` the message may be stored.
    pub async fn publish(
        &self,
        topic: &TopicName,
        payload: Bytes,
        options: &PublishOptions,
    ) -> Result<Published, ClientError> {
        let call = options.call(messages_of(topic), payload)?;
        self.transport.call(call).await
    }

    /// Publishes a batch: newline-delimited JSON, each line `{"payload":…,"key":…,…}`. All lines
    /// are accepted or none.
    ///
    /// # Errors
    /// [`ClientError`]; a refusal names the first bad line. An unacknowledged batch may be stored
    /// in part.
    pub async fn publish_batch(
        &self,
        topic: &TopicName,
        lines: Bytes,
    ) -> Result<BatchPublished, ClientError> {
        self.send_batch(messages_of(topic), lines).await
    }

    /// Publishes a batch over several topics: each line also names its `"topic"`.
    ///
    /// # Errors
    /// Like [`Client::publish_batch`].
    pub async fn publish_to_topics(&self, lines: Bytes) -> Result<BatchPublished, ClientError> {
        self.send_batch(Address::path(&["v1", "messages"]), lines)
            .await
    }

    async fn send_batch(
        &self,
        address: Address,
        lines: Bytes,
    ) -> Result<BatchPublished, ClientError> {
        let call = Call::post(address).body(HeaderValue::from_static(NDJSON), lines);
        self.transport.call(call).await
    }
}

pub(crate) fn messages_of(topic: &TopicName) -> Address {
    Address::path(&["v1", "topics", topic.as_str(), "messages"])
}

fn with_message_headers(mut call: Call, headers: &Headers) -> Result<Call, ClientError> {
    if headers.is_empty() {
        return Ok(call);
    }
    for (name, value) in BTreeMap::from(headers.clone()) {
        let invalid = |part| ClientError::InvalidHeader {
            name: name.clone(),
            part,
        };
        let header = format!("{MESSAGE_HEADER_PREFIX}{name}");
        let header = HeaderName::from_bytes(header.as_bytes()).map_err(|_| invalid("name"))?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| invalid("value"))?;
        call = call.header(header, value);
    }
    Ok(call)
}
