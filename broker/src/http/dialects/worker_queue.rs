//! Tasks for the workers of a queue, over HTTP.
//!
//! | exchange | answer |
//! |---|---|
//! | `POST /tasks?queue=Q` with one JSON value | 201 `{"queue":n,"topic","partition","offset","id","timestamp"}`; 404 when there is no such queue |
//!
//! A queue is named by its number or its name. Queues and workers are registered over gRPC, workers
//! also at `/v1/workers`.

use crate::http::answer::{Answer, ApiError, answer, json};
use crate::http::publish::payload;
use crate::http::query::{Query, raw_query};
use crate::http::request::body;
use crate::http::{Route, State, with};
use bytes::Buf;
use futures_util::Stream;
use http::StatusCode;
use serde::Serialize;
use std::convert::Infallible;
use warp::Filter;
use weir_protocol::shapes::{Published, QueueId, QueueRef};

pub(in crate::http) fn routes(state: &State) -> Route {
    warp::path!("tasks")
        .and(warp::post())
        .and(with(state))
        .and(raw_query())
        .and(warp::body::stream())
        .then(|state: State, query: String, chunks| async move {
            answer(submit(&state, &query, chunks).await)
        })
        .boxed()
}

#[derive(Serialize)]
struct Submitted {
    queue: QueueId,
    #[serde(flatten)]
    published: Published,
}

async fn submit(
    state: &State,
    query: &str,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, ApiError> {
    let named = queue_ref(query)?;
    let (queue, _) = state.broker.queue(&named)?;
    let max_bytes = state.broker.max_payload_bytes();
    let received = body(state, chunks, max_bytes).await?;
    let task = payload(&received.bytes, max_bytes)?.into_bytes();
    // By its number: that is the same queue whatever happens to the name meanwhile.
    let published = state
        .broker
        .submit_task(&QueueRef::Id(queue.0), task)
        .await?;
    Ok(json(StatusCode::CREATED, &Submitted { queue, published }))
}

fn queue_ref(query: &str) -> Result<QueueRef, ApiError> {
    let mut query = Query::parse(query)?;
    let named = query.take("queue", |text| Ok::<_, Infallible>(QueueRef::of_text(text)))?;
    query.finish()?;
    named.ok_or_else(|| {
        ApiError::invalid_argument("queue is missing: the number or the name of a queue")
    })
}
