use crate::address::Address;
use crate::publish::messages_of;
use crate::transport::Call;
use crate::verbatim::VerbatimMessages;
use crate::{Client, ClientError, ReadFrom, Verbatim};
use std::time::Duration;
use weir_protocol::shapes::{Fetched, Gap, Message};
use weir_types::{PartitionId, TopicName};

/// What to fetch. The default is everything from the oldest record on, without waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchOptions {
    /// Only this partition; `None` reads all.
    pub partition: Option<PartitionId>,
    /// Where to begin.
    pub from: ReadFrom,
    /// At most so many messages; `None` leaves it to the broker.
    pub limit: Option<usize>,
    /// At most so many bytes, but at least one message.
    pub max_bytes: Option<usize>,
    /// How long to wait for a message if there is none.
    pub wait: Option<Duration>,
}

/// What a fetch returned, each message with its JSON.
#[derive(Clone, Debug)]
pub struct FetchedVerbatim {
    /// In order within each partition.
    pub messages: Vec<Verbatim<Message>>,
    /// What was passed over.
    pub gaps: Vec<Gap>,
    /// Cursor for the next fetch.
    pub next: String,
}

impl Client {
    /// Reads messages by offset, without any group. `next` of the answer is the place for the next
    /// fetch.
    ///
    /// # Errors
    /// [`ClientError`]. Repeating a fetch is always safe.
    pub async fn fetch(
        &self,
        topic: &TopicName,
        options: &FetchOptions,
    ) -> Result<Fetched, ClientError> {
        self.transport.call(fetch_call(topic, options)).await
    }

    /// Like [`Client::fetch`], and keeps each message's JSON.
    ///
    /// # Errors
    /// Like [`Client::fetch`].
    pub async fn fetch_verbatim(
        &self,
        topic: &TopicName,
        options: &FetchOptions,
    ) -> Result<FetchedVerbatim, ClientError> {
        let call = fetch_call(topic, options);
        let fetched: VerbatimMessages<Message> = self.transport.call(call).await?;
        Ok(FetchedVerbatim {
            messages: fetched.messages,
            gaps: fetched.gaps,
            next: fetched.next,
        })
    }
}

fn fetch_call(topic: &TopicName, options: &FetchOptions) -> Call {
    let address: Address = messages_of(topic)
        .with_some("partition", options.partition)
        .with("from", &options.from)
        .with_some("limit", options.limit)
        .with_some("max_bytes", options.max_bytes)
        .with_duration("wait", options.wait);
    Call::get(address).waiting(options.wait)
}
