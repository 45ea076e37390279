//! How this process is, for load balancers.

use super::answer::{Answer, json};
use super::{Route, State, with};
use http::StatusCode;
use serde::Serialize;
use warp::Filter;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
}

pub(super) fn routes(state: &State) -> Route {
    let health = warp::path!("health")
        .and(warp::get())
        .map(|| status(StatusCode::OK, "healthy"));
    let ready = warp::path!("ready")
        .and(warp::get())
        .and(with(state))
        .map(|state: State| ready(&state));
    health.or(ready).unify().boxed()
}

/// A broker that is away does not make the dashboard unready: it is what people look at then.
fn ready(state: &State) -> Answer {
    if state.stop.is_cancelled() {
        return status(StatusCode::SERVICE_UNAVAILABLE, "draining");
    }
    status(StatusCode::OK, "ready")
}

fn status(code: StatusCode, status: &'static str) -> Answer {
    let version = env!("CARGO_PKG_VERSION");
    json(code, &Health { status, version })
}
