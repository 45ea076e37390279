//! What agents publish, as far as this program reads it.
//!
//! Own structs, not the agent's: any agent of any version may write, so unknown fields are passed
//! over and whatever is missing is absent. Only a sample without node or timestamp, or with a
//! value of another type, is refused. Every list and every text is cut to a bound, so that no producer can fill the memory.

mod values;

pub use values::{
    AgentState, Cpu, CpuSeconds, Disk, DiskIo, Filesystem, Info, Interface, Memory, Network, Os,
    Pressure, PressureSeconds, System, Uname, VmStat,
};

use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use thiserror::Error;

const MAX_TEXT_BYTES: usize = 256;
const MAX_CPUS: usize = 512;
const MAX_DEVICES: usize = 128;
const MAX_COLLECTORS: usize = 32;
const MAX_INTERVAL_SECONDS: f64 = 86_400.0;

/// The lines of /proc/meminfo that are kept; all others are passed over.
pub const MEMORY_NAMES: [&str; 12] = [
    "MemTotal",
    "MemFree",
    "MemAvailable",
    "Buffers",
    "Cached",
    "SReclaimable",
    "Slab",
    "PageTables",
    "SwapTotal",
    "SwapFree",
    "SwapCached",
    "HardwareCorrupted",
];

/// The agents' topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostTopic {
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

impl HostTopic {
    /// Every topic.
    pub const ALL: [Self; 6] = [
        Self::Cpu,
        Self::Memory,
        Self::Disk,
        Self::Network,
        Self::System,
        Self::Info,
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

/// Why a message is no sample.
#[derive(Debug, Error)]
pub enum NoSample {
    /// Not the JSON that samples are made of.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// `node` is empty or longer than 256 bytes.
    #[error("`node` has {0} bytes; allowed are 1 to {MAX_TEXT_BYTES}")]
    NodeName(usize),
}

/// One sample: who, when, which, and the values.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The node's name.
    pub node: String,
    /// When the values were read by the node's clock, in milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// Rises by one with each sample of a topic; a gap is exactly what is missing. The number of
    /// the interval since 1970 where the producer gives none.
    pub seq: u64,
    /// Milliseconds between two samples of the topic.
    pub interval_ms: u64,
    /// The topic's own fields.
    pub values: Values,
    /// List entries that did not fit into the bounds.
    pub cut: usize,
}

/// The fields of each topic.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// `host.cpu`
    Cpu(Cpu),
    /// `host.memory`
    Memory(Memory),
    /// `host.disk`
    Disk(Disk),
    /// `host.network`
    Network(Network),
    /// `host.system`
    System(Box<System>),
    /// `host.info`
    Info(Box<Info>),
}

#[derive(Deserialize)]
struct Envelope {
    node: String,
    timestamp: u64,
    #[serde(default)]
    boot_id: String,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    interval_seconds: Option<f64>,
}

impl Sample {
    /// Reads a payload of `topic`.
    ///
    /// # Errors
    /// [`NoSample`]; count it and go on.
    pub fn parse(topic: HostTopic, payload: &str) -> Result<Self, NoSample> {
        let common: Envelope = serde_json::from_str(payload)?;
        let Envelope { node, boot_id, .. } = common;
        if node.is_empty() || node.len() > MAX_TEXT_BYTES {
            return Err(NoSample::NodeName(node.len()));
        }
        let (values, cut) = read_values(topic, payload)?;
        let interval_seconds = common.interval_seconds.unwrap_or(topic.usual_interval());
        let interval_ms = milliseconds(interval_seconds);
        Ok(Self {
            node,
            timestamp: common.timestamp,
            boot_id: bounded(boot_id),
            seq: common.seq.unwrap_or(common.timestamp / interval_ms),
            interval_ms,
            values,
            cut,
        })
    }
}

impl HostTopic {
    const fn usual_interval(self) -> f64 {
        match self {
            Self::Cpu => 1.0,
            Self::Info => 3_600.0,
            _ => 5.0,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a day before"
)]
fn milliseconds(seconds: f64) -> u64 {
    (seconds.clamp(0.001, MAX_INTERVAL_SECONDS) * 1_000.0) as u64
}

fn read_values(topic: HostTopic, payload: &str) -> Result<(Values, usize), serde_json::Error> {
    Ok(match topic {
        HostTopic::Cpu => {
            let mut cpu: Cpu = serde_json::from_str(payload)?;
            let cut = cut(&mut cpu.cpus, MAX_CPUS, |cpu| cpu.cpu);
            (Values::Cpu(cpu), cut)
        }
        HostTopic::Memory => {
            let mut memory: Memory = serde_json::from_str(payload)?;
            memory
                .bytes
                .retain(|name, _| MEMORY_NAMES.contains(&name.as_str()));
            (Values::Memory(memory), 0)
        }
        HostTopic::Disk => {
            let mut disk: Disk = serde_json::from_str(payload)?;
            let filesystems = cut(&mut disk.filesystems, MAX_DEVICES, Filesystem::labels);
            let disks = cut(&mut disk.disks, MAX_DEVICES, |disk| disk.device.clone());
            let cut = filesystems + disks;
            (Values::Disk(disk), cut)
        }
        HostTopic::Network => {
            let mut network: Network = serde_json::from_str(payload)?;
            let cut = cut(&mut network.interfaces, MAX_DEVICES, |one| {
                one.device.clone()
            });
            (Values::Network(network), cut)
        }
        HostTopic::System => {
            let mut system: Box<System> = serde_json::from_str(payload)?;
            let cut = system.collectors.len().saturating_sub(MAX_COLLECTORS);
            let names = std::mem::take(&mut system.collectors).into_iter();
            let kept = names.take(MAX_COLLECTORS);
            system.collectors = kept.map(|(name, ok)| (bounded(name), ok)).collect();
            (Values::System(system), cut)
        }
        HostTopic::Info => (Values::Info(serde_json::from_str(payload)?), 0),
    })
}

/// Drops what is beyond `most` or has the name of an earlier one; how many were. One series twice
/// would make Prometheus refuse the page of all hosts.
fn cut<T, N: Ord>(list: &mut Vec<T>, most: usize, name: impl Fn(&T) -> N) -> usize {
    let before = list.len();
    list.truncate(most);
    let mut names = BTreeSet::new();
    list.retain(|one| names.insert(name(one)));
    before - list.len()
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        let end = (0..=MAX_TEXT_BYTES)
            .rev()
            .find(|&at| text.is_char_boundary(at));
        text.truncate(end.unwrap_or(0));
    }
    text
}

fn short<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(bounded(
        Option::deserialize(deserializer)?.unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_passed_over_and_missing_ones_absent() {
        let payload = r#"{"node":"a","timestamp":5,"seq":1,"new":[1],"load1":0.5}"#;
        let sample = Sample::parse(HostTopic::System, payload).unwrap();
        let Values::System(system) = sample.values else {
            panic!("another topic's values");
        };
        assert_eq!((system.load1, system.load5), (Some(0.5), None));
        assert_eq!(sample.interval_ms, 5_000);
    }

    #[test]
    fn a_sample_needs_a_node_and_a_time() {
        for payload in [
            "{}",
            "[]",
            r#"{"node":"","timestamp":1}"#,
            r#"{"node":"a"}"#,
        ] {
            assert!(Sample::parse(HostTopic::Cpu, payload).is_err(), "{payload}");
        }
    }

    #[test]
    fn lists_and_texts_are_cut_to_their_bounds() {
        let disk = |n: usize| format!(r#"{{"device":"{n:03}{}"}}"#, "ä".repeat(300));
        let disks: Vec<_> = (0..MAX_DEVICES + 3).map(disk).collect();
        let disks = disks.join(",");
        let payload = format!(r#"{{"node":"a","timestamp":1,"disks":[{disks}]}}"#);
        let sample = Sample::parse(HostTopic::Disk, &payload).unwrap();
        let Values::Disk(disk) = &sample.values else {
            panic!("another topic's values");
        };
        assert_eq!((disk.disks.len(), sample.cut), (MAX_DEVICES, 3));
        assert_eq!(disk.disks[0].device.len(), MAX_TEXT_BYTES - 1);
    }

    #[test]
    fn what_is_named_twice_counts_once() {
        let payload =
            r#"{"node":"a","timestamp":1,"cpus":[{"cpu":0,"user":1},{"cpu":0,"user":2}]}"#;
        let sample = Sample::parse(HostTopic::Cpu, payload).unwrap();
        let Values::Cpu(cpu) = &sample.values else {
            panic!("another topic's values");
        };
        assert_eq!((cpu.cpus.len(), cpu.cpus[0].user, sample.cut), (1, 1.0, 1));
    }
}
