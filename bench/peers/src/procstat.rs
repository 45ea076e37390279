//! What the broker's processes and this generator used, from /proc.

use std::fs;

/// Clock ticks a second in `/proc/<pid>/stat`: `USER_HZ`, fixed on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Copy, Default)]
pub struct Usage {
    pub cpu_s: f64,
    pub rss_mb: f64,
    pub peak_rss_mb: f64,
    pub disk_write_mb: f64,
}

/// Makes the peak of memory count from now on.
pub fn reset_peaks(pids: &[u32]) {
    for pid in pids {
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
}

/// Sum over the processes.
pub fn usage(pids: &[u32]) -> Usage {
    pids.iter()
        .filter_map(|pid| one(*pid))
        .fold(Usage::default(), |a, b| Usage {
            cpu_s: a.cpu_s + b.cpu_s,
            rss_mb: a.rss_mb + b.rss_mb,
            peak_rss_mb: a.peak_rss_mb + b.peak_rss_mb,
            disk_write_mb: a.disk_write_mb + b.disk_write_mb,
        })
}

fn one(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command may hold spaces; the fields after its closing bracket do not.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_ascii_whitespace().skip(11);
    let mut time = || times.next()?.parse::<f64>().ok();
    let ticks = time()? + time()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    Some(Usage {
        cpu_s: ticks / TICKS_PER_SECOND,
        rss_mb: field(&status, "VmRSS:") / 1024.0,
        peak_rss_mb: field(&status, "VmHWM:") / 1024.0,
        disk_write_mb: field(&io, "write_bytes:") / 1e6,
    })
}

fn field(text: &str, name: &str) -> f64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0.0)
}

/// CPU seconds of this process so far.
pub fn own_cpu_s() -> f64 {
    one(std::process::id()).map_or(0.0, |usage| usage.cpu_s)
}
