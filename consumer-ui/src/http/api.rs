//! What the page asks for.

use super::answer::{Answer, ApiError, answer, json};
use super::{Route, State, with};
use http::StatusCode;
use percent_encoding::percent_decode_str;
use warp::Filter;

pub(super) fn routes(state: &State) -> Route {
    let fleet = warp::path!("api" / "fleet")
        .and(warp::get())
        .and(with(state))
        .then(|state: State| async move { answer(fleet(&state).await) });
    let node = warp::path!("api" / "nodes" / String)
        .and(warp::get())
        .and(with(state))
        .then(|node: String, state: State| async move { answer(node_page(&state, &node).await) });
    let topics = warp::path!("api" / "topics")
        .and(warp::get())
        .and(with(state))
        .then(|state: State| async move { answer(topics(&state).await) });
    fleet.or(node).unify().or(topics).unify().boxed()
}

async fn fleet(state: &State) -> Result<Answer, ApiError> {
    Ok(json(StatusCode::OK, &state.view.fleet().await?))
}

async fn topics(state: &State) -> Result<Answer, ApiError> {
    Ok(json(StatusCode::OK, &state.view.topics().await?))
}

async fn node_page(state: &State, node: &str) -> Result<Answer, ApiError> {
    let node = percent_decode_str(node).decode_utf8();
    let node = node.map_err(|_| ApiError::invalid_argument("the node is no UTF-8"))?;
    match state.view.node(node.clone().into_owned()).await? {
        Some(page) => Ok(json(StatusCode::OK, &page)),
        None => Err(ApiError::not_found(format!("no node is called {node:?}"))),
    }
}
