//! The time that a delivery has.

use crate::push::dial::DialError;
use crate::push::task::Outcome;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use weir_types::DurationText;

/// When a delivery is given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    pub(super) fn after(timeout: Duration) -> Self {
        let now = Instant::now();
        Self {
            // Nobody waits a year for an answer, and no clock overflows.
            at: now + timeout.min(Duration::from_secs(365 * 24 * 3600)),
            timeout,
        }
    }

    /// What is left.
    pub(super) fn remaining(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// The time from now on, at most `limit`.
    pub(super) fn within(self, limit: Duration) -> Instant {
        self.at.min(Instant::now() + limit)
    }

    /// Waits for a connection: without one, nothing is sent.
    pub(super) async fn connecting<C>(
        self,
        connection: impl Future<Output = Result<C, DialError>>,
    ) -> Result<C, Outcome> {
        match timeout_at(self.at, connection).await {
            Ok(connected) => connected.map_err(|error| Outcome::unreachable(error.to_string())),
            Err(_) => {
                let timeout = DurationText(self.timeout);
                Err(Outcome::unreachable(format!(
                    "no connection within {timeout}"
                )))
            }
        }
    }

    /// Waits for an answer to what was sent.
    pub(super) async fn answering<A>(self, answer: impl Future<Output = A>) -> Result<A, Outcome> {
        let answered = timeout_at(self.at, answer).await;
        answered.map_err(|_| {
            Outcome::failed(format!("no answer within {}", DurationText(self.timeout)))
        })
    }
}
