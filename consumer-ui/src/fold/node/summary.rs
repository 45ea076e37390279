//! What the page is told of a node.

use super::super::charts::ChartId;
use super::super::history::WINDOW_MS;
use super::super::shapes::{Chart, FilesystemRow, NodeInfo, NodePage, NodeSummary};
use super::Node;
use crate::sample::{Disk, Filesystem, HostTopic, Info, Memory, System, Values};

impl Node {
    /// The node's row of the fleet page.
    pub(in crate::fold) fn summary(&self, now: u64) -> NodeSummary {
        let (memory, system, info) = (self.memory(), self.system(), self.info());
        let fullest = self.fullest_filesystem();
        NodeSummary {
            node: self.name.clone(),
            state: self.state(now),
            last_seen: self.last_seen,
            cpu_busy_ratio: self.rates.cpu_busy_ratio,
            memory_used_ratio: memory.and_then(used_memory),
            memory_total_bytes: memory
                .and_then(|memory| whole(memory.bytes.get("MemTotal").copied())),
            disk_used_ratio: fullest.map(|(ratio, _)| ratio),
            disk_mountpoint: fullest.map(|(_, filesystem)| filesystem.mountpoint.clone()),
            network_receive_bytes_per_second: self.rates.receive_bytes_per_second,
            network_transmit_bytes_per_second: self.rates.transmit_bytes_per_second,
            load1: system.and_then(|system| system.load1),
            uptime_seconds: system.and_then(|system| system.uptime_seconds),
            cores: self.cores(),
            os: info.and_then(|info| info.os.title()),
            agent_version: info.map(|info| info.agent_version.clone()),
            missed_samples: self.missed_samples,
            failed_collectors: system.map(failed_collectors).unwrap_or_default(),
            buffered_bytes: system.and_then(|system| whole(system.agent.buffered_bytes)),
            dropped_samples: system.and_then(|system| whole(system.agent.dropped_samples)),
        }
    }

    /// The node's own page.
    pub(in crate::fold) fn page(&self, now: u64) -> NodePage {
        NodePage {
            now,
            summary: self.summary(now),
            info: self.info().map(|info| self.describe(info)),
            filesystems: self.disk().map(filesystem_rows).unwrap_or_default(),
            charts: ChartId::ALL.iter().map(|&id| self.chart(id, now)).collect(),
        }
    }

    fn chart(&self, id: ChartId, now: u64) -> Chart {
        let (time, lines) = self.charts[id as usize].read(now.saturating_sub(WINDOW_MS));
        Chart {
            id: id.id(),
            title: id.title(),
            unit: id.unit(),
            stacked: id.stacked(),
            time,
            lines,
        }
    }

    fn describe(&self, info: &Info) -> NodeInfo {
        let kernel = format!("{} {}", info.uname.sysname, info.uname.release);
        NodeInfo {
            kernel: kernel.trim().to_owned(),
            os: info.os.title().unwrap_or_default(),
            cpu_model: info.cpu_model.clone(),
            cores: self.cores(),
            boot_id: self.boot_id.clone(),
            agent_version: info.agent_version.clone(),
        }
    }

    fn cores(&self) -> Option<u64> {
        let said = self.info().and_then(|info| info.cores);
        said.or_else(|| match self.values(HostTopic::Cpu)? {
            Values::Cpu(cpu) => Some(cpu.cpus.len() as u64),
            _ => None,
        })
    }

    fn fullest_filesystem(&self) -> Option<(f64, &Filesystem)> {
        let ratios = self.disk()?.filesystems.iter();
        let ratios = ratios.filter(|one| !one.readonly);
        let ratios = ratios.filter_map(|one| Some((one.used_ratio()?, one)));
        ratios.max_by(|one, other| one.0.total_cmp(&other.0))
    }

    fn values(&self, topic: HostTopic) -> Option<&Values> {
        let latest = self.latest[topic as usize].as_ref();
        latest.map(|latest| &latest.values)
    }

    fn memory(&self) -> Option<&Memory> {
        match self.values(HostTopic::Memory)? {
            Values::Memory(memory) => Some(memory),
            _ => None,
        }
    }

    fn disk(&self) -> Option<&Disk> {
        match self.values(HostTopic::Disk)? {
            Values::Disk(disk) => Some(disk),
            _ => None,
        }
    }

    fn system(&self) -> Option<&System> {
        match self.values(HostTopic::System)? {
            Values::System(system) => Some(system),
            _ => None,
        }
    }

    fn info(&self) -> Option<&Info> {
        match self.values(HostTopic::Info)? {
            Values::Info(info) => Some(info),
            _ => None,
        }
    }
}

fn used_memory(memory: &Memory) -> Option<f64> {
    let of = |name: &str| memory.bytes.get(name).copied();
    let (total, available) = (of("MemTotal"), of("MemAvailable"));
    let own = total.zip(available).filter(|(total, _)| *total > 0.0);
    let own = own.map(|(total, available)| (1.0 - available / total).clamp(0.0, 1.0));
    memory.used_ratio.or(own)
}

fn failed_collectors(system: &System) -> Vec<String> {
    let failed = system.collectors.iter().filter(|(_, success)| !**success);
    failed.map(|(name, _)| name.clone()).collect()
}

fn filesystem_rows(disk: &Disk) -> Vec<FilesystemRow> {
    let row = |one: &Filesystem| FilesystemRow {
        mountpoint: one.mountpoint.clone(),
        device: one.device.clone(),
        fstype: one.fstype.clone(),
        size_bytes: whole(one.size_bytes),
        avail_bytes: whole(one.avail_bytes),
        used_ratio: one.used_ratio(),
    };
    disk.filesystems.iter().map(row).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and bytes are never negative"
)]
fn whole(number: Option<f64>) -> Option<u64> {
    number.map(|number| number as u64)
}
