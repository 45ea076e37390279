//! HTTP: the page, its API, health, and the exporter.
//!
//! Every handler asks the view's owner and encodes; warp only routes. Every answer carries the same
//! strict headers: text from outside is data here, never markup.
//!
//! | route | module |
//! |---|---|
//! | `/api/fleet`, `/api/nodes/{node}`, `/api/topics` | `api` |
//! | `/api/events` | `events` |
//! | `/metrics`, `/metrics/hosts`, `/sd` | `export` |
//! | `/startup`, `/health`, `/ready`, `/drain` | `status` |
//! | `/`, `/nodes/…`, `/topics`, `/assets/…` | `assets` |

mod answer;
mod api;
mod assets;
mod events;
mod export;
mod status;

use crate::metrics::Exporter;
use crate::view::ViewClient;
use answer::{Answer, ApiError};
use http::Request;
use http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tower_service::Service;
use warp::filters::BoxedFilter;
use warp::hyper::body::Incoming;
use warp::{Filter, Rejection};
use weir_service::presence::Presence;

/// Styles that uPlot sets go through the CSSOM, which `style-src 'self'` allows.
const POLICY: &str = "default-src 'self'; style-src 'self'; object-src 'none'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// What handlers work with.
#[derive(Debug)]
pub(crate) struct HttpState {
    pub(crate) view: ViewClient,
    pub(crate) metrics: Exporter,
    /// Where we listen, for requests that do not say how we are called.
    pub(crate) address: SocketAddr,
    /// Whether it has started, and whether its stop was announced.
    pub(crate) presence: Presence,
    /// Ends streams and readiness.
    pub(crate) stop: CancellationToken,
}

type State = Arc<HttpState>;
type Route = BoxedFilter<(Answer,)>;

/// The service for the accept loop.
pub(crate) fn service(
    state: &State,
) -> impl Service<Request<Incoming>, Response = Answer, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static
+ use<> {
    warp::service(routes(state))
}

fn routes(state: &State) -> impl Filter<Extract = (Answer,), Error = Infallible> + Clone + use<> {
    events::routes(state)
        .or(api::routes(state))
        .unify()
        .or(export::routes(state))
        .unify()
        .or(status::routes(state))
        .unify()
        .or(assets::routes())
        .unify()
        .recover(no_route)
        .unify()
        .map(with_strict_headers)
}

/// Rejections only ever mean that there is no such route.
async fn no_route(rejection: Rejection) -> Result<Answer, Infallible> {
    let error = if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        ApiError::method_not_allowed()
    } else {
        ApiError::not_found("there is no such address")
    };
    Ok(error.into_answer())
}

fn with_strict_headers(mut answer: Answer) -> Answer {
    let strict: [(HeaderName, &'static str); 3] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in strict {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// A filter that hands the state to a handler.
fn with(state: &State) -> impl Filter<Extract = (State,), Error = Infallible> + Clone + use<> {
    let state = state.clone();
    warp::any().map(move || state.clone())
}

/// A filter that hands the query to a handler, as it is; without one it is empty.
fn raw_query() -> impl Filter<Extract = (String,), Error = Infallible> + Clone {
    warp::query::raw().or(warp::any().map(String::new)).unify()
}

/// One parameter of a query, decoded.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let (_, value) = pairs.find(|(known, _)| known == name)?;
    Some(value.into_owned()).filter(|value| !value.is_empty())
}
