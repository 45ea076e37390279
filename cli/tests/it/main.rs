//! The command line and the documentation, against a real broker in a process of its own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests may state their expectations bluntly, also in their helpers"
)]

mod bench;
mod chart_settings;
mod check;
mod commands;
mod compose;
mod dead_letters;
mod docs;
mod groups;
mod help;
mod import;
mod prometheus;
mod support;
mod up;
mod workers;
