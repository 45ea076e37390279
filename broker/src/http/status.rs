//! How the broker is: for load balancers, for Prometheus, and for people who open the port.

use super::answer::{Answer, ApiError, body_of, json, text};
use super::dialects::publish_consume;
use super::{Route, State, with};
use crate::metrics::{render_gateway, render_groups, render_targets};
use http::StatusCode;
use serde::Serialize;
use warp::Filter;
use weir_protocol::ErrorCode;
use weir_protocol::shapes::Health;
use weir_service::http::ConnectionInfo;

pub(super) fn routes(state: &State) -> Route {
    let health = warp::path!("health")
        .and(warp::get())
        .map(|| json(StatusCode::OK, &healthy()));
    let ready = warp::path!("ready")
        .and(warp::get())
        .and(with(state))
        .map(|state: State| ready(&state));
    let startup = warp::path!("startup")
        .and(warp::get())
        .and(with(state))
        .map(|state: State| startup(&state));
    let drain = warp::path!("drain")
        .and(warp::post())
        .and(with(state))
        .and(warp::ext::optional())
        .map(|state: State, connection: Option<ConnectionInfo>| drain(&state, connection.as_ref()));
    let metrics = warp::path!("metrics")
        .and(warp::get())
        .and(with(state))
        .then(|state: State| async move { metrics(&state).await });
    let hello = warp::path::end()
        .and(warp::get())
        .map(|| text(StatusCode::OK, HELLO));
    health
        .or(ready)
        .unify()
        .or(startup)
        .unify()
        .or(drain)
        .unify()
        .or(metrics)
        .unify()
        .or(hello)
        .unify()
        .boxed()
}

const HELLO: &str = concat!(
    "weir-broker ",
    env!("CARGO_PKG_VERSION"),
    "

Publish:   curl -d '{\"hello\":\"world\"}' localhost:5000/v1/topics/greetings/messages
Read:      curl 'localhost:5000/v1/topics/greetings/messages?from=earliest'
Follow:    curl -N 'localhost:5000/v1/topics/greetings/stream?from=earliest'
Work:      curl -X POST 'localhost:5000/v1/topics/greetings/groups/workers/lease?wait=10s'
Push:      curl -d '{\"topic\":\"greetings\",\"target\":\"http://127.0.0.1:8000/\"}' localhost:5000/v1/workers
State:     /health  /ready  /metrics  /v1/topics
"
);

fn status(status: &str, problems: Vec<String>) -> Health {
    Health {
        status: status.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        problems,
    }
}

/// One object for all dialects.
#[derive(Serialize)]
struct Healthy {
    #[serde(flatten)]
    own: Health,
    #[serde(flatten)]
    publish_consume: publish_consume::Constants,
}

fn healthy() -> Healthy {
    Healthy {
        own: status("healthy", Vec::new()),
        publish_consume: publish_consume::CONSTANTS,
    }
}

fn ready(state: &State) -> Answer {
    let mut problems = state.broker.problems();
    let leaving = state.presence.is_leaving();
    if leaving {
        problems.insert(0, "draining: the broker stops soon".to_owned());
    }
    if problems.is_empty() {
        return json(StatusCode::OK, &status("ready", problems));
    }
    let draining = leaving || state.broker.draining().is_cancelled();
    let word = if draining { "draining" } else { "failed" };
    json(StatusCode::SERVICE_UNAVAILABLE, &status(word, problems))
}

/// Other than `/ready`, once yes is yes for ever.
fn startup(state: &State) -> Answer {
    match state.presence.has_started() {
        true => json(StatusCode::OK, &status("started", Vec::new())),
        false => json(
            StatusCode::SERVICE_UNAVAILABLE,
            &status("starting", Vec::new()),
        ),
    }
}

fn drain(state: &State, connection: Option<&ConnectionInfo>) -> Answer {
    match state.presence.leave_for(connection) {
        Ok(()) => json(StatusCode::OK, &status("draining", Vec::new())),
        Err(refused) => ApiError::new(ErrorCode::Forbidden, refused).into_answer(),
    }
}

async fn metrics(state: &State) -> Answer {
    let mut page = state.metrics.render();
    page.push_str(&render_groups(&state.broker.all_groups().await));
    let (workers, targets) = (state.broker.workers(), state.broker.push_targets());
    page.push_str(&render_targets(&workers, &targets));
    if let Some(stats) = state.broker.gateway_stats().await {
        page.push_str(&render_gateway(&stats));
    }
    body_of(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        page,
    )
}
