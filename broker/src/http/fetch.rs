//! Fetching by offset or cursor, without a group.

use super::answer::{Answer, ApiError, answer, body_of, json_bytes};
use super::query::{Query, raw_query};
use super::request::topic_name;
use super::{Route, State, with};
use crate::broker::{FetchRequest, Fetched, FetchedLine, ReadFrom};
use http::header::{ACCEPT, HeaderValue};
use http::{HeaderMap, StatusCode};
use warp::Filter;
use weir_commitlog::RawBatch;
use weir_protocol::shapes::{Gap, GapReason};
use weir_protocol::{Cursor, NDJSON, push_message};
use weir_types::{Offset, PartitionId, Timestamp, TopicName};

const DEFAULT_LIMIT: usize = 100;
/// Carries the cursor where the body has no place for it.
const NEXT_HEADER: &str = "weir-next";
/// Carries the gaps where the body has no place for them: the first ones, so that a header stays a
/// header.
const GAPS_HEADER: &str = "weir-gaps";
const MOST_GAPS_IN_HEADER: usize = 20;

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
    if as_stored {
        let (batch, next) = state.broker.fetch_stored(&topic, &request, wait).await?;
        return Ok(stored_lines(request.partition, batch, &next));
    }
    let fetched = state.broker.fetch(&topic, &request, wait).await?;
    Ok(messages(&fetched))
}

/// `earliest`, `latest`, an offset, a time, or a cursor.
pub(super) fn read_from(text: &str) -> Result<ReadFrom, String> {
    match text {
        "earliest" => Ok(ReadFrom::Earliest),
        "latest" => Ok(ReadFrom::Latest),
        _ if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => text
            .parse()
            .map(|offset| ReadFrom::Offset(Offset(offset)))
            .map_err(|e| e.to_string()),
        // No cursor has a colon, and every time has.
        _ if text.contains(':') => {
            Timestamp::parse_rfc3339(text)
                .map(ReadFrom::Time)
                .map_err(|_| {
                    "a time is written 2026-01-31T12:00:00Z or 2026-01-31T13:00:00.5+01:00"
                        .to_owned()
                })
        }
        _ => Cursor::decode(text).map(ReadFrom::Cursor).map_err(|_| {
            "allowed are \"earliest\", \"latest\", a time such as 2026-01-31T12:00:00Z, a cursor, \
             and with partition an offset"
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
    push_messages(&mut body, &fetched.topic, &fetched.read.lines);
    body.extend_from_slice(b"],\"next\":\"");
    body.extend_from_slice(fetched.next.encode().as_bytes());
    body.push(b'"');
    let gaps = &fetched.read.gaps;
    if !gaps.is_empty() {
        let gaps = gaps.iter().map(|one| gap(one.partition, &one.gap));
        body.extend_from_slice(b",\"gaps\":");
        body.extend_from_slice(&json_list(gaps));
    }
    body.push(b'}');
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

/// A gap as the API shows it.
pub(super) fn gap(partition: PartitionId, gap: &weir_commitlog::Gap) -> Gap {
    Gap {
        partition,
        from_offset: gap.range.start,
        until_offset: gap.range.end,
        reason: match gap.reason {
            weir_commitlog::GapReason::Trimmed => GapReason::Trimmed,
            weir_commitlog::GapReason::Damaged => GapReason::Damaged,
            weir_commitlog::GapReason::Missing => GapReason::Missing,
        },
    }
}

fn json_list(gaps: impl Iterator<Item = Gap>) -> Vec<u8> {
    // Numbers and words always serialize.
    serde_json::to_vec(&gaps.collect::<Vec<_>>()).unwrap_or_default()
}

/// The bytes of a read go into the answer as they are; mostly they are one piece.
fn stored_lines(partition: Option<PartitionId>, mut batch: RawBatch, next: &Cursor) -> Answer {
    let body = match batch.runs.len() {
        1 => batch.runs.remove(0),
        _ => batch.runs.concat().into(),
    };
    let mut answer = body_of(StatusCode::OK, NDJSON, body);
    if let Ok(next) = HeaderValue::from_str(&next.encode()) {
        answer.headers_mut().insert(NEXT_HEADER, next);
    }
    if !batch.gaps.is_empty() {
        let partition = partition.unwrap_or_default();
        let gaps = batch.gaps.iter().take(MOST_GAPS_IN_HEADER);
        let gaps = json_list(gaps.map(|one| gap(partition, one)));
        if let Ok(gaps) = HeaderValue::from_bytes(&gaps) {
            answer.headers_mut().insert(GAPS_HEADER, gaps);
        }
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
        assert_eq!(
            read_from("1970-01-01T00:00:01Z"),
            Ok(ReadFrom::Time(Timestamp(1_000)))
        );
        for text in [
            "",
            "-1",
            "oldest",
            "99999999999999999999",
            "12:00",
            "2026-01-31T25:00:00Z",
        ] {
            assert!(read_from(text).is_err(), "{text}");
        }
    }
}
