//! Half of `host.disk`: what each whole disk has done, from /proc/diskstats by procfs-core.

use super::{CollectError, Files};
use crate::sample::DiskIo;
use procfs_core::DiskStat;

/// The kernel counts in these, whatever the disk's own sectors.
const SECTOR_BYTES: u64 = 512;

pub(crate) fn collect(files: &mut Files) -> Result<Vec<DiskIo>, CollectError> {
    let path = files.roots.proc("diskstats");
    files.text(&path, parse)
}

/// The whole disks among the lines.
pub(crate) fn parse(diskstats: &str) -> Result<Vec<DiskIo>, String> {
    let named = |line: &&str| line.split_ascii_whitespace().nth(2).is_some_and(is_disk);
    let lines = diskstats.lines().filter(named);
    lines
        .map(|line| {
            let disk = DiskStat::from_line(line).map_err(|_| format!("the line {line:?}"))?;
            Ok(emit(disk))
        })
        .collect()
}

fn emit(disk: DiskStat) -> DiskIo {
    DiskIo {
        device: disk.name,
        reads_completed: disk.reads,
        read_bytes: disk.sectors_read.saturating_mul(SECTOR_BYTES),
        writes_completed: disk.writes,
        written_bytes: disk.sectors_written.saturating_mul(SECTOR_BYTES),
        io_time_seconds: seconds(disk.time_in_progress),
        io_time_weighted_seconds: seconds(disk.weighted_time_in_progress),
    }
}

#[expect(clippy::cast_precision_loss, reason = "285,000 years in milliseconds")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// Whether this is a disk and not a partition, a RAM disk, a loop device or a floppy; node_exporter
/// draws the same line.
fn is_disk(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == name.len() {
        return true;
    }
    if matches!(stem, "ram" | "zram" | "loop" | "fd") {
        return false;
    }
    let lettered = ["hd", "sd", "vd", "xvd"].iter().any(|kind| {
        let letters = stem.strip_prefix(kind);
        letters.is_some_and(|l| !l.is_empty() && l.bytes().all(|b| b.is_ascii_lowercase()))
    });
    let numbered = ["nvme", "mmcblk", "nbd"]
        .iter()
        .any(|kind| stem.starts_with(kind) && stem.ends_with('p'));
    !lettered && !numbered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collectors::fixtures;

    #[test]
    fn partitions_and_their_like_are_no_disks() {
        for disk in [
            "sda", "sdaa", "vda", "xvdf", "nvme0n1", "mmcblk0", "dm-0", "md127", "sr0", "nbd1",
            "rbd0",
        ] {
            assert!(is_disk(disk), "{disk}");
        }
        for other in [
            "sda1",
            "sdaa12",
            "vda1",
            "xvdf1",
            "hda2",
            "nvme0n1p1",
            "mmcblk0p2",
            "nbd1p1",
            "ram0",
            "zram0",
            "loop7",
            "fd0",
        ] {
            assert!(!is_disk(other), "{other}");
        }
    }

    #[test]
    fn recorded_machines_have_their_disks() {
        let disks = |machine| -> Vec<String> {
            let disks = parse(&fixtures::read(machine, "proc/diskstats")).unwrap();
            disks.into_iter().map(|disk| disk.device).collect()
        };
        assert_eq!(disks("firecracker"), ["vda"]);
        assert_eq!(disks("k8s-pod"), ["nvme0n1", "nvme1n1"]);
        assert_eq!(
            disks("nfs-server"),
            ["sda", "sdb", "sdc", "dm-0", "dm-1", "md127"]
        );
        assert_eq!(disks("old-kernel"), ["sda"]);
    }

    #[test]
    fn sectors_become_bytes_and_milliseconds_seconds() {
        let line = "   8 0 sda 10 1 20 30 40 2 50 60 0 7500 90250\n";
        let expected = DiskIo {
            device: "sda".into(),
            reads_completed: 10,
            read_bytes: 10_240,
            writes_completed: 40,
            written_bytes: 25_600,
            io_time_seconds: 7.5,
            io_time_weighted_seconds: 90.25,
        };
        assert_eq!(parse(line), Ok(vec![expected]));
        assert!(parse("8 0 sda 10 x\n").is_err());
    }
}
