//! What the chart promises, judged on what Helm's engine makes of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod alerts;
mod engine;
mod judges;
mod monitoring;
mod notes;
mod plain_manifests;
mod pods;
mod policy;
mod reachability;
mod refused_values;
mod releases;
mod removed_values;
mod settings;
