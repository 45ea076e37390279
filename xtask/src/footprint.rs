//! `cargo xtask footprint`: what Weir costs when nothing happens.

mod process;
mod ready;
mod report;

use crate::command_line::CommandLine;
use crate::debian::{self, PEERS, find};
use crate::workspace::Workspace;
use anyhow::{Context, bail};
use clap::Args;
use process::Running;
use ready::Readiness;
use report::Row;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

const READY_LIMIT: Duration = Duration::from_secs(30);
const CPU_WINDOW: Duration = Duration::from_secs(5);

/// Measures idle memory, idle CPU and binary size of the release binaries.
///
/// Starts each component on a free loopback port with an empty temporary data directory, waits
/// until it is ready and its memory has settled, measures, and stops it with SIGTERM. Prints a
/// Markdown table. Redis and NATS are measured the same way where they are installed.
///
/// Examples:
///   cargo xtask footprint
///   cargo xtask footprint --peers --write
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Footprint {
    /// Installs the Debian packages of the programs we compare with, where we may.
    #[arg(long)]
    peers: bool,
    /// Puts the table into README.md, between its footprint marks.
    #[arg(long)]
    write: bool,
}

/// What is measured: one row of the table. Rows for weir-agent and weir-ui go here.
struct Component {
    name: &'static str,
    binary: Binary,
    readiness: Readiness,
    arguments: fn(data: &Path, http: SocketAddr) -> Vec<OsString>,
}

enum Binary {
    /// Built by this workspace, from the package of the same name.
    Ours,
    /// Measured only where it is installed.
    Installed,
}

const COMPONENTS: &[Component] = &[
    Component {
        name: "weir-broker",
        binary: Binary::Ours,
        readiness: Readiness::HttpOk("/ready"),
        arguments: |data, http| {
            let http = http.to_string();
            vec![
                "--data-dir".into(),
                data.into(),
                "--http".into(),
                http.into(),
            ]
        },
    },
    Component {
        name: "redis-server",
        binary: Binary::Installed,
        readiness: Readiness::Accepts,
        arguments: |data, address| {
            let (ip, port) = (address.ip().to_string(), address.port().to_string());
            let words = [
                "--bind",
                &ip,
                "--port",
                &port,
                "--appendonly",
                "yes",
                "--dir",
            ];
            let words = words.iter().map(OsString::from);
            words.chain([data.into()]).collect()
        },
    },
    Component {
        name: "nats-server",
        binary: Binary::Installed,
        readiness: Readiness::Accepts,
        arguments: |data, address| {
            let (ip, port) = (address.ip().to_string(), address.port().to_string());
            let words = ["--addr", &ip, "--port", &port, "--jetstream", "--store_dir"];
            let words = words.iter().map(OsString::from);
            words.chain([data.into()]).collect()
        },
    },
];

impl Footprint {
    pub(crate) fn run(self, workspace: &Workspace) -> anyhow::Result<()> {
        if self.peers {
            debian::ensure(PEERS)?;
        }
        let ours = COMPONENTS
            .iter()
            .filter(|c| matches!(c.binary, Binary::Ours));
        let packages = ours.flat_map(|component| ["-p", component.name]);
        let build = CommandLine::parse("cargo build --release --locked");
        build.args(packages).run()?;

        let mut rows = Vec::new();
        for component in COMPONENTS {
            let Some(binary) = component.locate(workspace) else {
                println!("{} is not installed (--peers installs it)", component.name);
                continue;
            };
            let row = component.measure(&binary);
            rows.push(row.with_context(|| format!("measuring {}", component.name))?);
        }
        let table = report::table(&rows);
        println!("\n{table}");
        if self.write {
            report::write_into(&workspace.root.join("README.md"), &table)?;
        }
        Ok(())
    }
}

impl Component {
    fn locate(&self, workspace: &Workspace) -> Option<PathBuf> {
        match self.binary {
            Binary::Ours => Some(workspace.release_binary(self.name)),
            Binary::Installed => find(self.name),
        }
    }

    fn measure(&self, binary: &Path) -> anyhow::Result<Row> {
        let data = tempfile::tempdir()?;
        let address = free_loopback_address()?;
        let command = CommandLine::new(binary).args((self.arguments)(data.path(), address));
        println!("$ {command}");
        let mut process = Running::start(&command, &data.path().join("output.txt"))?;
        self.readiness
            .wait(address, READY_LIMIT, || process.check_alive())?;
        let row = Row {
            component: self.name,
            rss_bytes: process.settled_rss_bytes()?,
            cpu_fraction: process.cpu_fraction_over(CPU_WINDOW)?,
            binary_bytes: std::fs::metadata(binary)?.len(),
        };
        let status = process.stop()?;
        if matches!(self.binary, Binary::Ours) && !status.success() {
            bail!("it answered SIGTERM with {status}");
        }
        Ok(row)
    }
}

/// Free a moment ago: another process may take it first, which then shows as a failed start.
fn free_loopback_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}
