//! `host.memory`: /proc/meminfo under the kernel's names, in bytes.

use super::{CollectError, Files};
use crate::sample::MemoryValues;
use std::collections::BTreeMap;

/// The lines that are sent. Those that a kernel lacks are absent.
const SENT: &[&str] = &[
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

pub(crate) fn collect(files: &mut Files) -> Result<MemoryValues, CollectError> {
    let path = files.roots.proc("meminfo");
    let bytes = files.text(&path, parse)?;
    let used_ratio = used_ratio(&bytes);
    Ok(MemoryValues { bytes, used_ratio })
}

/// The lines `Name:  <number> kB` that are sent.
pub(crate) fn parse(meminfo: &str) -> Result<BTreeMap<String, u64>, String> {
    let mut bytes = BTreeMap::new();
    for line in meminfo.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if SENT.contains(&name) {
            let value = parse_value(value).ok_or_else(|| format!("the line {line:?}"))?;
            bytes.insert(name.to_owned(), value);
        }
    }
    if !bytes.contains_key("MemTotal") {
        return Err("there is no MemTotal".to_owned());
    }
    Ok(bytes)
}

fn parse_value(value: &str) -> Option<u64> {
    let mut words = value.split_ascii_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    match words.next() {
        None => Some(number),
        Some("kB") => number.checked_mul(1024),
        Some(_) => None,
    }
}

/// Before Linux 3.14, which brought MemAvailable, the best guess is what can be given up.
#[expect(clippy::cast_precision_loss, reason = "a ratio needs no more")]
fn used_ratio(bytes: &BTreeMap<String, u64>) -> Option<f64> {
    let get = |name| bytes.get(name).copied();
    let total = get("MemTotal").filter(|total| *total > 0)?;
    let available = get("MemAvailable").or_else(|| {
        let reclaimable = get("SReclaimable").unwrap_or(0);
        Some(get("MemFree")? + get("Buffers")? + get("Cached")? + reclaimable)
    })?;
    let ratio = 1.0 - available.min(total) as f64 / total as f64;
    Some((ratio * 10_000.0).round() / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collectors::fixtures;

    #[test]
    fn every_recorded_machine_has_memory() {
        for machine in fixtures::MACHINES {
            let bytes = parse(&fixtures::read(machine, "proc/meminfo")).unwrap();
            let used = used_ratio(&bytes).unwrap();
            assert!((0.0..1.0).contains(&used), "{machine}: {used}");
        }
    }

    #[test]
    fn kilobytes_become_bytes_and_other_lines_stay_out() {
        let meminfo = "MemTotal:  1000 kB\nMemAvailable: 250 kB\nHugePages_Total: 3\n";
        let bytes = parse(meminfo).unwrap();
        assert_eq!(bytes.len(), 2);
        assert_eq!(bytes["MemTotal"], 1_024_000);
        assert_eq!(used_ratio(&bytes), Some(0.75));
    }

    #[test]
    fn an_old_kernel_without_memavailable_still_has_a_ratio() {
        let bytes = parse(&fixtures::read("old-kernel", "proc/meminfo")).unwrap();
        assert!(!bytes.contains_key("MemAvailable"));
        assert!(used_ratio(&bytes).is_some());
    }

    #[test]
    fn nonsense_is_refused() {
        for meminfo in [
            "",
            "MemFree: 1 kB\n",
            "MemTotal: x kB\n",
            "MemTotal: 1 MB\n",
        ] {
            assert!(parse(meminfo).is_err(), "{meminfo:?}");
        }
    }
}
