//! Many partitions: starts, open files, and what each of them takes of memory.

use crate::measured::broker::{Broker, Site};
use crate::measured::report::{KIB, Quantity, Row};
use serde_json::json;
use std::fmt::Write as _;
use std::time::Duration;

const PART: &str = "partitions";
const PARTITIONS_OF_A_TOPIC: u32 = 10;
/// The broker's default, said here because the report compares with it.
const MOST_OPEN_FILES: u32 = 1024;
const START_TARGET: Duration = Duration::from_secs(3);
const UNOPENED_TARGET_BYTES: f64 = 512.0;
const IDLE_TARGET_BYTES: f64 = 4.0 * KIB;

pub(super) fn measure(site: &Site, topics: u32) -> anyhow::Result<Vec<Row>> {
    let cap = format!("--max-open-files={MOST_OPEN_FILES}");
    let home = site.home(&[&cap])?;
    let count = u64::from(topics * PARTITIONS_OF_A_TOPIC);
    let row = |what: &str, value| Row::new(PART, format!("{count} partitions: {what}"), value);

    let mut broker = home.start()?;
    let empty_rss = broker.process.settled_rss_bytes()?;
    create(&broker, topics)?;
    publish_to_all(&broker, topics)?;
    broker.stop()?;

    broker = home.start()?;
    let clean_start = broker.ready_after;
    let unopened_rss = broker.process.settled_rss_bytes()?;
    let files_after_start = broker.open_log_files()?;
    let most_open = publish_to_all(&broker, topics)?;
    let idle_rss = broker.process.settled_rss_bytes()?;
    broker.process.kill_9();

    broker = home.start()?;
    let crash_start = broker.ready_after;
    broker.stop()?;

    let target_seconds = START_TARGET.as_secs_f64();
    let unopened = Quantity::bytes_each(unopened_rss, empty_rss, count);
    let idle = Quantity::bytes_each(idle_rss, empty_rss, count);
    Ok(vec![
        row("start after a clean stop", Quantity::time(clean_start)).at_most(target_seconds),
        row("start after kill -9", Quantity::time(crash_start)),
        row(
            "logs open after the start",
            Quantity::count(files_after_start),
        )
        .at_most(0.0),
        row("logs open at most, all in use", Quantity::count(most_open))
            .at_most(f64::from(MOST_OPEN_FILES)),
        row("memory of each, unopened", unopened).at_most(UNOPENED_TARGET_BYTES),
        row("memory of each, idle and open", idle).at_most(IDLE_TARGET_BYTES),
    ])
}

fn create(broker: &Broker, topics: u32) -> anyhow::Result<()> {
    let mut connection = broker.connect()?;
    let settings = json!({"partitions": PARTITIONS_OF_A_TOPIC});
    (0..topics).try_for_each(|topic| connection.put_topic(&name(topic), &settings))
}

/// Publishes one message to each partition; the most logs that were seen open meanwhile.
fn publish_to_all(broker: &Broker, topics: u32) -> anyhow::Result<usize> {
    let mut connection = broker.connect()?;
    let mut lines = String::new();
    for partition in 0..PARTITIONS_OF_A_TOPIC {
        writeln!(
            lines,
            r#"{{"payload":{{"n":{partition}}},"partition":{partition}}}"#
        )?;
    }
    let mut most_open = 0;
    for topic in 0..topics {
        connection.publish(&name(topic), lines.as_bytes())?;
        if topic % 16 == 0 || topic + 1 == topics {
            most_open = most_open.max(broker.open_log_files()?);
        }
    }
    Ok(most_open)
}

fn name(topic: u32) -> String {
    format!("storage-{topic}")
}
