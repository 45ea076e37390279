//! The scenarios, the same for every system.

mod arrivals;
mod consume;
mod end_to_end;
mod fetch;
mod meter;
mod publish;

use crate::cli::{RunArgs, Scenario};
use crate::drivers::System;
use crate::report::Outcome;
use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use std::path::Path;

/// Runs a scenario on an empty topic, and leaves none behind where the system can delete it.
pub async fn run<S: System>(mut system: S, args: &RunArgs) -> Result<Outcome> {
    ensure!(args.addr.ip().is_loopback(), "only loopback is measured");
    let known = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
    ensure!(args.pids.iter().all(known), "no such process as --pid says");
    system.reset().await.context("reset")?;
    let outcome = match args.scenario {
        Scenario::Publish => publish::run(&system, args, 1).await,
        Scenario::PublishBatch => publish::run(&system, args, args.batch).await,
        Scenario::Consume => consume::run(&system, args).await,
        Scenario::Fetch => fetch::run(&system, args).await,
        Scenario::E2e => end_to_end::run(&system, args).await,
    };
    system.clear().await.context("clear")?;
    outcome
}

/// Nanoseconds, 1 us to 10 min, three digits.
fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1_000, 600_000_000_000, 3)?)
}
