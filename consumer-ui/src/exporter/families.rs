//! Every family, with node_exporter's name, type and help; dashboards and alerts speak them.

use super::{Family, Host, Lines};
use crate::sample::{DiskIo, Filesystem, Interface, Pressure, System};

pub(super) const FAMILIES: &[Family] = &[
    gauge(
        "agent_up",
        "Whether the agent of a node sent samples lately.",
        |host, lines| lines.put(&[], Some(f64::from(u8::from(host.is_up)))),
    ),
    gauge(
        "agent_last_seen_timestamp_seconds",
        "When the broker last got a sample of the node.",
        |host, lines| lines.put(&[], Some(host.last_seen as f64 / 1_000.0)),
    ),
    gauge(
        "agent_collector_success",
        "Whether a collector of the agent could read what it needs.",
        collectors,
    ),
    gauge(
        "agent_buffered_bytes",
        "Bytes that wait in the agent for the broker.",
        |host, lines| {
            system(host, lines, |system| system.agent.buffered_bytes);
        },
    ),
    counter(
        "agent_dropped_samples_total",
        "Samples that the agent gave up.",
        |host, lines| {
            system(host, lines, |system| system.agent.dropped_samples);
        },
    ),
    gauge(
        "node_uname_info",
        "Labeled system information as provided by the uname system call.",
        uname,
    ),
    gauge(
        "node_time_seconds",
        "System time in seconds since epoch (1970).",
        |host, lines| lines.put(&[], host.read_at.map(|read_at| read_at as f64 / 1_000.0)),
    ),
    counter(
        "node_cpu_seconds_total",
        "Seconds the CPUs spent in each mode.",
        cpu_seconds,
    ),
    gauge("node_load1", "1m load average.", |host, lines| {
        system(host, lines, |system| system.load1);
    }),
    gauge("node_load5", "5m load average.", |host, lines| {
        system(host, lines, |system| system.load5);
    }),
    gauge("node_load15", "15m load average.", |host, lines| {
        system(host, lines, |system| system.load15);
    }),
    gauge(
        "node_memory_MemTotal_bytes",
        "Memory information field MemTotal_bytes.",
        |host, lines| memory(host, lines, "MemTotal"),
    ),
    gauge(
        "node_memory_MemFree_bytes",
        "Memory information field MemFree_bytes.",
        |host, lines| memory(host, lines, "MemFree"),
    ),
    gauge(
        "node_memory_MemAvailable_bytes",
        "Memory information field MemAvailable_bytes.",
        |host, lines| memory(host, lines, "MemAvailable"),
    ),
    gauge(
        "node_memory_Buffers_bytes",
        "Memory information field Buffers_bytes.",
        |host, lines| memory(host, lines, "Buffers"),
    ),
    gauge(
        "node_memory_Cached_bytes",
        "Memory information field Cached_bytes.",
        |host, lines| memory(host, lines, "Cached"),
    ),
    gauge(
        "node_memory_SReclaimable_bytes",
        "Memory information field SReclaimable_bytes.",
        |host, lines| memory(host, lines, "SReclaimable"),
    ),
    gauge(
        "node_memory_Slab_bytes",
        "Memory information field Slab_bytes.",
        |host, lines| memory(host, lines, "Slab"),
    ),
    gauge(
        "node_memory_PageTables_bytes",
        "Memory information field PageTables_bytes.",
        |host, lines| memory(host, lines, "PageTables"),
    ),
    gauge(
        "node_memory_SwapTotal_bytes",
        "Memory information field SwapTotal_bytes.",
        |host, lines| memory(host, lines, "SwapTotal"),
    ),
    gauge(
        "node_memory_SwapFree_bytes",
        "Memory information field SwapFree_bytes.",
        |host, lines| memory(host, lines, "SwapFree"),
    ),
    gauge(
        "node_memory_SwapCached_bytes",
        "Memory information field SwapCached_bytes.",
        |host, lines| memory(host, lines, "SwapCached"),
    ),
    gauge(
        "node_memory_HardwareCorrupted_bytes",
        "Memory information field HardwareCorrupted_bytes.",
        |host, lines| memory(host, lines, "HardwareCorrupted"),
    ),
    gauge(
        "node_filesystem_size_bytes",
        "Filesystem size in bytes.",
        |host, lines| filesystems(host, lines, |filesystem| filesystem.size_bytes),
    ),
    gauge(
        "node_filesystem_free_bytes",
        "Filesystem free space in bytes.",
        |host, lines| filesystems(host, lines, |filesystem| filesystem.free_bytes),
    ),
    gauge(
        "node_filesystem_avail_bytes",
        "Filesystem space available to non-root users in bytes.",
        |host, lines| filesystems(host, lines, |filesystem| filesystem.avail_bytes),
    ),
    gauge(
        "node_filesystem_files",
        "Filesystem total file nodes.",
        |host, lines| filesystems(host, lines, |filesystem| filesystem.files),
    ),
    gauge(
        "node_filesystem_files_free",
        "Filesystem total free file nodes.",
        |host, lines| filesystems(host, lines, |filesystem| filesystem.files_free),
    ),
    gauge(
        "node_filesystem_readonly",
        "Filesystem read-only status.",
        |host, lines| filesystems(host, lines, |filesystem| Some(flag(filesystem.readonly))),
    ),
    gauge(
        "node_filesystem_device_error",
        "Whether an error occurred while getting statistics for the given device.",
        |host, lines| {
            filesystems(host, lines, |one| Some(flag(one.device_error)));
        },
    ),
    counter(
        "node_disk_read_bytes_total",
        "The total number of bytes read successfully.",
        |host, lines| disks(host, lines, |disk| disk.read_bytes),
    ),
    counter(
        "node_disk_written_bytes_total",
        "The total number of bytes written successfully.",
        |host, lines| disks(host, lines, |disk| disk.written_bytes),
    ),
    counter(
        "node_disk_reads_completed_total",
        "The total number of reads completed successfully.",
        |host, lines| disks(host, lines, |disk| disk.reads_completed),
    ),
    counter(
        "node_disk_writes_completed_total",
        "The total number of writes completed successfully.",
        |host, lines| disks(host, lines, |disk| disk.writes_completed),
    ),
    counter(
        "node_disk_io_time_seconds_total",
        "Total seconds spent doing I/Os.",
        |host, lines| disks(host, lines, |disk| disk.io_time_seconds),
    ),
    counter(
        "node_disk_io_time_weighted_seconds_total",
        "The weighted # of seconds spent doing I/Os.",
        |host, lines| disks(host, lines, |disk| disk.io_time_weighted_seconds),
    ),
    counter(
        "node_network_receive_bytes_total",
        "Network device statistic receive_bytes.",
        |host, lines| interfaces(host, lines, |interface| interface.receive_bytes),
    ),
    counter(
        "node_network_receive_packets_total",
        "Network device statistic receive_packets.",
        |host, lines| interfaces(host, lines, |interface| interface.receive_packets),
    ),
    counter(
        "node_network_receive_errs_total",
        "Network device statistic receive_errs.",
        |host, lines| interfaces(host, lines, |interface| interface.receive_errs),
    ),
    counter(
        "node_network_receive_drop_total",
        "Network device statistic receive_drop.",
        |host, lines| interfaces(host, lines, |interface| interface.receive_drop),
    ),
    counter(
        "node_network_transmit_bytes_total",
        "Network device statistic transmit_bytes.",
        |host, lines| interfaces(host, lines, |interface| interface.transmit_bytes),
    ),
    counter(
        "node_network_transmit_packets_total",
        "Network device statistic transmit_packets.",
        |host, lines| interfaces(host, lines, |interface| interface.transmit_packets),
    ),
    counter(
        "node_network_transmit_errs_total",
        "Network device statistic transmit_errs.",
        |host, lines| interfaces(host, lines, |interface| interface.transmit_errs),
    ),
    counter(
        "node_network_transmit_drop_total",
        "Network device statistic transmit_drop.",
        |host, lines| interfaces(host, lines, |interface| interface.transmit_drop),
    ),
    gauge(
        "node_network_speed_bytes",
        "Network device property: speed_bytes.",
        |host, lines| interfaces(host, lines, |interface| interface.speed_bytes),
    ),
    counter(
        "node_pressure_cpu_waiting_seconds_total",
        "Total time in seconds that processes have waited for CPU time.",
        |host, lines| pressure(host, lines, |pressure| pressure.cpu.waiting_seconds),
    ),
    counter(
        "node_pressure_io_waiting_seconds_total",
        "Total time in seconds that processes have waited due to IO congestion.",
        |host, lines| pressure(host, lines, |pressure| pressure.io.waiting_seconds),
    ),
    counter(
        "node_pressure_io_stalled_seconds_total",
        "Total time in seconds no process could make progress due to IO congestion.",
        |host, lines| pressure(host, lines, |pressure| pressure.io.stalled_seconds),
    ),
    counter(
        "node_pressure_memory_waiting_seconds_total",
        "Total time in seconds that processes have waited for memory.",
        |host, lines| pressure(host, lines, |pressure| pressure.memory.waiting_seconds),
    ),
    counter(
        "node_pressure_memory_stalled_seconds_total",
        "Total time in seconds no process could make progress due to memory congestion.",
        |host, lines| pressure(host, lines, |pressure| pressure.memory.stalled_seconds),
    ),
    untyped(
        "node_vmstat_pgmajfault",
        "/proc/vmstat information field pgmajfault.",
        |host, lines| system(host, lines, |system| system.vmstat.pgmajfault),
    ),
    untyped(
        "node_vmstat_oom_kill",
        "/proc/vmstat information field oom_kill.",
        |host, lines| system(host, lines, |system| system.vmstat.oom_kill),
    ),
    untyped(
        "node_vmstat_pswpin",
        "/proc/vmstat information field pswpin.",
        |host, lines| system(host, lines, |system| system.vmstat.pswpin),
    ),
    untyped(
        "node_vmstat_pswpout",
        "/proc/vmstat information field pswpout.",
        |host, lines| system(host, lines, |system| system.vmstat.pswpout),
    ),
    counter(
        "node_context_switches_total",
        "Total number of context switches.",
        |host, lines| system(host, lines, |system| system.context_switches),
    ),
    counter(
        "node_intr_total",
        "Total number of interrupts serviced.",
        |host, lines| system(host, lines, |system| system.interrupts),
    ),
    counter(
        "node_forks_total",
        "Total number of forks.",
        |host, lines| system(host, lines, |system| system.forks),
    ),
    gauge(
        "node_procs_running",
        "Number of processes in runnable state.",
        |host, lines| system(host, lines, |system| system.procs_running),
    ),
    gauge(
        "node_procs_blocked",
        "Number of processes blocked waiting for I/O to complete.",
        |host, lines| system(host, lines, |system| system.procs_blocked),
    ),
    gauge(
        "node_filefd_allocated",
        "File descriptor statistics: allocated.",
        |host, lines| system(host, lines, |system| system.filefd_allocated),
    ),
    gauge(
        "node_filefd_maximum",
        "File descriptor statistics: maximum.",
        |host, lines| system(host, lines, |system| system.filefd_maximum),
    ),
    gauge(
        "node_boot_time_seconds",
        "Node boot time, in unixtime.",
        |host, lines| system(host, lines, |system| system.boot_time_seconds),
    ),
];

type Write = fn(&Host<'_>, &mut Lines<'_>);

const fn family(
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    write: Write,
) -> Family {
    Family {
        name,
        kind,
        help,
        write,
    }
}

const fn gauge(name: &'static str, help: &'static str, write: Write) -> Family {
    family(name, "gauge", help, write)
}

const fn counter(name: &'static str, help: &'static str, write: Write) -> Family {
    family(name, "counter", help, write)
}

const fn untyped(name: &'static str, help: &'static str, write: Write) -> Family {
    family(name, "untyped", help, write)
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

fn collectors(host: &Host<'_>, lines: &mut Lines<'_>) {
    for (collector, &success) in host.system.iter().flat_map(|system| &system.collectors) {
        lines.put(&[("collector", collector)], Some(flag(success)));
    }
}

fn uname(host: &Host<'_>, lines: &mut Lines<'_>) {
    if let Some(info) = host.info {
        let uname = &info.uname;
        let labels = [
            ("domainname", uname.domainname.as_str()),
            ("machine", &uname.machine),
            ("nodename", &uname.nodename),
            ("release", &uname.release),
            ("sysname", &uname.sysname),
            ("version", &uname.version),
        ];
        lines.put(&labels, Some(1.0));
    }
}

fn cpu_seconds(host: &Host<'_>, lines: &mut Lines<'_>) {
    for cpu in host.cpu.iter().flat_map(|cpu| &cpu.cpus) {
        let number = cpu.cpu.to_string();
        for (mode, seconds) in cpu.modes() {
            lines.put(&[("cpu", &number), ("mode", mode)], Some(seconds));
        }
    }
}

fn memory(host: &Host<'_>, lines: &mut Lines<'_>, name: &str) {
    let bytes = host.memory.and_then(|memory| memory.bytes.get(name));
    lines.put(&[], bytes.copied());
}

fn system(host: &Host<'_>, lines: &mut Lines<'_>, value: fn(&System) -> Option<f64>) {
    lines.put(&[], host.system.and_then(value));
}

fn pressure(host: &Host<'_>, lines: &mut Lines<'_>, value: fn(&Pressure) -> Option<f64>) {
    let pressure = host.system.and_then(|system| system.pressure.as_ref());
    lines.put(&[], pressure.and_then(value));
}

fn filesystems(host: &Host<'_>, lines: &mut Lines<'_>, value: fn(&Filesystem) -> Option<f64>) {
    for filesystem in host.disk.iter().flat_map(|disk| &disk.filesystems) {
        let labels = [
            ("device", filesystem.device.as_str()),
            ("mountpoint", &filesystem.mountpoint),
            ("fstype", &filesystem.fstype),
        ];
        lines.put(&labels, value(filesystem));
    }
}

fn disks(host: &Host<'_>, lines: &mut Lines<'_>, value: fn(&DiskIo) -> Option<f64>) {
    for disk in host.disk.iter().flat_map(|disk| &disk.disks) {
        lines.put(&[("device", &disk.device)], value(disk));
    }
}

fn interfaces(host: &Host<'_>, lines: &mut Lines<'_>, value: fn(&Interface) -> Option<f64>) {
    for interface in host.network.iter().flat_map(|network| &network.interfaces) {
        lines.put(&[("device", &interface.device)], value(interface));
    }
}
