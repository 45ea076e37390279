//! A backlog drained through one group of consumers that acknowledge.

use super::arrivals::Arrivals;
use super::histogram;
use super::meter::Meter;
use super::publish::fill;
use crate::cli::RunArgs;
use crate::drivers::{Consumer, System};
use crate::payload::now_ns;
use crate::report::Outcome;
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

pub type SharedHistogram = Arc<Mutex<Histogram<u64>>>;

pub async fn run<S: System>(system: &S, args: &RunArgs) -> Result<Outcome> {
    fill(system, args).await.context("filling the backlog")?;
    let arrivals = Arc::new(Arrivals::new(args.messages));
    let latency = Arc::new(Mutex::new(histogram()?));
    let mut consumers = Vec::new();
    for number in 0..args.consumers {
        let consumer = system.consumer(number).await;
        consumers.push(consumer.context("connecting a consumer")?);
    }
    let meter = Meter::start(&args.pids);
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for consumer in consumers {
        let (arrivals, latency) = (arrivals.clone(), latency.clone());
        tasks.spawn(keep_taking(consumer, args.take, arrivals, latency));
    }
    let limit = Duration::from_secs_f64(args.seconds);
    until_done(&mut tasks, limit).await?;
    let mut outcome = Outcome {
        seconds: start.elapsed().as_secs_f64(),
        ..Outcome::default()
    };
    meter.stop(&mut outcome);
    arrivals.settle(&mut outcome);
    Ok(outcome)
}

/// Waits until all consumers have everything, one has failed or time is up; then there are none.
pub async fn until_done(consumers: &mut JoinSet<Result<()>>, limit: Duration) -> Result<()> {
    let all = async {
        while let Some(consumer) = consumers.join_next().await {
            consumer??;
        }
        Ok(())
    };
    let done = tokio::time::timeout(limit, all).await;
    consumers.abort_all();
    done.unwrap_or(Ok(()))
}

/// Takes and acknowledges until each message arrived somewhere and the own acknowledgements are
/// settled; times since the send go to the histogram.
pub async fn keep_taking<C: Consumer>(
    mut consumer: C,
    max: usize,
    arrivals: Arc<Arrivals>,
    latency: SharedHistogram,
) -> Result<()> {
    let mut stamps = Vec::with_capacity(max);
    loop {
        stamps.clear();
        tokio::select! {
            () = arrivals.complete() => return consumer.settle().await,
            taken = consumer.take(max, &mut stamps) => taken?,
        }
        let now = now_ns();
        consumer.ack().await?;
        let mut latency = latency.lock().unwrap_or_else(PoisonError::into_inner);
        for stamp in &stamps {
            latency.saturating_record(now.saturating_sub(stamp.time_ns));
            arrivals.mark(stamp.id);
        }
    }
}
