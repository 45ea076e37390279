//! Publishes single messages and batches, with keys and without, and repeats what was not answered.

use super::caller::{Caller, Manner};
use super::connection::{Answer, Request};
use super::world::{PARTITIONS, TOPIC, World};
use crate::history::event::{Call, Message, Outcome};
use fastrand::Rng;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::io::{Error, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use weir_types::{Offset, PartitionId};

const KEYS: u32 = 12;
const LARGEST_BATCH: usize = 12;
/// Every so many messages one cannot be processed.
const POISON: u64 = 31;

/// Whether consumers never manage to process this.
pub(super) fn is_poison(payload: &str) -> bool {
    payload.contains(r#""poison":true"#)
}

pub(super) struct Producer {
    world: Arc<World>,
    caller: Caller,
    name: String,
    next_number: u64,
    rng: Rng,
}

#[derive(Deserialize)]
struct Published {
    offset: Offset,
}

#[derive(Deserialize)]
struct BatchPublished {
    #[serde(default)]
    duplicates: u64,
    partitions: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    partition: PartitionId,
    first_offset: Offset,
}

impl Producer {
    pub(super) fn new(world: &Arc<World>, number: u32, rng: Rng) -> Self {
        let name = format!("producer-{number}");
        Self {
            world: Arc::clone(world),
            caller: Caller::new(world, name.clone()),
            name,
            next_number: 0,
            rng,
        }
    }

    pub(super) async fn work(mut self) {
        while !self.world.is_ending() {
            self.world.room().await;
            let count = match self.rng.u32(..3) {
                0 => self.rng.usize(2..=LARGEST_BATCH),
                _ => 1,
            };
            let messages: Vec<_> = (0..count).map(|_| self.next_message()).collect();
            self.publish_until_stored(&messages).await;
            sleep(Duration::from_micros(self.rng.u64(..12_000))).await;
        }
    }

    /// Most producers repeat what was not answered, some have better things to do.
    async fn publish_until_stored(&mut self, messages: &[Message]) {
        let gives_up = self.rng.u32(..5) == 0;
        loop {
            let manner = match self.rng.u32(..30) {
                0 => Manner::Leave(Duration::from_micros(self.rng.u64(..3_000))),
                1 => Manner::Slow(Duration::from_millis(self.rng.u64(..100))),
                _ => Manner::Prompt,
            };
            let request = request(messages);
            let call = Call::Publish(messages.to_vec());
            let read = |answer: &Answer| {
                Ok((
                    Vec::new(),
                    Outcome::Published(offsets(messages, answer)?),
                    (),
                ))
            };
            let stored = self.caller.call(call, &request, manner, read).await;
            if stored.is_some() {
                return self.world.published(messages.len());
            }
            if gives_up {
                return;
            }
        }
    }

    fn next_message(&mut self) -> Message {
        let number = self.next_number;
        self.next_number += 1;
        let id = format!("{}-{number}", self.name);
        let key = (self.rng.u32(..10) < 7).then(|| format!("key-{}", self.rng.u32(..KEYS)));
        let partition = match &key {
            Some(key) => PartitionId::of_text(key, PARTITIONS),
            None => PartitionId(self.rng.u32(..PARTITIONS)),
        };
        let mut payload = json!({"from": self.name, "number": number});
        if number % POISON == POISON - 1 {
            payload["poison"] = true.into();
        }
        if self.rng.u32(..40) == 0 {
            payload["text"] = "Überlauf ".repeat(self.rng.usize(..800)).into();
        }
        Message {
            id,
            key,
            partition,
            payload: payload.to_string(),
        }
    }
}

fn request(messages: &[Message]) -> Request {
    let target = format!("/v1/topics/{TOPIC}/messages");
    if let [message] = messages {
        let place = match &message.key {
            Some(key) => format!("key={key}"),
            None => format!("partition={}", message.partition),
        };
        let target = format!("{target}?id={}&{place}", message.id);
        let payload = message.payload.clone();
        return Request::new("POST", target).text("application/json", payload);
    }
    let lines: String = messages.iter().map(line).collect();
    Request::new("POST", target).text("application/x-ndjson", lines)
}

fn line(message: &Message) -> String {
    let Message {
        id,
        key,
        partition,
        payload,
    } = message;
    let place = match key {
        Some(key) => format!("\"key\":\"{key}\""),
        None => format!("\"partition\":{partition}"),
    };
    format!("{{\"payload\":{payload},\"id\":\"{id}\",{place}}}\n")
}

fn offsets(messages: &[Message], answer: &Answer) -> Result<Vec<Option<Offset>>> {
    if messages.len() == 1 {
        let published: Published = answer.json()?;
        return Ok(vec![Some(published.offset)]);
    }
    let published: BatchPublished = answer.json()?;
    if published.duplicates > 0 {
        // The answer says how many, not which.
        return Ok(vec![None; messages.len()]);
    }
    let parts = published.partitions.iter();
    let mut next: HashMap<_, _> = parts.map(|p| (p.partition, p.first_offset)).collect();
    let offset = |message: &Message| {
        let next = next.get_mut(&message.partition);
        let next = next.ok_or_else(|| Error::other(format!("no part for {}", message.id)))?;
        let offset = *next;
        *next = next.next();
        Ok(Some(offset))
    };
    messages.iter().map(offset).collect()
}
