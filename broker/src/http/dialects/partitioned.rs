//! Partitioned queue with consumer groups, over server-sent events.
//!
//! | exchange | answer |
//! |---|---|
//! | `/produce?topic=T[&partition=P]`, any method; a text, or JSON `{"payload":s}` | 200 `{"id":s}`; 400; 413 when its line would be too long |
//! | `GET /consume?topic=T&partition=P&group=G` | 200, events without end: `id: …` and `data: {"id","payload","created_at","topic","partition"}` |
//! | `POST /ack?topic=T&partition=P&group=G` `{"id":s}` | 200 `ok`, when that is durable; 400 `bad body`, `ack failed (unknown id or wrong group)` |
//! | `GET /topics` | 200 `{"T":[P,…],…}`: the partitions of this broker |
//!
//! Refusals are 400 with one of the texts `topic and partition required`, `bad partition`, `partition
//! not owned`, `unknown topic`. A partition of another broker is that broker's to answer for, where
//! its address is known: see [`forward`].
//!
//! A message is stored as a JSON string; one published natively is shown as its JSON text. Groups are
//! the topic's.

mod events;
mod forward;

use super::minimq::{cannot_store, method_not_allowed};
use crate::broker::{
    Accepted, AckedBy, BrokerError, GroupStreamOptions, NoPartition, PartitionOwner,
};
use crate::http::answer::{Answer, ApiError, answer, json, text};
use crate::http::query::raw_query;
use crate::http::request::{MAX_REQUEST_BYTES, body};
use crate::http::sse::event_stream;
use crate::http::{Route, State};
use bytes::{Buf, Bytes};
use forward::Forwarder;
use futures_util::Stream;
use http::{HeaderMap, Method, StatusCode};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use warp::Filter;
use weir_protocol::{NewMessage, Payload, is_object};
use weir_types::{GroupName, GroupSettingsChange, MessageId, PartitionId, TopicName};

/// A body may hold more than its payload.
const BODY_OVERHEAD_BYTES: usize = 4096;
/// Messages of one stream that may be unfinished.
const MAX_IN_FLIGHT: u32 = 100;
/// Of the groups that a stream creates. A delivery ends with the stream that it was made to, for all of
/// these messages: few deliveries would make dead letters of a consumer that reconnects.
const MAX_DELIVERIES: u32 = 10_000;
/// Length of a lease, whatever the topic says.
const LEASE: Duration = Duration::from_secs(30);

pub(super) fn routes(partitioned: &Arc<Partitioned>) -> Route {
    let this = partitioned.clone();
    let ack = warp::path!("ack")
        .and(warp::method())
        .and(raw_query())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |method, query, headers, chunks| {
            let this = this.clone();
            let asked = Asked::new(method, "/ack", query, headers);
            async move { answer(this.ack(asked, chunks).await) }
        });
    let this = partitioned.clone();
    let topics = warp::path!("topics")
        .and(warp::get())
        .map(move || this.topics());
    ack.or(topics).unify().boxed()
}

/// What a client sent before its body.
pub(super) struct Asked {
    method: Method,
    path: &'static str,
    query: String,
    headers: HeaderMap,
}

impl Asked {
    pub(super) fn new(
        method: Method,
        path: &'static str,
        query: String,
        headers: HeaderMap,
    ) -> Self {
        Self {
            method,
            path,
            query,
            headers,
        }
    }

    /// A parameter that is given and not empty; of several the first.
    fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut parameters = form_urlencoded::parse(self.query.as_bytes());
        let (_, value) = parameters.find(|(known, _)| known == name)?;
        (!value.is_empty()).then_some(value)
    }
}

/// Why a request is none of this dialect's, or for this broker.
#[derive(Debug)]
enum Refusal {
    Incomplete,
    Place(NoPartition),
}

impl From<NoPartition> for Refusal {
    fn from(place: NoPartition) -> Self {
        Self::Place(place)
    }
}

impl Refusal {
    fn into_answer(self) -> Answer {
        match self {
            Self::Incomplete => bad_request("topic and partition required"),
            Self::Place(no_partition) => bad_request(no_partition.to_string()),
        }
    }
}

/// The broker that answers for a request.
#[derive(Debug)]
enum Place {
    Here(TopicName, PartitionId),
    Peer(String),
}

/// The dialect's handlers.
pub(super) struct Partitioned {
    state: State,
    forwarder: Forwarder,
}

impl Partitioned {
    pub(super) fn new(state: &State) -> Self {
        Self {
            state: state.clone(),
            forwarder: Forwarder::new(state.broker.draining().clone()),
        }
    }

    /// Publishes; without a partition to one of this broker's.
    pub(super) async fn produce(
        &self,
        asked: Asked,
        chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
    ) -> Result<Answer, ApiError> {
        let place = match super::names(&asked.query, "partition") {
            true => self.place(&asked),
            false => self.next_place(&asked),
        };
        let max_body_bytes = self.state.broker.max_payload_bytes() + BODY_OVERHEAD_BYTES;
        let received = body(&self.state, chunks, max_body_bytes).await?;
        let (topic, partition) = match place {
            Err(refusal) => return Ok(refusal.into_answer()),
            Ok(Place::Peer(peer)) => {
                return Ok(self.forwarder.forward(&peer, asked, received.bytes).await);
            }
            Ok(Place::Here(topic, partition)) => (topic, partition),
        };
        let Some(payload) = payload_text(&received.bytes) else {
            return Ok(bad_request("the body is neither JSON nor UTF-8 text"));
        };
        if let Err(too_long) = events::check_payload(&topic, partition, &payload) {
            return Ok(text(StatusCode::PAYLOAD_TOO_LARGE, too_long.to_string()));
        }
        match self.publish(&topic, partition, &payload).await {
            Ok(id) => Ok(json(StatusCode::OK, &Produced { id })),
            Err(error) => cannot_store(error),
        }
    }

    async fn publish(
        &self,
        topic: &TopicName,
        partition: PartitionId,
        payload: &str,
    ) -> Result<String, BrokerError> {
        let broker = &self.state.broker;
        broker.open_partitioned_topic(topic).await?;
        let message = NewMessage {
            partition: Some(partition),
            ..NewMessage::plain(Payload::from_text(payload))
        };
        match broker.publish(topic, message).await? {
            Accepted::Stored(published) => Ok(published.id.into()),
            Accepted::Scheduled(scheduled) => Ok(scheduled.schedule_id),
        }
    }

    /// Opens a stream of one partition's messages.
    pub(super) async fn consume(&self, asked: Asked) -> Result<Answer, ApiError> {
        if asked.method != Method::GET {
            return Ok(method_not_allowed());
        }
        let (topic, partition) = match self.place(&asked) {
            Err(refusal) => return Ok(refusal.into_answer()),
            Ok(Place::Peer(peer)) => {
                return Ok(self.forwarder.forward(&peer, asked, Bytes::new()).await);
            }
            Ok(Place::Here(topic, partition)) => (topic, partition),
        };
        let group = match GroupName::parse(&asked.parameter("group").unwrap_or_default()) {
            Ok(group) => group,
            Err(invalid) => return Ok(bad_request(invalid.to_string())),
        };
        let options = GroupStreamOptions {
            max_in_flight: MAX_IN_FLIGHT,
            visibility_timeout: Some(LEASE),
            member: None,
            partition: Some(partition),
            acked_by: AckedBy::Id,
            new_group: GroupSettingsChange {
                max_deliveries: Some(MAX_DELIVERIES),
                ..GroupSettingsChange::default()
            },
        };
        let broker = &self.state.broker;
        broker.open_partitioned_topic(&topic).await?;
        let stream = broker.group_stream(&topic, &group, options).await?;
        Ok(event_stream(events::events(broker.clone(), group, stream)))
    }

    /// Finishes a message that a stream of the group delivered.
    async fn ack(
        &self,
        asked: Asked,
        chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
    ) -> Result<Answer, ApiError> {
        if asked.method != Method::POST {
            return Ok(method_not_allowed());
        }
        let place = self.place(&asked);
        let received = body(&self.state, chunks, MAX_REQUEST_BYTES).await?;
        let (topic, partition) = match place {
            Err(refusal) => return Ok(refusal.into_answer()),
            Ok(Place::Peer(peer)) => {
                return Ok(self.forwarder.forward(&peer, asked, received.bytes).await);
            }
            Ok(Place::Here(topic, partition)) => (topic, partition),
        };
        let Some(Acked { id }) = object(&received.bytes) else {
            return Ok(bad_request("bad body"));
        };
        let group = GroupName::parse(&asked.parameter("group").unwrap_or_default());
        let acked = match (group, MessageId::parse(&id)) {
            (Ok(group), Ok(id)) => {
                let broker = &self.state.broker;
                broker.ack_by_id(&topic, &group, partition, id).await?
            }
            _ => false,
        };
        Ok(match acked {
            true => text(StatusCode::OK, "ok"),
            false => bad_request("ack failed (unknown id or wrong group)"),
        })
    }

    fn topics(&self) -> Answer {
        let owned = self.state.broker.owned_partitions();
        let owned: BTreeMap<_, _> = owned.iter().map(|(t, p)| (t.as_str(), p)).collect();
        json(StatusCode::OK, &owned)
    }

    /// Who has the partition that is named. What a peer sent here is not sent on.
    fn place(&self, asked: &Asked) -> Result<Place, Refusal> {
        let (topic, partition) = (asked.parameter("topic"), asked.parameter("partition"));
        let (Some(topic), Some(partition)) = (topic, partition) else {
            return Err(Refusal::Incomplete);
        };
        let partition = partition.parse().map(PartitionId);
        let partition = partition.map_err(|_| NoPartition::OutOfRange)?;
        let topic = topic_name(&topic)?;
        match self.state.broker.owner_of(&topic, partition)? {
            PartitionOwner::This => Ok(Place::Here(topic, partition)),
            PartitionOwner::Peer(_) if asked.headers.contains_key(&forward::FORWARDED) => {
                Err(NoPartition::NotOwned.into())
            }
            PartitionOwner::Peer(peer) => Ok(Place::Peer(peer)),
        }
    }

    /// This broker's partition whose turn it is.
    fn next_place(&self, asked: &Asked) -> Result<Place, Refusal> {
        let topic = asked.parameter("topic").ok_or(Refusal::Incomplete)?;
        let topic = topic_name(&topic)?;
        let partition = self.state.broker.next_owned_partition(&topic)?;
        Ok(Place::Here(topic, partition))
    }
}

#[derive(Serialize)]
struct Produced {
    id: String,
}

#[derive(Deserialize)]
struct Acked<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// A name that can be no topic's is that of an unknown one.
fn topic_name(name: &str) -> Result<TopicName, NoPartition> {
    TopicName::parse_derived(name).map_err(|_| NoPartition::UnknownTopic)
}

/// The non-empty string `payload` of a JSON object, else the body without the white space around it;
/// `None` if that is no text.
fn payload_text(body: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        payload: Cow<'a, str>,
    }
    let wrapped = object(body).map(|Wrapped { payload }| payload);
    wrapped.filter(|payload| !payload.is_empty()).or_else(|| {
        std::str::from_utf8(body)
            .ok()
            .map(|text| text.trim().into())
    })
}

/// A JSON object with these members, whatever else it has.
fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    let parsed = is_object(body).then(|| serde_json::from_slice(body));
    parsed?.ok()
}

fn bad_request(why: impl Into<Bytes>) -> Answer {
    text(StatusCode::BAD_REQUEST, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_the_member_or_the_whole_text() {
        for (body, payload) in [
            (r#"{"payload":"p"}"#, "p"),
            (r#" {"payload":" p ","more":[1]} "#, " p "),
            (r#"{"payload":"a\nb"}"#, "a\nb"),
            (r#"{"payload":""}"#, r#"{"payload":""}"#),
            (r#"{"payload":7}"#, r#"{"payload":7}"#),
            (r#"{"other":"p"}"#, r#"{"other":"p"}"#),
            (r#"["payload","p"]"#, r#"["payload","p"]"#),
            (r#"{"payload":"p""#, r#"{"payload":"p""#),
            (r#"{"payload":"\ud800"}"#, r#"{"payload":"\ud800"}"#),
            ("\n text \r\n", "text"),
            ("", ""),
        ] {
            assert_eq!(payload_text(body.as_bytes()).as_deref(), Some(payload));
        }
        assert_eq!(payload_text(b"\xff"), None);
    }
}
