use super::*;
use crate::fold::View;
use crate::sample::{HostTopic, Sample};
use std::collections::BTreeSet;

const NOW: u64 = 1_700_000_010_000;

/// One sample of each topic, as an agent publishes them.
const SAMPLES: [(HostTopic, &str); 6] = [
    (
        HostTopic::Cpu,
        r#""cpus":[{"cpu":0,"user":10.5,"nice":0,"system":3.25,"idle":100.75,"iowait":0.5,"irq":0,"softirq":0.125,"steal":0}]"#,
    ),
    (
        HostTopic::Memory,
        r#""bytes":{"MemTotal":8589934592,"MemFree":1,"MemAvailable":2,"Buffers":3,"Cached":4,"SReclaimable":5,"Slab":6,"PageTables":7,"SwapTotal":8,"SwapFree":9,"SwapCached":10,"HardwareCorrupted":0,"Dirty":1}"#,
    ),
    (
        HostTopic::Disk,
        r#""filesystems":[{"device":"/dev/sda1","mountpoint":"/","fstype":"ext4","size_bytes":100,"free_bytes":50,"avail_bytes":40,"files":10,"files_free":5,"readonly":false,"device_error":false},{"device":"nas:/x","mountpoint":"/mnt/\"a\\b","fstype":"nfs","readonly":true,"device_error":true}],"disks":[{"device":"sda","reads_completed":1,"read_bytes":512,"writes_completed":2,"written_bytes":1024,"io_time_seconds":0.25,"io_time_weighted_seconds":0.5}]"#,
    ),
    (
        HostTopic::Network,
        r#""interfaces":[{"device":"eth0","receive_bytes":1,"receive_packets":2,"receive_errs":3,"receive_drop":4,"transmit_bytes":5,"transmit_packets":6,"transmit_errs":7,"transmit_drop":8,"speed_bytes":125000000}]"#,
    ),
    (
        HostTopic::System,
        r#""load1":0.5,"load5":0.25,"load15":0.125,"boot_time_seconds":1699990000,"uptime_seconds":10.5,"context_switches":1,"interrupts":2,"forks":3,"procs_running":4,"procs_blocked":5,"filefd_allocated":6,"filefd_maximum":9223372036854775807,"pressure":{"cpu":{"waiting_seconds":1.5},"io":{"waiting_seconds":2.5,"stalled_seconds":3.5},"memory":{"waiting_seconds":0,"stalled_seconds":0}},"vmstat":{"pgmajfault":1,"oom_kill":0,"pswpin":2,"pswpout":3},"collectors":{"cpu":true,"network":false},"agent":{"buffered_bytes":0,"dropped_samples":2}"#,
    ),
    (
        HostTopic::Info,
        r#""uname":{"sysname":"Linux","release":"6.1.0","version":"1 SMP","machine":"x86_64","nodename":"a","domainname":"(none)"},"os":{"pretty_name":"Debian GNU/Linux 12"},"cpu_model":"CPU","cores":1,"agent_version":"0.1.0""#,
    ),
];

fn view(nodes: &[&str]) -> View {
    let mut view = View::default();
    for node in nodes {
        for (topic, fields) in SAMPLES {
            let node = serde_json::to_string(node).unwrap();
            let payload = format!(
                r#"{{"node":{node},"timestamp":{NOW},"boot_id":"b","seq":1,"interval_seconds":5,{fields}}}"#
            );
            let sample = Sample::parse(topic, &payload).unwrap();
            view.apply(sample, NOW, NOW);
        }
    }
    view
}

#[test]
fn the_page_is_the_golden_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/metrics.txt");
    let page = page(view(&["a"]).nodes(), NOW);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert!(
        page == golden,
        "the page changed; UPDATE_GOLDEN=1 renews it:\n{page}"
    );
}

/// As HOST-METRICS.md lists them, braces included.
const PROMISED: &[&str] = &[
    "node_cpu_seconds_total",
    "node_load{1,5,15}",
    "node_memory_{MemTotal,MemFree,MemAvailable,Buffers,Cached,SReclaimable}_bytes",
    "node_memory_{Slab,PageTables,SwapTotal,SwapFree,SwapCached,HardwareCorrupted}_bytes",
    "node_filesystem_{size,free,avail}_bytes",
    "node_filesystem_{files,files_free,readonly,device_error}",
    "node_disk_{read,written}_bytes_total",
    "node_disk_{reads,writes}_completed_total",
    "node_disk_{io_time,io_time_weighted}_seconds_total",
    "node_network_receive_{bytes,packets,errs,drop}_total",
    "node_network_transmit_{bytes,packets,errs,drop}_total",
    "node_network_speed_bytes",
    "node_pressure_{cpu,io,memory}_waiting_seconds_total",
    "node_pressure_{io,memory}_stalled_seconds_total",
    "node_vmstat_{pgmajfault,oom_kill,pswpin,pswpout}",
    "node_{context_switches,intr,forks}_total",
    "node_procs_{running,blocked}",
    "node_filefd_{allocated,maximum}",
    "node_{boot_time,time}_seconds",
    "node_uname_info",
    "agent_{up,last_seen_timestamp_seconds,collector_success,buffered_bytes}",
];

fn expand(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return vec![pattern.to_owned()];
    };
    let (choices, after) = rest.split_once('}').unwrap();
    let choices = choices.split(',');
    choices
        .flat_map(|choice| expand(&format!("{before}{choice}{after}")))
        .collect()
}

#[test]
fn every_promised_family_is_there() {
    let page = page(view(&["a"]).nodes(), NOW);
    check_exposition(&page);
    for family in PROMISED.iter().flat_map(|pattern| expand(pattern)) {
        let series = format!("\n{family}{{instance=\"a\"");
        assert!(page.contains(&series), "{family} is missing");
    }
}

#[test]
fn many_hosts_share_one_header_a_family() {
    let view = view(&["a", "b\\\"\n", "b\\\\\"\n"]);
    let page = page(view.nodes(), NOW);
    check_exposition(&page);
    let totals = page.matches("\nnode_memory_MemTotal_bytes{").count();
    assert_eq!(totals, 3);
}

#[test]
fn a_silent_nodes_series_vanish_but_its_end_is_told() {
    let view = view(&["a"]);
    let at = |silent_ms| page(view.nodes(), NOW + silent_ms);
    assert!(at(15_000).contains("node_load1{instance=\"a\"} 0.5\n"));
    assert!(at(15_000).contains("agent_up{instance=\"a\"} 1\n"));
    let silent = at(15_001);
    check_exposition(&silent);
    let series: Vec<_> = silent
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let last_seen = "agent_last_seen_timestamp_seconds{instance=\"a\"} 1700000010";
    assert_eq!(series, ["agent_up{instance=\"a\"} 0", last_seen]);
}

#[test]
fn an_escaped_value_can_be_read_back() {
    for text in [
        "\\", "\\\\", "\\\"", "\"\\", "\n\\", "\\\n", "a\\nb", "<img>", "ü",
    ] {
        assert_eq!(unescape(&escaped(text)), text, "{text:?}");
    }
}

/// What promtool checks: headers once and first, no series twice, every value a number.
fn check_exposition(page: &str) {
    let (mut helped, mut typed, mut series) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut family = "";
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap();
            assert!(rest.len() > family.len() + 1, "no help: {line}");
            assert!(helped.insert(family), "twice: {line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert!(typed.insert(name), "twice: {line}");
            assert!(["counter", "gauge", "untyped"].contains(&kind), "{line}");
            let counts = kind == "counter";
            assert_eq!(name.ends_with("_total"), counts, "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(
                name.starts_with(&format!("{family}{{instance=\"")),
                "{line}"
            );
            assert!(name.ends_with("\"}"), "{line}");
            value.parse::<f64>().unwrap();
            assert!(series.insert(name), "twice: {line}");
        }
    }
    assert_eq!(helped, typed);
    assert!(!series.is_empty());
}

fn unescape(value: &str) -> String {
    let mut text = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => text.push('\n'),
                Some(escaped @ ('\\' | '"')) => text.push(escaped),
                other => panic!("{other:?} is escaped in {value:?}"),
            },
            '"' | '\n' => panic!("{letter:?} is bare in {value:?}"),
            letter => text.push(letter),
        }
    }
    text
}
