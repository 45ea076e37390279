use super::clients::{Client, Window};
use super::endpoint::Endpoint;
use super::measured::Measured;
use super::request::{Form, PublishRequest};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

/// What all publishers share.
pub(crate) struct Plan {
    pub(crate) endpoint: Endpoint,
    pub(crate) form: Form,
    pub(crate) payload_bytes: usize,
    pub(crate) batch: u64,
    pub(crate) window: Window,
    /// Measured messages still to be sent.
    pub(crate) remaining: AtomicU64,
    pub(crate) next_number: AtomicU64,
}

impl Plan {
    /// Takes up to a batch of messages from what remains.
    fn take(&self) -> u64 {
        let taken = self
            .remaining
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left.saturating_sub(self.batch))
            });
        taken.unwrap_or(0).min(self.batch)
    }

    fn request(&self, messages: u64) -> PublishRequest {
        PublishRequest::new(&self.endpoint, self.form, self.payload_bytes, messages)
    }
}

/// One publisher: goes on until time or messages run out, or the broker is gone.
pub(crate) async fn publish(plan: &Plan) -> Measured {
    let mut client = Client::new(&plan.endpoint);
    let mut request = plan.request(plan.batch);
    while !client.gave_up() {
        let now = Instant::now();
        if now >= plan.window.until {
            break;
        }
        let is_measured = now >= plan.window.from;
        let messages = if is_measured { plan.take() } else { plan.batch };
        if messages == 0 {
            break;
        }
        if messages != request.messages() {
            request = plan.request(messages);
        }
        let first = plan.next_number.fetch_add(messages, Ordering::Relaxed);
        let answer = client.call(request.numbered_from(first)).await;
        if let Some(answer) = answer
            && is_measured
        {
            client.measured.answered(answer.latency, messages);
        }
    }
    client.measured
}
