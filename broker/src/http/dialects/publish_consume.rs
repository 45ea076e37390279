//! The publish/consume broker: queues of JSON objects, registered services, dead letters.
//!
//! | exchange | answer, with C |
//! |---|---|
//! | `POST /register` `{"service_name":s,"topics":[s…]}` | `{"status":"ok","registered_topics":[…]}` |
//! | `POST /publish` `{"topic":s,"message":{…},"reply_to"?:s}` | `{"status":"ok","delivered_to":n}` |
//! | `GET /consume/{address}?max_messages=N` | `{"messages":[{"id","topic","payload","reply_to"?}]}` |
//! | `POST /deadletter/publish` `{…}` | `{"ok":true}` |
//! | `GET /deadletter/list[/{topic}]?limit=N` | `{"items":[newest first],"count":n}` |
//!
//! C, [`CONSTANTS`], are two members of every answer, errors too. `/health` is in `status`. What a
//! request says wrong is 422 `{"detail":[…]}`, all of it at once; see `invalid`. An address is a topic,
//! or `<topic>.<service>`. Messages are gone when the answer was flushed, and come back when the
//! client went away before.

mod fields;
mod invalid;

use crate::broker::{PlainMessage, QueueAddress, ServiceName};
use crate::http::answer::{Answer, ApiError, json};
use crate::http::query::raw_query;
use crate::http::request::{MAX_REQUEST_BYTES, body, decode};
use crate::http::{Route, State, with};
use bytes::{Buf, Bytes};
use fields::Fields;
use futures_util::Stream;
use http::StatusCode;
use invalid::{Problem, Problems};
use serde::Serialize;
use serde_json::value::RawValue;
use warp::Filter;
use weir_protocol::{ErrorCode, InvalidPayload, NewMessage, Payload};
use weir_service::http::AfterFlush;
use weir_types::{Key, MessageId, TopicName};

/// What a body holds besides its message.
const BODY_OVERHEAD_BYTES: usize = 4096;
const DEFAULT_LIST: usize = 100;

/// Two members of every answer.
#[derive(Clone, Copy, Debug, Serialize)]
pub(in crate::http) struct Constants {
    load_balancing: &'static str,
    broker: &'static str,
}

pub(in crate::http) const CONSTANTS: Constants = Constants {
    load_balancing: "fair_dispatch",
    broker: "custom_durable_file_backed",
};

/// Why a request is refused.
enum Refused {
    /// What it says is not what it may say.
    Invalid(Problems),
    /// As everywhere in the API.
    Api(ApiError),
}

impl<E: Into<ApiError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Api(error.into())
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Invalid(problem.into())
    }
}

pub(in crate::http) fn routes(state: &State) -> Route {
    let post = warp::post().and(with(state)).and(warp::body::stream());
    let register = warp::path!("register")
        .and(post.clone())
        .then(|state: State, chunks| async move { answer(register(&state, chunks).await) });
    let publish = warp::path!("publish")
        .and(post.clone())
        .then(|state: State, chunks| async move { answer(publish(&state, chunks).await) });
    let report = warp::path!("deadletter" / "publish")
        .and(post)
        .then(|state: State, chunks| async move { answer(report(&state, chunks).await) });
    let get = warp::get().and(with(state)).and(raw_query());
    let consume = warp::path!("consume" / String).and(get.clone()).then(
        |address: String, state: State, query: String| async move {
            answer(consume(&state, &address, &query).await)
        },
    );
    let every_topic = warp::path!("deadletter" / "list").map(|| None);
    let one_topic = warp::path!("deadletter" / "list" / String).map(Some);
    let list = every_topic.or(one_topic).unify().and(get).then(
        |topic: Option<String>, state: State, query: String| async move {
            answer(list(&state, topic.as_deref(), &query).await)
        },
    );
    consume
        .or(publish)
        .unify()
        .or(register)
        .unify()
        .or(report)
        .unify()
        .or(list)
        .unify()
        .or(wrong_method())
        .unify()
        .boxed()
}

/// The addresses above, with a method that they do not take.
fn wrong_method() -> impl Filter<Extract = (Answer,), Error = warp::Rejection> + Clone {
    let consume = warp::path!("consume" / String);
    let list = warp::path!("deadletter" / "list" / String);
    warp::path!("register")
        .or(warp::path!("publish"))
        .unify()
        .or(warp::path!("deadletter" / "publish"))
        .unify()
        .or(warp::path!("deadletter" / "list"))
        .unify()
        .or(consume.or(list).unify().map(drop).untuple_one())
        .unify()
        .map(|| {
            let message = "this address does not take this method";
            answer(Err(
                ApiError::new(ErrorCode::MethodNotAllowed, message).into()
            ))
        })
}

async fn register(
    state: &State,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, Refused> {
    #[derive(Serialize)]
    struct Registered<'a> {
        status: &'static str,
        registered_topics: &'a [TopicName],
    }
    let received = body(state, chunks, MAX_REQUEST_BYTES).await?;
    let mut fields = Fields::read(&received.bytes)?;
    let service = fields.text("service_name", ServiceName::parse);
    let topics = fields.texts("topics", TopicName::parse);
    let (Some(service), Some(topics)) = (service, topics) else {
        return Err(fields.refused());
    };
    state.broker.subscribe_service(&service, &topics).await?;
    Ok(ok(Registered {
        status: "ok",
        registered_topics: &topics,
    }))
}

async fn publish(
    state: &State,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, Refused> {
    #[derive(Serialize)]
    struct Delivered {
        status: &'static str,
        delivered_to: usize,
    }
    let max_bytes = state.broker.max_payload_bytes();
    let received = body(state, chunks, max_bytes + BODY_OVERHEAD_BYTES).await?;
    let mut fields = Fields::read(&received.bytes)?;
    let topic = fields.text("topic", TopicName::parse);
    let message = fields.object("message");
    let reply_to = fields.optional_text("reply_to", topic_or_none);
    let (Some(topic), Some(message), Some(reply_to)) = (topic, message, reply_to) else {
        return Err(fields.refused());
    };
    let message = NewMessage {
        reply_to,
        ..NewMessage::plain(payload(&message, max_bytes, "message")?)
    };
    // Who subscribes after this does not count on it.
    let subscriptions = state.broker.subscriptions(&topic);
    state.broker.publish(&topic, message).await?;
    Ok(ok(Delivered {
        status: "ok",
        delivered_to: subscriptions.max(1),
    }))
}

/// Nothing is said as `""`, too: so does this broker's gRPC.
fn topic_or_none(name: &str) -> Result<Option<TopicName>, weir_types::InvalidName> {
    match name {
        "" => Ok(None),
        _ => TopicName::parse(name).map(Some),
    }
}

async fn consume(state: &State, address: &str, query: &str) -> Result<Answer, Refused> {
    #[derive(Serialize)]
    struct Messages<'a> {
        messages: Vec<Message<'a>>,
    }
    let max_messages = fields::count(query, "max_messages", 1)?;
    let address = queue_address(state, address)?;
    let (after_flush, flushed) = AfterFlush::new();
    let taken = state.broker.take_at(&address, max_messages, flushed);
    let taken = taken.await?;
    let mut answer = ok(Messages {
        messages: taken.iter().map(Message::from).collect(),
    });
    answer.extensions_mut().insert(after_flush);
    Ok(answer)
}

fn queue_address(state: &State, address: &str) -> Result<QueueAddress, Problem> {
    let loc = || vec!["path".into(), "topic".into()];
    let decoded = decode(address).map_err(|e| Problem::value(loc(), &e, &address))?;
    let found = state.broker.queue_at(&decoded);
    found.map_err(|e| Problem::value(loc(), &e, &decoded))
}

#[derive(Serialize)]
struct Message<'a> {
    id: &'a MessageId,
    topic: &'a TopicName,
    payload: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<&'a str>,
}

impl<'a> From<&'a PlainMessage> for Message<'a> {
    fn from(message: &'a PlainMessage) -> Self {
        Self {
            id: &message.id,
            topic: &message.topic,
            payload: &message.payload,
            reply_to: message.reply_to.as_deref(),
        }
    }
}

async fn report(
    state: &State,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, Refused> {
    #[derive(Serialize)]
    struct Reported {
        ok: bool,
    }
    let max_bytes = state.broker.max_payload_bytes();
    let received = body(state, chunks, max_bytes).await?;
    let mut fields = Fields::read(&received.bytes)?;
    for name in ["id", "source_service", "target_service", "reason"] {
        fields.optional_text(name, |_| Ok::<_, String>(None::<()>));
    }
    fields.optional_integer("attempt_count");
    fields.optional_integer("timestamp_ms");
    let topic = fields.optional_text("topic", key_or_none);
    let (Some(topic), false) = (topic, fields.has_problems()) else {
        return Err(fields.refused());
    };
    let letter = payload(&received.bytes, max_bytes, "")?;
    state.broker.report_letter(&letter, topic).await?;
    Ok(ok(Reported { ok: true }))
}

fn key_or_none(text: &str) -> Result<Option<Key>, weir_types::InvalidText> {
    match text {
        "" => Ok(None),
        _ => Key::parse(text).map(Some),
    }
}

async fn list(state: &State, topic: Option<&str>, query: &str) -> Result<Answer, Refused> {
    #[derive(Serialize)]
    struct Letters {
        items: Vec<Box<RawValue>>,
        count: usize,
    }
    let limit = fields::count(query, "limit", DEFAULT_LIST)?;
    let topic = topic.map(letters_topic).transpose()?;
    let items = state.broker.list_letters(topic.as_ref(), limit).await?;
    Ok(ok(Letters {
        count: items.len(),
        items,
    }))
}

fn letters_topic(part: &str) -> Result<Key, Problem> {
    let loc = || vec!["path".into(), "topic".into()];
    let decoded = decode(part).map_err(|e| Problem::value(loc(), &e, &part))?;
    Key::parse(&decoded).map_err(|e| Problem::value(loc(), &e, &decoded))
}

/// What is stored: the bytes as they were sent. `member` says where in the body they stood.
fn payload(sent: &Bytes, max_bytes: usize, member: &'static str) -> Result<Payload, Refused> {
    Payload::parse(sent, max_bytes).map_err(|e| match e {
        InvalidPayload::TooLarge { .. } => ApiError::new(ErrorCode::TooLarge, e.to_string()).into(),
        _ => {
            let loc = ["body", member].into_iter().filter(|part| !part.is_empty());
            Problem::value(loc.map(Into::into).collect(), &e, &()).into()
        }
    })
}

#[derive(Serialize)]
struct WithConstants<T> {
    #[serde(flatten)]
    answer: T,
    #[serde(flatten)]
    constants: Constants,
}

fn ok(answer: impl Serialize) -> Answer {
    with_constants(StatusCode::OK, answer)
}

fn with_constants(status: StatusCode, answer: impl Serialize) -> Answer {
    let constants = CONSTANTS;
    json(status, &WithConstants { answer, constants })
}

fn answer(result: Result<Answer, Refused>) -> Answer {
    result.unwrap_or_else(|refused| match refused {
        Refused::Invalid(problems) => with_constants(StatusCode::UNPROCESSABLE_ENTITY, problems),
        Refused::Api(error) => error.answer_by(with_constants),
    })
}
