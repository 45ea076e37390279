//! A broker started with `weir up`, and commands run beside it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) const WEIR: &str = env!("CARGO_BIN_EXE_weir");

/// `weir up` in a directory of its own, stopped when dropped.
pub(crate) struct Up {
    process: Child,
    directory: TempDir,
    address: String,
    dashboard: Option<String>,
}

/// The address that the banner gives for a part.
fn place(banner: &[String], part: &str) -> Option<String> {
    banner.iter().find_map(|line| {
        let rest = line.trim_start().strip_prefix(part)?.trim_start();
        let address = rest.strip_prefix("http://")?.split_whitespace().next()?;
        Some(address.to_owned())
    })
}

fn terminate(process: &Child) -> bool {
    let sent = Command::new("kill").arg(process.id().to_string()).status();
    sent.is_ok_and(|status| status.success())
}

impl Up {
    /// Just the broker.
    pub(crate) fn start() -> Self {
        Self::start_broker(&[])
    }

    /// Just the broker, with further flags.
    pub(crate) fn start_broker(flags: &[&str]) -> Self {
        Self::start_with(&[&["--ui", "off", "--agent", "off"], flags].concat())
    }

    /// Broker, agent and dashboard.
    pub(crate) fn start_all() -> Self {
        Self::start_with(&["--ui", "127.0.0.1:0"])
    }

    /// Broker and dashboard.
    pub(crate) fn start_without_agent() -> Self {
        Self::start_with(&["--ui", "127.0.0.1:0", "--agent", "off"])
    }

    fn start_with(others: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let mut process = Command::new(WEIR)
            .args([
                "up",
                "--http",
                "127.0.0.1:0",
                "--grpc",
                "off",
                "--log-filter",
                "warn",
            ])
            .env("WEIR_MIN_FREE_BYTES", "0")
            .args(others)
            .current_dir(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let banner: Vec<String> = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .take_while(|line| !line.trim_start().starts_with("data"))
            .collect();
        Self {
            process,
            directory,
            address: place(&banner, "broker").expect("`weir up` says where it listens"),
            dashboard: place(&banner, "dashboard"),
        }
    }

    /// Where the dashboard listens.
    pub(crate) fn dashboard(&self) -> &str {
        self.dashboard.as_deref().expect("it was asked for")
    }

    /// Stops it as Ctrl-C or a supervisor does; returns how it ended.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        terminate(&self.process);
        self.process.wait().unwrap()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs `weir` with this broker's address.
    pub(crate) fn weir(&self, arguments: &[&str]) -> Output {
        self.weir_with_input(arguments, "")
    }

    pub(crate) fn weir_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut process = Command::new(WEIR)
            .args(arguments)
            .env("WEIR_BROKER", format!("http://{}", self.address))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        process
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        process.wait_with_output().unwrap()
    }

    /// Runs `weir`, which must succeed; returns what it printed.
    pub(crate) fn prints(&self, arguments: &[&str]) -> String {
        printed(&self.weir(arguments))
    }
}

/// What a successful command printed.
pub(crate) fn printed(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What `curl`, which must succeed, answers.
pub(crate) fn run_curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["-sf"]).args(arguments).output();
    printed(&output.unwrap())
}

impl Drop for Up {
    fn drop(&mut self) {
        let running = self.process.try_wait().is_ok_and(|ended| ended.is_none());
        if running && !terminate(&self.process) {
            let _gone = self.process.kill();
        }
        let _reaped = self.process.wait();
    }
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Where `weir` and, if it was built, `weir-broker` lie.
pub(crate) fn binaries() -> PathBuf {
    Path::new(WEIR).parent().unwrap().to_owned()
}

/// Looks every 200 ms for a minute, which is several times of what anything here takes.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "within a minute there was no {what}"
        );
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "neither log files nor other processes tell us when they change"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(200));
}

/// The path of a program that Debian brings.
pub(crate) fn installed(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut candidates = std::env::split_paths(&path).map(|directory| directory.join(program));
    let found = candidates.find(|candidate| candidate.is_file());
    found.unwrap_or_else(|| panic!("{program} is missing; `cargo xtask test` installs it"))
}
