//! What is stored at the end.

use super::caller::Caller;
use super::connection::Request;
use super::world::TOPIC;
use crate::history::event::{Found, Position, Stored};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use weir_types::{Offset, PartitionId, Timestamp};

#[derive(Deserialize)]
struct Fetched {
    messages: Vec<Message>,
    next: String,
}

#[derive(Deserialize)]
struct Message {
    partition: PartitionId,
    offset: Offset,
    timestamp: Timestamp,
    id: String,
    key: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    payload: Box<RawValue>,
}

/// Reads the topic and its dead-letter topic.
pub(super) async fn read(caller: &mut Caller) -> Found {
    let dead_letter_topic = format!("{TOPIC}.dead-letter");
    Found {
        log: read_topic(caller, TOPIC).await,
        dead_letters: read_topic(caller, &dead_letter_topic).await,
    }
}

/// Nothing if there is no such topic.
async fn read_topic(caller: &mut Caller, topic: &str) -> Vec<Stored> {
    let (mut found, mut from) = (Vec::new(), "earliest".to_owned());
    loop {
        let target = format!("/v1/topics/{topic}/messages?limit=5000&from={from}");
        let answer = caller.ask(&Request::new("GET", target)).await;
        if answer.status == 404 {
            return found;
        }
        assert!(answer.is_success(), "{}", answer.text());
        let fetched: Fetched = answer.json().expect("messages");
        if fetched.messages.is_empty() {
            return found;
        }
        found.extend(fetched.messages.into_iter().map(stored));
        from = fetched.next;
    }
}

fn stored(message: Message) -> Stored {
    Stored {
        position: Position {
            partition: message.partition,
            offset: message.offset,
        },
        timestamp: message.timestamp,
        id: message.id,
        key: message.key,
        headers: message.headers,
        payload: message.payload.get().to_owned(),
    }
}
