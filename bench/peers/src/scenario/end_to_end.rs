//! A steady rate with a live consumer, timed from the send to the arrival.

use super::arrivals::Arrivals;
use super::consume::{keep_taking, until_done};
use super::histogram;
use super::meter::Meter;
use crate::cli::RunArgs;
use crate::drivers::{Publisher, System};
use crate::payload::{Template, now_ns};
use crate::report::Outcome;
use anyhow::{Context, Result};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// A send this late or less is laid to the generator's timer (1 ms grain), not the broker.
const TIMER_SLACK: Duration = Duration::from_millis(2);
/// How long to wait for the last messages.
const GRACE: Duration = Duration::from_secs(3);
const SUBSCRIBING: Duration = Duration::from_millis(300);

/// `--publishers` connections send in turn, so that a slow ack does not hold up the schedule.
pub async fn run<S: System>(system: &S, args: &RunArgs) -> Result<Outcome> {
    let total = (args.rate as f64 * args.seconds) as u64;
    let arrivals = Arc::new(Arrivals::new(total));
    let latency = Arc::new(Mutex::new(histogram()?));
    let mut consumers = JoinSet::new();
    for number in 0..args.consumers {
        let consumer = system.consumer(number).await;
        let consumer = consumer.context("connecting a consumer")?;
        let (arrivals, latency) = (arrivals.clone(), latency.clone());
        consumers.spawn(keep_taking(consumer, args.take, arrivals, latency));
    }
    let mut publishers = Vec::new();
    for _ in 0..args.publishers {
        publishers.push(system.publisher().await.context("connecting a publisher")?);
    }
    tokio::time::sleep(SUBSCRIBING).await;
    let meter = Meter::start(&args.pids);
    let start = Instant::now();
    let step = publishers.len();
    let mut senders = JoinSet::new();
    for (offset, publisher) in publishers.into_iter().enumerate() {
        let schedule = Schedule {
            start,
            rate: args.rate as f64,
        };
        let ids = (offset as u64..total).step_by(step);
        senders.spawn(send(publisher, Template::new(args.size), schedule, ids));
    }
    let limit = Duration::from_secs_f64(args.seconds) + GRACE;
    until_done(&mut consumers, limit).await?;
    let mut outcome = Outcome {
        seconds: start.elapsed().as_secs_f64(),
        ..Outcome::default()
    };
    meter.stop(&mut outcome);
    senders.abort_all();
    while let Some(sender) = senders.join_next().await {
        if let Ok(result) = sender {
            result.context("a publisher failed")?;
        }
    }
    arrivals.settle(&mut outcome);
    outcome.set_latency(&latency.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(outcome)
}

struct Schedule {
    start: Instant,
    rate: f64,
}

impl Schedule {
    fn due(&self, id: u64) -> Instant {
        self.start + Duration::from_secs_f64(id as f64 / self.rate)
    }
}

/// A message that leaves late is charged from when it was due, so that a broker that holds up the
/// sender cannot hide it.
async fn send<P: Publisher>(
    mut publisher: P,
    template: Template,
    schedule: Schedule,
    ids: impl Iterator<Item = u64>,
) -> Result<()> {
    for id in ids {
        let due = schedule.due(id);
        tokio::time::sleep_until(due.into()).await;
        let late = due.elapsed();
        let charged = if late > TIMER_SLACK {
            late
        } else {
            Duration::ZERO
        };
        let sent_ns = now_ns() - charged.as_nanos() as u64;
        publisher.send(template.stamped(sent_ns, id)).await?;
    }
    Ok(())
}
