//! Async client of the broker's native HTTP API.
//!
//! [`Client`] has one method for each call of the API; every method sends one request, never
//! retries on its own, and ends within its timeout. [`ClientError`] tells the caller what to do
//! next; [`Backoff`] says how long to wait before doing it. [`Client::stream`] is one live
//! connection; [`Client::follow`] keeps one alive and resumes where it broke. [`Client::group_stream`]
//! is one too, over which a group's messages are leased.
//!
//! Memory is bounded: an answer or a streamed message above
//! [`ClientOptions::max_response_bytes`] is refused.
//!
//! Absent on purpose: TLS (it will enter in `transport`), randomness (jitter is passed in), retries
//! of publishes (only the caller knows whether its messages carry ids), and logging.

mod address;
mod backoff;
mod broker_url;
mod client;
mod dead_letters;
mod error;
mod events;
mod fetch;
mod follow;
mod gateway;
mod group_stream;
mod groups;
mod health;
mod lease;
mod metrics;
mod publish;
mod read_from;
mod schedules;
mod sse;
mod stream;
mod topics;
mod transport;
mod verbatim;
mod workers;

pub use backoff::Backoff;
pub use client::{Client, ClientOptions};
pub use dead_letters::DeadLetterOptions;
pub use error::ClientError;
pub use fetch::{FetchOptions, FetchedVerbatim};
pub use follow::{Follow, Followed};
pub use group_stream::{GroupStream, GroupStreamOptions};
pub use lease::LeaseOptions;
pub use publish::PublishOptions;
pub use read_from::ReadFrom;
pub use schedules::ScheduleOptions;
pub use stream::{MessageStream, Streamed, StreamedMessage};
pub use verbatim::Verbatim;
/// What [`Client::workers`] and [`Client::backends`] tell, by name, for those who pass it on.
pub use weir_protocol::shapes::{BackendInfo, BreakerInfo, BreakerState, GatewayStats, WorkerInfo};
