//! Redis Streams: XADD, XREADGROUP and XACK, XRANGE. Durability is the server's `appendfsync`.

use super::outstanding::Outstanding;
use super::{Consumer, Publisher, System};
use crate::cli::RunArgs;
use crate::payload::{self, Stamp};
use anyhow::Result;
use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, Value, cmd};
use std::time::Duration;

const KEY: &str = "bench";
const GROUP: &str = "g";

pub struct Redis {
    addr: String,
}

impl Redis {
    pub fn new(args: &RunArgs) -> Self {
        Self {
            addr: format!("redis://{}/", args.addr),
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection> {
        let config =
            AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(60)));
        let client = Client::open(self.addr.as_str())?;
        Ok(client
            .get_multiplexed_async_connection_with_config(&config)
            .await?)
    }
}

impl System for Redis {
    type Publisher = RedisPublisher;
    type Consumer = RedisConsumer;
    type Reader = RedisReader;

    async fn reset(&mut self) -> Result<()> {
        let mut connection = self.connect().await?;
        cmd("FLUSHALL").exec_async(&mut connection).await?;
        cmd("XGROUP")
            .arg(&["CREATE", KEY, GROUP, "0", "MKSTREAM"])
            .exec_async(&mut connection)
            .await?;
        Ok(())
    }

    async fn publisher(&self) -> Result<RedisPublisher> {
        Ok(RedisPublisher {
            connection: self.connect().await?,
        })
    }

    async fn consumer(&self, number: usize) -> Result<RedisConsumer> {
        Ok(RedisConsumer {
            connection: self.connect().await?,
            name: format!("c{number}"),
            taken: Vec::new(),
            // A connection that waits for messages answers nothing else.
            acking: self.connect().await?,
            acks: Outstanding::default(),
        })
    }

    async fn reader(&self, _number: usize) -> Result<RedisReader> {
        Ok(RedisReader {
            connection: self.connect().await?,
            start: b"-".to_vec(),
        })
    }
}

pub struct RedisPublisher {
    connection: MultiplexedConnection,
}

impl Publisher for RedisPublisher {
    async fn send(&mut self, payload: Bytes) -> Result<()> {
        cmd("XADD")
            .arg(KEY)
            .arg("*")
            .arg("d")
            .arg(&payload[..])
            .exec_async(&mut self.connection)
            .await?;
        Ok(())
    }

    async fn send_batch(&mut self, payloads: Vec<Bytes>) -> Result<()> {
        let mut pipeline = Pipeline::with_capacity(payloads.len());
        for payload in &payloads {
            pipeline
                .cmd("XADD")
                .arg(KEY)
                .arg("*")
                .arg("d")
                .arg(&payload[..])
                .ignore();
        }
        pipeline.exec_async(&mut self.connection).await?;
        Ok(())
    }
}

pub struct RedisConsumer {
    connection: MultiplexedConnection,
    name: String,
    /// Ids to be acknowledged.
    taken: Vec<Vec<u8>>,
    acking: MultiplexedConnection,
    acks: Outstanding,
}

impl Consumer for RedisConsumer {
    async fn take(&mut self, max: usize, out: &mut Vec<Stamp>) -> Result<()> {
        let reply: Value = cmd("XREADGROUP")
            .arg("GROUP")
            .arg(GROUP)
            .arg(&self.name)
            .arg("COUNT")
            .arg(max)
            .arg("BLOCK")
            .arg(1000)
            .arg("STREAMS")
            .arg(KEY)
            .arg(">")
            .query_async(&mut self.connection)
            .await?;
        let mut ids = Vec::new();
        collect(&reply, &mut ids, out);
        self.taken = ids.into_iter().map(<[u8]>::to_vec).collect();
        Ok(())
    }

    async fn ack(&mut self) -> Result<()> {
        if self.taken.is_empty() {
            return Ok(());
        }
        let mut ack = cmd("XACK");
        ack.arg(KEY).arg(GROUP);
        for id in self.taken.drain(..) {
            ack.arg(id);
        }
        let mut acking = self.acking.clone();
        let ack = async move { Ok(ack.exec_async(&mut acking).await?) };
        self.acks.start(ack).await
    }

    async fn settle(&mut self) -> Result<()> {
        self.acks.settle().await
    }
}

/// XRANGE by chunks; each begins behind the last id of the one before.
pub struct RedisReader {
    connection: MultiplexedConnection,
    start: Vec<u8>,
}

impl Consumer for RedisReader {
    async fn take(&mut self, max: usize, out: &mut Vec<Stamp>) -> Result<()> {
        let reply: Value = cmd("XRANGE")
            .arg(KEY)
            .arg(&self.start)
            .arg("+")
            .arg("COUNT")
            .arg(max)
            .query_async(&mut self.connection)
            .await?;
        let mut ids = Vec::new();
        collect(&reply, &mut ids, out);
        if let Some(last) = ids.last() {
            self.start = [b"(", *last].concat();
        }
        Ok(())
    }
}

/// Walks `[[key, [[id, [field, value]], …]]]`: an id is the string beside an array.
fn collect<'a>(value: &'a Value, ids: &mut Vec<&'a [u8]>, out: &mut Vec<Stamp>) {
    match value {
        Value::Array(items) => match &items[..] {
            [Value::BulkString(id), Value::Array(fields)] if id != KEY.as_bytes() => {
                ids.push(id);
                if let [_, Value::BulkString(payload)] = &fields[..] {
                    payload::scan(payload, out);
                }
            }
            _ => items.iter().for_each(|item| collect(item, ids, out)),
        },
        Value::Map(pairs) => pairs.iter().for_each(|(_, item)| collect(item, ids, out)),
        _ => {}
    }
}
