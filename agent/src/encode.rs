//! A sample as what is sent: a line of a native batch, or MiniMQ's messages.

use crate::sample::{
    CpuValues, DiskValues, InfoValues, MemoryValues, NetworkValues, Sample, SystemValues, Topic,
};
use bytes::Bytes;
use serde::Serialize;

/// A sample of any topic.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum AnySample {
    Cpu(Sample<CpuValues>),
    Memory(Sample<MemoryValues>),
    Disk(Sample<DiskValues>),
    Network(Sample<NetworkValues>),
    System(Sample<SystemValues>),
    Info(Sample<InfoValues>),
}

impl AnySample {
    pub(crate) fn topic(&self) -> Topic {
        match self {
            Self::Cpu(_) => Topic::Cpu,
            Self::Memory(_) => Topic::Memory,
            Self::Disk(_) => Topic::Disk,
            Self::Network(_) => Topic::Network,
            Self::System(_) => Topic::System,
            Self::Info(_) => Topic::Info,
        }
    }

    fn boot_id_and_seq(&self) -> (&str, u64) {
        match self {
            Self::Cpu(s) => (&s.boot_id, s.seq),
            Self::Memory(s) => (&s.boot_id, s.seq),
            Self::Disk(s) => (&s.boot_id, s.seq),
            Self::Network(s) => (&s.boot_id, s.seq),
            Self::System(s) => (&s.boot_id, s.seq),
            Self::Info(s) => (&s.boot_id, s.seq),
        }
    }
}

/// How samples are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `host.*` in NDJSON batches to `POST /v1/messages`.
    Weir,
    /// A number as text to `<node>-cpu`, `<node>-mem`, `<node>-disk` by `POST /produce`.
    MiniMq,
}

impl std::str::FromStr for Dialect {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "weir" => Ok(Self::Weir),
            "minimq" => Ok(Self::MiniMq),
            _ => Err("allowed are \"weir\" and \"minimq\"".to_owned()),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    key: &'a str,
    id: String,
    payload: &'a AnySample,
}

/// A line of a batch, with its newline. The id names the sample, so sending it twice stores it once.
pub(crate) fn batch_line(node: &str, sample: &AnySample) -> Bytes {
    let topic = sample.topic().name();
    let (boot_id, seq) = sample.boot_id_and_seq();
    let line = Line {
        topic,
        key: node,
        id: format!("{}/{boot_id}/{topic}/{seq}", short(node)),
        payload: sample,
    };
    // Maps with text keys and numbers: nothing that could fail.
    let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}

/// What the rest of an id needs leaves this much of the 128 bytes to the node.
const MAX_NODE_BYTES_IN_ID: usize = 56;

/// The node's name, in ids only: a long one ends in a hash of the whole.
fn short(node: &str) -> String {
    if node.len() <= MAX_NODE_BYTES_IN_ID {
        return node.to_owned();
    }
    let mut end = MAX_NODE_BYTES_IN_ID - 17;
    while !node.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{:016x}", &node[..end], fnv1a(node.as_bytes()))
}

/// Stable over versions and machines, which the standard library's hash need not be.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[derive(Serialize)]
struct MiniMqMessage<'a> {
    topic: &'a str,
    message: &'a str,
}

/// The body that tells MiniMQ's readers of this node.
pub(crate) fn minimq_node(node: &str) -> Bytes {
    minimq_body("nodes", node)
}

/// The body for a sample that MiniMQ's readers know: a percentage with two decimals.
pub(crate) fn minimq_sample(node: &str, sample: &AnySample) -> Option<Bytes> {
    let (kind, ratio) = match sample {
        AnySample::Cpu(s) => ("cpu", s.values.busy_ratio?),
        AnySample::Memory(s) => ("mem", s.values.used_ratio?),
        AnySample::Disk(s) => ("disk", root_used_ratio(&s.values)?),
        AnySample::Network(_) | AnySample::System(_) | AnySample::Info(_) => return None,
    };
    let percent = format!("{:.2}", ratio * 100.0);
    Some(minimq_body(&format!("{node}-{kind}"), &percent))
}

fn minimq_body(topic: &str, message: &str) -> Bytes {
    let message = MiniMqMessage { topic, message };
    serde_json::to_vec(&message).unwrap_or_default().into()
}

/// Of the root filesystem, else of the first whose figures are known; as df counts.
#[expect(clippy::cast_precision_loss, reason = "a percentage needs no more")]
fn root_used_ratio(disk: &DiskValues) -> Option<f64> {
    let known = || disk.filesystems.iter().filter(|f| !f.device_error);
    let root = known().find(|f| f.mountpoint == "/");
    let chosen = root.or_else(|| known().next())?;
    let used = chosen.size_bytes?.saturating_sub(chosen.free_bytes?);
    let usable = used + chosen.avail_bytes?;
    (usable > 0).then(|| used as f64 / usable as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Filesystem;
    use weir_types::{MessageId, Timestamp};

    fn sample<V>(node: &str, values: V) -> Sample<V> {
        Sample {
            node: node.to_owned(),
            timestamp: Timestamp(1_763_712_000_123),
            boot_id: "5c1f0b3e-8e37-4b59-a3e1-0c7f1f9e7a10".to_owned(),
            seq: 42,
            interval_seconds: 5,
            values,
        }
    }

    #[test]
    fn a_batch_line_names_topic_key_and_id() {
        let memory = AnySample::Memory(sample("node-1", MemoryValues::default()));
        let line = batch_line("node-1", &memory);
        assert_eq!(
            std::str::from_utf8(&line).unwrap(),
            "{\"topic\":\"host.memory\",\"key\":\"node-1\",\
             \"id\":\"node-1/5c1f0b3e-8e37-4b59-a3e1-0c7f1f9e7a10/host.memory/42\",\
             \"payload\":{\"node\":\"node-1\",\"timestamp\":1763712000123,\
             \"boot_id\":\"5c1f0b3e-8e37-4b59-a3e1-0c7f1f9e7a10\",\"seq\":42,\
             \"interval_seconds\":5,\"bytes\":{}}}\n"
        );
    }

    #[test]
    fn every_legal_node_makes_a_legal_id_of_its_own() {
        let long = "ü".repeat(128);
        let nodes = ["n", "<img src=x onerror=alert(1)>", &long, &long[2..]];
        let mut ids = std::collections::HashSet::new();
        for node in nodes {
            let mut cpu = sample(node, CpuValues::default());
            cpu.seq = u64::MAX / 1000;
            let line: serde_json::Value =
                serde_json::from_slice(&batch_line(node, &AnySample::Cpu(cpu))).unwrap();
            let id = line["id"].as_str().unwrap();
            MessageId::parse(id).unwrap();
            assert!(ids.insert(id.to_owned()), "{id} twice");
        }
    }

    #[test]
    fn minimq_gets_percentages_as_text() {
        let filesystem = |mountpoint: &str, free_bytes| Filesystem {
            mountpoint: mountpoint.to_owned(),
            size_bytes: Some(1000),
            free_bytes: Some(free_bytes),
            avail_bytes: Some(free_bytes - 100),
            ..Filesystem::default()
        };
        let disk = DiskValues {
            filesystems: vec![filesystem("/boot", 900), filesystem("/", 400)],
            disks: Vec::new(),
        };
        let body = |sample| minimq_sample("n", &sample);
        assert_eq!(
            body(AnySample::Disk(sample("n", disk))).unwrap(),
            "{\"topic\":\"n-disk\",\"message\":\"66.67\"}"
        );
        let cpu = CpuValues {
            busy_ratio: Some(0.0512),
            ..CpuValues::default()
        };
        assert_eq!(
            body(AnySample::Cpu(sample("n", cpu))).unwrap(),
            "{\"topic\":\"n-cpu\",\"message\":\"5.12\"}"
        );
        assert_eq!(
            body(AnySample::Cpu(sample("n", CpuValues::default()))),
            None
        );
        assert_eq!(
            body(AnySample::System(sample("n", SystemValues::default()))),
            None
        );
        assert_eq!(
            minimq_node("a\"b"),
            "{\"topic\":\"nodes\",\"message\":\"a\\\"b\"}"
        );
    }
}
