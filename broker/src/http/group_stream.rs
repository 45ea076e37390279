//! Consuming a group over server-sent events: each `data:` is a message as a lease delivers it, to be
//! acked by `POST …/ack` like any other. No more than `max_in_flight` are unfinished at one time;
//! what is unfinished when the client goes away is delivered to others at once.

use super::answer::{Answer, ApiError, answer};
use super::groups::push_leased;
use super::query::{Query, raw_query};
use super::request::{group_name, new_topic_name};
use super::sse::{FAREWELL, KEEP_ALIVE, QUIET, RETRY_MILLISECONDS, error_event, event_stream};
use super::{Route, State, with};
use crate::broker::{AckedBy, GroupStream, GroupStreamOptions, LeasedMessage};
use bytes::Bytes;
use futures_util::{Stream, stream};
use warp::Filter;
use weir_service::settings;
use weir_types::limits::MAX_FETCH_RECORDS;
use weir_types::{GroupSettingsChange, MemberName, TopicName};

const DEFAULT_IN_FLIGHT: usize = 100;

pub(super) fn routes(state: &State) -> Route {
    warp::path!("v1" / "topics" / String / "groups" / String / "stream")
        .and(warp::get())
        .and(with(state))
        .and(raw_query())
        .then(
            |topic: String, group: String, state: State, query: String| async move {
                answer(open(&state, &topic, &group, &query).await)
            },
        )
        .boxed()
}

async fn open(state: &State, topic: &str, group: &str, query: &str) -> Result<Answer, ApiError> {
    let (topic, group) = (new_topic_name(topic)?, group_name(group)?);
    let mut query = Query::parse(query)?;
    let max_in_flight = query.take("max_in_flight", settings::in_range(1..=MAX_FETCH_RECORDS))?;
    let max_in_flight = max_in_flight.unwrap_or(DEFAULT_IN_FLIGHT);
    let options = GroupStreamOptions {
        max_in_flight: u32::try_from(max_in_flight).unwrap_or(u32::MAX),
        visibility_timeout: query.take_visibility_timeout()?,
        member: query.take("member", MemberName::parse)?,
        partition: query.take_partition()?,
        acked_by: AckedBy::Receipt,
        new_group: GroupSettingsChange::default(),
    };
    query.finish()?;
    let stream = state.broker.group_stream(&topic, &group, options).await?;
    Ok(event_stream(events(stream)))
}

/// What the stream does next.
enum Step {
    Open(GroupStream),
    Consume(GroupStream),
    End,
}

fn events(stream: GroupStream) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(Step::Open(stream), |step| async {
        match step {
            Step::Open(stream) => {
                let hello = format!("retry: {RETRY_MILLISECONDS}\n\n");
                Some((hello.into(), Step::Consume(stream)))
            }
            Step::Consume(mut stream) => Some(match stream.next(KEEP_ALIVE).await {
                Ok(Some(messages)) if messages.is_empty() => (QUIET.into(), Step::Consume(stream)),
                Ok(Some(messages)) => (flush(stream.topic(), &messages), Step::Consume(stream)),
                Ok(None) => (FAREWELL.into(), Step::End),
                Err(error) => (error_event(&error), Step::End),
            }),
            Step::End => None,
        }
    })
}

fn flush(topic: &TopicName, messages: &[LeasedMessage]) -> Bytes {
    let bytes = messages
        .iter()
        .map(|message| message.line.bytes.len() + 160);
    let mut events = Vec::with_capacity(bytes.sum());
    for message in messages {
        events.extend_from_slice(b"data: ");
        push_leased(&mut events, topic, message);
        events.extend_from_slice(b"\n\n");
    }
    events.into()
}
