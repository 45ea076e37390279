//! Fetching by offset or cursor, without a group.

use super::answer::{Answer, ApiError, answer, body_of, json_bytes};
use super::query::{Query, raw_query};
use super::request::topic_name;
use super::{Route, State, with};
use crate::broker::{FetchRequest, Fetched, FetchedLine, ReadFrom};
use http::header::{ACCEPT, HeaderValue};
use http::{HeaderMap, StatusCode};
use warp::Filter;
use weir_protocol::{Cursor, NDJSON, push_message};
use weir_types::{Offset, TopicName};

const DEFAULT_LIMIT: usize = 100;
/// Carries the cursor where the body has no place for it.
const NEXT_HEADER: &str = "weir-next";

pub(super) fn routes(state: &State) -> Route {
    warp::path!("v1" / "topics" / String / "messages")
        .and(warp::get())
        .and(with(state))
        .and(raw_query())
        .and(warp::header::headers_cloned())
        .then(
            |topic: String, state: State, query: String, headers: HeaderMap| async move {
                answer(fetch(&state, &topic, &query, &headers).await)
            },
        )
        .boxed()
}

async fn fetch(
    state: &State,
    topic: &str,
    query: &str,
    headers: &HeaderMap,
) -> Result<Answer, ApiError> {
    let topic = topic_name(topic)?;
    let mut query = Query::parse(query)?;
    let request = FetchRequest {
        partition: query.take_partition()?,
        from: query.take("from", read_from)?.unwrap_or(ReadFrom::Earliest),
        max_records: query.take_count("limit")?.unwrap_or(DEFAULT_LIMIT),
        max_bytes: query.take_max_bytes()?,
    };
    let wait = query.take_wait()?;
    query.finish()?;
    let as_stored = wants_ndjson(headers);
    if as_stored && request.partition.is_none() {
        let message = "lines as stored need a partition: add partition=<number>";
        return Err(ApiError::invalid_argument(message));
    }
    let fetched = state.broker.fetch(&topic, &request, wait).await?;
    Ok(if as_stored {
        stored_lines(&fetched)
    } else {
        messages(&fetched)
    })
}

/// `earliest`, `latest`, an offset, or a cursor.
pub(super) fn read_from(text: &str) -> Result<ReadFrom, String> {
    match text {
        "earliest" => Ok(ReadFrom::Earliest),
        "latest" => Ok(ReadFrom::Latest),
        _ if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => text
            .parse()
            .map(|offset| ReadFrom::Offset(Offset(offset)))
            .map_err(|e| e.to_string()),
        _ => Cursor::decode(text).map(ReadFrom::Cursor).map_err(|_| {
            "allowed are \"earliest\", \"latest\", a cursor, and with partition an offset"
                .to_owned()
        }),
    }
}

fn wants_ndjson(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|value| value.split([',', ';']).any(|part| part.trim() == NDJSON))
}

fn messages(fetched: &Fetched) -> Answer {
    let mut body = b"{\"messages\":[".to_vec();
    push_messages(&mut body, &fetched.topic, &fetched.lines);
    body.extend_from_slice(b"],\"next\":\"");
    body.extend_from_slice(fetched.next.encode().as_bytes());
    body.extend_from_slice(b"\"}");
    json_bytes(StatusCode::OK, body)
}

fn push_messages(body: &mut Vec<u8>, topic: &TopicName, lines: &[FetchedLine]) {
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        push_message(body, topic, line.partition, &line.line.bytes);
    }
}

fn stored_lines(fetched: &Fetched) -> Answer {
    let mut body = Vec::new();
    for line in &fetched.lines {
        body.extend_from_slice(&line.line.bytes);
        body.push(b'\n');
    }
    let mut answer = body_of(StatusCode::OK, NDJSON, body);
    if let Ok(next) = HeaderValue::from_str(&fetched.next.encode()) {
        answer.headers_mut().insert(NEXT_HEADER, next);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_say_where_is_understood() {
        assert_eq!(read_from("earliest"), Ok(ReadFrom::Earliest));
        assert_eq!(read_from("latest"), Ok(ReadFrom::Latest));
        assert_eq!(read_from("42"), Ok(ReadFrom::Offset(Offset(42))));
        assert!(matches!(
            read_from("AQAAAAAAAACrAAAAAQAAAAAAAAAC"),
            Ok(ReadFrom::Cursor(_))
        ));
        for text in ["", "-1", "oldest", "99999999999999999999"] {
            assert!(read_from(text).is_err(), "{text}");
        }
    }
}
