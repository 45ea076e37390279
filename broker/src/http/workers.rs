//! Workers that messages are pushed to: register, list, show, pause and resume, remove.

use super::answer::{Answer, ApiError, answer, empty, json};
use super::query::{Query, raw_query};
use super::request::{decode, json_body};
use super::{Route, State, with};
use bytes::Buf;
use futures_util::Stream;
use http::StatusCode;
use warp::Filter;
use weir_protocol::shapes::{NewWorker, WorkerChange, WorkerId, Workers};
use weir_types::TopicName;

pub(super) fn routes(state: &State) -> Route {
    let all = || warp::path!("v1" / "workers");
    let register = all()
        .and(warp::post())
        .and(with(state))
        .and(warp::body::stream())
        .then(|state: State, chunks| async move { answer(register(&state, chunks).await) });
    let list = all()
        .and(warp::get())
        .and(with(state))
        .and(raw_query())
        .map(|state: State, query: String| answer(list(&state, &query)));
    let one = || warp::path!("v1" / "workers" / String);
    let show = one()
        .and(warp::get())
        .and(with(state))
        .map(|id: String, state: State| answer(show(&state, &id)));
    let alter = one()
        .and(warp::patch())
        .and(with(state))
        .and(warp::body::stream())
        .then(|id: String, state: State, chunks| async move {
            answer(alter(&state, &id, chunks).await)
        });
    let remove = one()
        .and(warp::delete())
        .and(with(state))
        .then(|id: String, state: State| async move { answer(remove(&state, &id).await) });
    register
        .or(list)
        .unify()
        .or(show)
        .unify()
        .or(alter)
        .unify()
        .or(remove)
        .unify()
        .boxed()
}

async fn register(
    state: &State,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, ApiError> {
    let worker: NewWorker = json_body(state, chunks).await?;
    let registered = state.broker.register_worker(worker).await?;
    Ok(json(StatusCode::CREATED, &registered))
}

fn list(state: &State, query: &str) -> Result<Answer, ApiError> {
    let mut query = Query::parse(query)?;
    let topic = query.take("topic", TopicName::parse_derived)?;
    query.finish()?;
    let mut workers = state.broker.workers();
    workers.retain(|worker| topic.as_ref().is_none_or(|topic| worker.topic == *topic));
    Ok(json(StatusCode::OK, &Workers { workers }))
}

fn show(state: &State, id: &str) -> Result<Answer, ApiError> {
    Ok(json(StatusCode::OK, &state.broker.worker(worker_id(id)?)?))
}

async fn alter(
    state: &State,
    id: &str,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, ApiError> {
    let id = worker_id(id)?;
    let change: WorkerChange = json_body(state, chunks).await?;
    let altered = state.broker.alter_worker(id, change).await?;
    Ok(json(StatusCode::OK, &altered))
}

async fn remove(state: &State, id: &str) -> Result<Answer, ApiError> {
    state.broker.remove_worker(worker_id(id)?).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

fn worker_id(part: &str) -> Result<WorkerId, ApiError> {
    let id = decode(part).map_err(ApiError::invalid_argument)?;
    let refused = |_| {
        let message =
            format!("the worker is {id:?}: allowed is the whole number it was registered under");
        ApiError::invalid_argument(message)
    };
    id.parse().map(WorkerId).map_err(refused)
}
