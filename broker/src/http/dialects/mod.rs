//! The HTTP dialects of the brokers that Weir replaces: each one adapter without rules of its own.
//!
//! Two of them share addresses:
//!
//! | route | with | dialect |
//! |---|---|---|
//! | `/produce` | `?topic=` | `partitioned` |
//! | | none | `minimq` |
//! | `/consume` | `consumer_id` | `minimq` |
//! | | `group` | `partitioned` |
//! | | neither | `minimq`, which says what is missing |

mod gateway;
mod minimq;
mod partitioned;
pub(super) mod publish_consume;
mod worker_queue;

use super::answer::answer;
use super::query::raw_query;
use super::{Route, State, with};
use http::{HeaderMap, Method};
use partitioned::{Asked, Partitioned};
use std::sync::Arc;
use warp::Filter;

pub(super) fn routes(state: &State) -> Route {
    let partitioned = Arc::new(Partitioned::new(state));
    produce(state, &partitioned)
        .or(consume(state, &partitioned))
        .unify()
        .or(minimq::routes(state))
        .unify()
        .or(publish_consume::routes(state))
        .unify()
        .or(partitioned::routes(&partitioned))
        .unify()
        .or(worker_queue::routes(state))
        .unify()
        .or(gateway::routes(state))
        .unify()
        .boxed()
}

fn produce(state: &State, partitioned: &Arc<Partitioned>) -> Route {
    let partitioned = partitioned.clone();
    let either = move |method: Method, query: String, headers: HeaderMap, state: State, chunks| {
        let partitioned = partitioned.clone();
        async move {
            answer(match names(&query, "topic") {
                true => {
                    let asked = Asked::new(method, "/produce", query, headers);
                    partitioned.produce(asked, chunks).await
                }
                false => minimq::produce(&state, &method, chunks).await,
            })
        }
    };
    warp::path!("produce")
        .and(warp::method())
        .and(raw_query())
        .and(warp::header::headers_cloned())
        .and(with(state))
        .and(warp::body::stream())
        .then(either)
        .boxed()
}

fn consume(state: &State, partitioned: &Arc<Partitioned>) -> Route {
    let partitioned = partitioned.clone();
    let either = move |method: Method, query: String, headers: HeaderMap, state: State| {
        let partitioned = partitioned.clone();
        async move {
            let is_partitioned = names(&query, "group") && !names(&query, "consumer_id");
            answer(match is_partitioned {
                true => {
                    let asked = Asked::new(method, "/consume", query, headers);
                    partitioned.consume(asked).await
                }
                false => minimq::consume(&state, &method, &query).await,
            })
        }
    };
    warp::path!("consume")
        .and(warp::method())
        .and(raw_query())
        .and(warp::header::headers_cloned())
        .and(with(state))
        .then(either)
        .boxed()
}

/// Whether a query has a parameter, be it empty.
fn names(query: &str, parameter: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_counts_that_is_empty_or_encoded() {
        for query in ["topic=", "topic", "a=b&topic=t", "t%6Fpic=t"] {
            assert!(names(query, "topic"), "{query}");
        }
        for query in ["", "topics=t", "a=topic", "Topic=t"] {
            assert!(!names(query, "topic"), "{query}");
        }
    }
}
