//! RabbitMQ over AMQP 0.9.1: a durable queue, persistent messages, publisher confirms,
//! consumer acks (`multiple`). One channel per publisher over a few connections.

use super::{Consumer, Publisher, System};
use crate::cli::RunArgs;
use crate::payload::{self, Stamp};
use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, PublisherConfirm};
use std::sync::Arc;
use tokio::sync::Mutex;

const QUEUE: &str = "bench";
const MAX_CONNECTIONS: usize = 4;

pub struct Rabbit {
    uri: String,
    queue_type: String,
    /// Connections for publishers and how many publishers there are.
    pool: Mutex<(Vec<Arc<Connection>>, usize)>,
}

impl Rabbit {
    pub fn new(args: &RunArgs) -> Self {
        Self {
            uri: format!("amqp://guest:guest@{}/%2f", args.addr),
            queue_type: args.queue_type.clone(),
            pool: Mutex::default(),
        }
    }

    async fn connect(&self) -> Result<Arc<Connection>> {
        Ok(Arc::new(
            Connection::connect(&self.uri, ConnectionProperties::default()).await?,
        ))
    }
}

impl System for Rabbit {
    type Publisher = RabbitPublisher;
    type Consumer = RabbitConsumer;
    type Reader = RabbitConsumer;

    async fn reset(&mut self) -> Result<()> {
        let connection = self.connect().await?;
        let channel = connection.create_channel().await?;
        channel
            .queue_delete(QUEUE.into(), QueueDeleteOptions::default())
            .await?;
        let mut arguments = FieldTable::default();
        let queue_type = LongString::from(self.queue_type.as_str());
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(queue_type));
        channel
            .queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), arguments)
            .await?;
        connection.close(200, "done".into()).await?;
        Ok(())
    }

    async fn publisher(&self) -> Result<RabbitPublisher> {
        let connection = {
            let mut pool = self.pool.lock().await;
            if pool.0.len() < MAX_CONNECTIONS {
                let connection = self.connect().await?;
                pool.0.push(connection);
            }
            pool.1 += 1;
            pool.0[pool.1 % pool.0.len()].clone()
        };
        let channel = connection.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        Ok(RabbitPublisher {
            channel,
            _connection: connection,
        })
    }

    async fn consumer(&self, _number: usize) -> Result<RabbitConsumer> {
        let connection = self.connect().await?;
        let channel = connection.create_channel().await?;
        Ok(RabbitConsumer {
            channel,
            deliveries: None,
            last: None,
            _connection: connection,
        })
    }

    async fn reader(&self, _number: usize) -> Result<RabbitConsumer> {
        bail!("a queue cannot be replayed")
    }
}

pub struct RabbitPublisher {
    channel: Channel,
    _connection: Arc<Connection>,
}

impl RabbitPublisher {
    async fn publish(&self, payload: &[u8]) -> Result<PublisherConfirm> {
        let persistent = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        Ok(self
            .channel
            .basic_publish("".into(), QUEUE.into(), options, payload, persistent)
            .await?)
    }
}

impl Publisher for RabbitPublisher {
    async fn send(&mut self, payload: Bytes) -> Result<()> {
        ensure!(
            self.publish(&payload).await?.await?.is_ack(),
            "not confirmed"
        );
        Ok(())
    }

    async fn send_batch(&mut self, payloads: Vec<Bytes>) -> Result<()> {
        let mut confirms = Vec::with_capacity(payloads.len());
        for payload in &payloads {
            confirms.push(self.publish(payload).await?);
        }
        for confirm in confirms {
            ensure!(confirm.await?.is_ack(), "not confirmed");
        }
        Ok(())
    }
}

pub struct RabbitConsumer {
    channel: Channel,
    deliveries: Option<lapin::Consumer>,
    /// Tag of the last delivery that was taken and not acknowledged.
    last: Option<u64>,
    _connection: Arc<Connection>,
}

impl Consumer for RabbitConsumer {
    async fn take(&mut self, max: usize, out: &mut Vec<Stamp>) -> Result<()> {
        let deliveries = match &mut self.deliveries {
            Some(deliveries) => deliveries,
            None => self.deliveries.insert(subscribe(&self.channel, max).await?),
        };
        let first = deliveries
            .next()
            .await
            .context("the consumer was cancelled")??;
        payload::scan(&first.data, out);
        let last = self.last.insert(first.delivery_tag);
        for _ in 1..max {
            let Some(Some(delivery)) = deliveries.next().now_or_never() else {
                break;
            };
            let delivery = delivery?;
            payload::scan(&delivery.data, out);
            *last = delivery.delivery_tag;
        }
        Ok(())
    }

    /// One for all that was taken. AMQP answers no acknowledgement of a consumer: it is sent.
    async fn ack(&mut self) -> Result<()> {
        if let Some(last) = self.last.take() {
            let all = BasicAckOptions { multiple: true };
            self.channel.basic_ack(last, all).await?;
        }
        Ok(())
    }
}

/// Two takes flow at a time, as with the other systems.
async fn subscribe(channel: &Channel, max: usize) -> Result<lapin::Consumer> {
    let prefetch = u16::try_from(2 * max)?;
    channel
        .basic_qos(prefetch, BasicQosOptions::default())
        .await?;
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    Ok(channel
        .basic_consume(QUEUE.into(), "".into(), options, arguments)
        .await?)
}
