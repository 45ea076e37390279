//! `host.cpu`: each CPU's time by mode, and how busy all of them are.
//!
//! The modes come from /proc/stat by our own parser: procfs-core numbers CPUs by their place in the
//! file, which is wrong as soon as one is offline. The busy share is sysinfo's.

use super::{CollectError, Files};
use crate::sample::{CpuSeconds, CpuValues};
use std::collections::HashMap;
use sysinfo::System;

/// Idle time that falls by more than this means that the CPU was taken out and came back; its
/// counters began anew.
const RESET_SECONDS: f64 = 3.0;

/// What must be remembered between two samples.
#[derive(Debug)]
pub(crate) struct Cpu {
    /// `None` where sysinfo does not work at all.
    system: Option<System>,
    busy: Busy,
    last: HashMap<u32, CpuSeconds>,
    ticks_per_second: f64,
}

/// sysinfo needs two looks before it knows a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Busy {
    Unknown,
    Known,
}

impl Cpu {
    pub(crate) fn new() -> Self {
        Self {
            system: System::new().ok(),
            busy: Busy::Unknown,
            last: HashMap::new(),
            ticks_per_second: ticks_per_second(),
        }
    }

    pub(crate) fn collect(&mut self, files: &mut Files) -> Result<CpuValues, CollectError> {
        let path = files.roots.proc("stat");
        let ticks_per_second = self.ticks_per_second;
        let mut cpus = files.text(&path, |stat| parse(stat, ticks_per_second))?;
        for cpu in &mut cpus {
            let last = self.last.entry(cpu.cpu).or_default();
            *cpu = not_less(cpu, last);
            *last = *cpu;
        }
        Ok(CpuValues {
            cpus,
            busy_ratio: self.busy_ratio(),
        })
    }

    fn busy_ratio(&mut self) -> Option<f64> {
        let system = self.system.as_mut()?;
        system.refresh_cpu_usage();
        let before = std::mem::replace(&mut self.busy, Busy::Known);
        let percent = f64::from(system.global_cpu_usage());
        let ratio = (percent * 100.0).round() / 10_000.0;
        (before == Busy::Known && ratio.is_finite()).then_some(ratio.clamp(0.0, 1.0))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number around 100")]
fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// The lines `cpu<N> user nice system idle iowait irq softirq steal …` of /proc/stat.
pub(crate) fn parse(stat: &str, ticks_per_second: f64) -> Result<Vec<CpuSeconds>, String> {
    let lines = stat.lines().take_while(|line| line.starts_with("cpu"));
    let cpus = lines.filter(|line| !line.starts_with("cpu "));
    let cpus: Vec<CpuSeconds> = cpus
        .map(|line| parse_cpu(line, ticks_per_second).ok_or_else(|| format!("the line {line:?}")))
        .collect::<Result<_, _>>()?;
    if cpus.is_empty() {
        return Err("no line begins with \"cpu0\" or another CPU".to_owned());
    }
    Ok(cpus)
}

fn parse_cpu(line: &str, ticks_per_second: f64) -> Option<CpuSeconds> {
    let mut words = line.strip_prefix("cpu")?.split_ascii_whitespace();
    let cpu = words.next()?.parse().ok()?;
    let mut seconds = || -> Option<f64> {
        // Kernels before 2.6.11 have fewer columns; so have sandboxes that imitate one.
        let ticks: f64 = words.next().map_or(Some(0.0), |word| word.parse().ok())?;
        Some(ticks / ticks_per_second)
    };
    Some(CpuSeconds {
        cpu,
        user: seconds()?,
        nice: seconds()?,
        system: seconds()?,
        idle: seconds()?,
        iowait: seconds()?,
        irq: seconds()?,
        softirq: seconds()?,
        steal: seconds()?,
    })
}

/// The kernel lets iowait, and sometimes idle, run backwards for a moment, which downstream would
/// look like a reset of the counter.
fn not_less(now: &CpuSeconds, last: &CpuSeconds) -> CpuSeconds {
    if last.idle - now.idle > RESET_SECONDS {
        return *now;
    }
    CpuSeconds {
        cpu: now.cpu,
        user: now.user.max(last.user),
        nice: now.nice.max(last.nice),
        system: now.system.max(last.system),
        idle: now.idle.max(last.idle),
        iowait: now.iowait.max(last.iowait),
        irq: now.irq.max(last.irq),
        softirq: now.softirq.max(last.softirq),
        steal: now.steal.max(last.steal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collectors::fixtures;

    #[test]
    fn every_recorded_machine_has_its_cpus() {
        let counts = fixtures::MACHINES.iter().map(|machine| {
            let stat = fixtures::read(machine, "proc/stat");
            (*machine, parse(&stat, 100.0).unwrap().len())
        });
        let expected = [
            ("firecracker", 2),
            ("k8s-pod", 8),
            ("nfs-server", 4),
            ("old-kernel", 2),
            ("plain-vm", 3),
        ];
        assert_eq!(counts.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn modes_are_seconds_in_the_kernels_order() {
        let cpus = parse(
            "cpu  9\ncpu1 100 20 3 4000 50 6 7 8 900 10\nintr 5\n",
            100.0,
        )
        .unwrap();
        let expected = CpuSeconds {
            cpu: 1,
            user: 1.0,
            nice: 0.2,
            system: 0.03,
            idle: 40.0,
            iowait: 0.5,
            irq: 0.06,
            softirq: 0.07,
            steal: 0.08,
        };
        assert_eq!(cpus, [expected]);
    }

    #[test]
    fn an_offline_cpu_leaves_the_others_their_numbers() {
        let stat = fixtures::read("plain-vm", "proc/stat");
        let cpus = parse(&stat, 100.0).unwrap();
        assert_eq!(cpus.iter().map(|c| c.cpu).collect::<Vec<_>>(), [0, 2, 3]);
    }

    #[test]
    fn nonsense_is_refused() {
        for stat in ["", "intr 5\n", "cpu  1 2 3\n", "cpu0 1 x 3\n", "cpuX 1\n"] {
            assert!(parse(stat, 100.0).is_err(), "{stat:?}");
        }
    }

    #[test]
    fn counters_do_not_run_backwards_unless_the_cpu_came_back() {
        let last = CpuSeconds {
            idle: 100.0,
            iowait: 5.0,
            ..CpuSeconds::default()
        };
        let wobble = CpuSeconds {
            idle: 99.0,
            iowait: 4.0,
            user: 1.0,
            ..last
        };
        let kept = not_less(&wobble, &last);
        assert_eq!((kept.idle, kept.iowait, kept.user), (100.0, 5.0, 1.0));
        let anew = CpuSeconds {
            idle: 1.0,
            ..CpuSeconds::default()
        };
        assert_eq!(not_less(&anew, &last), anew);
    }
}
