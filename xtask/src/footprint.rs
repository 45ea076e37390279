//! `cargo xtask footprint`: what Weir costs when nothing happens, and what watching a host costs.

mod ready;
mod report;
mod scraper;

use crate::command_line::CommandLine;
use crate::debian::{self, PEERS, find};
use crate::process::{Running, free_loopback_address};
use crate::workspace::Workspace;
use anyhow::{Context, bail};
use clap::Args;
use ready::Readiness;
use report::Row;
use scraper::Scraper;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

const READY_LIMIT: Duration = Duration::from_secs(30);
/// Long enough for the kernel's ticks of 10 ms to tell tenths of a percent apart.
const CPU_WINDOW: Duration = Duration::from_secs(20);

/// Measures memory, CPU and binary size of the release binaries.
///
/// Starts each component on a free loopback port with an empty temporary data directory, waits
/// until it is ready and its memory has settled, measures, and stops it with SIGTERM. The agent and
/// the dashboard get a broker of their own; exporters are scraped each second. Prints a Markdown
/// table. Redis, NATS and node_exporter are measured the same way where they are installed.
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

/// What is measured: one row of the table.
struct Component {
    name: &'static str,
    binary: Binary,
    readiness: Readiness,
    during: During,
    arguments: fn(&Place) -> Vec<OsString>,
}

/// What a component is told about where it runs.
struct Place {
    data: PathBuf,
    /// Its own address.
    http: SocketAddr,
    /// Where a broker listens, if the component talks to one.
    broker: SocketAddr,
}

/// What happens while it is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum During {
    Idle,
    /// It sends samples each second to a broker.
    Sampling,
    /// Its /metrics are asked for each second; the dashboard also follows a broker.
    Scraped,
}

impl During {
    const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Sampling => "sampling each second",
            Self::Scraped => "scraped each second",
        }
    }
}

enum Binary {
    /// Built by this workspace, from the package of the same name.
    Ours,
    /// Measured only where it is installed.
    Installed,
}

const BROKER: Component = Component {
    name: "weir-broker",
    binary: Binary::Ours,
    readiness: Readiness::HttpOk("/ready"),
    during: During::Idle,
    arguments: |place| {
        let (data, http) = (place.data.clone().into_os_string(), place.http.to_string());
        let off = ["--grpc".into(), "off".into()];
        [
            vec!["--data-dir".into(), data, "--http".into(), http.into()],
            off.into(),
        ]
        .concat()
    },
};

const COMPONENTS: &[Component] = &[
    BROKER,
    Component {
        name: "weir-agent",
        binary: Binary::Ours,
        readiness: Readiness::Started,
        during: During::Sampling,
        arguments: |place| words(&["--broker", &format!("http://{}", place.broker)]),
    },
    Component {
        name: "weir-ui",
        binary: Binary::Ours,
        readiness: Readiness::HttpOk("/ready"),
        during: During::Scraped,
        arguments: |place| {
            let (broker, http) = (format!("http://{}", place.broker), place.http.to_string());
            words(&["--broker", &broker, "--http", &http])
        },
    },
    Component {
        name: "redis-server",
        binary: Binary::Installed,
        readiness: Readiness::Accepts,
        during: During::Idle,
        arguments: |place| {
            let (ip, port) = (place.http.ip().to_string(), place.http.port().to_string());
            let mut words = words(&[
                "--bind",
                &ip,
                "--port",
                &port,
                "--appendonly",
                "yes",
                "--dir",
            ]);
            words.push(place.data.clone().into());
            words
        },
    },
    Component {
        name: "nats-server",
        binary: Binary::Installed,
        readiness: Readiness::Accepts,
        during: During::Idle,
        arguments: |place| {
            let (ip, port) = (place.http.ip().to_string(), place.http.port().to_string());
            let mut words = words(&["--addr", &ip, "--port", &port, "--jetstream", "--store_dir"]);
            words.push(place.data.clone().into());
            words
        },
    },
    Component {
        name: "prometheus-node-exporter",
        binary: Binary::Installed,
        readiness: Readiness::HttpOk("/metrics"),
        during: During::Scraped,
        arguments: |place| words(&[&format!("--web.listen-address={}", place.http)]),
    },
];

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

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
            let row = component.measure(&binary, workspace);
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

    fn measure(&self, binary: &Path, workspace: &Workspace) -> anyhow::Result<Row> {
        let data = tempfile::tempdir()?;
        let broker = self.companion(workspace, data.path())?;
        let place = Place {
            data: data.path().join("own"),
            http: free_loopback_address()?,
            broker: broker.as_ref().map_or(NOWHERE, |(_, address)| *address),
        };
        std::fs::create_dir(&place.data)?;
        let mut process = self.start(binary, &place)?;
        let scraper = (self.during == During::Scraped).then(|| Scraper::start(place.http));
        let row = Row {
            component: self.name,
            during: self.during.name(),
            rss_bytes: process.settled_rss_bytes()?,
            cpu_fraction: process.cpu_fraction_over(CPU_WINDOW)?,
            binary_bytes: std::fs::metadata(binary)?.len(),
        };
        drop(scraper);
        let status = process.stop()?;
        if matches!(self.binary, Binary::Ours) && !status.success() {
            bail!("it answered SIGTERM with {status}");
        }
        broker.map_or(Ok(()), |(process, _)| process.stop().map(drop))?;
        Ok(row)
    }

    fn start(&self, binary: &Path, place: &Place) -> anyhow::Result<Running> {
        let command = CommandLine::new(binary).args((self.arguments)(place));
        println!("$ {command}");
        let mut process = Running::start(&command, &place.data.join("output.txt"))?;
        self.readiness
            .wait(place.http, READY_LIMIT, || process.check_alive())?;
        Ok(process)
    }

    /// The broker that ours talk to, unless it is the broker itself.
    fn companion(
        &self,
        workspace: &Workspace,
        data: &Path,
    ) -> anyhow::Result<Option<(Running, SocketAddr)>> {
        if matches!(self.binary, Binary::Installed) || self.name == BROKER.name {
            return Ok(None);
        }
        let http = free_loopback_address()?;
        let place = Place {
            data: data.join("broker"),
            http,
            broker: NOWHERE,
        };
        std::fs::create_dir(&place.data)?;
        let broker = BROKER.start(&workspace.release_binary(BROKER.name), &place)?;
        Ok(Some((broker, http)))
    }
}

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
