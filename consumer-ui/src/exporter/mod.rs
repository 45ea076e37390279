//! The hosts' metrics for Prometheus, under node_exporter's names with an `instance` label.
//!
//! Rendered from the latest samples, so that a silent node's series vanish with its last fresh
//! sample and nothing replayed or late is shown as now. `families` is the table of what there is;
//! HELP and TYPE come once for each family that has a series. No timestamps.

mod families;

use crate::fold::Node;
use crate::fold::shapes::NodeState;
use crate::sample::{Cpu, Disk, Info, Memory, Network, System, Values};
use families::FAMILIES;
use metrics_exporter_prometheus::formatting::{
    sanitize_label_value, write_help_line, write_type_line,
};
use std::fmt::Write;

/// The page of `nodes` at `now`.
pub(crate) fn page<'a>(nodes: impl IntoIterator<Item = &'a Node>, now: u64) -> String {
    let hosts: Vec<Host<'_>> = nodes.into_iter().map(|node| Host::new(node, now)).collect();
    let mut page = String::new();
    for family in FAMILIES {
        let before = page.len();
        write_help_line(&mut page, family.name, None, None, family.help);
        write_type_line(&mut page, family.name, None, None, family.kind);
        let header_end = page.len();
        for host in &hosts {
            let mut lines = Lines {
                page: &mut page,
                name: family.name,
                instance: &host.instance,
            };
            (family.write)(host, &mut lines);
        }
        if page.len() == header_end {
            page.truncate(before);
        }
    }
    page
}

/// A metric's name, what it is, and how its series are written.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    write: fn(&Host<'_>, &mut Lines<'_>),
}

/// What is fresh of one node; nothing of a silent one.
struct Host<'a> {
    instance: String,
    is_up: bool,
    last_seen: u64,
    /// When its newest values were read.
    read_at: Option<u64>,
    cpu: Option<&'a Cpu>,
    memory: Option<&'a Memory>,
    disk: Option<&'a Disk>,
    network: Option<&'a Network>,
    system: Option<&'a System>,
    info: Option<&'a Info>,
}

impl<'a> Host<'a> {
    fn new(node: &'a Node, now: u64) -> Self {
        let mut host = Self {
            instance: escaped(node.name()),
            is_up: node.state(now) == NodeState::Live,
            last_seen: node.last_seen(),
            read_at: None,
            cpu: None,
            memory: None,
            disk: None,
            network: None,
            system: None,
            info: None,
        };
        for (values, read_at) in node.fresh(now) {
            if !matches!(values, Values::Info(_)) {
                host.read_at = host.read_at.max(Some(read_at));
            }
            match values {
                Values::Cpu(cpu) => host.cpu = Some(cpu),
                Values::Memory(memory) => host.memory = Some(memory),
                Values::Disk(disk) => host.disk = Some(disk),
                Values::Network(network) => host.network = Some(network),
                Values::System(system) => host.system = Some(system),
                Values::Info(info) => host.info = Some(info),
            }
        }
        host
    }
}

/// Writes the series of one family and one host.
struct Lines<'a> {
    page: &'a mut String,
    name: &'static str,
    instance: &'a str,
}

impl Lines<'_> {
    /// Writes nothing if there is no value.
    fn put(&mut self, labels: &[(&'static str, &str)], value: Option<f64>) {
        let Some(value) = value else {
            return;
        };
        let (name, instance) = (self.name, self.instance);
        let _infallible = write!(self.page, "{name}{{instance=\"{instance}\"");
        for (label, text) in labels {
            let _infallible = write!(self.page, ",{label}=\"{}\"", escaped(text));
        }
        let _infallible = writeln!(self.page, "}} {value}");
    }
}

/// A label's value as the exposition format wants it. The crate's function takes two backslashes
/// for one that is escaped already, so that `\` and `\\` would become the same series: it gets every
/// backslash doubled.
fn escaped(value: &str) -> String {
    if value.contains('\\') {
        sanitize_label_value(&value.replace('\\', "\\\\"))
    } else {
        sanitize_label_value(value)
    }
}

#[cfg(test)]
mod tests;
