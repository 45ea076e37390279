//! Topics: list, create or alter, show, delete, purge.

use super::answer::{Answer, ApiError, answer, empty, json};
use super::request::{json_body_or_default, new_topic_name, topic_name};
use super::{Route, State, with};
use bytes::Buf;
use futures_util::Stream;
use http::StatusCode;
use warp::Filter;
use weir_protocol::shapes::Topics;
use weir_types::TopicSettingsChange;

pub(super) fn routes(state: &State) -> Route {
    let list = warp::path!("v1" / "topics")
        .and(warp::get())
        .and(with(state))
        .then(|state: State| async move {
            json(
                StatusCode::OK,
                &Topics {
                    topics: state.broker.list_topics(),
                },
            )
        });
    let put = warp::path!("v1" / "topics" / String)
        .and(warp::put())
        .and(with(state))
        .and(warp::body::stream())
        .then(|topic: String, state: State, chunks| async move {
            answer(put(&state, &topic, chunks).await)
        });
    let show = warp::path!("v1" / "topics" / String)
        .and(warp::get())
        .and(with(state))
        .then(|topic: String, state: State| async move { answer(show(&state, &topic)) });
    let delete = warp::path!("v1" / "topics" / String)
        .and(warp::delete())
        .and(with(state))
        .then(|topic: String, state: State| async move { answer(delete(&state, &topic).await) });
    let purge = warp::path!("v1" / "topics" / String / "purge")
        .and(warp::post())
        .and(with(state))
        .then(|topic: String, state: State| async move { answer(purge(&state, &topic).await) });
    list.or(show)
        .unify()
        .or(put)
        .unify()
        .or(delete)
        .unify()
        .or(purge)
        .unify()
        .boxed()
}

async fn put(
    state: &State,
    topic: &str,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, ApiError> {
    let topic = new_topic_name(topic)?;
    let change: TopicSettingsChange = json_body_or_default(state, chunks).await?;
    let (info, is_new) = state.broker.put_topic(&topic, &change).await?;
    Ok(json(
        if is_new {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        },
        &info,
    ))
}

fn show(state: &State, topic: &str) -> Result<Answer, ApiError> {
    Ok(json(
        StatusCode::OK,
        &state.broker.get_topic(&topic_name(topic)?)?,
    ))
}

async fn delete(state: &State, topic: &str) -> Result<Answer, ApiError> {
    state.broker.delete_topic(&topic_name(topic)?).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn purge(state: &State, topic: &str) -> Result<Answer, ApiError> {
    let purged = state.broker.purge_topic(&topic_name(topic)?).await?;
    Ok(json(StatusCode::OK, &purged))
}
