//! `cargo xtask slow-readers`: what clients that hardly read cost those that do.

mod publishers;
mod readers;

use crate::measured::broker::{Broker, Site, raise_open_files_limit};
use crate::measured::report::{self, KIB, Quantity, Row};
use crate::workspace::Workspace;
use anyhow::bail;
use clap::Args;
use publishers::{Latencies, Publishers};
use readers::{Readers, fill};
use std::path::PathBuf;
use std::time::Duration;

/// Files besides the readers' connections, of the broker and of this process.
const OTHER_FILES: u64 = 500;
/// So that all of them are there as long as they are measured.
const WRITE_TIMEOUT: &str = "--write-timeout=1h";
const LATENCY_TARGET: f64 = 2.0;
/// A fetch of the default size, which half of them hold, as JSON and as it was read.
const READER_TARGET_BYTES: f64 = 2.0 * 1024.0 * KIB;

/// Measures what slow readers cost other clients: latency, and the broker's memory.
///
/// Starts the release `weir-broker` on loopback with a temporary data directory, and publishes at a
/// steady rate, first alone, then beside readers that take a byte a second: half of them of a fetch of
/// 1 MiB, half of a topic's stream with 32 MiB to come. Prints a Markdown table of latencies, their
/// ratios and memory, with targets. A missed target does not fail the command.
///
/// Examples:
///   cargo xtask slow-readers
///   cargo xtask slow-readers --readers 5000 --seconds 60
///   cargo xtask slow-readers --broker target/debug/weir-broker --readers 50 --seconds 3
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct SlowReaders {
    /// How many read slowly.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=9_000))]
    readers: u32,
    /// Messages a second, of all publishers together.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(10..))]
    rate: u32,
    /// How many seconds each of the two measurements lasts.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Measures this binary, and builds none.
    #[arg(long, value_name = "FILE")]
    broker: Option<PathBuf>,
    /// Prints one JSON object a row, instead of the table.
    #[arg(long)]
    json: bool,
    /// Where the data directory is made; the system's place for temporary files if not given.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl SlowReaders {
    pub(crate) fn run(self, workspace: &Workspace) -> anyhow::Result<()> {
        if u64::from(self.readers) + OTHER_FILES > raise_open_files_limit()? {
            bail!("the system does not allow so many open files: ask for fewer readers");
        }
        let site = match self.broker {
            Some(binary) => Site::with_binary(binary, self.dir),
            None => Site::with_release(workspace, self.dir)?,
        };
        let home = site.home(&[WRITE_TIMEOUT])?;
        let broker = home.start()?;
        let publishers = Publishers::new(broker.http, self.rate, Duration::from_secs(self.seconds));
        let rows = measure(&broker, &publishers, self.readers)?;
        broker.stop()?;
        match self.json {
            true => print!("{}", report::json_lines(&rows)?),
            false => println!("\n{}", report::table(&rows)),
        }
        Ok(())
    }
}

fn measure(broker: &Broker, publishers: &Publishers, count: u32) -> anyhow::Result<Vec<Row>> {
    fill(broker)?;
    eprintln!("publishing alone");
    let alone = publishers.run()?;
    let before = broker.process.settled_rss_bytes()?;
    eprintln!("publishing beside {count} slow readers");
    let readers = Readers::open(broker, count)?;
    let beside = readers.read_during(|| publishers.run())?;
    let after = broker.process.rss_bytes()?;
    let peak = broker.process.peak_rss_bytes()?;
    readers.check_all_are_served(broker)?;

    let part = format!("{count} slow readers");
    let mut rows = latency_rows("alone", &alone);
    rows.extend(latency_rows(&part, &beside));
    let each = Quantity::bytes_each(after, before, count.into());
    rows.extend([
        ratio("p50", alone.percentile(50), beside.percentile(50)),
        ratio("p99", alone.percentile(99), beside.percentile(99)),
        row("memory before", Quantity::bytes(before)),
        row(&format!("memory beside {part}"), Quantity::bytes(after)),
        row("memory, peak", Quantity::bytes(peak)),
        row("memory of each slow reader", each).at_most(READER_TARGET_BYTES),
    ]);
    Ok(rows)
}

fn latency_rows(when: &str, latencies: &Latencies) -> Vec<Row> {
    let percentile = |percent| Quantity::time(latencies.percentile(percent));
    vec![
        row(
            &format!("messages, {when}"),
            Quantity::count(latencies.count()),
        ),
        row(&format!("publish p50, {when}"), percentile(50)),
        row(&format!("publish p99, {when}"), percentile(99)),
    ]
}

fn ratio(name: &str, alone: Duration, beside: Duration) -> Row {
    let times = Quantity::times(beside.as_secs_f64() / alone.as_secs_f64());
    row(&format!("publish {name}, beside alone"), times).at_most(LATENCY_TARGET)
}

fn row(what: &str, value: Quantity) -> Row {
    Row::new("slow readers", what, value)
}
