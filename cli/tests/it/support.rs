//! A broker started with `weir up`, and commands run beside it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

pub(crate) const WEIR: &str = env!("CARGO_BIN_EXE_weir");

/// `weir up` in a directory of its own, stopped when dropped.
pub(crate) struct Up {
    process: Child,
    directory: TempDir,
    address: String,
}

impl Up {
    pub(crate) fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let mut process = Command::new(WEIR)
            .args(["up", "--http", "127.0.0.1:0", "--log-filter", "warn"])
            .args(["--min-free-bytes", "0"])
            .current_dir(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let banner = BufReader::new(process.stdout.take().unwrap());
        let address = banner
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let rest = line.trim_start().strip_prefix("broker")?.trim_start();
                let address = rest.strip_prefix("http://")?.split_whitespace().next()?;
                Some(address.to_owned())
            })
            .expect("`weir up` says where it listens");
        Self {
            process,
            directory,
            address,
        }
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

impl Drop for Up {
    fn drop(&mut self) {
        let pid = self.process.id().to_string();
        let stopped = Command::new("kill").arg(&pid).status();
        if !stopped.is_ok_and(|status| status.success()) {
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
