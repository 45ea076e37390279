//! The way around warp for the hot route, `POST /v1/topics/{t}/messages`.
//!
//! warp tries route after route, copies path, query and headers for the handler, and boxes what
//! waits. That is a fair price for routes that are easy to read, but not on the one that most
//! requests take: its handler gets the request itself.

use super::State;
use super::answer::{Answer, answer};
use super::publish::publish;
use http::{Method, Request};
use http_body_util::BodyDataStream;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;
use warp::hyper::body::Body;

/// Serves the hot route, and leaves every other request to `routes`.
pub(super) fn short_cut<S, B>(
    state: State,
    routes: S,
) -> impl Service<Request<B>, Response = Answer, Error = Infallible, Future: Send> + Clone + Send + 'static
where
    S: Service<Request<B>, Response = Answer, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: Body<Data: Send, Error: std::fmt::Display + Send> + Send + 'static,
{
    let shared = Arc::new((state, routes));
    ServiceFn(move |request: Request<B>| {
        let shared = shared.clone();
        async move {
            let (state, routes) = &*shared;
            match is_hot(&request) {
                true => Ok(serve_hot(state, request).await),
                false => routes.clone().call(request).await,
            }
        }
    })
}

fn is_hot<B>(request: &Request<B>) -> bool {
    request.method() == Method::POST && topic_of(request.uri().path()).is_some()
}

async fn serve_hot<B>(state: &State, request: Request<B>) -> Answer
where
    B: Body<Error: std::fmt::Display>,
{
    let (head, body) = request.into_parts();
    let topic = topic_of(head.uri.path()).unwrap_or_default();
    let query = head.uri.query().unwrap_or_default();
    answer(
        publish(
            state,
            topic,
            query,
            &head.headers,
            BodyDataStream::new(body),
        )
        .await,
    )
}

/// The topic's part of the path, as warp would find it: percent-encoded, and a slash may follow.
fn topic_of(path: &str) -> Option<&str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let topic = path
        .strip_prefix("/v1/topics/")?
        .strip_suffix("/messages")?;
    (!topic.is_empty() && !topic.contains('/')).then_some(topic)
}

/// A function as a service.
#[derive(Clone)]
struct ServiceFn<F>(F);

impl<F, B, A> Service<Request<B>> for ServiceFn<F>
where
    F: Fn(Request<B>) -> A,
    A: Future<Output = Result<Answer, Infallible>>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = A;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> A {
        (self.0)(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hot_route_is_taken() {
        for path in ["/v1/topics/t/messages", "/v1/topics/t/messages/"] {
            assert_eq!(topic_of(path), Some("t"), "{path}");
        }
        assert_eq!(topic_of("/v1/topics/a%2Fb/messages"), Some("a%2Fb"));
        for path in [
            "/",
            "/v1/messages",
            "/v1/topics//messages",
            "/v1/topics/messages",
            "/v1/topics/t/messages/1",
            "/v1/topics/t/messages//",
            "/v1/topics/t/groups/messages",
            "//v1/topics/t/messages",
        ] {
            assert_eq!(topic_of(path), None, "{path}");
        }
    }
}
