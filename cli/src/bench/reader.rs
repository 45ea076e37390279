use super::clients::{Client, Window};
use super::endpoint::Endpoint;
use super::fill::too_slow;
use super::measured::Measured;
use super::replay::{Filled, Replay};
use super::request::get_stored_lines;
use crate::failure::Failure;
use tokio::time::{Instant, sleep_until};

/// What all readers share.
pub(crate) struct Plan {
    pub(crate) endpoint: Endpoint,
    pub(crate) filled: Vec<Filled>,
    /// The part of the query that never changes.
    pub(crate) page: String,
    pub(crate) window: Window,
}

/// One reader: every partition from its start to its end.
///
/// # Errors
/// When it did not get every message exactly once and in order, or not in time.
pub(crate) async fn read(plan: &Plan) -> Result<Measured, Failure> {
    let mut client = Client::new(&plan.endpoint);
    sleep_until(plan.window.from).await;
    for filled in &plan.filled {
        let mut replay = Replay::new(*filled);
        while let Some(offset) = replay.next() {
            if Instant::now() >= plan.window.until {
                return Err(too_slow("reading"));
            }
            if client.gave_up() {
                return Err(client.failure("a reader"));
            }
            let query = format!(
                "?partition={}&from={offset}&{}",
                filled.partition, plan.page
            );
            let Some(answer) = client.call(&get_stored_lines(&plan.endpoint, &query)).await else {
                continue;
            };
            let messages = replay.accept(&answer.body);
            let messages = messages.map_err(|e| Failure::Failed(e.to_string()))?;
            client.measured.answered(answer.latency, messages);
        }
    }
    Ok(client.measured)
}
