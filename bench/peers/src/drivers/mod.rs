//! One driver per system. A driver says what "durably acknowledged" means there by what
//! `send` waits for.

pub mod http;
#[cfg(feature = "iggy")]
pub mod iggy;
pub mod nats;
mod outstanding;
pub mod rabbit;
pub mod redis;

use crate::payload::Stamp;
use anyhow::Result;
use bytes::Bytes;
use std::future::Future;

pub trait System: Send + Sync + 'static {
    type Publisher: Publisher;
    type Consumer: Consumer;
    type Reader: Consumer;

    /// Leaves an empty topic and an empty consumer group.
    fn reset(&mut self) -> impl Future<Output = Result<()>> + Send;
    fn publisher(&self) -> impl Future<Output = Result<Self::Publisher>> + Send;
    /// Connects; delivery starts with the first `take`.
    fn consumer(&self, number: usize) -> impl Future<Output = Result<Self::Consumer>> + Send;
    /// Connects one that reads everything from the start, outside any group, and acknowledges
    /// nothing.
    fn reader(&self, number: usize) -> impl Future<Output = Result<Self::Reader>> + Send;
    /// Frees the space of what was published, where `reset` does not.
    fn clear(&mut self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

pub trait Publisher: Send + 'static {
    /// Returns once the message is acknowledged.
    fn send(&mut self, payload: Bytes) -> impl Future<Output = Result<()>> + Send;
    /// Sends all, then returns once all are acknowledged.
    fn send_batch(&mut self, payloads: Vec<Bytes>) -> impl Future<Output = Result<()>> + Send;
}

pub trait Consumer: Send + 'static {
    /// Waits for messages, takes at most `max` and adds their stamps to `out`. May return with
    /// none.
    fn take(&mut self, max: usize, out: &mut Vec<Stamp>)
    -> impl Future<Output = Result<()>> + Send;
    /// Acknowledges what the last `take` took. One acknowledgement may be on its way when this
    /// returns, so that the next messages can be asked for meanwhile.
    fn ack(&mut self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
    /// Waits until the last acknowledgement is answered, or sent where the system answers none.
    fn settle(&mut self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}
