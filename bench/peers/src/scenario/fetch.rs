//! Replay: readers that each read all of a topic from its start, without a group.

use super::arrivals::Arrivals;
use super::histogram;
use super::meter::Meter;
use super::publish::fill;
use crate::cli::RunArgs;
use crate::drivers::{Consumer, System};
use crate::report::Outcome;
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// `messages` counts what all readers got; missing and duplicate ones are counted for each reader.
pub async fn run<S: System>(system: &S, args: &RunArgs) -> Result<Outcome> {
    fill(system, args).await.context("filling the topic")?;
    let mut readers = Vec::new();
    for number in 0..args.consumers {
        let reader = system.reader(number).await;
        readers.push(reader.context("connecting a reader")?);
    }
    let meter = Meter::start(&args.pids);
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(args.seconds);
    let mut tasks = JoinSet::new();
    for reader in readers {
        tasks.spawn(read(reader, Arrivals::new(args.messages), args.take, end));
    }
    let mut outcome = Outcome::default();
    let mut latency = histogram()?;
    while let Some(task) = tasks.join_next().await {
        let (arrivals, one) = task??;
        arrivals.settle(&mut outcome);
        latency.add(one)?;
    }
    outcome.seconds = start.elapsed().as_secs_f64();
    meter.stop(&mut outcome);
    outcome.set_latency(&latency);
    Ok(outcome)
}

/// Reads until everything arrived or time is up; times each read.
async fn read<C: Consumer>(
    mut reader: C,
    arrivals: Arrivals,
    max: usize,
    end: Instant,
) -> Result<(Arrivals, Histogram<u64>)> {
    let mut latency = histogram()?;
    let mut stamps = Vec::with_capacity(max);
    while !arrivals.is_complete() {
        stamps.clear();
        let asked = Instant::now();
        let read = tokio::time::timeout_at(end.into(), reader.take(max, &mut stamps)).await;
        let Ok(taken) = read else { break };
        taken?;
        latency.saturating_record(asked.elapsed().as_nanos() as u64);
        stamps.iter().for_each(|stamp| arrivals.mark(stamp.id));
    }
    Ok((arrivals, latency))
}
