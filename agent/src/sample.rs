//! What goes over the wire: one JSON object a sample, keyed by node.
//!
//! | topic | values | how often |
//! |---|---|---|
//! | `host.cpu` | [`CpuValues`] | every second |
//! | `host.memory` | [`MemoryValues`] | every 5 seconds |
//! | `host.disk` | [`DiskValues`] | every 5 seconds |
//! | `host.network` | [`NetworkValues`] | every 5 seconds |
//! | `host.system` | [`SystemValues`] | every 5 seconds |
//! | `host.info` | [`InfoValues`] | at start and hourly |
//!
//! Counters are raw and count since the host's boot; rates are computed downstream, so that late or
//! replayed samples stay right. What cannot be read is absent, never 0. Fields may be added, not
//! renamed. docs/host-metrics.md has every field with its unit; a test holds it to these types.
//! This module needs nothing of the agent, so that readers of the topics can use it too.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use weir_types::Timestamp;

/// What one topic's samples carry besides the common fields.
pub trait Values: Serialize {
    /// The topic they are published to.
    const TOPIC: Topic;
}

/// The agent's topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// `host.cpu`
    Cpu,
    /// `host.memory`
    Memory,
    /// `host.disk`
    Disk,
    /// `host.network`
    Network,
    /// `host.system`
    System,
    /// `host.info`
    Info,
}

impl Topic {
    /// Every topic, in the order in which one tick's samples are sent. `host.system` comes last of
    /// the periodic ones because it tells how the other collectors fared.
    pub const ALL: [Self; 6] = [
        Self::Info,
        Self::Cpu,
        Self::Memory,
        Self::Disk,
        Self::Network,
        Self::System,
    ];

    /// The topic's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "host.cpu",
            Self::Memory => "host.memory",
            Self::Disk => "host.disk",
            Self::Network => "host.network",
            Self::System => "host.system",
            Self::Info => "host.info",
        }
    }
}

/// One sample: who, when, which, and the values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample<V> {
    /// The node's name, also the message's key.
    pub node: String,
    /// When the values were read, in milliseconds since the Unix epoch.
    pub timestamp: Timestamp,
    /// The kernel's id of this boot; empty where it cannot be read.
    pub boot_id: String,
    /// The time slot since boot, `floor(uptime / interval)`: one sample a slot, so a gap in `seq`
    /// is exactly the number of missing samples, also across restarts of the agent.
    /// `host.info` counts slots of the shortest interval.
    pub seq: u64,
    /// Seconds between two samples.
    pub interval_seconds: u64,
    /// The topic's own fields, beside the common ones.
    #[serde(flatten)]
    pub values: V,
}

/// Values of `host.cpu`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuValues {
    /// One row for each CPU that is online.
    pub cpus: Vec<CpuSeconds>,
    /// Share of all CPUs' time since the last sample that was neither idle nor iowait; absent in an
    /// agent's first sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_ratio: Option<f64>,
}

/// Seconds that a CPU spent in each mode since boot. They never decrease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuSeconds {
    /// The kernel's number of the CPU; numbers of offline CPUs are missing.
    pub cpu: u32,
    /// Programs, guests included.
    pub user: f64,
    /// Programs of lowered priority.
    pub nice: f64,
    /// The kernel.
    pub system: f64,
    /// Nothing to do.
    pub idle: f64,
    /// Nothing to do while a disk was working for this CPU.
    pub iowait: f64,
    /// Hardware interrupts.
    pub irq: f64,
    /// Deferred work of interrupts.
    pub softirq: f64,
    /// Taken by the hypervisor.
    pub steal: f64,
}

/// Values of `host.memory`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryValues {
    /// Lines of /proc/meminfo under the kernel's names, in bytes.
    pub bytes: BTreeMap<String, u64>,
    /// `1 - MemAvailable / MemTotal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_ratio: Option<f64>,
}

/// Values of `host.disk`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DiskValues {
    /// The host's real filesystems, each once.
    pub filesystems: Vec<Filesystem>,
    /// Whole disks, without partitions.
    pub disks: Vec<DiskIo>,
}

/// A mounted filesystem.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Filesystem {
    /// What is mounted, such as `/dev/sda1`.
    pub device: String,
    /// Where, as the host sees it.
    pub mountpoint: String,
    /// Its type, such as `ext4`.
    pub fstype: String,
    /// Whole size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Free, the part reserved for root included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// Free for ordinary users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avail_bytes: Option<u64>,
    /// Inodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Inodes that are free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_free: Option<u64>,
    /// Whether it is mounted read-only.
    pub readonly: bool,
    /// Whether its figures could not be had: no permission, not visible from here, or stuck. The
    /// figures are absent then.
    pub device_error: bool,
}

/// A disk's work since boot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DiskIo {
    /// Its name, such as `nvme0n1`.
    pub device: String,
    /// Reads that ended well.
    pub reads_completed: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Writes that ended well.
    pub writes_completed: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Seconds during which anything was in flight.
    pub io_time_seconds: f64,
    /// Seconds times requests in flight.
    pub io_time_weighted_seconds: f64,
}

/// Values of `host.network`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkValues {
    /// The host's interfaces, without those of containers.
    pub interfaces: Vec<Interface>,
}

/// An interface's traffic since it came up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name, such as `eth0`.
    pub device: String,
    /// Bytes received.
    pub receive_bytes: u64,
    /// Packets received.
    pub receive_packets: u64,
    /// Packets received damaged.
    pub receive_errs: u64,
    /// Packets received and dropped.
    pub receive_drop: u64,
    /// Bytes sent.
    pub transmit_bytes: u64,
    /// Packets sent.
    pub transmit_packets: u64,
    /// Packets that could not be sent.
    pub transmit_errs: u64,
    /// Packets dropped before they were sent.
    pub transmit_drop: u64,
    /// Speed of the link in bytes a second, where the driver knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_bytes: Option<u64>,
}

/// Values of `host.system`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemValues {
    /// Processes that run or want to, on average over 1 minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load1: Option<f64>,
    /// Over 5 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load5: Option<f64>,
    /// Over 15 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load15: Option<f64>,
    /// When the host booted, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_time_seconds: Option<u64>,
    /// Seconds since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_seconds: Option<f64>,
    /// Context switches since boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_switches: Option<u64>,
    /// Interrupts since boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupts: Option<u64>,
    /// Processes made since boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forks: Option<u64>,
    /// Processes that run or wait for a CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub procs_running: Option<u64>,
    /// Processes that wait for I/O.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub procs_blocked: Option<u64>,
    /// File handles in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filefd_allocated: Option<u64>,
    /// File handles that may be in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filefd_maximum: Option<u64>,
    /// Time lost for want of something; absent on kernels without PSI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<Pressure>,
    /// Events of the memory management.
    #[serde(default)]
    pub vmstat: VmStat,
    /// Whether each collector could read what it needs.
    #[serde(default)]
    pub collectors: BTreeMap<String, bool>,
    /// The agent's own state.
    #[serde(default)]
    pub agent: AgentState,
}

/// Time lost for want of CPU, disk or memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// Of CPU; it has no `stalled_seconds`.
    #[serde(default)]
    pub cpu: PressureSeconds,
    /// Of disk.
    #[serde(default)]
    pub io: PressureSeconds,
    /// Of memory.
    #[serde(default)]
    pub memory: PressureSeconds,
}

/// Seconds since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PressureSeconds {
    /// At least one task waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_seconds: Option<f64>,
    /// All tasks waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled_seconds: Option<f64>,
}

/// Lines of /proc/vmstat; those that the kernel lacks are absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VmStat {
    /// Page faults that needed the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pgmajfault: Option<u64>,
    /// Processes killed for want of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_kill: Option<u64>,
    /// Pages read from swap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pswpin: Option<u64>,
    /// Pages written to swap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pswpout: Option<u64>,
}

/// How the agent itself fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentState {
    /// Bytes that wait for the broker.
    pub buffered_bytes: u64,
    /// Samples given up since the agent's start because they found no room or were refused.
    pub dropped_samples: u64,
}

/// Values of `host.info`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InfoValues {
    /// What uname(2) says.
    pub uname: Uname,
    /// What os-release says of the host.
    pub os: Os,
    /// The processor's name; empty where the kernel does not tell.
    pub cpu_model: String,
    /// CPUs that are online.
    pub cores: u64,
    /// The agent's version.
    pub agent_version: String,
    /// Given by the operator.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// What uname(2) says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uname {
    /// `Linux`.
    pub sysname: String,
    /// The host's name; the node's name where the agent looks at the host from a container.
    pub nodename: String,
    /// The kernel's version.
    pub release: String,
    /// The kernel's build.
    pub version: String,
    /// The hardware, such as `x86_64`.
    pub machine: String,
    /// The NIS domain.
    pub domainname: String,
}

/// What os-release says. Empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// For programs, such as `debian`.
    pub id: String,
    /// For people, such as `Debian GNU/Linux`.
    pub name: String,
    /// Such as `12`.
    pub version_id: String,
    /// For people, with the version.
    pub pretty_name: String,
}

macro_rules! topic_of {
    ($($values:ident => $topic:ident),*) => {
        $(impl Values for $values { const TOPIC: Topic = Topic::$topic; })*
    };
}
topic_of!(CpuValues => Cpu, MemoryValues => Memory, DiskValues => Disk,
          NetworkValues => Network, SystemValues => System, InfoValues => Info);
