//! A child process, measured through `/proc` and stopped by its id.

use crate::command_line::CommandLine;
use crate::wait::{pause, wait_for};
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const SETTLE_LIMIT: Duration = Duration::from_secs(15);
const SETTLED_AFTER: Duration = Duration::from_secs(2);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Free a moment ago: another process may take it first, which then shows as a failed start.
pub(crate) fn free_loopback_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}

/// A started component; killed when dropped without [`Running::stop`].
pub(crate) struct Running {
    child: Child,
    output: PathBuf,
}

impl Running {
    /// Starts it with all its output going to the file `output`.
    pub(crate) fn start(command: &CommandLine, output: &Path) -> anyhow::Result<Self> {
        let file = File::create(output)?;
        let child = command
            .command()
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start `{command}`"))?;
        let output = output.to_owned();
        Ok(Self { child, output })
    }

    /// # Errors
    /// When it has ended, with what it printed.
    pub(crate) fn check_alive(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let output = fs::read_to_string(&self.output).unwrap_or_default();
            bail!("it ended with {status} and said:\n{output}");
        }
        Ok(())
    }

    /// Resident memory once it has not changed for 2 s, or as it is after 15 s.
    pub(crate) fn settled_rss_bytes(&self) -> anyhow::Result<u64> {
        let mut rss_bytes = self.rss_bytes()?;
        let mut changed = Instant::now();
        let settled = wait_for(SETTLE_LIMIT, || match self.rss_bytes() {
            Ok(now) if now == rss_bytes => (changed.elapsed() >= SETTLED_AFTER).then_some(Ok(now)),
            Ok(now) => {
                (rss_bytes, changed) = (now, Instant::now());
                None
            }
            Err(error) => Some(Err(error)),
        });
        settled.unwrap_or_else(|| self.rss_bytes())
    }

    /// The part of one CPU that it uses during `window`.
    pub(crate) fn cpu_fraction_over(&mut self, window: Duration) -> anyhow::Result<f64> {
        let before = self.cpu_time()?;
        let started = Instant::now();
        pause(window);
        let used = self.cpu_time()?.saturating_sub(before);
        Ok(used.as_secs_f64() / started.elapsed().as_secs_f64())
    }

    /// Asks it to stop, waits for it and tells how it ended.
    ///
    /// # Errors
    /// When it does not end within 20 s (it is killed then), or had ended before.
    pub(crate) fn stop(self) -> anyhow::Result<ExitStatus> {
        self.stop_within(STOP_LIMIT)
    }

    /// Like [`Running::stop`], for one that may have much to write.
    pub(crate) fn stop_within(mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        self.check_alive()?;
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let ended = wait_for(limit, || self.child.try_wait().transpose());
        let Some(status) = ended.transpose()? else {
            bail!("it did not stop within {limit:?} of SIGTERM");
        };
        Ok(status)
    }

    /// Ends it as a crash does, and waits until it is gone.
    pub(crate) fn kill_9(self) {
        drop(self);
    }

    /// Resident memory now.
    pub(crate) fn rss_bytes(&self) -> anyhow::Result<u64> {
        self.number_in("status", "VmRSS:").map(|kib| kib * 1024)
    }

    /// The most that was ever resident.
    pub(crate) fn peak_rss_bytes(&self) -> anyhow::Result<u64> {
        self.number_in("status", "VmHWM:").map(|kib| kib * 1024)
    }

    /// What it has read from files so far, from the page cache or from the disk.
    pub(crate) fn read_bytes(&self) -> anyhow::Result<u64> {
        self.number_in("io", "rchar:")
    }

    /// The open files, pipes and sockets, as `/proc` names them.
    pub(crate) fn open_files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let directory = format!("/proc/{}/fd", self.child.id());
        let listed = fs::read_dir(&directory).context(directory)?;
        // One that is closed meanwhile is open no more.
        let opened = listed.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        Ok(opened.collect())
    }

    fn number_in(&self, file: &str, name: &str) -> anyhow::Result<u64> {
        let found = parse_number(&self.proc_file(file)?, name);
        found.with_context(|| format!("no {name} in /proc/<pid>/{file}"))
    }

    /// Processor time that it has used so far.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        let ticks = parse_cpu_ticks(&self.proc_file("stat")?);
        let ticks = ticks.context("unknown shape of /proc/<pid>/stat")?;
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_millis(ticks * 1000 / per_second))
    }

    fn proc_file(&self, name: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{name}", self.child.id());
        fs::read_to_string(&path).with_context(|| path)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only on a child that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number behind `name` on a line of its own, with or without a unit.
fn parse_number(lines: &str, name: &str) -> Option<u64> {
    let line = lines.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// `utime + stime`, fields 14 and 15. The name in field 2 may hold spaces and parentheses.
fn parse_cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_numbers() {
        let status = "Name:\tweir-broker\nVmHWM:\t    9000 kB\nVmRSS:\t    8432 kB\nThreads:\t5\n";
        assert_eq!(parse_number(status, "VmRSS:"), Some(8432));
        assert_eq!(parse_number("Name:\tzombie\n", "VmRSS:"), None);
        assert_eq!(parse_number("rchar: 17\nwchar: 4\n", "rchar:"), Some(17));
    }

    #[test]
    fn reads_cpu_ticks_past_a_name_with_spaces_and_parentheses() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 5 0 100 1 2";
        assert_eq!(parse_cpu_ticks(stat), Some(42));
        assert_eq!(parse_cpu_ticks("7 (a) S 1"), None);
    }
}
