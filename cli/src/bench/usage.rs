//! What a process has used so far, from `/proc`.

use std::fs;

/// Clock ticks a second in `/proc/<pid>/stat`: `USER_HZ`, fixed on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the broker's process has used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BrokerUsage {
    pub(crate) cpu_seconds: f64,
    pub(crate) rss_bytes: u64,
    /// Since the process began.
    pub(crate) peak_rss_bytes: u64,
    /// Sent to the storage layer, through the page cache or around it; `None` when we may not know.
    pub(crate) disk_write_bytes: Option<u64>,
}

/// `None` when the process cannot be read.
pub(crate) fn of_broker(pid: u32) -> Option<BrokerUsage> {
    let read = |file| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    let status = read("status")?;
    Some(BrokerUsage {
        cpu_seconds: cpu_seconds(&read("stat")?)?,
        rss_bytes: field(&status, "VmRSS:")? * 1024,
        peak_rss_bytes: field(&status, "VmHWM:")? * 1024,
        disk_write_bytes: read("io").and_then(|io| field(&io, "write_bytes:")),
    })
}

/// CPU time of this process; 0 where there is no `/proc`.
pub(crate) fn own_cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    cpu_seconds(&stat).unwrap_or_default()
}

/// User and system time: fields 14 and 15. The name in field 2 may hold spaces and parentheses.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_ascii_whitespace().skip(11);
    let mut ticks = || times.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// The number behind a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0";
        assert_eq!(cpu_seconds(stat), Some(2.0));
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(field(status, "VmRSS:"), Some(1024));
        let io = "wchar: 9\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n";
        assert_eq!(field(io, "write_bytes:"), Some(4096));
        assert_eq!(field(io, "read_bytes:"), None);
    }

    #[test]
    fn we_can_read_ourselves() {
        let us = of_broker(std::process::id()).unwrap();
        assert!(us.rss_bytes > 0);
        assert!(us.peak_rss_bytes >= us.rss_bytes);
    }
}
