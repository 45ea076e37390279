//! Memory under load, and what clients that only wait take of it.

use crate::measured::broker::{Broker, Site, raise_open_files_limit};
use crate::measured::http::Connection;
use crate::measured::report::{KIB, MIB, Quantity, Row};
use crate::wait::pause;
use anyhow::bail;
use serde_json::json;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

const PART: &str = "memory";
const TOPIC: &str = "memory";
const PRODUCERS: u32 = 4;
const BATCH_MESSAGES: u32 = 1_000;
const PAYLOAD_BYTES: usize = 200;
const SAMPLE_EVERY: Duration = Duration::from_millis(250);
const LOAD_TARGET_BYTES: f64 = 128.0 * MIB;
const CLIENT_TARGET_BYTES: f64 = 20.0 * KIB;
/// Files besides the clients' connections, of the broker and of this process.
const OTHER_FILES: u64 = 1_500;

/// Messages at a steady rate, with the default durability.
pub(super) fn under_load(site: &Site, rate: u32, seconds: u64) -> anyhow::Result<Vec<Row>> {
    let home = site.home(&[])?;
    let broker = home.start()?;
    broker.connect()?.put_topic(TOPIC, &json!({}))?;
    let load = Load::new(broker.http, rate, Duration::from_secs(seconds));
    let (published, took, highest) = load.run(&broker)?;
    let peak = broker.process.peak_rss_bytes()?;
    broker.stop()?;

    let name = |what: &str| format!("{seconds} s of load: {what}");
    let reached = Quantity::per_second(published, took);
    Ok(vec![
        // What the machine could not do says nothing of the memory that it would have taken.
        Row::new(PART, name("messages"), reached).at_least(f64::from(rate) * 0.98),
        Row::new(
            PART,
            name("memory, most of the samples"),
            Quantity::bytes(highest),
        )
        .at_most(LOAD_TARGET_BYTES),
        Row::new(PART, name("memory, peak"), Quantity::bytes(peak)).at_most(LOAD_TARGET_BYTES),
    ])
}

/// Several producers that keep a rate together, one batch after the other.
struct Load {
    address: SocketAddr,
    batch: Vec<u8>,
    /// Between two batches of one producer.
    interval: Duration,
    started: Instant,
    length: Duration,
}

impl Load {
    fn new(address: SocketAddr, rate: u32, length: Duration) -> Self {
        let payload = "x".repeat(PAYLOAD_BYTES - 2);
        let line = format!("{{\"payload\":\"{payload}\"}}\n");
        Self {
            address,
            batch: line.repeat(BATCH_MESSAGES as usize).into_bytes(),
            interval: Duration::from_secs(1) * (PRODUCERS * BATCH_MESSAGES) / rate,
            started: Instant::now(),
            length,
        }
    }

    /// How many messages were published, in what time, and the most memory that was seen.
    fn run(&self, broker: &Broker) -> anyhow::Result<(u64, Duration, u64)> {
        thread::scope(|scope| {
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|number| scope.spawn(move || self.produce(number)))
                .collect();
            let mut highest = 0;
            while producers.iter().any(|producer| !producer.is_finished()) {
                highest = highest.max(broker.process.rss_bytes()?);
                pause(SAMPLE_EVERY);
            }
            let mut published = 0;
            for producer in producers {
                match producer.join() {
                    Ok(count) => published += count?,
                    Err(_) => bail!("a producer panicked"),
                }
            }
            Ok((published, self.length, highest))
        })
    }

    /// Publishes when it is due, at once when that has passed; until the time is over.
    fn produce(&self, number: u32) -> anyhow::Result<u64> {
        let mut connection = Connection::open(self.address)?;
        let mut due = self.interval * number / PRODUCERS;
        let mut published = 0;
        while due < self.length && self.started.elapsed() < self.length {
            pause(due.saturating_sub(self.started.elapsed()));
            connection.publish(TOPIC, &self.batch)?;
            published += u64::from(BATCH_MESSAGES);
            due += self.interval;
        }
        Ok(published)
    }
}

/// Clients that follow a topic to which nobody publishes, and that read nothing.
pub(super) fn of_idle_clients(site: &Site, wanted: u32) -> anyhow::Result<Vec<Row>> {
    let allowed = raise_open_files_limit()?.saturating_sub(OTHER_FILES);
    let clients = u64::from(wanted).min(allowed);
    let connections = format!("--max-connections={}", clients + 100);
    let home = site.home(&[&connections])?;
    let broker = home.start()?;
    broker.connect()?.put_topic(TOPIC, &json!({}))?;
    let before = broker.process.settled_rss_bytes()?;
    let following = (0..clients)
        .map(|_| broker.connect()?.follow(TOPIC))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let after = broker.process.settled_rss_bytes()?;
    drop(following);
    broker.stop()?;

    let each = Quantity::bytes_each(after, before, clients);
    let what = format!("{clients} idle clients of a stream: memory of each");
    Ok(vec![
        Row::new(PART, what, each).at_most(CLIENT_TARGET_BYTES),
    ])
}
