//! A registration's way to its worker.

use super::dial::Dialer;
use super::target::Target;
use super::task::{Outcome, Task};
use std::future;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_types::TopicName;

/// A registration's way to its worker: keeps its connection(s). One for each registration.
#[derive(Debug)]
pub(crate) struct Courier {
    _target: Target,
}

impl Courier {
    /// Nothing is connected before the first delivery. `concurrency` bounds what is kept open;
    /// connections belong to `tasks` and end with `stop` or when the courier is dropped.
    pub(crate) fn open(
        target: Target,
        _concurrency: u32,
        _dialer: Arc<Dialer>,
        _tasks: &TaskTracker,
        _stop: CancellationToken,
    ) -> Self {
        Self { _target: target }
    }

    /// From now on keeps at most that many connections.
    pub(crate) fn set_concurrency(&self, _concurrency: u32) {}

    /// Delivers a task; never longer than its timeout. Dropping the future abandons the delivery.
    pub(crate) async fn deliver(&self, _task: Task) -> Outcome {
        future::ready(Outcome::unreachable("not yet")).await
    }

    /// Sends a message to a backend: the id it gave it, or what went wrong. Never longer than
    /// `timeout`.
    pub(crate) async fn send_to_backend(
        &self,
        _topic: &TopicName,
        _payload: String,
        _reply_to: Option<&TopicName>,
        _timeout: std::time::Duration,
    ) -> Result<String, Outcome> {
        future::ready(Err(Outcome::unreachable("not yet"))).await
    }
}
