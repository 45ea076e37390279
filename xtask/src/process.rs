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
    pub(crate) fn settled_rss_bytes(&mut self) -> anyhow::Result<u64> {
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
    pub(crate) fn stop(mut self) -> anyhow::Result<ExitStatus> {
        self.check_alive()?;
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let ended = wait_for(STOP_LIMIT, || self.child.try_wait().transpose());
        let Some(status) = ended.transpose()? else {
            bail!("it did not stop within {STOP_LIMIT:?} of SIGTERM");
        };
        Ok(status)
    }

    fn rss_bytes(&self) -> anyhow::Result<u64> {
        let status = self.proc_file("status")?;
        parse_rss_bytes(&status).context("no VmRSS in /proc/<pid>/status")
    }

    fn cpu_time(&self) -> anyhow::Result<Duration> {
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

fn parse_rss_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
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
    fn reads_resident_memory() {
        let status = "Name:\tweir-broker\nVmHWM:\t    9000 kB\nVmRSS:\t    8432 kB\nThreads:\t5\n";
        assert_eq!(parse_rss_bytes(status), Some(8432 * 1024));
        assert_eq!(parse_rss_bytes("Name:\tzombie\n"), None);
    }

    #[test]
    fn reads_cpu_ticks_past_a_name_with_spaces_and_parentheses() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 5 0 100 1 2";
        assert_eq!(parse_cpu_ticks(stat), Some(42));
        assert_eq!(parse_cpu_ticks("7 (a) S 1"), None);
    }
}
