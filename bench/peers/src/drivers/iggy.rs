//! Apache Iggy over its TCP protocol and SDK. A consumer group reads with the stored offset
//! and stores it after each batch; there is no long poll, so an empty poll waits 1 ms.

use super::{Consumer, Publisher, System};
use crate::cli::RunArgs;
use crate::payload::{self, Stamp};
use anyhow::Result;
use bytes::Bytes;
use iggy::prelude::{
    Client, CompressionAlgorithm, Consumer as Reader, ConsumerGroupClient, ConsumerOffsetClient,
    Identifier, IggyClient, IggyExpiry, IggyMessage, MaxTopicSize, MessageClient, Partitioning,
    PollingStrategy, StreamClient, TopicClient,
};
use std::time::Duration;

const STREAM: &str = "bench";
const TOPIC: &str = "t";
const GROUP: &str = "g";

pub struct Iggy {
    uri: String,
    partitions: u32,
}

impl Iggy {
    pub fn new(args: &RunArgs) -> Self {
        Self {
            uri: format!("iggy://iggy:iggy@{}", args.addr),
            partitions: args.partitions,
        }
    }

    async fn connect(&self) -> Result<IggyClient> {
        let client = IggyClient::from_connection_string(&self.uri)?;
        client.connect().await?;
        Ok(client)
    }
}

struct Names {
    stream: Identifier,
    topic: Identifier,
}

impl Names {
    fn new() -> Result<Self> {
        Ok(Self {
            stream: Identifier::named(STREAM)?,
            topic: Identifier::named(TOPIC)?,
        })
    }
}

impl System for Iggy {
    type Publisher = IggyPublisher;
    type Consumer = IggyConsumer;
    type Reader = IggyReader;

    async fn reset(&mut self) -> Result<()> {
        let client = self.connect().await?;
        let names = Names::new()?;
        let _ = client.delete_stream(&names.stream).await;
        client.create_stream(STREAM).await?;
        client
            .create_topic(
                &names.stream,
                TOPIC,
                self.partitions,
                CompressionAlgorithm::None,
                None,
                IggyExpiry::NeverExpire,
                MaxTopicSize::Unlimited,
            )
            .await?;
        client
            .create_consumer_group(&names.stream, &names.topic, GROUP)
            .await?;
        Ok(())
    }

    async fn publisher(&self) -> Result<IggyPublisher> {
        Ok(IggyPublisher {
            client: self.connect().await?,
            names: Names::new()?,
        })
    }

    async fn consumer(&self, _number: usize) -> Result<IggyConsumer> {
        let client = self.connect().await?;
        let names = Names::new()?;
        let group = Identifier::named(GROUP)?;
        client
            .join_consumer_group(&names.stream, &names.topic, &group)
            .await?;
        Ok(IggyConsumer {
            client,
            names,
            reader: Reader::group(group),
            taken: None,
        })
    }

    async fn reader(&self, number: usize) -> Result<IggyReader> {
        let reader = Reader::new(Identifier::named(&format!("reader-{number}"))?);
        Ok(IggyReader {
            client: self.connect().await?,
            names: Names::new()?,
            reader,
            next_offsets: vec![0; self.partitions as usize],
        })
    }
}

pub struct IggyPublisher {
    client: IggyClient,
    names: Names,
}

impl Publisher for IggyPublisher {
    async fn send(&mut self, payload: Bytes) -> Result<()> {
        self.send_batch(vec![payload]).await
    }

    async fn send_batch(&mut self, payloads: Vec<Bytes>) -> Result<()> {
        let mut messages = payloads
            .into_iter()
            .map(|payload| IggyMessage::builder().payload(payload).build())
            .collect::<Result<Vec<_>, _>>()?;
        let Names { stream, topic } = &self.names;
        self.client
            .send_messages(stream, topic, &Partitioning::balanced(), &mut messages)
            .await?;
        Ok(())
    }
}

pub struct IggyConsumer {
    client: IggyClient,
    names: Names,
    reader: Reader,
    /// Partition and offset of the last message that was taken.
    taken: Option<(u32, u64)>,
}

impl Consumer for IggyConsumer {
    async fn take(&mut self, max: usize, out: &mut Vec<Stamp>) -> Result<()> {
        let Names { stream, topic } = &self.names;
        let next = PollingStrategy::next();
        let polled = self
            .client
            .poll_messages(stream, topic, None, &self.reader, &next, max as u32, false)
            .await?;
        let Some(last) = polled.messages.last() else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            return Ok(());
        };
        for message in &polled.messages {
            payload::scan(&message.payload, out);
        }
        self.taken = Some((polled.partition_id, last.header.offset));
        Ok(())
    }

    async fn ack(&mut self) -> Result<()> {
        let Some((partition, offset)) = self.taken.take() else {
            return Ok(());
        };
        let Names { stream, topic } = &self.names;
        self.client
            .store_consumer_offset(&self.reader, stream, topic, Some(partition), offset)
            .await?;
        Ok(())
    }
}

/// Reads the partitions in turn, each by its own offset.
pub struct IggyReader {
    client: IggyClient,
    names: Names,
    reader: Reader,
    next_offsets: Vec<u64>,
}

impl Consumer for IggyReader {
    async fn take(&mut self, max: usize, out: &mut Vec<Stamp>) -> Result<()> {
        let Names { stream, topic } = &self.names;
        for (partition, next) in (0_u32..).zip(&mut self.next_offsets) {
            let from = PollingStrategy::offset(*next);
            let polled = self
                .client
                .poll_messages(
                    stream,
                    topic,
                    Some(partition),
                    &self.reader,
                    &from,
                    max as u32,
                    false,
                )
                .await?;
            if let Some(last) = polled.messages.last() {
                *next = last.header.offset + 1;
            }
            for message in &polled.messages {
                payload::scan(&message.payload, out);
            }
        }
        Ok(())
    }
}
