//! A registration's way to its worker.
//!
//! [`Courier::deliver`] holds the time limit and nothing else of the rules: what an outcome means for
//! the message and for the target is the dispatcher's. Each way in is a file: `tcp`, `http`, `grpc`
//! (workers and backends). Connections are tasks of the tracker that the courier was opened with.
//!
//! Invariant: [`Outcome::Unreachable`] means that not a byte of the task was handed to a connection.

mod deadline;
mod grpc;
mod http;
mod kept;
mod tcp;

use self::deadline::Deadline;
use self::grpc::GrpcCourier;
use self::http::HttpCourier;
use self::tcp::TcpCourier;
use super::dial::Dialer;
use super::target::{Scheme, Target};
use super::task::{Outcome, Task};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_types::TopicName;

/// Bytes of a worker's words that become a reason.
const MAX_REASON_BYTES: usize = 200;
/// Longest time that a worker may ask for.
const MAX_DELAY: Duration = Duration::from_secs(12 * 3600);

/// A registration's way to its worker: keeps its connection(s). One for each registration.
#[derive(Debug)]
pub(crate) struct Courier {
    way: Way,
}

#[derive(Debug)]
enum Way {
    Tcp(TcpCourier),
    Http(HttpCourier),
    Grpc(GrpcCourier),
}

impl Courier {
    /// Nothing is connected before the first delivery. `concurrency` bounds what is kept open;
    /// connections belong to `tasks` and end with `stop` or when the courier is dropped.
    pub(crate) fn open(
        target: Target,
        concurrency: u32,
        dialer: Arc<Dialer>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let scheme = target.scheme();
        let route = Route {
            target,
            dialer,
            tasks: tasks.clone(),
            stop,
        };
        let way = match scheme {
            Scheme::Tcp => Way::Tcp(TcpCourier::new(route)),
            Scheme::Http | Scheme::Https => Way::Http(HttpCourier::new(route, concurrency)),
            Scheme::Grpc | Scheme::Backend => Way::Grpc(GrpcCourier::new(route)),
        };
        Self { way }
    }

    /// From now on keeps at most that many connections.
    pub(crate) fn set_concurrency(&self, concurrency: u32) {
        if let Way::Http(http) = &self.way {
            http.set_concurrency(concurrency);
        }
    }

    /// Delivers a task; never longer than its timeout. Dropping the future abandons the delivery: an
    /// answer that comes later is ignored.
    pub(crate) async fn deliver(&self, task: Task) -> Outcome {
        let deadline = Deadline::after(task.timeout);
        let delivered = match &self.way {
            Way::Tcp(tcp) => tcp.deliver(&task, deadline).await,
            Way::Http(http) => http.deliver(&task, deadline).await,
            Way::Grpc(grpc) => grpc.deliver(&task, deadline).await,
        };
        delivered.unwrap_or_else(|outcome| outcome)
    }

    /// Sends a message to a backend, never longer than `timeout`: the id that the backend gave it, or
    /// what went wrong. Dropping the future abandons it.
    pub(crate) async fn send_to_backend(
        &self,
        topic: &TopicName,
        payload: String,
        reply_to: Option<&TopicName>,
        timeout: Duration,
    ) -> Result<String, Outcome> {
        let reply_to = reply_to.map_or("", TopicName::as_str);
        match &self.way {
            Way::Grpc(grpc) => {
                let deadline = Deadline::after(timeout);
                grpc.send_message(topic.as_str(), payload, reply_to, deadline)
                    .await
            }
            Way::Tcp(_) | Way::Http(_) => Err(Outcome::unreachable("this target is no backend")),
        }
    }
}

/// What every way needs.
#[derive(Clone, Debug)]
struct Route {
    target: Target,
    dialer: Arc<Dialer>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Route {
    /// Runs `work` until the broker stops.
    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<Option<T>> {
        let stop = self.stop.clone();
        self.tasks.spawn(stop.run_until_cancelled_owned(work))
    }
}

/// The reason below all the others, which is the one that helps.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// As much of `text` as fits into `max_bytes`.
fn shortened(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

#[cfg(test)]
mod tests;
