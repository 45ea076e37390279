//! `host.system`: load, uptime, processes, file handles, pressure, memory events.
//!
//! Six sources, each for itself: one that cannot be read costs its own fields. Pressure is absent
//! without being a failure, since kernels before 4.20 and those started with `psi=0` have none.
//! procfs-core stays out here: it reads load as f32, and wants lines that older kernels lack.

use super::{CollectError, Files};
use crate::sample::{Pressure, PressureSeconds, SystemValues, VmStat};
use std::str::{FromStr, SplitAsciiWhitespace};

/// Puts what a file says into the values; `None` if it is not understood.
type Parse = fn(&str, &mut SystemValues) -> Option<()>;

/// The values that could be read, and the first failure.
pub(crate) fn collect(files: &mut Files) -> (SystemValues, Result<(), CollectError>) {
    let mut values = SystemValues::default();
    let sources: [(&str, Parse); 5] = [
        ("loadavg", parse_loadavg),
        ("uptime", parse_uptime),
        ("stat", parse_stat),
        ("sys/fs/file-nr", parse_file_nr),
        ("vmstat", parse_vmstat),
    ];
    let mut outcome = Ok(());
    for (name, parse) in sources {
        let path = files.roots.proc(name);
        let read = files.text(&path, |text| {
            parse(text, &mut values).ok_or_else(|| format!("it begins with {:.40?}", text))
        });
        outcome = outcome.and(read);
    }
    match pressure(files) {
        Ok(pressure) => values.pressure = pressure,
        Err(error) => outcome = outcome.and(Err(error)),
    }
    (values, outcome)
}

fn next<T: FromStr>(words: &mut SplitAsciiWhitespace<'_>) -> Option<T> {
    words.next()?.parse().ok()
}

/// `0.20 0.18 0.12 1/80 11206`
fn parse_loadavg(text: &str, values: &mut SystemValues) -> Option<()> {
    let mut words = text.split_ascii_whitespace();
    values.load1 = Some(next(&mut words)?);
    values.load5 = Some(next(&mut words)?);
    values.load15 = Some(next(&mut words)?);
    Some(())
}

/// `350735.47 234388.90`
fn parse_uptime(text: &str, values: &mut SystemValues) -> Option<()> {
    values.uptime_seconds = Some(next(&mut text.split_ascii_whitespace())?);
    Some(())
}

/// `1024 0 9223372036854775807`: allocated, unused, maximum.
fn parse_file_nr(text: &str, values: &mut SystemValues) -> Option<()> {
    let mut words = text.split_ascii_whitespace();
    values.filefd_allocated = Some(next(&mut words)?);
    let _unused_since_2_6: u64 = next(&mut words)?;
    values.filefd_maximum = Some(next(&mut words)?);
    Some(())
}

/// The lines of /proc/stat after the CPUs.
fn parse_stat(text: &str, values: &mut SystemValues) -> Option<()> {
    for line in text.lines().filter(|line| !line.starts_with("cpu")) {
        let mut words = line.split_ascii_whitespace();
        let field = match words.next() {
            Some("intr") => &mut values.interrupts,
            Some("ctxt") => &mut values.context_switches,
            Some("btime") => &mut values.boot_time_seconds,
            Some("processes") => &mut values.forks,
            Some("procs_running") => &mut values.procs_running,
            Some("procs_blocked") => &mut values.procs_blocked,
            _ => continue,
        };
        *field = Some(next(&mut words)?);
    }
    values.boot_time_seconds.map(|_| ())
}

fn parse_vmstat(text: &str, values: &mut SystemValues) -> Option<()> {
    let mut vmstat = VmStat::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let field = match words.next() {
            Some("pgmajfault") => &mut vmstat.pgmajfault,
            Some("oom_kill") => &mut vmstat.oom_kill,
            Some("pswpin") => &mut vmstat.pswpin,
            Some("pswpout") => &mut vmstat.pswpout,
            _ => continue,
        };
        *field = Some(next(&mut words)?);
    }
    values.vmstat = vmstat;
    Some(())
}

fn pressure(files: &mut Files) -> Result<Option<Pressure>, CollectError> {
    let mut read = |resource: &str| {
        let path = files.roots.proc("pressure").join(resource);
        match files.text(&path, parse_pressure) {
            Ok(seconds) => Ok(Some(seconds)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    };
    let Some(mut cpu) = read("cpu")? else {
        return Ok(None);
    };
    // Of all CPUs together, nothing ever waits for want of CPU: the kernel writes 0 there.
    cpu.stalled_seconds = None;
    let (io, memory) = (read("io")?, read("memory")?);
    Ok(Some(Pressure {
        cpu,
        io: io.unwrap_or_default(),
        memory: memory.unwrap_or_default(),
    }))
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=12345`, likewise `full`; microseconds.
fn parse_pressure(text: &str) -> Result<PressureSeconds, String> {
    let total = |kind: &str| -> Option<f64> {
        let line = text.lines().find(|line| line.starts_with(kind))?;
        let micros: f64 = line.rsplit_once("total=")?.1.trim().parse().ok()?;
        Some(micros / 1e6)
    };
    let waiting_seconds = total("some");
    if waiting_seconds.is_none() {
        return Err("there is no line \"some … total=\"".to_owned());
    }
    Ok(PressureSeconds {
        waiting_seconds,
        stalled_seconds: total("full"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collectors::fixtures;

    fn collected(machine: &str) -> (SystemValues, Result<(), CollectError>) {
        collect(&mut Files {
            roots: fixtures::roots(machine),
            buffer: Vec::new(),
        })
    }

    #[test]
    fn every_recorded_machine_is_understood() {
        for machine in fixtures::MACHINES {
            let (values, outcome) = collected(machine);
            outcome.unwrap();
            let all = [
                values.boot_time_seconds,
                values.context_switches,
                values.interrupts,
                values.forks,
                values.procs_running,
                values.procs_blocked,
                values.filefd_allocated,
                values.filefd_maximum,
                values.vmstat.pgmajfault,
            ];
            assert!(all.iter().all(Option::is_some), "{machine}: {values:?}");
            assert!(values.load15.is_some() && values.uptime_seconds.is_some());
        }
    }

    #[test]
    fn pressure_is_seconds_and_absent_on_old_kernels() {
        let (values, _) = collected("k8s-pod");
        let expected = Pressure {
            cpu: PressureSeconds {
                waiting_seconds: Some(81_236.286_6),
                stalled_seconds: None,
            },
            io: PressureSeconds {
                waiting_seconds: Some(1_812.5),
                stalled_seconds: Some(1_500.25),
            },
            memory: PressureSeconds {
                waiting_seconds: Some(3.0),
                stalled_seconds: Some(2.5),
            },
        };
        assert_eq!(values.pressure, Some(expected));
        assert_eq!(collected("old-kernel").0.pressure, None);
        assert_eq!(collected("old-kernel").0.vmstat.oom_kill, None);
    }

    #[test]
    fn cpu_pressure_of_linux_4_20_has_one_line() {
        let (values, outcome) = collected("nfs-server");
        outcome.unwrap();
        assert_eq!(values.pressure.unwrap().cpu.waiting_seconds, Some(12.5));
    }

    #[test]
    fn one_bad_source_costs_only_its_own_fields() {
        let proc = tempfile::tempdir().unwrap();
        std::fs::write(proc.path().join("loadavg"), "much\n").unwrap();
        std::fs::write(proc.path().join("uptime"), "12.5 3.0\n").unwrap();
        let mut files = Files {
            roots: crate::roots::Roots {
                procfs: proc.path().into(),
                ..Default::default()
            },
            buffer: Vec::new(),
        };
        let (values, outcome) = collect(&mut files);
        assert_eq!(values.uptime_seconds, Some(12.5));
        assert_eq!(values.load1, None);
        let error = outcome.unwrap_err().to_string();
        assert!(
            error.contains("loadavg") && error.contains("much"),
            "{error}"
        );
    }
}
