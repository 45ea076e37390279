//! The accept loop, seen from clients that behave and clients that do not.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests state their expectations bluntly"
)]

mod after_flush;
mod answers;
mod bodies;
mod drain;
mod limits;
mod protocols;
mod shutdown;
mod support;
