//! One JSON line per run; from many of them a table and the targets.

mod runs;
mod table;
mod targets;

use crate::cli::RunArgs;
use anyhow::Result;
use hdrhistogram::Histogram;
use runs::Runs;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

#[derive(Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Acknowledged (publish) or distinct ones received (the others; of each reader in fetch).
    pub messages: u64,
    pub seconds: f64,
    pub missing: u64,
    pub duplicates: u64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
    pub broker_cpu_s: f64,
    pub generator_cpu_s: f64,
    pub rss_before_mb: f64,
    pub peak_rss_mb: f64,
    pub disk_write_mb: f64,
}

impl Outcome {
    pub fn set_latency(&mut self, nanoseconds: &Histogram<u64>) {
        let at = |quantile| nanoseconds.value_at_quantile(quantile) as f64 / 1e3;
        (self.p50_us, self.p99_us, self.p999_us) = (at(0.5), at(0.99), at(0.999));
        self.max_us = nanoseconds.max() as f64 / 1e3;
    }

    fn rate(&self) -> f64 {
        self.messages as f64 / self.seconds.max(1e-9)
    }

    fn cpu_us_per_message(&self) -> f64 {
        self.broker_cpu_s * 1e6 / (self.messages as f64).max(1.0)
    }
}

pub fn append(args: &RunArgs, outcome: &Outcome) -> Result<()> {
    let line = serde_json::json!({
        "label": args.label,
        "scenario": args.scenario.name(),
        "publishers": args.publishers,
        "consumers": args.consumers,
        "batch": args.batch,
        "size": args.size,
    });
    let mut line: serde_json::Map<_, _> = serde_json::from_value(line)?;
    line.extend(serde_json::from_value::<serde_json::Map<_, _>>(
        serde_json::to_value(outcome)?,
    )?);
    if let Some(path) = &args.out {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        writeln!(file, "{}", serde_json::to_string(&line)?)?;
    }
    println!(
        "{} {} P{} C{} B{} {}B: {:.0} msg/s, p50 {:.0} us, p99 {:.0} us, broker {:.2} cpu s \
         ({:.1} us/msg), peak {:.0} MB, disk {:.1} MB, generator {:.2} cpu s, missing {}, dup {}",
        args.label,
        args.scenario.name(),
        args.publishers,
        args.consumers,
        args.batch,
        args.size,
        outcome.rate(),
        outcome.p50_us,
        outcome.p99_us,
        outcome.broker_cpu_s,
        outcome.cpu_us_per_message(),
        outcome.peak_rss_mb,
        outcome.disk_write_mb,
        outcome.generator_cpu_s,
        outcome.missing,
        outcome.duplicates,
    );
    Ok(())
}

pub fn print(files: &[PathBuf]) -> Result<()> {
    let mut lines = Vec::new();
    for file in files {
        for line in fs::read_to_string(file)?.lines() {
            lines.push(serde_json::from_str(line)?);
        }
    }
    let runs = Runs::new(lines);
    println!("{}\n\n{}", table::render(&runs), targets::render(&runs));
    Ok(())
}
