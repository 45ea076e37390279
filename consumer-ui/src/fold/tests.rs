use super::shapes::{BrokerState, Chart, NodePage};
use super::*;
use serde_json::{Value, json};

const START: u64 = 1_700_000_000_000;

/// A view with a clock of its own; samples arrive when they are taken unless told otherwise.
#[derive(Default)]
struct Rig {
    view: View,
}

impl Rig {
    fn sample(topic: HostTopic, at: u64, seq: u64, values: &Value) -> Sample {
        let interval = if topic == HostTopic::Cpu { 1 } else { 5 };
        let mut payload = json!({
            "node": "a", "timestamp": at, "boot_id": "b1", "seq": seq, "interval_seconds": interval,
        });
        let fields = payload.as_object_mut().unwrap();
        fields.extend(values.as_object().unwrap().clone());
        Sample::parse(topic, &payload.to_string()).unwrap()
    }

    fn apply(&mut self, topic: HostTopic, at: u64, seq: u64, values: &Value) -> Arrival {
        self.apply_late(topic, at, seq, values, at)
    }

    fn apply_late(
        &mut self,
        topic: HostTopic,
        at: u64,
        seq: u64,
        values: &Value,
        stored: u64,
    ) -> Arrival {
        let sample = Self::sample(topic, at, seq, values);
        match self.view.apply(sample, stored, stored) {
            Applied::Taken { arrival, .. } => arrival,
            Applied::NoRoom => panic!("there is room"),
        }
    }

    fn page(&self, now: u64) -> NodePage {
        self.view.page("a", now).unwrap()
    }

    fn chart(&self, id: &str, now: u64) -> Chart {
        let charts = self.page(now).charts;
        charts.into_iter().find(|chart| chart.id == id).unwrap()
    }
}

/// One CPU that was busy for `busy` seconds of its time.
fn cpu(busy: f64, idle: f64) -> Value {
    json!({"cpus": [{"cpu": 0, "user": busy, "idle": idle}]})
}

fn eth0(receive: u64, transmit: u64) -> Value {
    json!({"interfaces": [
        {"device": "lo", "receive_bytes": receive * 9, "transmit_bytes": 0},
        {"device": "eth0", "receive_bytes": receive, "transmit_bytes": transmit},
    ]})
}

/// NaN as `None`, for comparing.
fn values(chart: &Chart, label: &str) -> Vec<Option<f32>> {
    let line = chart.lines.iter().find(|line| line.label == label);
    let values = line.unwrap().values.iter();
    values
        .map(|value| Some(*value).filter(|value| !value.is_nan()))
        .collect()
}

#[test]
fn rates_come_from_differences_of_counters() {
    let mut rig = Rig::default();
    rig.apply(HostTopic::Cpu, START, 1, &cpu(10.0, 100.0));
    rig.apply(HostTopic::Cpu, START + 1_000, 2, &cpu(10.25, 100.75));
    rig.apply(HostTopic::Network, START, 1, &eth0(1_000, 50));
    rig.apply(HostTopic::Network, START + 5_000, 2, &eth0(6_000, 100));
    let now = START + 5_000;
    let chart = rig.chart("cpu", now);
    assert_eq!(values(&chart, "user"), [None, Some(0.25)]);
    assert_eq!(chart.time, [START, START + 1_000]);
    assert_eq!(
        values(&rig.chart("cpu_cores", now), "cpu0"),
        [None, Some(0.25)]
    );
    let network = rig.chart("network", now);
    assert_eq!(values(&network, "eth0 receive"), [None, Some(1_000.0)]);
    let summary = rig.page(now).summary;
    assert_eq!(summary.cpu_busy_ratio, Some(0.25));
    assert_eq!(summary.network_receive_bytes_per_second, Some(1_000.0));
    assert_eq!(summary.network_transmit_bytes_per_second, Some(10.0));
}

#[test]
fn a_missing_sample_is_a_gap_and_is_counted() {
    let mut rig = Rig::default();
    for (second, seq) in [(0, 1), (1, 2), (3, 4)] {
        let busy = 0.5 * second as f64;
        rig.apply(
            HostTopic::Cpu,
            START + second * 1_000,
            seq,
            &cpu(busy, busy),
        );
    }
    let chart = rig.chart("cpu", START + 3_000);
    let seconds: Vec<_> = chart
        .time
        .iter()
        .map(|time| (time - START) / 1_000)
        .collect();
    assert_eq!(seconds, [0, 1, 2, 3]);
    assert_eq!(values(&chart, "user"), [None, Some(0.5), None, Some(0.5)]);
    assert_eq!(rig.page(START + 3_000).summary.missed_samples, 1);
}

#[test]
fn a_long_silence_has_no_rate_across_it() {
    let mut rig = Rig::default();
    rig.apply(HostTopic::Cpu, START, 1, &cpu(0.0, 0.0));
    rig.apply(HostTopic::Cpu, START + 60_000, 61, &cpu(30.0, 30.0));
    let chart = rig.chart("cpu", START + 60_000);
    assert_eq!(values(&chart, "user"), [None, None, None]);
    assert_eq!(rig.page(START + 60_000).summary.missed_samples, 59);
}

#[test]
fn a_repeated_sample_changes_nothing() {
    let mut rig = Rig::default();
    rig.apply(HostTopic::Cpu, START, 1, &cpu(1.0, 1.0));
    rig.apply(HostTopic::Cpu, START + 1_000, 2, &cpu(1.5, 1.5));
    let before = rig.chart("cpu", START + 1_000);
    let again = rig.apply(HostTopic::Cpu, START + 1_000, 2, &cpu(1.5, 1.5));
    assert_eq!(again, Arrival::Duplicate);
    assert_eq!(rig.chart("cpu", START + 1_000).time, before.time);
    assert_eq!(rig.page(START + 1_000).summary.missed_samples, 0);
}

#[test]
fn a_straggler_is_not_missed_any_more() {
    let mut rig = Rig::default();
    rig.apply(HostTopic::Cpu, START, 1, &cpu(1.0, 1.0));
    rig.apply(HostTopic::Cpu, START + 2_000, 3, &cpu(2.0, 2.0));
    assert_eq!(rig.page(START).summary.missed_samples, 1);
    let straggler = rig.apply(HostTopic::Cpu, START + 1_000, 2, &cpu(1.5, 1.5));
    assert_eq!(straggler, Arrival::OutOfOrder);
    assert_eq!(rig.page(START).summary.missed_samples, 0);
}

#[test]
fn a_reboot_is_a_gap_and_counters_start_anew() {
    let mut rig = Rig::default();
    let sample = |at, seq, boot: &str, busy| {
        let mut values = cpu(busy, busy);
        values["boot_id"] = json!(boot);
        Rig::sample(HostTopic::Cpu, at, seq, &values)
    };
    rig.view
        .apply(sample(START, 900, "b1", 500.0), START, START);
    let later = START + 30_000;
    rig.view.apply(sample(later, 1, "b2", 0.5), later, later);
    rig.view.apply(
        sample(later + 1_000, 2, "b2", 1.0),
        later + 1_000,
        later + 1_000,
    );
    // Left over from before the reboot.
    let old = rig.view.apply(
        sample(START + 1_000, 901, "b1", 501.0),
        later + 2_000,
        later + 2_000,
    );
    assert!(matches!(
        old,
        Applied::Taken {
            arrival: Arrival::Duplicate,
            ..
        }
    ));
    let chart = rig.chart("cpu", later + 1_000);
    assert_eq!(values(&chart, "user"), [None, None, None, Some(0.5)]);
    assert_eq!(chart.time[1], START + 1_000);
    assert_eq!(rig.page(later).summary.missed_samples, 0);
}

#[test]
fn a_boot_with_an_older_clock_is_believed() {
    let mut rig = Rig::default();
    let mut rebooted = cpu(1.0, 1.0);
    rebooted["boot_id"] = json!("b2");
    rig.apply(HostTopic::Cpu, START, 900, &cpu(1.0, 1.0));
    let back = START - 86_400_000;
    let first = rig.apply_late(HostTopic::Cpu, back, 1, &rebooted, START + 60_000);
    assert_eq!(first, Arrival::First);
    let next = rig.apply_late(HostTopic::Cpu, back + 1_000, 2, &rebooted, START + 61_000);
    assert_eq!(next, Arrival::Next { missed: 0 });
}

#[test]
fn numbers_that_begin_anew_are_believed_if_their_time_is_newer() {
    let mut rig = Rig::default();
    rig.apply(HostTopic::Cpu, START, u64::MAX, &cpu(1.0, 1.0));
    let replayed = rig.apply(HostTopic::Cpu, START - 1_000, 1, &cpu(1.0, 1.0));
    assert_eq!(replayed, Arrival::Duplicate);
    let restarted = rig.apply(HostTopic::Cpu, START + 1_000, 2, &cpu(1.0, 1.0));
    assert_eq!(restarted, Arrival::First);
    let next = rig.apply(HostTopic::Cpu, START + 2_000, 3, &cpu(1.0, 1.0));
    assert_eq!(next, Arrival::Next { missed: 0 });
}

#[test]
fn counters_that_fall_stand_still() {
    let mut rig = Rig::default();
    rig.apply(HostTopic::Network, START, 1, &eth0(1_000, 1_000));
    rig.apply(HostTopic::Network, START + 5_000, 2, &eth0(10, 2_000));
    let network = rig.chart("network", START + 5_000);
    assert_eq!(values(&network, "eth0 receive"), [None, Some(0.0)]);
    assert_eq!(values(&network, "eth0 transmit"), [None, Some(200.0)]);
}

#[test]
fn a_silent_node_turns_late_then_gone_then_is_forgotten() {
    let mut rig = Rig::default();
    rig.apply(HostTopic::Cpu, START, 1, &cpu(1.0, 1.0));
    let state = |rig: &Rig, after_ms| rig.page(START + after_ms).summary.state;
    assert_eq!(state(&rig, 15_000), NodeState::Live);
    assert_eq!(state(&rig, 15_001), NodeState::Late);
    assert_eq!(state(&rig, 300_000), NodeState::Late);
    assert_eq!(state(&rig, 300_001), NodeState::Gone);
    rig.view.prune(START + REMEMBERED_MS - 1);
    assert_eq!(rig.view.nodes().count(), 1);
    rig.view.prune(START + REMEMBERED_MS);
    assert_eq!((rig.view.nodes().count(), rig.view.line_count()), (0, 0));
}

#[test]
fn a_slow_interval_is_given_three_of_its_own() {
    let mut rig = Rig::default();
    let memory = json!({"interval_seconds": 60, "bytes": {"MemTotal": 1}});
    rig.apply(HostTopic::Memory, START, 1, &memory);
    assert_eq!(rig.page(START + 180_000).summary.state, NodeState::Live);
    assert_eq!(rig.page(START + 180_001).summary.state, NodeState::Late);
}

#[test]
fn a_wrong_clock_does_not_kill_a_node() {
    let mut rig = Rig::default();
    let hour = 3_600_000;
    for second in 0..3 {
        let at = START - hour / 2 + second * 1_000;
        rig.apply_late(
            HostTopic::Cpu,
            at,
            second,
            &cpu(1.0, 1.0),
            START + second * 1_000,
        );
    }
    assert_eq!(rig.page(START + 3_000).summary.state, NodeState::Live);
}

#[test]
fn spooled_samples_go_to_history_and_are_not_now() {
    let mut rig = Rig::default();
    let at = |second: u64| START + second * 1_000;
    rig.apply(HostTopic::Cpu, at(0), 0, &cpu(0.0, 0.0));
    // The broker was away for ten minutes; then the spool comes, oldest first.
    let arrived = at(600);
    for second in 1..=300 {
        let busy = second as f64 / 2.0;
        rig.apply_late(
            HostTopic::Cpu,
            at(second),
            second,
            &cpu(busy, busy),
            arrived,
        );
    }
    assert_eq!(rig.chart("cpu", arrived).time.len(), 301);
    assert_eq!(rig.page(arrived).summary.missed_samples, 0);
    let node = rig.view.get("a").unwrap();
    assert_eq!(node.state(arrived), NodeState::Late);
    assert_eq!(node.fresh(arrived).count(), 0);
    rig.apply(HostTopic::Cpu, arrived, 600, &cpu(300.0, 300.0));
    assert_eq!(rig.page(arrived).summary.state, NodeState::Live);
}

#[test]
fn charts_keep_one_hour() {
    let mut rig = Rig::default();
    for second in 0..4_000 {
        rig.apply(
            HostTopic::Cpu,
            START + second * 1_000,
            second,
            &cpu(second as f64, 0.0),
        );
    }
    let now = START + 3_999_000;
    let chart = rig.chart("cpu", now);
    assert_eq!(chart.time.len(), 3_601);
    assert!(chart.time.iter().all(|&time| time >= now - WINDOW_MS));
    assert!(
        chart
            .lines
            .iter()
            .all(|line| line.values.len() == chart.time.len())
    );
    assert_eq!(rig.chart("cpu", now + WINDOW_MS + 1).time.len(), 0);
}

#[test]
fn a_device_that_comes_later_is_null_before_and_one_that_left_disappears() {
    let mut rig = Rig::default();
    let disks = |names: &[&str]| {
        let mounts = names.iter().map(|name| {
            json!({"mountpoint": name, "size_bytes": 100, "free_bytes": 50, "avail_bytes": 50})
        });
        json!({"filesystems": mounts.collect::<Vec<_>>()})
    };
    rig.apply(HostTopic::Disk, START, 1, &disks(&["/", "/old"]));
    rig.apply(HostTopic::Disk, START + 5_000, 2, &disks(&["/", "/new"]));
    let chart = rig.chart("filesystem", START + 5_000);
    assert_eq!(values(&chart, "/new"), [None, Some(0.5)]);
    assert_eq!(values(&chart, "/old"), [Some(0.5), None]);
    let later = START + WINDOW_MS + 1;
    rig.apply(HostTopic::Disk, later, 720, &disks(&["/", "/new"]));
    let labels = rig.chart("filesystem", later).lines;
    let labels: Vec<_> = labels.into_iter().map(|line| line.label).collect();
    assert_eq!(labels, ["/", "/new"]);
}

#[test]
fn the_fullest_writable_filesystem_is_the_summarys() {
    let mut rig = Rig::default();
    let filesystem = |mountpoint, avail, readonly| {
        json!({"mountpoint": mountpoint, "size_bytes": 100, "free_bytes": avail,
            "avail_bytes": avail, "readonly": readonly})
    };
    let disk = json!({"filesystems": [
        filesystem("/", 60, false), filesystem("/data", 10, false), filesystem("/cd", 0, true),
    ]});
    rig.apply(HostTopic::Disk, START, 1, &disk);
    let summary = rig.page(START).summary;
    assert_eq!(summary.disk_mountpoint.as_deref(), Some("/data"));
    assert_eq!(summary.disk_used_ratio, Some(0.9));
}

#[test]
fn points_are_what_came_since_the_last_ones() {
    let mut rig = Rig::default();
    rig.apply(HostTopic::Cpu, START, 1, &cpu(0.0, 0.0));
    let mut place = rig.view.get("a").unwrap().end();
    assert!(rig.view.points_since("a", &mut place).is_none());
    rig.apply(HostTopic::Cpu, START + 1_000, 2, &cpu(0.5, 0.5));
    rig.apply(HostTopic::Cpu, START + 2_000, 3, &cpu(1.0, 1.0));
    let points = rig.view.points_since("a", &mut place).unwrap();
    assert!(!points.reset);
    let cpu_points = &points.charts[0];
    assert_eq!((cpu_points.id, cpu_points.time.len()), ("cpu", 2));
    assert_eq!(cpu_points.values[0], [0.5, 0.5]);
    assert_eq!(cpu_points.values.len(), 7);
    assert!(rig.view.points_since("a", &mut place).is_none());
    // Another chart has its first lines.
    rig.apply(HostTopic::System, START, 1, &json!({"load1": 0.5}));
    assert!(rig.view.points_since("a", &mut place).unwrap().reset);
    assert!(rig.view.points_since("a", &mut place).is_none());
}

#[test]
fn a_clock_set_back_replaces_what_was_drawn() {
    let mut rig = Rig::default();
    for (second, seq) in [(0, 1), (1, 2), (2, 3), (1, 4)] {
        let busy = seq as f64 / 2.0;
        rig.apply(
            HostTopic::Cpu,
            START + second * 1_000,
            seq,
            &cpu(busy, busy),
        );
    }
    assert_eq!(rig.chart("cpu", START + 2_000).time, [START, START + 1_000]);
}

#[test]
fn nodes_and_lines_are_bounded() {
    let mut view = View::default();
    for n in 0..MAX_NODES {
        view.seen(&format!("n{n}"), START, START);
    }
    let sample = Rig::sample(HostTopic::Cpu, START, 1, &cpu(1.0, 1.0));
    assert_eq!(view.apply(sample.clone(), START, START), Applied::NoRoom);
    // The one that is gone longest makes room.
    let later = START + LATE_AND_MORE;
    assert!(matches!(
        view.apply(sample, later, later),
        Applied::Taken { .. }
    ));
    assert_eq!(view.nodes().count(), MAX_NODES);

    let mut rig = Rig::default();
    let cpus: Vec<_> = (0..512).map(|n| json!({"cpu": n})).collect();
    let mounts: Vec<_> = (0..128)
        .map(|n| json!({"mountpoint": n.to_string()}))
        .collect();
    rig.apply(HostTopic::Cpu, START, 1, &json!({"cpus": cpus}));
    let sample = Rig::sample(HostTopic::Disk, START, 1, &json!({"filesystems": mounts}));
    let applied = rig.view.apply(sample, START, START);
    assert_eq!(rig.view.line_count(), MAX_NODE_LINES);
    let refused_lines = 7 + 512 + 128 - MAX_NODE_LINES;
    let arrival = Arrival::First;
    assert_eq!(
        applied,
        Applied::Taken {
            arrival,
            refused_lines
        }
    );
}

const LATE_AND_MORE: u64 = 5 * 60 * 1_000 + 1;

#[test]
fn text_from_outside_stays_what_it_is() {
    let mut rig = Rig::default();
    let name = "<img src=x onerror=alert(1)>";
    let sample = Sample {
        node: name.to_owned(),
        ..Rig::sample(HostTopic::Cpu, START, 1, &cpu(1.0, 1.0))
    };
    rig.view.apply(sample, START, START);
    let fleet = rig.view.fleet(&BrokerState::default(), START);
    assert_eq!(fleet.nodes[0].node, name);
}
