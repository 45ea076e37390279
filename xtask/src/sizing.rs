//! `cargo xtask sizing`: what a fleet of so many nodes takes of broker and dashboard.

use crate::command_line::CommandLine;
use crate::measured::broker::{Home, Site};
use crate::measured::http::Connection;
use crate::process::{Running, free_loopback_address};
use crate::wait::wait_for;
use crate::workspace::Workspace;
use anyhow::Context;
use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the dashboard keeps at full resolution.
const HISTORY_SECONDS: u64 = 3_600;
const READY_LIMIT: Duration = Duration::from_secs(60);
const MIB: f64 = 1024.0 * 1024.0;
const GIB: f64 = 1024.0 * MIB;
const DAY_SECONDS: f64 = 86_400.0;

/// Measures what fleets of several sizes take: processor, memory and disk.
///
/// For each size: starts the release `weir-broker` on loopback with a temporary data directory, publishes
/// the last hour of all nodes, so that the dashboard holds as much as it ever will, restarts the broker,
/// starts `weir-ui`, and lets bench/fleet.py send what so many agents send each second. Prints a Markdown
/// table: processor in percent of one core during that time, resident memory at its end, and how much the
/// data directory grew, for a day. The generator runs on the same machine.
///
/// Examples:
///   cargo xtask sizing
///   cargo xtask sizing --nodes 10,100 --seconds 30
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Sizing {
    /// Sizes of the fleets.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "10,100,300", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    nodes: Vec<u32>,
    /// How many seconds each size is measured.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(10..=3_600))]
    seconds: u32,
    /// Measures the binaries in this directory, and builds none.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// Where the data directory is made; the system's place for temporary files if not given.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What one fleet took.
struct Row {
    nodes: u32,
    broker: Use,
    ui: Use,
    disk_bytes_per_second: f64,
}

/// Of one process.
struct Use {
    cpu_fraction: f64,
    rss_bytes: u64,
}

impl Sizing {
    pub(crate) fn run(self, workspace: &Workspace) -> anyhow::Result<()> {
        let (broker, ui) = match &self.binaries {
            Some(directory) => (directory.join("weir-broker"), directory.join("weir-ui")),
            None => release_binaries(workspace)?,
        };
        let site = Site::with_binary(broker, self.dir.clone());
        let mut rows = Vec::new();
        for &nodes in &self.nodes {
            let measured = measure(&site.home(&[])?, &ui, nodes, self.seconds);
            rows.push(measured.with_context(|| format!("a fleet of {nodes} nodes"))?);
        }
        println!("\n{}", table(&rows));
        Ok(())
    }
}

fn release_binaries(workspace: &Workspace) -> anyhow::Result<(PathBuf, PathBuf)> {
    CommandLine::parse("cargo build --release --locked -p weir-broker -p weir-ui").run()?;
    let binary = |name| workspace.release_binary(name);
    Ok((binary("weir-broker"), binary("weir-ui")))
}

fn measure(home: &Home, ui: &Path, nodes: u32, seconds: u32) -> anyhow::Result<Row> {
    let broker = home.start()?;
    fleet(nodes, broker.http)
        .args(["--backfill", &HISTORY_SECONDS.to_string()])
        .run()?;
    broker.stop()?;
    let broker = home.start()?;
    let dashboard = Dashboard::start(ui, broker.http, home.path())?;
    dashboard.process.settled_rss_bytes()?;

    let begun = (
        home.log_bytes()?,
        broker.process.cpu_time()?,
        dashboard.process.cpu_time()?,
    );
    fleet(nodes, broker.http)
        .args(["--ui", &format!("http://{}", dashboard.http)])
        .args(["--seconds", &seconds.to_string()])
        .run()?;
    let window = f64::from(seconds);
    let used = |process: &Running, before: Duration| -> anyhow::Result<Use> {
        Ok(Use {
            cpu_fraction: (process.cpu_time()? - before).as_secs_f64() / window,
            rss_bytes: process.rss_bytes()?,
        })
    };
    let row = Row {
        nodes,
        broker: used(&broker.process, begun.1)?,
        ui: used(&dashboard.process, begun.2)?,
        disk_bytes_per_second: home.log_bytes()?.saturating_sub(begun.0) as f64 / window,
    };
    dashboard.process.stop()?;
    broker.stop()?;
    Ok(row)
}

fn fleet(nodes: u32, broker: SocketAddr) -> CommandLine {
    CommandLine::parse("python3 bench/fleet.py")
        .args(["--agents", &nodes.to_string()])
        .args(["--broker", &format!("http://{broker}")])
}

struct Dashboard {
    process: Running,
    http: SocketAddr,
}

impl Dashboard {
    /// Starts it, and waits until it serves.
    fn start(binary: &Path, broker: SocketAddr, place: &Path) -> anyhow::Result<Self> {
        let http = free_loopback_address()?;
        let command = CommandLine::new(binary)
            .args(["--broker", &format!("http://{broker}")])
            .args(["--http", &http.to_string(), "--log-filter", "warn"]);
        eprintln!("$ {command}");
        let process = Running::start(&command, &place.join("dashboard.txt"))?;
        let is_ready = || {
            let asked = Connection::open(http).and_then(|mut connection| connection.get("/ready"));
            asked.is_ok_and(|answer| answer.status == 200).then_some(())
        };
        wait_for(READY_LIMIT, is_ready).context("the dashboard was not ready in time")?;
        Ok(Self { process, http })
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| nodes | broker CPU, % of a core | broker RSS, MiB | dashboard CPU, % | dashboard RSS, MiB | disk for a day, GiB |\n|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        table.push_str(&format!(
            "| {} | {:.1} | {:.0} | {:.1} | {:.0} | {:.1} |\n",
            row.nodes,
            100.0 * row.broker.cpu_fraction,
            row.broker.rss_bytes as f64 / MIB,
            100.0 * row.ui.cpu_fraction,
            row.ui.rss_bytes as f64 / MIB,
            row.disk_bytes_per_second * DAY_SECONDS / GIB,
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_is_a_row() {
        let row = Row {
            nodes: 100,
            broker: Use {
                cpu_fraction: 0.031,
                rss_bytes: 20 << 20,
            },
            ui: Use {
                cpu_fraction: 0.02,
                rss_bytes: 90 << 20,
            },
            disk_bytes_per_second: 100_000.0,
        };
        let table = table(&[row]);
        assert_eq!(
            table.lines().last(),
            Some("| 100 | 3.1 | 20 | 2.0 | 90 | 8.0 |")
        );
    }
}
