//! A large log: what it costs to start with it, and to read from its middle.

use crate::measured::broker::{Broker, Home, Site};
use crate::measured::report::{MIB, Quantity, Row};
use crate::rfc3339;
use anyhow::{Context, bail};
use rustix::fs::statvfs;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PART: &str = "large log";
const TOPIC: &str = "large";
const GIB: u64 = 1 << 30;
const PAYLOAD_BYTES: usize = 16 * 1024;
const BATCH_MESSAGES: usize = 512;
const OPEN_TARGET: Duration = Duration::from_secs(1);
/// A part of one segment and the index files on the way to it, whatever the log's size.
const READ_TARGET_BYTES: f64 = 4.0 * MIB;
/// What two starts on the same data may differ by.
const MEMORY_TARGET_BYTES: f64 = MIB;

pub(super) fn measure(site: &Site, gib: u64) -> anyhow::Result<Vec<Row>> {
    check_free_space(site, gib)?;
    let (small, _) = fill(site, 0, gib)?;
    let (large, messages) = fill(site, gib * GIB, gib)?;
    let middle = messages / 2;

    let empty = visit(&small, "0")?.context("an offset was refused")?;
    let by_offset = visit(&large, &middle.to_string())?.context("an offset was refused")?;
    let time = rfc3339::from_millis(by_offset.timestamp()?);
    let by_time = visit(&large, &time)?;
    if let Some(visit) = &by_time {
        visit.check_time(&by_offset)?;
    }
    let crash_start = start_after_crash(&large)?;

    let name = |what: &str| format!("{gib} GiB: {what}");
    let row = |what: &str, value| Row::new(PART, name(what), value);
    let opened = by_offset.ready_after + by_offset.fetch_time;
    let target_seconds = OPEN_TARGET.as_secs_f64();
    let mut rows = vec![
        row(
            "start after a clean stop",
            Quantity::time(by_offset.ready_after),
        ),
        row(
            "start, and a first fetch from the middle",
            Quantity::time(opened),
        )
        .at_most(target_seconds),
        row("start after kill -9", Quantity::time(crash_start)).at_most(target_seconds),
        row(
            "read by a first fetch from the middle",
            Quantity::bytes(by_offset.read_bytes),
        )
        .at_most(READ_TARGET_BYTES),
    ];
    rows.extend(rows_by_time(by_time.as_ref(), name));
    rows.extend(rows_of_memory(&empty, &by_offset, name));
    Ok(rows)
}

fn rows_by_time(visit: Option<&Visit>, name: impl Fn(&str) -> String) -> Vec<Row> {
    let (took, read) = (
        name("first fetch by time from the middle"),
        name("read by a first fetch by time"),
    );
    let Some(visit) = visit else {
        return vec![
            Row::not_available(PART, took),
            Row::not_available(PART, read),
        ];
    };
    let bytes = Quantity::bytes(visit.read_bytes);
    vec![
        Row::new(PART, took, Quantity::time(visit.fetch_time)),
        Row::new(PART, read, bytes).at_most(READ_TARGET_BYTES),
    ]
}

fn rows_of_memory(empty: &Visit, large: &Visit, name: impl Fn(&str) -> String) -> Vec<Row> {
    let more = |large, empty| Quantity::bytes_each(large, empty, 1);
    let started = more(large.rss_started, empty.rss_started);
    let read = more(large.rss_read, empty.rss_read);
    vec![
        Row::new(
            PART,
            "one message: memory after the start",
            Quantity::bytes(empty.rss_started),
        ),
        Row::new(PART, name("memory beyond that, after the start"), started)
            .at_most(MEMORY_TARGET_BYTES),
        Row::new(PART, name("memory beyond that, after the fetch"), read)
            .at_most(MEMORY_TARGET_BYTES),
    ]
}

fn check_free_space(site: &Site, gib: u64) -> anyhow::Result<()> {
    let stat = statvfs(&site.parent)?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize) / GIB;
    let needed = gib + gib / 10 + 2;
    if free < needed {
        let place = site.parent.display();
        bail!("{place} has {free} GiB free and {needed} are needed: see --gib and --dir");
    }
    Ok(())
}

/// A topic with at least `bytes` of payload, at least one message; how many there are.
fn fill(site: &Site, bytes: u64, gib: u64) -> anyhow::Result<(Home, u64)> {
    let home = site.home(&[])?;
    let broker = home.start()?;
    let retention_bytes = (gib + 2) * GIB;
    let settings = json!({"durability": "os", "retention_bytes": retention_bytes});
    let mut connection = broker.connect()?;
    connection.put_topic(TOPIC, &settings)?;
    let messages = bytes / PAYLOAD_BYTES as u64;
    let (batch, mut published) = (lines(BATCH_MESSAGES), 0);
    while published < messages {
        connection.publish(TOPIC, &batch)?;
        published += BATCH_MESSAGES as u64;
    }
    connection.publish(TOPIC, &lines(1))?;
    drop(connection);
    broker.stop()?;
    Ok((home, published + 1))
}

fn lines(count: usize) -> Vec<u8> {
    let payload = "x".repeat(PAYLOAD_BYTES - 2);
    format!("{{\"payload\":\"{payload}\"}}\n")
        .repeat(count)
        .into_bytes()
}

/// A start after a clean stop, one fetch of one message, and a clean stop.
struct Visit {
    ready_after: Duration,
    fetch_time: Duration,
    /// What the fetch read from files.
    read_bytes: u64,
    rss_started: u64,
    rss_read: u64,
    fetched: Value,
}

/// `None` if the broker does not know how to begin at `from`.
fn visit(home: &Home, from: &str) -> anyhow::Result<Option<Visit>> {
    let broker = home.start()?;
    let visited = fetch_one(&broker, from);
    broker.stop()?;
    visited
}

fn fetch_one(broker: &Broker, from: &str) -> anyhow::Result<Option<Visit>> {
    let mut broker_connection = broker.connect()?;
    let rss_started = broker.process.settled_rss_bytes()?;
    let target = format!("/v1/topics/{TOPIC}/messages?partition=0&from={from}&limit=1");
    let read_before = broker.process.read_bytes()?;
    let asked = Instant::now();
    let answer = broker_connection.get(&target)?;
    let fetch_time = asked.elapsed();
    let read_bytes = broker.process.read_bytes()?.saturating_sub(read_before);
    if answer.status == 400 {
        return Ok(None);
    }
    Ok(Some(Visit {
        ready_after: broker.ready_after,
        fetch_time,
        read_bytes,
        rss_started,
        rss_read: broker.process.settled_rss_bytes()?,
        fetched: answer.success(&target)?.json()?,
    }))
}

impl Visit {
    fn timestamp(&self) -> anyhow::Result<u64> {
        let timestamp = self.fetched.pointer("/messages/0/timestamp");
        let timestamp = timestamp.and_then(Value::as_u64);
        timestamp.with_context(|| format!("no message in {}", self.fetched))
    }

    /// It was asked for by the time of `wanted`.
    fn check_time(&self, wanted: &Self) -> anyhow::Result<()> {
        let (found, wanted) = (self.timestamp()?, wanted.timestamp()?);
        match found == wanted {
            true => Ok(()),
            false => bail!("a fetch by time began at {found} instead of {wanted}"),
        }
    }
}

fn start_after_crash(home: &Home) -> anyhow::Result<Duration> {
    let broker = home.start()?;
    broker.connect()?.publish(TOPIC, &lines(1))?;
    broker.process.kill_9();
    let broker = home.start()?;
    let ready_after = broker.ready_after;
    broker.stop()?;
    Ok(ready_after)
}
