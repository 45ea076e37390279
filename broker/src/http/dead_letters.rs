//! Dead letters: listed, shown, moved back.

use super::answer::{Answer, ApiError, answer, json};
use super::query::{Query, raw_query};
use super::request::{decode, group_name, json_body_or_default, topic_name};
use super::{Route, State, with};
use bytes::Buf;
use futures_util::Stream;
use http::StatusCode;
use warp::Filter;
use weir_protocol::Cursor;
use weir_protocol::shapes::RedriveRequest;
use weir_types::GroupName;
use weir_types::limits::MAX_FETCH_RECORDS;

/// Letters on a page, unless told.
const PAGE: usize = 100;

pub(super) fn routes(state: &State) -> Route {
    let letters = || warp::path!("v1" / "topics" / String / "dead-letters" / ..);
    let list = letters()
        .and(warp::path::end())
        .and(warp::get())
        .and(with(state))
        .and(raw_query())
        .then(|topic: String, state: State, query: String| async move {
            answer(list(&state, &topic, &query).await)
        });
    let show = letters()
        .and(warp::path!(String))
        .and(warp::get())
        .and(with(state))
        .then(|topic: String, id: String, state: State| async move {
            answer(show(&state, &topic, &id).await)
        });
    let redrive = warp::path!("v1" / "topics" / String / "groups" / String / "redrive")
        .and(warp::post())
        .and(with(state))
        .and(warp::body::stream())
        .then(
            |topic: String, group: String, state: State, chunks| async move {
                answer(redrive(&state, &topic, &group, chunks).await)
            },
        );
    list.or(show).unify().or(redrive).unify().boxed()
}

async fn list(state: &State, topic: &str, query: &str) -> Result<Answer, ApiError> {
    let topic = topic_name(topic)?;
    let mut query = Query::parse(query)?;
    let group = query.take("group", GroupName::parse)?;
    let limit = query.take_count("limit")?.unwrap_or(PAGE);
    let from = query.take("from", Cursor::decode)?;
    query.finish()?;
    let broker = &state.broker;
    let letters = broker.list_dead_letters(&topic, group.as_ref(), from, limit);
    Ok(json(StatusCode::OK, &letters.await?))
}

async fn show(state: &State, topic: &str, id: &str) -> Result<Answer, ApiError> {
    let topic = topic_name(topic)?;
    let id = decode(id).map_err(ApiError::invalid_argument)?;
    let letter = state.broker.get_dead_letter(&topic, &id).await?;
    Ok(json(StatusCode::OK, &letter))
}

async fn redrive(
    state: &State,
    topic: &str,
    group: &str,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, ApiError> {
    let (topic, group) = (topic_name(topic)?, group_name(group)?);
    let request: RedriveRequest = json_body_or_default(state, chunks).await?;
    if let Some(limit) = request
        .limit
        .filter(|n| !(1..=MAX_FETCH_RECORDS).contains(n))
    {
        let message = format!("limit is {limit}; allowed is 1 to {MAX_FETCH_RECORDS}");
        return Err(ApiError::invalid_argument(message));
    }
    let refused = |e| ApiError::invalid_argument(format!("from: {e}"));
    let from = request.from.as_deref().map(Cursor::decode);
    let from = from.transpose().map_err(refused)?;
    let redriven = state.broker.redrive(&topic, &group, request, from).await?;
    Ok(json(StatusCode::OK, &redriven))
}
