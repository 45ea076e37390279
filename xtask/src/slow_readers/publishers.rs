//! Those who should not notice: publishers at a steady rate, and what their answers took.

use crate::measured::http::Connection;
use crate::wait::pause;
use anyhow::bail;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

const PUBLISHERS: u32 = 4;
const TOPIC: &str = "others";
const PAYLOAD_BYTES: usize = 200;

/// Several connections that keep a rate together, one message a request.
pub(super) struct Publishers {
    address: SocketAddr,
    /// Between two messages of one publisher.
    interval: Duration,
    length: Duration,
}

/// Of each message, from when it was due until it was acknowledged; sorted.
pub(super) struct Latencies(Vec<Duration>);

impl Publishers {
    pub(super) fn new(address: SocketAddr, rate: u32, length: Duration) -> Self {
        Self {
            address,
            interval: Duration::from_secs(1) * PUBLISHERS / rate,
            length,
        }
    }

    pub(super) fn run(&self) -> anyhow::Result<Latencies> {
        let started = Instant::now();
        thread::scope(|scope| {
            let publishers: Vec<_> = (0..PUBLISHERS)
                .map(|number| scope.spawn(move || self.publish(started, number)))
                .collect();
            let mut latencies = Vec::new();
            for publisher in publishers {
                match publisher.join() {
                    Ok(more) => latencies.extend(more?),
                    Err(_) => bail!("a publisher panicked"),
                }
            }
            latencies.sort_unstable();
            Ok(Latencies(latencies))
        })
    }

    fn publish(&self, started: Instant, number: u32) -> anyhow::Result<Vec<Duration>> {
        let mut connection = Connection::open(self.address)?;
        let line = format!("{{\"payload\":\"{}\"}}\n", "x".repeat(PAYLOAD_BYTES));
        let mut due = self.interval * number / PUBLISHERS;
        let mut latencies = Vec::new();
        while due < self.length {
            pause(due.saturating_sub(started.elapsed()));
            connection.publish(TOPIC, line.as_bytes())?;
            // Not from when it was sent: one that waits for a late answer is late itself.
            latencies.push(started.elapsed().saturating_sub(due));
            due += self.interval;
        }
        Ok(latencies)
    }
}

impl Latencies {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Zero if there are none.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let index = (self.0.len() * percent / 100).min(last);
        self.0.get(index).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_latencies() {
        let latencies = Latencies((1..=200).map(Duration::from_millis).collect());
        assert_eq!(latencies.percentile(50), Duration::from_millis(101));
        assert_eq!(latencies.percentile(99), Duration::from_millis(199));
        assert_eq!(latencies.percentile(100), Duration::from_millis(200));
        assert_eq!(Latencies(Vec::new()).percentile(50), Duration::ZERO);
    }
}
