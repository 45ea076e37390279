//! HTTP: the native API under `/v1`, the dialects of other brokers, health and metrics.
//!
//! Every handler decodes, validates, calls one method of [`Broker`], maps the error and encodes.
//! Handlers are plain async functions on [`HttpState`]; warp only routes, and the hottest route takes
//! a short cut.
//!
//! | route | module |
//! |---|---|
//! | `POST /v1/topics/{t}/messages`, by `short_cut`, and `POST /v1/messages` | `publish` |
//! | `POST /v1/topics/{t}/request` | `request_reply` |
//! | `GET /v1/topics/{t}/messages` | `fetch` |
//! | `GET /v1/topics/{t}/stream` | `stream` |
//! | `/v1/topics/{t}/groups/{g}/…` | `groups` |
//! | `GET /v1/topics/{t}/groups/{g}/stream` | `group_stream` |
//! | `/v1/topics/{t}/dead-letters`, `/v1/topics/{t}/groups/{g}/redrive` | `dead_letters` |
//! | `/v1/topics`, `/v1/topics/{t}`, `/v1/topics/{t}/purge` | `topics` |
//! | `/v1/schedules`, `/v1/schedules/{id}` | `schedules` |
//! | `/v1/workers`, `/v1/workers/{id}` | `workers` |
//! | `/v1/backends`, `/v1/backends/send` | `backends` |
//! | `/startup`, `/health`, `/ready`, `/drain`, `/metrics`, `/` | `status` |
//! | `/produce`, `/consume` | `dialects`, which tells two of them apart |
//! | `/nodes` | `dialects::minimq` |
//! | `/ack`, `/topics` | `dialects::partitioned` |
//! | `/tasks` | `dialects::worker_queue` |
//! | `/publish`, `/consume/{topic}`, `/register`, `/deadletter/…` | `dialects::publish_consume` |
//! | `/api/python/…`, `/v1/gateway` | `dialects::gateway` |

mod answer;
mod backends;
mod dead_letters;
mod dialects;
mod fetch;
mod group_stream;
mod groups;
mod publish;
mod query;
mod request;
mod request_reply;
mod schedules;
mod short_cut;
mod sse;
mod status;
mod stream;
mod topics;
mod workers;

use crate::broker::Broker;
use crate::metrics::Exporter;
use answer::{Answer, ApiError};
use http::Request;
use std::convert::Infallible;
use std::sync::Arc;
use warp::filters::BoxedFilter;
use warp::hyper::body::Body;
use warp::{Filter, Rejection};
use weir_protocol::ErrorCode;
use weir_service::http::{BodyLimits, InFlight};
use weir_service::presence::Presence;

/// What handlers work with.
#[derive(Debug)]
pub struct HttpState {
    /// The core.
    pub broker: Broker,
    /// Deadlines of request bodies.
    pub body_limits: BodyLimits,
    /// The budget that all request bodies share.
    pub in_flight: InFlight,
    /// What `/metrics` shows.
    pub metrics: Exporter,
    /// Whether it has started, and whether its stop was announced.
    pub presence: Presence,
}

/// Shared by all requests.
pub(crate) type State = Arc<HttpState>;
type Route = BoxedFilter<(Answer,)>;

/// The front end as a service for [`weir_service::http::serve`].
pub fn service<B>(
    state: &Arc<HttpState>,
) -> impl tower_service::Service<Request<B>, Response = Answer, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static
+ use<B>
where
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + Sync + 'static,
{
    short_cut::short_cut(state.clone(), warp::service(routes(state)))
}

/// Hot routes first: warp tries one after the other.
fn routes(state: &State) -> impl Filter<Extract = (Answer,), Error = Infallible> + Clone + use<> {
    publish::routes(state)
        .or(groups::routes(state))
        .unify()
        .or(fetch::routes(state))
        .unify()
        .or(dialects::routes(state))
        .unify()
        .or(stream::routes(state))
        .unify()
        .or(group_stream::routes(state))
        .unify()
        .or(dead_letters::routes(state))
        .unify()
        .or(request_reply::routes(state))
        .unify()
        .or(topics::routes(state))
        .unify()
        .or(schedules::routes(state))
        .unify()
        .or(workers::routes(state))
        .unify()
        .or(backends::routes(state))
        .unify()
        .or(status::routes(state))
        .unify()
        .recover(no_route)
        .unify()
}

/// Rejections only ever mean that there is no such route.
async fn no_route(rejection: Rejection) -> Result<Answer, Infallible> {
    let error = if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        ApiError::new(
            ErrorCode::MethodNotAllowed,
            "this address does not take this method",
        )
    } else {
        ApiError::new(
            ErrorCode::NotFound,
            "there is no such address; see the API's documentation",
        )
    };
    Ok(error.into_answer())
}

/// A filter that hands the state to a handler.
fn with(state: &State) -> impl Filter<Extract = (State,), Error = Infallible> + Clone + use<> {
    let state = state.clone();
    warp::any().map(move || state.clone())
}
