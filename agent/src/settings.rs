//! What an operator may choose. One table makes the flags, the environment variables, the TOML keys
//! and the documentation.

pub use weir_service::settings::Refused;

use crate::broker_connection::BrokerConnection;
use crate::encode::Dialect;
use crate::roots::Roots;
use crate::sample::Topic;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::BTreeMap;
use std::path::PathBuf;
use weir_service::probe::{self, Probe};
use weir_service::settings::{self, Listen, Setting, SettingsProblems, SettingsReader};
use weir_service::telemetry::LogFormat;
use weir_types::{Key, TopicName};

/// Everything that can be set, but for `--once`.
pub static SETTINGS: &[Setting] = &[
    Setting {
        name: "broker",
        env: "WEIR_BROKER",
        env_aliases: &["BROKER_URL"],
        value_name: "URL",
        default: Some("http://127.0.0.1:5000"),
        help: "Where samples go; a MiniMQ client's URL ending in /produce is understood",
    },
    Setting {
        name: "node",
        env: "WEIR_NODE",
        env_aliases: &["NODE_NAME"],
        value_name: "NAME",
        default: None,
        help: "This host's name, the key of its samples; without it the system's host name",
    },
    Setting {
        name: "interval-seconds",
        env: "WEIR_INTERVAL_SECONDS",
        env_aliases: &["INTERVAL_SECONDS"],
        value_name: "SECONDS",
        default: Some("1"),
        help: "Seconds between samples of host.cpu; the other topics take at least 5",
    },
    Setting {
        name: "metric-type",
        env: "WEIR_METRIC_TYPE",
        env_aliases: &["METRIC_TYPE"],
        value_name: "LIST",
        default: Some("all"),
        help: "What is sent: \"all\", or some of cpu, memory (or mem), disk, disk-io (disk without filesystems), network, system, info, with commas between",
    },
    Setting {
        name: "labels",
        env: "WEIR_LABELS",
        env_aliases: &[],
        value_name: "LIST",
        default: None,
        help: "Sent with host.info, such as \"zone=eu-1,pool=batch\"",
    },
    Setting {
        name: "dialect",
        env: "WEIR_DIALECT",
        env_aliases: &[],
        value_name: "DIALECT",
        default: Some("weir"),
        help: "\"weir\", or \"minimq\": percentages as text to <node>-cpu, <node>-mem, <node>-disk",
    },
    Setting {
        name: "host-mode",
        env: "WEIR_HOST_MODE",
        env_aliases: &["HOST_MODE"],
        value_name: "BOOL",
        default: Some("false"),
        help: "In a container: the three paths default to /host/proc, /host/sys and /host/root",
    },
    Setting {
        name: "path.procfs",
        env: "WEIR_PATH_PROCFS",
        env_aliases: &["HOST_PROC"],
        value_name: "DIR",
        default: None,
        help: "Where the host's /proc is mounted",
    },
    Setting {
        name: "path.sysfs",
        env: "WEIR_PATH_SYSFS",
        env_aliases: &["HOST_SYS"],
        value_name: "DIR",
        default: None,
        help: "Where the host's /sys is mounted",
    },
    Setting {
        name: "path.rootfs",
        env: "WEIR_PATH_ROOTFS",
        env_aliases: &["HOST_ROOT"],
        value_name: "DIR",
        default: None,
        help: "Where the host's / is mounted",
    },
    Setting {
        name: "buffer-bytes",
        env: "WEIR_BUFFER_BYTES",
        env_aliases: &[],
        value_name: "BYTES",
        default: Some("4MiB"),
        help: "Samples kept in memory while the broker is away; then the oldest goes",
    },
    Setting {
        name: "http",
        env: "WEIR_AGENT_HTTP",
        env_aliases: &[],
        value_name: "ADDR",
        default: Some("off"),
        help: "Address for probes and the agent's own /metrics, such as \"0.0.0.0:5010\", or \"off\"",
    },
    Setting {
        name: "log-format",
        env: "WEIR_LOG_FORMAT",
        env_aliases: &[],
        value_name: "FORMAT",
        default: Some("text"),
        help: "How log lines look: \"text\" or \"json\"",
    },
    Setting {
        name: "log-filter",
        env: "WEIR_LOG_FILTER",
        env_aliases: &[],
        value_name: "FILTER",
        default: Some("info"),
        help: "What is logged, such as \"info\" or \"info,weir_agent=debug\"",
    },
];

const ONCE: &str = "once";
const MIN_BUFFER_BYTES: u64 = 64 * 1024;
const MAX_BUFFER_BYTES: u64 = 1024 * 1024 * 1024;

/// The agent's settings, read and checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where samples go.
    pub broker: String,
    /// This host's name.
    pub node: String,
    /// Seconds between samples of `host.cpu`.
    pub interval_seconds: u64,
    /// What is sent.
    pub topics: Vec<Topic>,
    /// Whether `host.disk` has filesystems. A container that does not see the host's has its own
    /// mounts, which are not the host's truth.
    pub filesystems: bool,
    /// Sent with `host.info`.
    pub labels: BTreeMap<String, String>,
    /// How samples are sent.
    pub dialect: Dialect,
    /// Where the host's files are.
    pub roots: Roots,
    /// Bound of what waits for the broker.
    pub buffer_bytes: usize,
    /// Where probes and the agent's own metrics are answered.
    pub http: Listen,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: String,
    /// Variables that look like ours but are not.
    pub warnings: Vec<String>,
}

/// What the process is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Send samples until told to stop.
    Run,
    /// Print one sample of everything.
    PrintOnce,
    /// Ask the agent that runs with the same settings.
    Ask(Probe),
}

/// The command line of `weir-agent`.
#[must_use]
pub fn command() -> Command {
    Command::new("weir-agent")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Streams this host's CPU, memory, disk and network to a broker")
        .after_help(AFTER_HELP)
        .arg(
            Arg::new(ONCE)
                .long(ONCE)
                .action(ArgAction::SetTrue)
                .help("Prints one sample of everything as JSON, and ends; needs no broker"),
        )
        .arg(probe::healthcheck_flag())
        .arg(settings::config_flag())
        .args(settings::flags(SETTINGS))
}

const AFTER_HELP: &str = "\
Examples:
  weir-agent --once | jq '.\"host.memory\".used_ratio'    what would be sent, without a broker
  weir-agent                                            to the broker on 127.0.0.1:5000
  weir-agent --broker http://broker:5000 --node db-1 --labels zone=eu-1
  weir-agent --dialect minimq --broker http://broker:5000/produce

In a container, with the host's /proc, /sys and / mounted read-only:
  weir-agent --path.procfs /host/proc --path.sysfs /host/sys --path.rootfs /host/root
  HOST_MODE=true NODE_NAME=db-1 BROKER_URL=http://broker:5000 weir-agent

See what arrives:
  curl -N 'http://127.0.0.1:5000/v1/topics/host.cpu/stream?from=latest'

Topics: host.cpu every second; host.memory, host.disk, host.network, host.system every 5;
host.info at start and hourly. A flag goes before an environment variable, that before the TOML
file, that before the default. BROKER_URL, NODE_NAME, INTERVAL_SECONDS, METRIC_TYPE, HOST_MODE,
HOST_PROC, HOST_SYS and HOST_ROOT are understood too.";

impl Settings {
    /// Reads the settings of this process: flags, environment, file.
    ///
    /// # Errors
    /// [`Refused`] knows every problem at once.
    pub fn from_process() -> Result<(Self, Task), Refused> {
        let matches = command().try_get_matches().map_err(Refused::Flags)?;
        let env = |name: &str| std::env::var(name).ok();
        let mut settings = Self::read(&matches, &env).map_err(Refused::Settings)?;
        let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        settings.warnings = settings::unknown_variables(&[SETTINGS], variables);
        Ok((settings, task(&matches)))
    }

    /// Reads the settings from parsed flags and an environment.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn read(
        matches: &ArgMatches,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsProblems> {
        let file = settings::config_file(matches, env);
        let mut from = SettingsReader::load(SETTINGS, matches, env, file.as_deref());
        let dialect = from.read("dialect", settings::text);
        let broker = from.read("broker", broker_url);
        let node = node(&mut from, dialect);
        let interval_seconds = from.read("interval-seconds", settings::in_range(1..=3600));
        let metric_types = from.read("metric-type", metric_types);
        let labels = from.read_optional("labels", labels);
        let roots = roots(&mut from);
        let buffer_bytes = from.read("buffer-bytes", buffer_bytes);
        let http = from.read("http", settings::listen);
        let log_format = from.read("log-format", settings::text);
        let log_filter = from.read("log-filter", settings::text);
        from.finish_with(|| {
            Some(Self {
                broker: broker?,
                node: node?,
                interval_seconds: interval_seconds?,
                topics: metric_types.as_ref()?.topics.clone(),
                filesystems: metric_types?.filesystems,
                labels: labels?.unwrap_or_default(),
                dialect: dialect?,
                roots: roots?,
                buffer_bytes: buffer_bytes?,
                http: http?,
                log_format: log_format?,
                log_filter: log_filter?,
                warnings: Vec::new(),
            })
        })
    }
}

fn task(matches: &ArgMatches) -> Task {
    if matches.get_flag(ONCE) {
        return Task::PrintOnce;
    }
    Probe::from_matches(matches).map_or(Task::Run, Task::Ask)
}

fn broker_url(value: &str) -> Result<String, String> {
    BrokerConnection::new(value, Dialect::Weir).map_err(|error| error.to_string())?;
    Ok(value.to_owned())
}

fn node(from: &mut SettingsReader, dialect: Option<Dialect>) -> Option<String> {
    let given = from.read_optional("node", |value| legal_node(value, dialect))?;
    if given.is_some() {
        return given;
    }
    let host_name = sysinfo::System::host_name().unwrap_or_default();
    match legal_node(&host_name, dialect) {
        Ok(node) => Some(node),
        Err(reason) => {
            let problem = format!("node: the host's name {host_name:?} will not do: {reason}");
            from.refuse(format!("{problem}; use flag --node or WEIR_NODE"));
            None
        }
    }
}

/// A node is a key, and in MiniMQ's dialect a part of topic names.
fn legal_node(value: &str, dialect: Option<Dialect>) -> Result<String, String> {
    Key::parse(value).map_err(|error| error.to_string())?;
    if dialect == Some(Dialect::MiniMq) {
        let topic = TopicName::parse(&format!("{value}-disk"));
        topic.map_err(|error| format!("with dialect minimq, {error}"))?;
    }
    Ok(value.to_owned())
}

/// What is to be sent.
#[derive(Default)]
struct MetricTypes {
    topics: Vec<Topic>,
    filesystems: bool,
}

fn metric_types(value: &str) -> Result<MetricTypes, String> {
    let words = value.split(',').map(|word| word.trim().to_lowercase());
    let mut wanted = MetricTypes::default();
    let topics = &mut wanted.topics;
    for word in words {
        wanted.filesystems |= matches!(word.as_str(), "all" | "disk");
        match word.as_str() {
            "all" => topics.extend(Topic::ALL),
            "cpu" => topics.push(Topic::Cpu),
            "memory" | "mem" => topics.push(Topic::Memory),
            "disk" | "disk-io" => topics.push(Topic::Disk),
            "network" => topics.push(Topic::Network),
            "system" => topics.push(Topic::System),
            "info" => topics.push(Topic::Info),
            _ => {
                return Err(
                    "allowed are \"all\", cpu, memory (or mem), disk, disk-io, network, system and info"
                        .to_owned(),
                );
            }
        }
    }
    Ok(wanted)
}

/// Labels without a value are left out: what fills them in, such as Kubernetes with a node's zone,
/// does not know everything everywhere.
fn labels(value: &str) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for word in value.split(',') {
        let (name, value) = word
            .split_once('=')
            .ok_or("allowed is a list such as \"zone=eu-1,pool=batch\"")?;
        let is_name_char = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = name.trim();
        let starts_well = !name.starts_with(|c: char| c.is_ascii_digit());
        if name.is_empty() || !starts_well || !name.chars().all(is_name_char) {
            return Err(format!(
                "the label {name:?} must be made of letters, digits and '_', and not begin with a digit"
            ));
        }
        let value = value.trim();
        if !value.is_empty() {
            labels.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(labels)
}

fn roots(from: &mut SettingsReader) -> Option<Roots> {
    let host_mode = from.read("host-mode", host_mode)?;
    let procfs = from.read_optional("path.procfs", directory);
    let sysfs = from.read_optional("path.sysfs", directory);
    let rootfs = from.read_optional("path.rootfs", directory);
    let default = if host_mode {
        Roots {
            procfs: "/host/proc".into(),
            sysfs: "/host/sys".into(),
            rootfs: "/host/root".into(),
        }
    } else {
        Roots::default()
    };
    Some(Roots {
        procfs: procfs?.unwrap_or(default.procfs),
        sysfs: sysfs?.unwrap_or(default.sysfs),
        rootfs: rootfs?.unwrap_or(default.rootfs),
    })
}

/// MiniMQ's deployments write it in several ways.
fn host_mode(value: &str) -> Result<bool, String> {
    match value.to_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err("allowed are \"true\" and \"false\"".to_owned()),
    }
}

fn directory(value: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(value);
    if path.is_dir() {
        Ok(path)
    } else {
        Err("there is no such directory".to_owned())
    }
}

fn buffer_bytes(value: &str) -> Result<usize, String> {
    let bytes = settings::bytes(value)?;
    let allowed = (MIN_BUFFER_BYTES..=MAX_BUFFER_BYTES).contains(&bytes);
    usize::try_from(bytes)
        .ok()
        .filter(|_| allowed)
        .ok_or_else(|| format!("allowed are {MIN_BUFFER_BYTES} to {MAX_BUFFER_BYTES} bytes"))
}

/// docs/settings-agent.md, made from the table.
#[must_use]
pub fn markdown() -> String {
    format!("{MARKDOWN_HEAD}{}", settings::markdown_table(SETTINGS))
}

const MARKDOWN_HEAD: &str = "\
# Settings of weir-agent

A flag goes before an environment variable, that before the TOML file (`--config FILE` or
`WEIR_CONFIG`), that before the default. Nonsense is refused at start, with every problem listed at
once.

This page is made from the code: `UPDATE_DOCS=1 cargo test -p weir-agent the_settings_page`.

";

#[cfg(test)]
mod tests;
