//! Closed loops of publishers, and the filling of a backlog.

use super::histogram;
use super::meter::Meter;
use crate::cli::RunArgs;
use crate::drivers::{Publisher, System};
use crate::payload::{Template, now_ns};
use crate::report::Outcome;
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Publishers that fill a backlog.
const FILLERS: usize = 4;

/// What all publishers share.
struct Plan {
    template: Template,
    next_id: AtomicU64,
    batch: u64,
    messages: u64,
    start: Instant,
    end: Instant,
}

struct Measured {
    latency: Histogram<u64>,
    acknowledged: u64,
    last: Instant,
}

/// Each publisher sends `batch` messages and waits for all their acknowledgements.
pub async fn run<S: System>(system: &S, args: &RunArgs, batch: usize) -> Result<Outcome> {
    let mut publishers = Vec::new();
    for _ in 0..args.publishers {
        publishers.push(system.publisher().await.context("connecting a publisher")?);
    }
    let start = Instant::now() + Duration::from_secs_f64(args.warmup);
    let plan = Arc::new(Plan {
        template: Template::new(args.size),
        next_id: AtomicU64::new(0),
        batch: batch as u64,
        messages: args.messages,
        start,
        end: start + Duration::from_secs_f64(args.seconds),
    });
    let mut tasks = JoinSet::new();
    for publisher in publishers {
        tasks.spawn(publish(publisher, plan.clone()));
    }
    tokio::time::sleep_until(start.into()).await;
    let meter = Meter::start(&args.pids);
    plan.until_end().await;
    let mut outcome = Outcome::default();
    meter.stop(&mut outcome);

    let (mut latency, mut last) = (histogram()?, start);
    while let Some(task) = tasks.join_next().await {
        let one = task??;
        latency.add(one.latency)?;
        outcome.messages += one.acknowledged;
        last = last.max(one.last);
    }
    outcome.seconds = (last - start).as_secs_f64();
    outcome.set_latency(&latency);
    Ok(outcome)
}

impl Plan {
    /// Until time or messages run out.
    async fn until_end(&self) {
        let reached_limit = async {
            while self.next_id.load(Relaxed) <= self.messages {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(self.end.into()) => {}
            () = reached_limit => {}
        }
    }
}

async fn publish<P: Publisher>(mut publisher: P, plan: Arc<Plan>) -> Result<Measured> {
    let mut measured = Measured {
        latency: histogram()?,
        acknowledged: 0,
        last: plan.start,
    };
    while Instant::now() < plan.end {
        let first = plan.next_id.fetch_add(plan.batch, Relaxed);
        if first + plan.batch > plan.messages {
            break;
        }
        let stamped = |id| plan.template.stamped(now_ns(), id);
        let sent_at;
        if plan.batch == 1 {
            let payload = stamped(first);
            sent_at = Instant::now();
            publisher.send(payload).await?;
        } else {
            let payloads = (first..first + plan.batch).map(stamped).collect();
            sent_at = Instant::now();
            publisher.send_batch(payloads).await?;
        }
        let now = Instant::now();
        if now >= plan.start && now <= plan.end {
            let nanoseconds = (now - sent_at).as_nanos() as u64;
            measured.latency.saturating_record(nanoseconds);
            measured.acknowledged += plan.batch;
            measured.last = now;
        }
    }
    Ok(measured)
}

/// Publishes exactly `--messages`, in batches if the system has them.
pub async fn fill<S: System>(system: &S, args: &RunArgs) -> Result<()> {
    let template = Template::new(args.size);
    let next_id = Arc::new(AtomicU64::new(0));
    let (total, batch) = (args.messages, args.batch as u64);
    let mut tasks = JoinSet::new();
    for _ in 0..FILLERS {
        let mut publisher = system.publisher().await?;
        let (template, next_id) = (template.clone(), next_id.clone());
        tasks.spawn(async move {
            loop {
                let first = next_id.fetch_add(batch, Relaxed);
                if first >= total {
                    return anyhow::Ok(());
                }
                let last = (first + batch).min(total);
                let stamped = |id| template.stamped(now_ns(), id);
                if batch == 1 {
                    publisher.send(stamped(first)).await?;
                } else {
                    publisher
                        .send_batch((first..last).map(stamped).collect())
                        .await?;
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}
