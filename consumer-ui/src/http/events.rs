//! Live updates over server-sent events.
//!
//! Nothing queues for a page: `fleet` and `topics` are the newest state, `points` is everything since
//! the last `points`, and all are made when the connection can take them. A page that was away
//! fetches the node again.

use super::answer::{Answer, ApiError, answer};
use super::{Route, State, parameter, raw_query, with};
use crate::fold::Place;
use crate::view::{NodeWatch, ViewClient};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use std::convert::Infallible;
use std::time::Duration;
use sync_wrapper::SyncStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use warp::{Filter, Reply};

/// Shorter than what proxies take for a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What the page should wait before it reconnects, in milliseconds.
const HELLO: &str = "retry: 1000\n\n";

pub(super) fn routes(state: &State) -> Route {
    warp::path!("api" / "events")
        .and(warp::get())
        .and(with(state))
        .and(raw_query())
        .then(|state: State, query: String| async move { answer(open(&state, &query).await) })
        .boxed()
}

async fn open(state: &State, query: &str) -> Result<Answer, ApiError> {
    let node = match parameter(query, "node") {
        Some(name) => {
            let NodeWatch { changed, place } = state.view.watch(name.clone()).await?;
            Some(WatchedNode {
                name,
                changed,
                place,
            })
        }
        None => None,
    };
    let (mut fleet, mut topics) = (state.view.fleet.clone(), state.view.topics.clone());
    fleet.mark_changed();
    topics.mark_changed();
    Ok(event_stream(events(Page {
        view: state.view.clone(),
        fleet,
        topics,
        node,
        stop: state.stop.clone(),
    })))
}

/// What one open page follows.
struct Page {
    view: ViewClient,
    fleet: watch::Receiver<Bytes>,
    topics: watch::Receiver<Bytes>,
    node: Option<WatchedNode>,
    stop: CancellationToken,
}

struct WatchedNode {
    name: String,
    changed: watch::Receiver<()>,
    place: Place,
}

fn event_stream(events: impl Stream<Item = Bytes> + Send + 'static) -> Answer {
    let body = SyncStream::new(events.map(Ok::<_, Infallible>));
    let mut answer = warp::reply::stream(body).into_response();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn events(page: Page) -> impl Stream<Item = Bytes> + Send {
    let hello = stream::once(async { Bytes::from_static(HELLO.as_bytes()) });
    hello.chain(stream::unfold(page, |mut page| async {
        let event = page.next().await?;
        Some((event, page))
    }))
}

impl Page {
    /// The next event; `None` when the process stops.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                changed = self.fleet.changed() => {
                    changed.ok()?;
                    return Some(event("fleet", &self.fleet.borrow_and_update()));
                }
                changed = self.topics.changed() => {
                    changed.ok()?;
                    return Some(event("topics", &self.topics.borrow_and_update()));
                }
                changed = node_changed(self.node.as_mut()) => {
                    changed.ok()?;
                    // Nothing new for the charts, such as what a host is.
                    if let Some(points) = self.points().await? {
                        return Some(points);
                    }
                }
                () = tokio::time::sleep(KEEP_ALIVE) => return Some(": quiet\n\n".into()),
            }
        }
    }

    /// What is new in the node's charts; the outer `None` means that the process stops.
    async fn points(&mut self) -> Option<Option<Bytes>> {
        let Some(node) = &mut self.node else {
            return Some(None);
        };
        let asked = self.view.points(node.name.clone(), node.place).await;
        let (points, place) = asked.ok()?;
        node.place = place;
        // The shapes serialise without fail.
        let json = |points| serde_json::to_vec(&points).unwrap_or_default();
        Some(points.map(|points| event("points", &json(points))))
    }
}

/// Waits for news of the node, for ever without one. Cancel-safe.
async fn node_changed(node: Option<&mut WatchedNode>) -> Result<(), watch::error::RecvError> {
    match node {
        Some(node) => node.changed.changed().await,
        None => std::future::pending().await,
    }
}

/// JSON has no line breaks, so an event's data is one line.
fn event(name: &'static str, json: &[u8]) -> Bytes {
    [b"event: ", name.as_bytes(), b"\ndata: ", json, b"\n\n"]
        .concat()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view;
    use weir_service::clock::Clock;

    #[tokio::test]
    async fn a_page_that_was_slow_gets_the_newest_state_only() {
        let stop = CancellationToken::new();
        let (view, _owner) = view::open("http://b", Clock::system(), stop.clone());
        let (fleet_sender, fleet) = watch::channel(Bytes::new());
        let (topics_sender, topics) = watch::channel(Bytes::new());
        let mut page = Page {
            view,
            fleet,
            topics,
            node: None,
            stop: stop.clone(),
        };
        for state in ["1", "2", "3"] {
            fleet_sender.send_replace(state.into());
            topics_sender.send_replace(state.into());
        }
        assert_eq!(page.next().await.unwrap(), "event: fleet\ndata: 3\n\n");
        assert_eq!(page.next().await.unwrap(), "event: topics\ndata: 3\n\n");
        stop.cancel();
        assert!(page.next().await.is_none());
    }
}
