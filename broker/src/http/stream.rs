//! Following a topic over server-sent events.
//!
//! The stream begins with `retry` and an `id`, so that a client knows where it stands before the
//! first message. Messages are `data:` lines; the last of a flush carries an `id`: the cursor after
//! everything sent so far. A quiet stream gets a comment now and then.

use super::answer::{Answer, ApiError, answer};
use super::fetch::{gap, read_from};
use super::query::{Query, raw_query};
use super::request::topic_name;
use super::sse::{FAREWELL, KEEP_ALIVE, QUIET, RETRY_MILLISECONDS, error_event, event_stream};
use super::{Route, State, with};
use crate::broker::{FetchRequest, Fragment, ReadFrom, StreamReader};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use http::HeaderMap;
use serde::Serialize;
use std::io::Write;
use warp::Filter;
use weir_protocol::shapes::Gap;
use weir_protocol::{Cursor, push_message};
use weir_types::TopicName;

const FLUSH_RECORDS: usize = 500;
const FLUSH_BYTES: usize = 256 * 1024;

pub(super) fn routes(state: &State) -> Route {
    warp::path!("v1" / "topics" / String / "stream")
        .and(warp::get())
        .and(with(state))
        .and(raw_query())
        .and(warp::header::headers_cloned())
        .then(
            |topic: String, state: State, query: String, headers: HeaderMap| async move {
                answer(open(&state, &topic, &query, &headers).await)
            },
        )
        .boxed()
}

async fn open(
    state: &State,
    topic: &str,
    query: &str,
    headers: &HeaderMap,
) -> Result<Answer, ApiError> {
    let topic = topic_name(topic)?;
    let mut query = Query::parse(query)?;
    let partition = query.take_partition()?;
    let asked = query.take("from", read_from)?;
    query.finish()?;
    let from = last_event_id(headers)?
        .or(asked)
        .unwrap_or(ReadFrom::Latest);
    let request = FetchRequest {
        partition,
        from,
        max_records: FLUSH_RECORDS,
        max_bytes: FLUSH_BYTES,
    };
    let reader = state.broker.stream(&topic, &request).await?;
    Ok(event_stream(events(reader)))
}

/// Where a reconnecting client stands; goes before `from`, which is where it once began.
fn last_event_id(headers: &HeaderMap) -> Result<Option<ReadFrom>, ApiError> {
    let Some(id) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let cursor = id.to_str().ok().and_then(|text| Cursor::decode(text).ok());
    let refused = || ApiError::invalid_argument("Last-Event-ID is no cursor of this broker");
    cursor
        .map(|cursor| Some(ReadFrom::Cursor(cursor)))
        .ok_or_else(refused)
}

/// What the stream does next.
enum Step {
    Open(StreamReader),
    Follow(StreamReader),
    End,
}

fn events(reader: StreamReader) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(Step::Open(reader), |step| async {
        match step {
            Step::Open(reader) => {
                let hello = format!(
                    "retry: {RETRY_MILLISECONDS}\nid: {}\n\n",
                    reader.cursor().encode()
                );
                Some((hello.into(), Step::Follow(reader)))
            }
            // However much is left to read: the client comes back with its cursor.
            Step::Follow(reader) if reader.is_draining() => Some((FAREWELL.into(), Step::End)),
            Step::Follow(mut reader) => Some(match reader.next(KEEP_ALIVE).await {
                Ok(Some(read)) if read.is_empty() => (QUIET.into(), Step::Follow(reader)),
                Ok(Some(read)) => (
                    flush(reader.topic(), &read, &reader.cursor()),
                    Step::Follow(reader),
                ),
                Ok(None) => (FAREWELL.into(), Step::End),
                Err(error) => (error_event(&error), Step::End),
            }),
            Step::End => None,
        }
    })
}

/// Gaps first; the last event carries the cursor.
fn flush(topic: &TopicName, read: &Fragment, cursor: &Cursor) -> Bytes {
    let bytes = read.lines.iter().map(|line| line.line.bytes.len() + 80);
    let mut events = Vec::with_capacity(bytes.sum());
    let mut left = read.gaps.len() + read.lines.len();
    let mut begin = |events: &mut Vec<u8>| {
        left -= 1;
        if left == 0 {
            let _infallible = writeln!(events, "id: {}", cursor.encode());
        }
    };
    for one in &read.gaps {
        begin(&mut events);
        events.extend_from_slice(b"event: gap\ndata: ");
        let gap = TopicGap {
            topic,
            gap: gap(one.partition, &one.gap),
        };
        // Numbers and words always serialize, and a Vec always takes them.
        let _infallible = serde_json::to_writer(&mut events, &gap);
        events.extend_from_slice(b"\n\n");
    }
    for line in &read.lines {
        begin(&mut events);
        events.extend_from_slice(b"data: ");
        push_message(&mut events, topic, line.partition, &line.line.bytes);
        events.extend_from_slice(b"\n\n");
    }
    events.into()
}

#[derive(Serialize)]
struct TopicGap<'a> {
    topic: &'a TopicName,
    #[serde(flatten)]
    gap: Gap,
}
