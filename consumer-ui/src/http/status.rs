//! How this process is, for load balancers.

use super::answer::{Answer, ApiError, json};
use super::{Route, State, with};
use http::StatusCode;
use serde::Serialize;
use warp::Filter;
use weir_service::http::ConnectionInfo;

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
    let startup = warp::path!("startup")
        .and(warp::get())
        .and(with(state))
        .map(|state: State| startup(&state));
    let drain = warp::path!("drain")
        .and(warp::post())
        .and(with(state))
        .and(warp::ext::optional())
        .map(|state: State, connection: Option<ConnectionInfo>| drain(&state, connection.as_ref()));
    health
        .or(ready)
        .unify()
        .or(startup)
        .unify()
        .or(drain)
        .unify()
        .boxed()
}

/// A broker that is away does not make the dashboard unready: it is what people look at then.
fn ready(state: &State) -> Answer {
    if state.presence.is_leaving() || state.stop.is_cancelled() {
        return status(StatusCode::SERVICE_UNAVAILABLE, "draining");
    }
    status(StatusCode::OK, "ready")
}

fn startup(state: &State) -> Answer {
    match state.presence.has_started() {
        true => status(StatusCode::OK, "started"),
        false => status(StatusCode::SERVICE_UNAVAILABLE, "starting"),
    }
}

fn drain(state: &State, connection: Option<&ConnectionInfo>) -> Answer {
    match state.presence.leave_for(connection) {
        Ok(()) => status(StatusCode::OK, "draining"),
        Err(refused) => ApiError::forbidden(refused).into_answer(),
    }
}

fn status(code: StatusCode, status: &'static str) -> Answer {
    let version = env!("CARGO_PKG_VERSION");
    json(code, &Health { status, version })
}
