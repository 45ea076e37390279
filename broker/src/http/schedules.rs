//! Messages that are delivered later: list, show, move, cancel. Publishing them is publishing.

use super::answer::{Answer, ApiError, answer, empty, json};
use super::query::{Query, raw_query};
use super::request::{decode, json_body};
use super::{Route, State, with};
use bytes::Buf;
use futures_util::Stream;
use http::StatusCode;
use warp::Filter;
use weir_protocol::ScheduleCursor;
use weir_protocol::shapes::MoveRequest;
use weir_service::settings;
use weir_types::TopicName;

/// Messages of a page, unless the client says.
const PAGE_MESSAGES: usize = 100;
const MAX_PAGE_MESSAGES: usize = 1000;

pub(super) fn routes(state: &State) -> Route {
    let list = warp::path!("v1" / "schedules")
        .and(warp::get())
        .and(with(state))
        .and(raw_query())
        .then(|state: State, query: String| async move { answer(list(&state, &query).await) });
    let one = || warp::path!("v1" / "schedules" / String);
    let show = one()
        .and(warp::get())
        .and(with(state))
        .then(|id: String, state: State| async move { answer(show(&state, &id).await) });
    let relocate = one()
        .and(warp::patch())
        .and(with(state))
        .and(warp::body::stream())
        .then(|id: String, state: State, chunks| async move {
            answer(relocate(&state, &id, chunks).await)
        });
    let cancel = one()
        .and(warp::delete())
        .and(with(state))
        .then(|id: String, state: State| async move { answer(cancel(&state, &id).await) });
    list.or(show)
        .unify()
        .or(relocate)
        .unify()
        .or(cancel)
        .unify()
        .boxed()
}

async fn list(state: &State, query: &str) -> Result<Answer, ApiError> {
    let mut query = Query::parse(query)?;
    let topic = query.take("topic", TopicName::parse)?;
    let limit = query.take("limit", settings::in_range(1..=MAX_PAGE_MESSAGES))?;
    let from = query.take("from", ScheduleCursor::decode)?;
    query.finish()?;
    let limit = limit.unwrap_or(PAGE_MESSAGES);
    let page = state.broker.list_schedules(topic, from, limit).await?;
    Ok(json(StatusCode::OK, &page))
}

async fn show(state: &State, id: &str) -> Result<Answer, ApiError> {
    let schedule = state.broker.get_schedule(&schedule_id(id)?).await?;
    Ok(json(StatusCode::OK, &schedule))
}

async fn relocate(
    state: &State,
    id: &str,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, ApiError> {
    let id = schedule_id(id)?;
    let request: MoveRequest = json_body(state, chunks).await?;
    let moved = state.broker.move_schedule(&id, request).await?;
    Ok(json(StatusCode::OK, &moved))
}

async fn cancel(state: &State, id: &str) -> Result<Answer, ApiError> {
    state.broker.cancel_schedule(&schedule_id(id)?).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

fn schedule_id(part: &str) -> Result<String, ApiError> {
    let id = decode(part).map_err(ApiError::invalid_argument)?;
    Ok(id.into_owned())
}
