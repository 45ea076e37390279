//! A real Prometheus over broker, agent and weir-ui: what it gets agrees with node_exporter's view of
//! the same host, and everything in dashboards/ works on it.

mod stack;

use crate::support::{eventually, installed};
use serde_json::Value;
use stack::{NODE, Prometheus, Stack, dashboards};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// node_exporter's figure, and ours of the same thing beside it.
const SAME: &[&str] = &[
    "node_memory_MemTotal_bytes",
    r#"node_filesystem_size_bytes{mountpoint="/"}"#,
    "node_boot_time_seconds",
];

/// Counters that move on between two readings. Ours, 3 s ago, was read at most 10 s before that: it
/// lies between the smallest and the largest that node_exporter gave in the last 20 s.
const MOVING: &[&str] = &[
    r#"node_cpu_seconds_total{mode="idle"}"#,
    r#"node_cpu_seconds_total{mode="user"}"#,
    "node_network_receive_bytes_total",
    "node_network_transmit_bytes_total",
    "node_context_switches_total",
];

/// What dashboard 1860 and others ask for.
const FAMILIES: &[&str] = &[
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
];

/// `metric` of one job, whether it has labels already or not.
fn of_job(metric: &str, job: &str) -> String {
    let labels = metric.trim_end_matches('}');
    let separator = if labels == metric { '{' } else { ',' };
    format!("{labels}{separator}job=\"{job}\"}}")
}

#[test]
fn slow_figures_agree_with_node_exporter_and_end_with_the_agent() {
    let mut stack = Stack::start();
    let prometheus = stack.prometheus(str::to_owned);
    prometheus.wait_for(&of_job("node_load1", "weir-ui"));
    for metric in SAME {
        let ours = of_job(metric, "weir-ui");
        let theirs = of_job(metric, "node");
        prometheus.wait_for(&format!("{ours} == ignoring(instance, job) {theirs}"));
    }
    for metric in MOVING {
        agrees(&prometheus, metric);
    }
    stack.stop_agent();
    ends_with_the_agent(&prometheus);
}

fn agrees(prometheus: &Prometheus, metric: &str) {
    let ours = of_job(metric, "weir-ui");
    let theirs = of_job(metric, "node");
    let agreeing = format!(
        "{ours} offset 3s >= ignoring(instance, job) min_over_time({theirs}[20s]) \
         <= ignoring(instance, job) max_over_time({theirs}[20s])"
    );
    let both = prometheus.wait_for(&format!("{ours} and ignoring(instance, job) {theirs}"));
    eventually(&agreeing, || {
        (prometheus.series(&agreeing).len() == both.len()).then_some(())
    });
}

/// Far sooner than the five minutes after which Prometheus forgets by itself.
fn ends_with_the_agent(prometheus: &Prometheus) {
    let host = format!(r#"{{__name__=~"node_.+",instance="{NODE}"}}"#);
    assert!(prometheus.series(&host).len() > 50);
    prometheus.wait_for(&format!("agent_up{{instance=\"{NODE}\"}} == 0"));
    let left = prometheus.series(&host);
    assert!(left.is_empty(), "{left:?}");
    prometheus.wait_for(r#"ALERTS{alertname="WeirAgentGone",alertstate="pending"}"#);
}

#[test]
fn slow_every_query_and_every_rule_finds_series() {
    let stack = Stack::start();
    stack.work();
    let prometheus = stack.prometheus(str::to_owned);
    let known = known_to(&stack.node_exporter_page());
    prometheus.wait_for(&of_job("node_load1", "weir-ui"));

    for family in FAMILIES.iter().flat_map(|pattern| expand(pattern)) {
        if known.contains(&family) {
            prometheus.wait_for(&of_job(&family, "weir-ui"));
        }
    }
    for query in ["hosts", "broker"].iter().flat_map(|name| queries(name)) {
        if is_answerable(&query, &known) {
            prometheus.wait_for(&query);
        }
    }
    for rule in checked_rules(&prometheus) {
        let expression = rule["query"].as_str().unwrap();
        for metric in metrics_in(expression) {
            prometheus.wait_for(&metric);
        }
    }
    prometheus.wait_for(r#"ALERTS{alertname="WeirDamagedRecords",alertstate="firing"}"#);
    the_pages_pass_promtool(&stack);
}

/// Every rule, once Prometheus has evaluated all of them without an error.
fn checked_rules(prometheus: &Prometheus) -> Vec<Value> {
    let rules = eventually("evaluation of the rules", || {
        let rules = prometheus.rules();
        let evaluated = rules.iter().all(|rule| rule["health"] != "unknown");
        (evaluated && !rules.is_empty()).then_some(rules)
    });
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert!(rule["labels"]["severity"].is_string(), "{rule}");
        assert!(rule["annotations"]["summary"].is_string(), "{rule}");
        assert!(rule["annotations"]["description"].is_string(), "{rule}");
    }
    rules
}

/// promtool dislikes some of node_exporter's names, which we share; nothing else is allowed.
fn the_pages_pass_promtool(stack: &Stack) {
    let shared = complaints(&stack.node_exporter_page());
    for page in [stack.ui_page(), stack.broker_page()] {
        let of_ours: Vec<_> = complaints(&page).difference(&shared).cloned().collect();
        assert!(of_ours.is_empty(), "{of_ours:?} on\n{page}");
    }
    let broken = "# TYPE a_total counter\na_total 1\na_total 1\n";
    assert!(!complaints(broken).is_subset(&shared));
}

#[test]
fn slow_prometheus_discovers_the_hosts() {
    let stack = Stack::start();
    let prometheus = stack.prometheus(with_discovery);
    let host = format!(r#"{{job="weir-hosts",instance="{NODE}"}}"#);
    prometheus.wait_for(&format!("node_memory_MemTotal_bytes{host}"));
    prometheus.wait_for(&format!("up{host} == 1"));
}

/// The configuration with its commented job.
fn with_discovery(configuration: &str) -> String {
    let found = configuration.replace("\n  # ", "\n  ");
    assert_ne!(found, configuration, "prometheus.yaml has no commented job");
    // It is read once a minute unless told, and the first time there may be no host yet.
    found.replace("/sd\n", "/sd\n        refresh_interval: 1s\n")
}

#[test]
fn promtool_accepts_configuration_and_rules_and_each_alert_fires_in_time() {
    promtool(&["check", "config", "prometheus.yaml"]);
    promtool(&["check", "rules", "prometheus-rules.yaml"]);
    promtool(&["test", "rules", "prometheus-rules-test.yaml"]);
    let lines = |file: &str, with: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(dashboards().join(file)).unwrap();
        let names = text.lines().filter_map(|line| line.split_once(with));
        names.map(|(_, name)| name.to_owned()).collect()
    };
    let alerts = lines("prometheus-rules.yaml", "- alert: ");
    assert_eq!(alerts, lines("prometheus-rules-test.yaml", "- name: "));
}

fn promtool(arguments: &[&str]) {
    let ran = Command::new(installed("promtool"))
        .args(arguments)
        .current_dir(dashboards())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{arguments:?}: {errors}");
}

/// What `promtool check metrics` says about a page, line by line.
fn complaints(page: &str) -> BTreeSet<String> {
    let mut promtool = Command::new(installed("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(page.as_bytes()).unwrap();
    drop(input);
    let checked = promtool.wait_with_output().unwrap();
    let errors = String::from_utf8(checked.stderr).unwrap();
    let lines: BTreeSet<_> = errors.lines().map(str::to_owned).collect();
    assert_eq!(checked.status.success(), lines.is_empty(), "{errors}");
    lines
}

/// The families that this kernel has, as node_exporter sees it. An unknown speed of an interface
/// is -1 Mbit/s to it, and nothing to us.
fn known_to(page: &str) -> BTreeSet<String> {
    let series = page.lines().filter(|line| !line.starts_with('#'));
    let series = series.filter(|line| !line.ends_with(" -125000"));
    series
        .filter_map(|line| line.split(['{', ' ']).next())
        .map(str::to_owned)
        .collect()
}

/// Whether this kernel has all that a query needs of the host.
fn is_answerable(query: &str, known: &BTreeSet<String>) -> bool {
    let metrics = metrics_in(query);
    let mut of_the_host = metrics.iter().filter(|name| name.starts_with("node_"));
    of_the_host.all(|name| known.contains(name))
}

fn metrics_in(query: &str) -> BTreeSet<String> {
    let words = query.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let prefixes = ["node_", "agent_", "weir_"];
    words
        .filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
        .map(str::to_owned)
        .collect()
}

/// The queries of a dashboard, for all instances and a rate over a few scrapes.
fn queries(name: &str) -> Vec<String> {
    let path = dashboards().join(format!("grafana-{name}.json"));
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array());
    let queries: Vec<String> = targets
        .flatten()
        .map(|target| target["expr"].as_str().unwrap())
        .map(|query| query.replace("$instance", ".+"))
        .map(|query| query.replace("$__rate_interval", "15s"))
        .collect();
    assert!(queries.len() >= 15, "only {} in {name}", queries.len());
    for query in &queries {
        assert!(!query.contains('$'), "{query} has an unknown variable");
    }
    queries
}

fn expand(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return vec![pattern.to_owned()];
    };
    let (choices, after) = rest.split_once('}').unwrap();
    let choices = choices.split(',');
    choices
        .map(|choice| format!("{before}{choice}{after}"))
        .collect()
}
