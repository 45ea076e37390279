//! Groups: lease, ack, nack, extend, seek; create, change, show, list, delete.

use super::answer::{Answer, ApiError, answer, empty, json, json_bytes};
use super::fetch::read_from;
use super::query::{Query, SHORTEST_LEASE, in_range, raw_query};
use super::request::{
    MAX_REQUEST_BYTES, body, group_name, json_body, json_body_or_default, new_topic_name,
    parse_json, topic_name,
};
use super::{Route, State, with};
use crate::broker::{LeaseOptions, LeasedMessage, ReadFrom, ReceiptAction, Redelivery};
use bytes::Buf;
use futures_util::Stream;
use http::StatusCode;
use std::time::Duration;
use warp::Filter;
use weir_protocol::shapes::{
    AckRequest, ExtendRequest, GroupRequest, Groups, NackRequest, ReceiptText, SeekRequest,
};
use weir_protocol::{push_leased_message, push_receipt_results};
use weir_types::limits::MAX_RECEIPTS;
use weir_types::{DurationText, MemberName, TopicName};

/// Longest reason of a nack that is kept, in bytes.
const MAX_REASON_BYTES: usize = 1024;

pub(super) fn routes(state: &State) -> Route {
    let group = || warp::path!("v1" / "topics" / String / "groups" / String / ..);
    let lease = group()
        .and(warp::path!("lease"))
        .and(warp::post())
        .and(with(state))
        .and(raw_query())
        .then(
            |topic: String, group: String, state: State, query: String| async move {
                answer(lease(&state, &topic, &group, &query).await)
            },
        );
    let settle = group()
        .and(warp::path!(Settle))
        .and(warp::post())
        .and(with(state))
        .and(warp::body::stream())
        .then(
            |topic: String, group: String, settle: Settle, state: State, chunks| async move {
                answer(settle.handle(&state, &topic, &group, chunks).await)
            },
        );
    let seek = group()
        .and(warp::path!("seek"))
        .and(warp::post())
        .and(with(state))
        .and(warp::body::stream())
        .then(
            |topic: String, group: String, state: State, chunks| async move {
                answer(seek(&state, &topic, &group, chunks).await)
            },
        );
    let put = group()
        .and(warp::path::end())
        .and(warp::put())
        .and(with(state))
        .and(warp::body::stream())
        .then(
            |topic: String, group: String, state: State, chunks| async move {
                answer(put(&state, &topic, &group, chunks).await)
            },
        );
    let show = group()
        .and(warp::path::end())
        .and(warp::get())
        .and(with(state))
        .then(|topic: String, group: String, state: State| async move {
            answer(show(&state, &topic, &group).await)
        });
    let delete = group()
        .and(warp::path::end())
        .and(warp::delete())
        .and(with(state))
        .then(|topic: String, group: String, state: State| async move {
            answer(delete(&state, &topic, &group).await)
        });
    let list = warp::path!("v1" / "topics" / String / "groups")
        .and(warp::get())
        .and(with(state))
        .then(|topic: String, state: State| async move { answer(list(&state, &topic).await) });
    lease
        .or(settle)
        .unify()
        .or(seek)
        .unify()
        .or(put)
        .unify()
        .or(show)
        .unify()
        .or(delete)
        .unify()
        .or(list)
        .unify()
        .boxed()
}

async fn lease(state: &State, topic: &str, group: &str, query: &str) -> Result<Answer, ApiError> {
    let (topic, group) = (new_topic_name(topic)?, group_name(group)?);
    let mut query = Query::parse(query)?;
    let options = LeaseOptions {
        max_messages: query.take_count("max")?.unwrap_or(1),
        max_bytes: query.take_max_bytes()?,
        wait: query.take_wait()?,
        visibility_timeout: query.take_visibility_timeout()?,
        member: query.take("member", MemberName::parse)?,
    };
    query.finish()?;
    let messages = state.broker.lease(&topic, &group, options).await?;
    Ok(leased(&topic, &messages))
}

fn leased(topic: &TopicName, messages: &[LeasedMessage]) -> Answer {
    let bytes = messages
        .iter()
        .map(|message| message.line.bytes.len() + 160);
    let mut body = Vec::with_capacity(16 + bytes.sum::<usize>());
    body.extend_from_slice(b"{\"messages\":[");
    for (index, message) in messages.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        push_leased(&mut body, topic, message);
    }
    body.extend_from_slice(b"]}");
    json_bytes(StatusCode::OK, body)
}

/// Appends a message as a lease delivers it.
pub(super) fn push_leased(body: &mut Vec<u8>, topic: &TopicName, message: &LeasedMessage) {
    let until = message.lease_expires_at;
    push_leased_message(body, &message.receipt, until, topic, &message.line.bytes);
}

/// The last part of the address of an ack, a nack or an extend.
#[derive(Clone, Copy, Debug)]
enum Settle {
    Ack,
    Nack,
    Extend,
}

impl std::str::FromStr for Settle {
    type Err = ();
    fn from_str(part: &str) -> Result<Self, ()> {
        match part {
            "ack" => Ok(Self::Ack),
            "nack" => Ok(Self::Nack),
            "extend" => Ok(Self::Extend),
            _ => Err(()),
        }
    }
}

impl Settle {
    async fn handle(
        self,
        state: &State,
        topic: &str,
        group: &str,
        chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
    ) -> Result<Answer, ApiError> {
        let (topic, group) = (topic_name(topic)?, group_name(group)?);
        let received = body(state, chunks, MAX_REQUEST_BYTES).await?;
        let (receipts, action) = match self {
            Self::Ack => {
                let body: AckRequest<ReceiptText<'_>> = parse_json(&received.bytes)?;
                (body.receipts, ReceiptAction::Ack)
            }
            Self::Nack => nack_request(parse_json(&received.bytes)?)?,
            Self::Extend => extend_request(parse_json(&received.bytes)?)?,
        };
        if !(1..=MAX_RECEIPTS).contains(&receipts.len()) {
            let message = format!(
                "{} receipts; allowed are 1 to {MAX_RECEIPTS}",
                receipts.len()
            );
            return Err(ApiError::invalid_argument(message));
        }
        let texts = || receipts.iter().map(|receipt| &*receipt.0);
        let settle = state.broker.settle(&topic, &group, texts(), action);
        let statuses = settle.await?;
        let mut answer = Vec::with_capacity(16 + 80 * receipts.len());
        push_receipt_results(&mut answer, texts().zip(statuses));
        Ok(json_bytes(StatusCode::OK, answer))
    }
}

type Receipts<'a> = Vec<ReceiptText<'a>>;

fn extend_request(
    body: ExtendRequest<ReceiptText<'_>>,
) -> Result<(Receipts<'_>, ReceiptAction), ApiError> {
    let name = "visibility_timeout";
    let visibility_timeout = checked(body.visibility_timeout, name, SHORTEST_LEASE)?;
    Ok((body.receipts, ReceiptAction::Extend { visibility_timeout }))
}

fn nack_request(
    body: NackRequest<ReceiptText<'_>>,
) -> Result<(Receipts<'_>, ReceiptAction), ApiError> {
    let redelivery = match (
        checked(body.delay, "delay", Duration::ZERO)?,
        body.dead_letter,
    ) {
        (None, false) => Redelivery::ByBackoff,
        (Some(delay), false) => Redelivery::After(delay),
        (None, true) => Redelivery::Never,
        (Some(_), true) => {
            let message =
                "delay and dead_letter exclude each other: a dead letter is not delivered again";
            return Err(ApiError::invalid_argument(message));
        }
    };
    let length = body.reason.as_ref().map_or(0, String::len);
    if length > MAX_REASON_BYTES {
        let message = format!("reason has {length} bytes; at most {MAX_REASON_BYTES} are allowed");
        return Err(ApiError::invalid_argument(message));
    }
    Ok((
        body.receipts,
        ReceiptAction::Nack {
            redelivery,
            reason: body.reason,
        },
    ))
}

fn checked(
    given: Option<DurationText>,
    name: &str,
    least: Duration,
) -> Result<Option<Duration>, ApiError> {
    let check = |given: DurationText| {
        let refused = |e| ApiError::invalid_argument(format!("{name} is {given}; {e}"));
        in_range(given.0, least).map_err(refused)
    };
    given.map(check).transpose()
}

async fn put(
    state: &State,
    topic: &str,
    group: &str,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, ApiError> {
    let (topic, group) = (new_topic_name(topic)?, group_name(group)?);
    let request: GroupRequest = json_body_or_default(state, chunks).await?;
    let (start, change) = request.parts();
    let put = state.broker.put_group(&topic, &group, start, &change);
    let (info, is_new) = put.await?;
    Ok(json(
        if is_new {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        },
        &info,
    ))
}

async fn seek(
    state: &State,
    topic: &str,
    group: &str,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, ApiError> {
    let (topic, group) = (topic_name(topic)?, group_name(group)?);
    let request: SeekRequest = json_body(state, chunks).await?;
    let to = seek_to(&request)?;
    let seek = state.broker.seek(&topic, &group, request.partition, to);
    Ok(json(StatusCode::OK, &seek.await?))
}

fn seek_to(request: &SeekRequest) -> Result<ReadFrom, ApiError> {
    match (request.to.as_deref(), request.offset) {
        (Some(to), None) => {
            read_from(to).map_err(|e| ApiError::invalid_argument(format!("to is {to:?}: {e}")))
        }
        (None, Some(offset)) if request.partition.is_some() => Ok(ReadFrom::Offset(offset)),
        _ => Err(ApiError::invalid_argument(
            "say where: {\"to\":\"earliest\"}, or {\"partition\":0,\"offset\":42}",
        )),
    }
}

async fn show(state: &State, topic: &str, group: &str) -> Result<Answer, ApiError> {
    let (topic, group) = (topic_name(topic)?, group_name(group)?);
    Ok(json(
        StatusCode::OK,
        &state.broker.get_group(&topic, &group).await?,
    ))
}

async fn delete(state: &State, topic: &str, group: &str) -> Result<Answer, ApiError> {
    let (topic, group) = (topic_name(topic)?, group_name(group)?);
    state.broker.delete_group(&topic, &group).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn list(state: &State, topic: &str) -> Result<Answer, ApiError> {
    let groups = state.broker.list_groups(&topic_name(topic)?).await?;
    Ok(json(StatusCode::OK, &Groups { groups }))
}
