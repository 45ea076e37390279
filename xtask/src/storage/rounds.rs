//! Rounds: one batch of 256 messages, to few partitions and to many.

use crate::measured::broker::{Broker, Site};
use crate::measured::http::Connection;
use crate::measured::report::{Quantity, Row};
use anyhow::Context;
use serde_json::json;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const PART: &str = "rounds";
const TOPIC: &str = "rounds";
const MESSAGES: usize = 256;
const PAYLOAD_BYTES: usize = 256;
/// How many partitions a batch goes to.
const SPREADS: [usize; 4] = [1, 16, 64, 256];
/// The spreads take turns, so that what else the machine does hits all of them.
const TURNS: usize = 25;
const BATCHES_OF_A_TURN: usize = 20;
const RATIO_TARGET: f64 = 4.0;

pub(super) fn measure(site: &Site) -> anyhow::Result<Vec<Row>> {
    let home = site.home(&[])?;
    let broker = home.start()?;
    let mut connection = broker.connect()?;
    connection.put_topic(TOPIC, &json!({"partitions": MESSAGES}))?;
    // Opens every partition, and writes what the first write to a file costs.
    connection.publish(TOPIC, &batch(MESSAGES)?)?;

    let mut series = SPREADS.map(|_| Series::default());
    for _ in 0..TURNS {
        for (spread, series) in SPREADS.iter().zip(&mut series) {
            series.take_turn(&mut connection, &batch(*spread)?)?;
        }
    }
    stop(broker, connection)?;
    Ok(rows(&mut series))
}

fn stop(broker: Broker, connection: Connection) -> anyhow::Result<()> {
    drop(connection);
    broker.stop()
}

fn rows(series: &mut [Series; 4]) -> Vec<Row> {
    let measured: Vec<_> = SPREADS
        .iter()
        .zip(series)
        .map(|(spread, series)| {
            (
                spread,
                median(&mut series.commits),
                median(&mut series.requests),
            )
        })
        .collect();
    let mut rows = Vec::new();
    for (spread, commit, request) in &measured {
        let to = format!("{MESSAGES} messages to {spread} partitions");
        rows.push(Row::new(
            PART,
            format!("{to}: round, p50"),
            Quantity::time(*commit),
        ));
        rows.push(Row::new(
            PART,
            format!("{to}: request, p50"),
            Quantity::time(*request),
        ));
    }
    if let (Some(one), Some(many)) = (measured.first(), measured.last()) {
        let ratio = |many: Duration, one: Duration| many.as_secs_f64() / one.as_secs_f64();
        let what = "round to 256 partitions, beside one to 1";
        let rounds = Quantity::times(ratio(many.1, one.1));
        rows.push(Row::new(PART, what, rounds).at_most(RATIO_TARGET));
        let what = "request to 256 partitions, beside one to 1";
        rows.push(Row::new(PART, what, Quantity::times(ratio(many.2, one.2))));
    }
    rows
}

/// What batches with one spread took.
#[derive(Default)]
struct Series {
    requests: Vec<Duration>,
    /// The committer's mean of each turn: its histogram tells no single round.
    commits: Vec<Duration>,
}

impl Series {
    fn take_turn(&mut self, connection: &mut Connection, batch: &[u8]) -> anyhow::Result<()> {
        let before = Commits::scrape(connection)?;
        for _ in 0..BATCHES_OF_A_TURN {
            let sent = Instant::now();
            connection.publish(TOPIC, batch)?;
            self.requests.push(sent.elapsed());
        }
        let after = Commits::scrape(connection)?;
        self.commits.push(after.mean_since(&before));
        Ok(())
    }
}

/// The middle one; zero if there is none.
fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The batch's lines, dealt out to `spread` partitions in turn.
fn batch(spread: usize) -> anyhow::Result<Vec<u8>> {
    let payload = "x".repeat(PAYLOAD_BYTES - 2);
    let mut lines = String::new();
    for message in 0..MESSAGES {
        let partition = message % spread;
        writeln!(
            lines,
            r#"{{"payload":"{payload}","partition":{partition}}}"#
        )?;
    }
    Ok(lines.into_bytes())
}

/// The committer's histogram, as far as it goes.
struct Commits {
    seconds: f64,
    rounds: f64,
}

impl Commits {
    fn scrape(connection: &mut Connection) -> anyhow::Result<Self> {
        let page = connection.get("/metrics")?.success("/metrics")?.text();
        Self::parse(&page).context("no weir_broker_commit_seconds on /metrics")
    }

    fn parse(page: &str) -> Option<Self> {
        let value = |name: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse().ok()
        };
        Some(Self {
            seconds: value("weir_broker_commit_seconds_sum ")?,
            rounds: value("weir_broker_commit_seconds_count ")?,
        })
    }

    fn mean_since(&self, before: &Self) -> Duration {
        let rounds = (self.rounds - before.rounds).max(1.0);
        Duration::from_secs_f64((self.seconds - before.seconds).max(0.0) / rounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_what_the_histogram_grew_by() {
        let page = "# TYPE weir_broker_commit_seconds histogram\n\
                    weir_broker_commit_seconds_bucket{le=\"+Inf\"} 3\n\
                    weir_broker_commit_seconds_sum 0.5\nweir_broker_commit_seconds_count 3\n";
        let before = Commits::parse(page).unwrap();
        let after = Commits {
            seconds: 0.9,
            rounds: 7.0,
        };
        assert_eq!(after.mean_since(&before), Duration::from_millis(100));
        assert!(Commits::parse("").is_none());
    }

    #[test]
    fn a_batch_goes_to_as_many_partitions_as_asked() {
        let lines = String::from_utf8(batch(16).unwrap()).unwrap();
        assert_eq!(lines.lines().count(), MESSAGES);
        let to_the_last = lines
            .lines()
            .filter(|line| line.ends_with(r#""partition":15}"#));
        assert_eq!(to_the_last.count(), MESSAGES / 16);
    }
}
