//! The broker that is measured: started on a data directory again and again, polled until ready.

use super::http::Connection;
use crate::command_line::CommandLine;
use crate::process::{Running, free_loopback_address};
use crate::wait::pause;
use crate::workspace::Workspace;
use anyhow::{Context, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const READY_LIMIT: Duration = Duration::from_secs(300);
/// A stop syncs what the kernel has not written yet, which may be gigabytes.
const STOP_LIMIT: Duration = Duration::from_secs(310);
const GRACE_PERIOD: &str = "5m";
/// Much finer than the starts that are measured.
const POLL_EVERY: Duration = Duration::from_millis(2);

/// Which broker, and where its data go.
pub(crate) struct Site {
    binary: PathBuf,
    pub(crate) parent: PathBuf,
}

/// A data directory, and how brokers are started on it. Dropped, the data are gone.
pub(crate) struct Home {
    binary: PathBuf,
    place: TempDir,
    flags: Vec<String>,
}

/// A broker that is ready.
pub(crate) struct Broker {
    pub(crate) process: Running,
    pub(crate) http: SocketAddr,
    /// From its start until `/ready` answered 200.
    pub(crate) ready_after: Duration,
}

impl Site {
    /// Builds the release broker. Its data go to `parent`, or where the system keeps temporary files.
    pub(crate) fn with_release(
        workspace: &Workspace,
        parent: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        build()?;
        Ok(Self::with_binary(
            workspace.release_binary("weir-broker"),
            parent,
        ))
    }

    /// Takes a broker that is built already.
    pub(crate) fn with_binary(binary: PathBuf, parent: Option<PathBuf>) -> Self {
        let parent = parent.unwrap_or_else(std::env::temp_dir);
        Self { binary, parent }
    }

    pub(crate) fn home(&self, flags: &[&str]) -> anyhow::Result<Home> {
        let place = tempfile::Builder::new()
            .prefix("weir-measured-")
            .tempdir_in(&self.parent)
            .with_context(|| format!("a directory in {}", self.parent.display()))?;
        Ok(Home {
            binary: self.binary.clone(),
            place,
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
        })
    }
}

impl Home {
    /// Where the data directory and what the processes print lie.
    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    /// Bytes of all topics' segments.
    pub(crate) fn log_bytes(&self) -> anyhow::Result<u64> {
        let topics = std::fs::read_dir(self.place.path().join("data"))?;
        let mut bytes = 0;
        for topic in topics {
            bytes += segment_bytes(&topic?.path())?;
        }
        Ok(bytes)
    }

    pub(crate) fn start(&self) -> anyhow::Result<Broker> {
        let http = free_loopback_address()?;
        let command = CommandLine::new(&self.binary)
            .arg("--data-dir")
            .arg(self.place.path().join("data"))
            .args([
                "--http",
                &http.to_string(),
                "--grpc",
                "off",
                "--log-filter",
                "warn",
            ])
            .args(["--grace-period", GRACE_PERIOD])
            .args(&self.flags);
        eprintln!("$ {command}");
        let started = Instant::now();
        let mut process = Running::start(&command, &self.place.path().join("output.txt"))?;
        while !is_ready(http) {
            process.check_alive()?;
            if started.elapsed() > READY_LIMIT {
                bail!("it was not ready after {READY_LIMIT:?}");
            }
            pause(POLL_EVERY);
        }
        Ok(Broker {
            process,
            http,
            ready_after: started.elapsed(),
        })
    }
}

/// Bytes of the `.log` files below a topic's directory.
fn segment_bytes(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            bytes += segment_bytes(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "log") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// Says what it does on standard error: standard output belongs to the report.
fn build() -> anyhow::Result<()> {
    let build = CommandLine::parse("cargo build --release --locked -p weir-broker");
    eprintln!("$ {build}");
    let status = build.command().status()?;
    if !status.success() {
        bail!("{status}; repeat it with\n\n    {build}\n");
    }
    Ok(())
}

fn is_ready(http: SocketAddr) -> bool {
    let asked = Connection::open(http).and_then(|mut connection| connection.get("/ready"));
    asked.is_ok_and(|answer| answer.status == 200)
}

impl Broker {
    pub(crate) fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.http)
    }

    /// Segments and journals that are open now.
    pub(crate) fn open_log_files(&self) -> anyhow::Result<usize> {
        let is_log = |extension: &OsStr| extension == "log" || extension == "journal";
        let open = self.process.open_files()?;
        let logs = open
            .iter()
            .filter(|path| path.extension().is_some_and(is_log));
        Ok(logs.count())
    }

    /// Stops it with SIGTERM, which must succeed.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        let status = self.process.stop_within(STOP_LIMIT)?;
        if !status.success() {
            bail!("it answered SIGTERM with {status}");
        }
        Ok(())
    }
}

/// Allows this process, and the brokers it starts, as many open files as the system permits; how
/// many those are.
pub(crate) fn raise_open_files_limit() -> anyhow::Result<u64> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit)?;
    Ok(maximum.unwrap_or(u64::MAX))
}
