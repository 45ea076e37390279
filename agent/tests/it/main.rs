//! The agent as a process: what a broker, an operator and the kernel see of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests state their expectations bluntly"
)]

mod broken_collector;
mod minimq;
mod namespaces;
mod once;
mod probes;
mod publishing;
mod schema;
mod support;
