//! Which charts a node has, and which points a sample adds to them.
//!
//! Rates are differences of raw counters, so only two samples of one boot make one; a counter that
//! fell counts as standing still.

use super::history::Row;
use super::shapes::Unit;
use crate::sample::{
    Cpu, CpuSeconds, Disk, DiskIo, Interface, Memory, Network, Pressure, System, Values,
};

/// The charts of a node, in the order of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChartId {
    Cpu,
    CpuCores,
    Memory,
    Load,
    Network,
    DiskIo,
    DiskBusy,
    Filesystem,
    Pressure,
}

impl ChartId {
    pub(super) const COUNT: usize = 9;
    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::Cpu,
        Self::CpuCores,
        Self::Memory,
        Self::Load,
        Self::Network,
        Self::DiskIo,
        Self::DiskBusy,
        Self::Filesystem,
        Self::Pressure,
    ];

    pub(super) const fn id(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::CpuCores => "cpu_cores",
            Self::Memory => "memory",
            Self::Load => "load",
            Self::Network => "network",
            Self::DiskIo => "disk_io",
            Self::DiskBusy => "disk_busy",
            Self::Filesystem => "filesystem",
            Self::Pressure => "pressure",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::CpuCores => "CPU by core",
            Self::Memory => "Memory",
            Self::Load => "Load",
            Self::Network => "Network",
            Self::DiskIo => "Disk I/O",
            Self::DiskBusy => "Disk busy",
            Self::Filesystem => "Filesystems used",
            Self::Pressure => "Pressure: time lost waiting",
        }
    }

    pub(super) const fn unit(self) -> Unit {
        match self {
            Self::Memory => Unit::Bytes,
            Self::Load => Unit::Load,
            Self::Network | Self::DiskIo => Unit::BytesPerSecond,
            _ => Unit::Ratio,
        }
    }

    pub(super) const fn stacked(self) -> bool {
        matches!(self, Self::Cpu | Self::Memory)
    }
}

/// The sample before, and how many seconds ago it was taken.
pub(super) type Before<'a, V> = Option<(&'a V, f64)>;

/// What a sample says about the time since the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct Points {
    pub(super) rows: Vec<(ChartId, Row)>,
    pub(super) rates: Rates,
}

/// Figures of the fleet page that only two samples give.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) cpu_busy_ratio: Option<f64>,
    pub(super) receive_bytes_per_second: Option<f64>,
    pub(super) transmit_bytes_per_second: Option<f64>,
}

/// The points that `values` adds.
pub(super) fn points(before: Before<'_, Values>, values: &Values) -> Points {
    match values {
        Values::Cpu(cpu) => match before {
            Some((Values::Cpu(earlier), _)) => cpu_points(Some(earlier), cpu),
            _ => cpu_points(None, cpu),
        },
        Values::Memory(memory) => only(vec![(ChartId::Memory, memory_row(memory))]),
        Values::Disk(disk) => only(match before {
            Some((Values::Disk(earlier), seconds)) => disk_rows(Some((earlier, seconds)), disk),
            _ => disk_rows(None, disk),
        }),
        Values::Network(network) => match before {
            Some((Values::Network(earlier), seconds)) => {
                network_points(Some((earlier, seconds)), network)
            }
            _ => network_points(None, network),
        },
        Values::System(system) => only(match before {
            Some((Values::System(earlier), seconds)) => {
                system_rows(Some((earlier, seconds)), system)
            }
            _ => system_rows(None, system),
        }),
        Values::Info(_) => Points::default(),
    }
}

fn only(rows: Vec<(ChartId, Row)>) -> Points {
    Points {
        rows,
        rates: Rates::default(),
    }
}

fn cpu_points(before: Option<&Cpu>, cpu: &Cpu) -> Points {
    let spent: Vec<(u32, Spent)> = cpu
        .cpus
        .iter()
        .map(|now| (now.cpu, Spent::between(earlier_cpu(before, now.cpu), now)))
        .collect();
    let all = spent
        .iter()
        .fold(Spent::default(), |sum, (_, one)| sum.plus(one));
    let modes = MODES.iter().enumerate();
    let modes = modes.map(|(mode, name)| ((*name).to_owned(), all.ratio(mode)));
    let cores = spent.iter();
    let cores = cores.map(|(number, spent)| (format!("cpu{number}"), spent.busy_ratio()));
    Points {
        rows: vec![
            (ChartId::Cpu, modes.collect()),
            (ChartId::CpuCores, cores.collect()),
        ],
        rates: Rates {
            cpu_busy_ratio: all.busy_ratio().or(cpu.busy_ratio),
            ..Rates::default()
        },
    }
}

fn earlier_cpu(before: Option<&Cpu>, number: u32) -> Option<&CpuSeconds> {
    before?.cpus.iter().find(|cpu| cpu.cpu == number)
}

/// The modes that are shown, in the order of [`CpuSeconds::modes`]; idle is what is left.
const MODES: [&str; 7] = [
    "user", "nice", "system", "irq", "softirq", "steal", "iowait",
];
const IOWAIT: usize = 6;
const IDLE: usize = 7;

/// Seconds spent in each mode between two samples.
#[derive(Clone, Copy, Debug, Default)]
struct Spent([f64; 8]);

impl Spent {
    /// Nothing, if there is no earlier sample of this CPU.
    fn between(earlier: Option<&CpuSeconds>, now: &CpuSeconds) -> Self {
        let Some(earlier) = earlier else {
            return Self::default();
        };
        let (earlier, now) = (earlier.modes(), now.modes());
        // The kernel's idle and iowait can fall by a little.
        Self(std::array::from_fn(|mode| {
            (now[mode].1 - earlier[mode].1).max(0.0)
        }))
    }

    fn plus(self, other: &Self) -> Self {
        Self(std::array::from_fn(|mode| self.0[mode] + other.0[mode]))
    }

    fn total(&self) -> f64 {
        self.0.iter().sum()
    }

    fn ratio(&self, mode: usize) -> Option<f64> {
        let total = self.total();
        (total > 0.0).then(|| round_ratio(self.0[mode] / total))
    }

    fn busy_ratio(&self) -> Option<f64> {
        let total = self.total();
        (total > 0.0).then(|| round_ratio(1.0 - (self.0[IDLE] + self.0[IOWAIT]) / total))
    }
}

fn memory_row(memory: &Memory) -> Row {
    let bytes = |name: &str| memory.bytes.get(name).copied();
    let cached = bytes("Cached").map(|cached| cached + bytes("SReclaimable").unwrap_or(0.0));
    let (buffers, free) = (bytes("Buffers"), bytes("MemFree"));
    let used = bytes("MemTotal").zip(free).map(|(total, free)| {
        (total - free - buffers.unwrap_or(0.0) - cached.unwrap_or(0.0)).max(0.0)
    });
    [
        ("used", used),
        ("buffers", buffers),
        ("cached", cached),
        ("free", free),
    ]
    .map(|(label, value)| (label.to_owned(), value))
    .to_vec()
}

fn disk_rows(before: Before<'_, Disk>, disk: &Disk) -> Vec<(ChartId, Row)> {
    let (mut io, mut busy) = (Row::new(), Row::new());
    for now in &disk.disks {
        let earlier = before.and_then(|(disk, seconds)| {
            let same = disk.disks.iter().find(|one| one.device == now.device)?;
            Some((same, seconds))
        });
        let rate = |value: fn(&DiskIo) -> Option<f64>| per_second(earlier, now, value);
        io.push((format!("{} read", now.device), rate(|disk| disk.read_bytes)));
        io.push((
            format!("{} written", now.device),
            rate(|disk| disk.written_bytes),
        ));
        let ratio = rate(|disk| disk.io_time_seconds).map(|busy| round_ratio(busy.min(1.0)));
        busy.push((now.device.clone(), ratio));
    }
    let used = disk.filesystems.iter();
    let used = used.map(|one| (one.mountpoint.clone(), one.used_ratio().map(round_ratio)));
    vec![
        (ChartId::DiskIo, io),
        (ChartId::DiskBusy, busy),
        (ChartId::Filesystem, used.collect()),
    ]
}

fn network_points(before: Before<'_, Network>, network: &Network) -> Points {
    let mut row = Row::new();
    let (mut received, mut sent) = (None, None);
    for now in &network.interfaces {
        let earlier = before.and_then(|(network, seconds)| {
            let same = network
                .interfaces
                .iter()
                .find(|one| one.device == now.device)?;
            Some((same, seconds))
        });
        let receive = per_second(earlier, now, |one: &Interface| one.receive_bytes);
        let transmit = per_second(earlier, now, |one: &Interface| one.transmit_bytes);
        if is_outward(&now.device) {
            received = sum(received, receive);
            sent = sum(sent, transmit);
        }
        row.push((format!("{} receive", now.device), receive.map(f64::round)));
        row.push((format!("{} transmit", now.device), transmit.map(f64::round)));
    }
    Points {
        rows: vec![(ChartId::Network, row)],
        rates: Rates {
            cpu_busy_ratio: None,
            receive_bytes_per_second: received,
            transmit_bytes_per_second: sent,
        },
    }
}

/// Whether traffic of an interface is the host's with others: through a bridge it would count
/// twice, on the loopback it never leaves.
fn is_outward(device: &str) -> bool {
    let inward = ["docker", "br-", "virbr", "cni", "flannel"];
    device != "lo" && !inward.iter().any(|prefix| device.starts_with(prefix))
}

fn system_rows(before: Before<'_, System>, system: &System) -> Vec<(ChartId, Row)> {
    let load = [
        ("load1", system.load1),
        ("load5", system.load5),
        ("load15", system.load15),
    ];
    let load = load
        .map(|(label, value)| (label.to_owned(), value))
        .to_vec();
    let mut rows = vec![(ChartId::Load, load)];
    if let Some(pressure) = &system.pressure {
        let earlier =
            before.and_then(|(system, seconds)| Some((system.pressure.as_ref()?, seconds)));
        let ratio = |value: fn(&Pressure) -> Option<f64>| {
            per_second(earlier, pressure, value).map(|ratio| round_ratio(ratio.min(1.0)))
        };
        let row = [
            (
                "cpu waiting",
                ratio(|pressure| pressure.cpu.waiting_seconds),
            ),
            ("io waiting", ratio(|pressure| pressure.io.waiting_seconds)),
            ("io stalled", ratio(|pressure| pressure.io.stalled_seconds)),
            (
                "memory waiting",
                ratio(|pressure| pressure.memory.waiting_seconds),
            ),
            (
                "memory stalled",
                ratio(|pressure| pressure.memory.stalled_seconds),
            ),
        ];
        let row = row.map(|(label, value)| (label.to_owned(), value)).to_vec();
        rows.push((ChartId::Pressure, row));
    }
    rows
}

fn per_second<V>(before: Before<'_, V>, now: &V, value: fn(&V) -> Option<f64>) -> Option<f64> {
    let (earlier, seconds) = before?;
    let increase = value(now)? - value(earlier)?;
    Some(increase.max(0.0) / seconds)
}

fn sum(all: Option<f64>, one: Option<f64>) -> Option<f64> {
    one.map(|one| all.unwrap_or(0.0) + one).or(all)
}

/// Four digits are more than a chart shows, and keep what goes to the page short.
fn round_ratio(ratio: f64) -> f64 {
    (ratio.clamp(0.0, 1.0) * 10_000.0).round() / 10_000.0
}
