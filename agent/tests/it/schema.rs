//! docs/host-metrics.md names every field of every topic, and no other.

use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use weir_agent::sample::{
    AgentState, CpuSeconds, CpuValues, DiskIo, DiskValues, Filesystem, InfoValues, Interface,
    MemoryValues, NetworkValues, Pressure, PressureSeconds, Sample, SystemValues, Values, VmStat,
};
use weir_types::Timestamp;

/// Objects whose names are data.
const MAPS: &[&str] = &["bytes", "collectors", "labels"];

fn fields(prefix: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = match prefix {
                    "" => name.clone(),
                    prefix => format!("{prefix}.{name}"),
                };
                if MAPS.contains(&name.as_str()) {
                    found.insert(format!("{path}.*"));
                } else {
                    fields(&path, value, found);
                }
            }
        }
        Value::Array(items) => {
            assert!(!items.is_empty(), "{prefix} is empty");
            let path = format!("{prefix}[]");
            items.iter().for_each(|item| fields(&path, item, found));
        }
        _ => {
            found.insert(prefix.to_owned());
        }
    }
}

fn fields_of<V: Values + Serialize>(values: V) -> (String, BTreeSet<String>) {
    let sample = Sample {
        node: String::new(),
        timestamp: Timestamp(0),
        boot_id: String::new(),
        seq: 0,
        interval_seconds: 1,
        values,
    };
    let mut found = BTreeSet::new();
    fields("", &serde_json::to_value(sample).unwrap(), &mut found);
    let common = ["node", "timestamp", "boot_id", "seq", "interval_seconds"];
    common.iter().for_each(|name| assert!(found.remove(*name)));
    (V::TOPIC.name().to_owned(), found)
}

/// Every topic with every field it can have.
fn in_the_code() -> BTreeMap<String, BTreeSet<String>> {
    let waiting = PressureSeconds {
        waiting_seconds: Some(0.0),
        stalled_seconds: None,
    };
    let both = PressureSeconds {
        stalled_seconds: Some(0.0),
        ..waiting
    };
    let some = Some(0);
    let system = SystemValues {
        load1: Some(0.0),
        load5: Some(0.0),
        load15: Some(0.0),
        boot_time_seconds: some,
        uptime_seconds: Some(0.0),
        context_switches: some,
        interrupts: some,
        forks: some,
        procs_running: some,
        procs_blocked: some,
        filefd_allocated: some,
        filefd_maximum: some,
        pressure: Some(Pressure {
            cpu: waiting,
            io: both,
            memory: both,
        }),
        vmstat: VmStat {
            pgmajfault: some,
            oom_kill: some,
            pswpin: some,
            pswpout: some,
        },
        collectors: BTreeMap::new(),
        agent: AgentState::default(),
    };
    let filesystem = Filesystem {
        size_bytes: some,
        free_bytes: some,
        avail_bytes: some,
        files: some,
        files_free: some,
        ..Filesystem::default()
    };
    let interface = Interface {
        speed_bytes: some,
        ..Interface::default()
    };
    BTreeMap::from([
        fields_of(CpuValues {
            cpus: vec![CpuSeconds::default()],
            busy_ratio: Some(0.0),
        }),
        fields_of(MemoryValues {
            used_ratio: Some(0.0),
            ..MemoryValues::default()
        }),
        fields_of(DiskValues {
            filesystems: vec![filesystem],
            disks: vec![DiskIo::default()],
        }),
        fields_of(NetworkValues {
            interfaces: vec![interface],
        }),
        fields_of(system),
        fields_of(InfoValues::default()),
    ])
}

/// The first cell of every table row, by the topic in the heading above; the unit is never empty.
fn in_the_docs(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut topics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut topic = None;
    for line in page.lines() {
        if line.starts_with('#') {
            topic = line
                .split('`')
                .nth(1)
                .filter(|name| name.starts_with("host."));
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let field = cells.get(1).and_then(|cell| cell.strip_prefix('`'));
        let (Some(topic), Some(field)) = (topic, field) else {
            continue;
        };
        assert!(!cells[2].is_empty(), "{topic} {field} has no unit");
        let field = field.trim_end_matches('`').to_owned();
        assert!(
            topics
                .entry(topic.to_owned())
                .or_default()
                .insert(field.clone()),
            "{topic} {field} twice"
        );
    }
    topics
}

#[test]
fn the_docs_have_every_field_with_its_unit() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/host-metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert_eq!(in_the_docs(&page), in_the_code());
}

#[test]
fn what_is_written_can_be_read_by_the_same_types() {
    let sample = Sample {
        node: "n".into(),
        timestamp: Timestamp(7),
        boot_id: "b".into(),
        seq: 3,
        interval_seconds: 5,
        values: SystemValues {
            load1: Some(0.25),
            ..SystemValues::default()
        },
    };
    let text = serde_json::to_string(&sample).unwrap();
    let read: Sample<SystemValues> = serde_json::from_str(&text).unwrap();
    assert_eq!(read, sample);
    let of_a_later_version = text.replacen('{', "{\"news\":[1],", 1);
    let read: Sample<SystemValues> = serde_json::from_str(&of_a_later_version).unwrap();
    assert_eq!(read, sample);
}
