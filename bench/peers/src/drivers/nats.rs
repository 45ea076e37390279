//! NATS JetStream: file storage, one replica, a durable pull consumer with explicit acks; readers
//! are ephemeral pull consumers without acks.

use super::{Consumer, Publisher, System};
use crate::cli::RunArgs;
use crate::payload::{self, Stamp};
use anyhow::{Context as _, Result, anyhow};
use async_nats::jetstream::{self, AckKind, consumer::AckPolicy, consumer::pull, stream};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use std::time::Duration;

const STREAM: &str = "BENCH";
const SUBJECT: &str = "bench.t";
const GROUP: &str = "bench";

pub struct Nats {
    addr: String,
}

impl Nats {
    pub fn new(args: &RunArgs) -> Self {
        Self {
            addr: format!("nats://{}", args.addr),
        }
    }

    async fn context(&self) -> Result<jetstream::Context> {
        Ok(jetstream::new(async_nats::connect(&self.addr).await?))
    }
}

impl System for Nats {
    type Publisher = NatsPublisher;
    type Consumer = NatsConsumer;
    type Reader = NatsReader;

    async fn reset(&mut self) -> Result<()> {
        let context = self.context().await?;
        let _ = context.delete_stream(STREAM).await;
        let stream = context
            .create_stream(stream::Config {
                name: STREAM.into(),
                subjects: vec![SUBJECT.into()],
                storage: stream::StorageType::File,
                num_replicas: 1,
                ..Default::default()
            })
            .await?;
        stream
            .create_consumer(pull::Config {
                durable_name: Some(GROUP.into()),
                ack_policy: AckPolicy::Explicit,
                ack_wait: Duration::from_secs(60),
                max_ack_pending: 65_536,
                ..Default::default()
            })
            .await?;
        Ok(())
    }

    async fn publisher(&self) -> Result<NatsPublisher> {
        Ok(NatsPublisher {
            context: self.context().await?,
        })
    }

    async fn consumer(&self, _number: usize) -> Result<NatsConsumer> {
        let context = self.context().await?;
        let stream = context.get_stream(STREAM).await?;
        let consumer = stream
            .get_consumer(GROUP)
            .await
            .map_err(|e| anyhow!("{e}"))?;
        Ok(NatsConsumer {
            pulled: Pulled::new(consumer),
            client: context.client(),
            taken: Vec::new(),
        })
    }

    async fn reader(&self, _number: usize) -> Result<NatsReader> {
        let stream = self.context().await?.get_stream(STREAM).await?;
        let config = pull::Config {
            ack_policy: AckPolicy::None,
            memory_storage: true,
            ..Default::default()
        };
        let consumer = stream.create_consumer(config).await?;
        Ok(NatsReader(Pulled::new(consumer)))
    }
}

pub struct NatsPublisher {
    context: jetstream::Context,
}

impl Publisher for NatsPublisher {
    async fn send(&mut self, payload: Bytes) -> Result<()> {
        self.context.publish(SUBJECT, payload).await?.await?;
        Ok(())
    }

    async fn send_batch(&mut self, payloads: Vec<Bytes>) -> Result<()> {
        let mut acks = Vec::with_capacity(payloads.len());
        for payload in payloads {
            acks.push(self.context.publish(SUBJECT, payload).await?);
        }
        for ack in acks {
            ack.await?;
        }
        Ok(())
    }
}

/// The messages of a pull consumer, which start to flow with the first `take`.
struct Pulled {
    consumer: jetstream::consumer::Consumer<pull::Config>,
    messages: Option<pull::Stream>,
}

impl Pulled {
    const fn new(consumer: jetstream::consumer::Consumer<pull::Config>) -> Self {
        Self {
            consumer,
            messages: None,
        }
    }

    /// Waits for a message, and takes with it what has already arrived. Meanwhile the next ones
    /// flow: up to two takes are asked for.
    async fn take(&mut self, max: usize) -> Result<Vec<jetstream::Message>> {
        let messages = match &mut self.messages {
            Some(messages) => messages,
            None => {
                let stream = self.consumer.stream().max_messages_per_batch(2 * max);
                self.messages.insert(stream.messages().await?)
            }
        };
        let mut taken = vec![messages.next().await.context("the stream ended")??];
        while taken.len() < max
            && let Some(Some(message)) = messages.next().now_or_never()
        {
            taken.push(message?);
        }
        Ok(taken)
    }
}

/// Acknowledges as `Message::ack` does: sent, not answered. `double_ack` would wait for an answer.
pub struct NatsConsumer {
    pulled: Pulled,
    client: async_nats::Client,
    taken: Vec<jetstream::Message>,
}

impl Consumer for NatsConsumer {
    async fn take(&mut self, max: usize, out: &mut Vec<Stamp>) -> Result<()> {
        self.taken = self.pulled.take(max).await?;
        for message in &self.taken {
            payload::scan(&message.payload, out);
        }
        Ok(())
    }

    async fn ack(&mut self) -> Result<()> {
        for message in self.taken.drain(..) {
            let acked = message.ack_with(AckKind::Ack).await;
            acked.map_err(|e| anyhow!("{e}"))?;
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<()> {
        Ok(self.client.flush().await?)
    }
}

pub struct NatsReader(Pulled);

impl Consumer for NatsReader {
    async fn take(&mut self, max: usize, out: &mut Vec<Stamp>) -> Result<()> {
        for message in self.0.take(max).await? {
            payload::scan(&message.payload, out);
        }
        Ok(())
    }
}
