//! The client against canned answers: what it sends, and what it makes of what comes back.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests state their expectations bluntly too"
)]

mod calls;
mod errors;
mod following;
mod group_stream;
mod groups;
mod server;
