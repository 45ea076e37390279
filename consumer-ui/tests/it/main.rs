//! The dashboard beside a real broker: what the page, Prometheus and the operator see.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests state their expectations bluntly"
)]

mod api;
mod canned;
mod delivery;
mod events;
mod exporter;
mod page;
mod recovery;
mod support;
