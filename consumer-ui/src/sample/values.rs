//! The fields of each topic, as far as they are read. What is missing is absent, never 0.

use super::short;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Values of `host.cpu`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// Seconds of each CPU in each mode.
    pub cpus: Vec<CpuSeconds>,
    /// Share of all CPUs' time that was neither idle nor iowait.
    pub busy_ratio: Option<f64>,
}

/// Seconds that a CPU spent in each mode since boot.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CpuSeconds {
    /// The kernel's number.
    pub cpu: u32,
    /// Programs.
    pub user: f64,
    /// Programs of lowered priority.
    pub nice: f64,
    /// The kernel.
    pub system: f64,
    /// Nothing to do.
    pub idle: f64,
    /// Nothing to do while a disk was working.
    pub iowait: f64,
    /// Interrupts.
    pub irq: f64,
    /// Deferred work of interrupts.
    pub softirq: f64,
    /// Taken by the hypervisor.
    pub steal: f64,
}

impl CpuSeconds {
    /// Each mode under the name that the kernel and node_exporter give it.
    #[must_use]
    pub const fn modes(&self) -> [(&'static str, f64); 8] {
        [
            ("user", self.user),
            ("nice", self.nice),
            ("system", self.system),
            ("irq", self.irq),
            ("softirq", self.softirq),
            ("steal", self.steal),
            ("iowait", self.iowait),
            ("idle", self.idle),
        ]
    }
}

/// Values of `host.memory`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Lines of /proc/meminfo, in bytes.
    pub bytes: BTreeMap<String, f64>,
    /// Share that is not available.
    pub used_ratio: Option<f64>,
}

/// Values of `host.disk`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// Mounted filesystems.
    pub filesystems: Vec<Filesystem>,
    /// Disks.
    pub disks: Vec<DiskIo>,
}

/// A mounted filesystem.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Filesystem {
    /// What is mounted.
    #[serde(deserialize_with = "short")]
    pub device: String,
    /// Where.
    #[serde(deserialize_with = "short")]
    pub mountpoint: String,
    /// Its type.
    #[serde(deserialize_with = "short")]
    pub fstype: String,
    /// Whole size.
    pub size_bytes: Option<f64>,
    /// Free, the part reserved for root included.
    pub free_bytes: Option<f64>,
    /// Free for ordinary users.
    pub avail_bytes: Option<f64>,
    /// Inodes.
    pub files: Option<f64>,
    /// Inodes that are free.
    pub files_free: Option<f64>,
    /// Whether it is mounted read-only.
    pub readonly: bool,
    /// Whether its figures could not be had.
    pub device_error: bool,
}

impl Filesystem {
    pub(super) fn labels(&self) -> (String, String, String) {
        (
            self.device.clone(),
            self.mountpoint.clone(),
            self.fstype.clone(),
        )
    }

    /// Share in use as `df` says it: what ordinary users cannot have does not count as free.
    #[must_use]
    pub fn used_ratio(&self) -> Option<f64> {
        let avail = self.avail_bytes?;
        let used = self.size_bytes? - self.free_bytes.unwrap_or(avail);
        let usable = used + avail;
        (usable > 0.0).then(|| (used / usable).clamp(0.0, 1.0))
    }
}

/// A disk's work since boot.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DiskIo {
    /// Its name.
    #[serde(deserialize_with = "short")]
    pub device: String,
    /// Reads that ended well.
    pub reads_completed: Option<f64>,
    /// Bytes read.
    pub read_bytes: Option<f64>,
    /// Writes that ended well.
    pub writes_completed: Option<f64>,
    /// Bytes written.
    pub written_bytes: Option<f64>,
    /// Seconds during which anything was in flight.
    pub io_time_seconds: Option<f64>,
    /// Seconds times requests in flight.
    pub io_time_weighted_seconds: Option<f64>,
}

/// Values of `host.network`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Network {
    /// The host's interfaces.
    pub interfaces: Vec<Interface>,
}

/// An interface's traffic.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// Its name.
    #[serde(deserialize_with = "short")]
    pub device: String,
    /// Bytes received.
    pub receive_bytes: Option<f64>,
    /// Packets received.
    pub receive_packets: Option<f64>,
    /// Packets received damaged.
    pub receive_errs: Option<f64>,
    /// Packets received and dropped.
    pub receive_drop: Option<f64>,
    /// Bytes sent.
    pub transmit_bytes: Option<f64>,
    /// Packets sent.
    pub transmit_packets: Option<f64>,
    /// Packets that could not be sent.
    pub transmit_errs: Option<f64>,
    /// Packets dropped before they were sent.
    pub transmit_drop: Option<f64>,
    /// Speed of the link, in bytes a second.
    pub speed_bytes: Option<f64>,
}

/// Values of `host.system`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct System {
    /// Load over 1 minute.
    pub load1: Option<f64>,
    /// Over 5 minutes.
    pub load5: Option<f64>,
    /// Over 15 minutes.
    pub load15: Option<f64>,
    /// When the host booted, in seconds since the Unix epoch.
    pub boot_time_seconds: Option<f64>,
    /// Seconds since then.
    pub uptime_seconds: Option<f64>,
    /// Since boot.
    pub context_switches: Option<f64>,
    /// Since boot.
    pub interrupts: Option<f64>,
    /// Since boot.
    pub forks: Option<f64>,
    /// Processes that run or wait for a CPU.
    pub procs_running: Option<f64>,
    /// Processes that wait for I/O.
    pub procs_blocked: Option<f64>,
    /// File handles in use.
    pub filefd_allocated: Option<f64>,
    /// File handles that may be in use.
    pub filefd_maximum: Option<f64>,
    /// Time lost for want of something.
    pub pressure: Option<Pressure>,
    /// Events of the memory management.
    pub vmstat: VmStat,
    /// Whether each collector could read what it needs.
    pub collectors: BTreeMap<String, bool>,
    /// The agent's own state.
    pub agent: AgentState,
}

/// How the agent fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct AgentState {
    /// Bytes that wait for the broker.
    pub buffered_bytes: Option<f64>,
    /// Samples given up since the agent's start.
    pub dropped_samples: Option<f64>,
}

/// Time lost for want of CPU, disk or memory.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Pressure {
    /// Of CPU.
    pub cpu: PressureSeconds,
    /// Of disk.
    pub io: PressureSeconds,
    /// Of memory.
    pub memory: PressureSeconds,
}

/// Seconds since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PressureSeconds {
    /// At least one task waited.
    pub waiting_seconds: Option<f64>,
    /// All tasks waited.
    pub stalled_seconds: Option<f64>,
}

/// Lines of /proc/vmstat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct VmStat {
    /// Page faults that needed the disk.
    pub pgmajfault: Option<f64>,
    /// Processes killed for want of memory.
    pub oom_kill: Option<f64>,
    /// Pages read from swap.
    pub pswpin: Option<f64>,
    /// Pages written to swap.
    pub pswpout: Option<f64>,
}

/// Values of `host.info`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Info {
    /// What uname(2) says.
    pub uname: Uname,
    /// What os-release says.
    pub os: Os,
    /// The processor's name.
    #[serde(deserialize_with = "short")]
    pub cpu_model: String,
    /// CPUs that are online.
    pub cores: Option<u64>,
    /// The agent's version.
    #[serde(deserialize_with = "short")]
    pub agent_version: String,
}

/// What uname(2) says.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Uname {
    /// `Linux`.
    #[serde(deserialize_with = "short")]
    pub sysname: String,
    /// The host's name.
    #[serde(deserialize_with = "short")]
    pub nodename: String,
    /// The kernel's version.
    #[serde(deserialize_with = "short")]
    pub release: String,
    /// The kernel's build.
    #[serde(deserialize_with = "short")]
    pub version: String,
    /// The hardware.
    #[serde(deserialize_with = "short")]
    pub machine: String,
    /// The NIS domain.
    #[serde(deserialize_with = "short")]
    pub domainname: String,
}

/// What os-release says.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Os {
    /// For people, such as `Debian GNU/Linux`.
    #[serde(deserialize_with = "short")]
    pub name: String,
    /// Such as `12`.
    #[serde(deserialize_with = "short")]
    pub version_id: String,
    /// Such as `12 (bookworm)`.
    #[serde(deserialize_with = "short")]
    pub version: String,
    /// For people, with the version.
    #[serde(deserialize_with = "short")]
    pub pretty_name: String,
}

impl Os {
    /// Name and version in one line; `None` if neither is known.
    #[must_use]
    pub fn title(&self) -> Option<String> {
        if !self.pretty_name.is_empty() {
            return Some(self.pretty_name.clone());
        }
        let versions = [&self.version, &self.version_id];
        let version = versions.into_iter().find(|version| !version.is_empty());
        let title = format!("{} {}", self.name, version.map_or("", String::as_str));
        Some(title.trim().to_owned()).filter(|title| !title.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filesystem_is_as_full_as_df_says() {
        let filesystem = Filesystem {
            size_bytes: Some(100.0),
            free_bytes: Some(30.0),
            avail_bytes: Some(20.0),
            ..Filesystem::default()
        };
        assert_eq!(filesystem.used_ratio(), Some(70.0 / 90.0));
        assert_eq!(Filesystem::default().used_ratio(), None);
    }
}
