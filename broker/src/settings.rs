//! What an operator may choose. One table makes the flags, the environment variables, the TOML keys
//! and docs/settings.md.

mod dialects;
mod listeners;
mod table;

pub use listeners::GrpcListen;
pub(crate) use listeners::default_grpc;
pub use table::SETTINGS;
pub use weir_service::settings::Refused;

use crate::broker::{BrokerOptions, CreateTopics, GroupBounds};
use clap::{ArgMatches, Command};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use weir_service::http::{BodyLimits, HttpLimits};
use weir_service::probe::{self, Probe};
use weir_service::settings::{self, SettingsProblems, SettingsReader};
use weir_service::telemetry::{self, LogFormat};
use weir_types::limits::{MAX_BATCH_BYTES, MAX_PARTITIONS};
use weir_types::{ByteCount, DurationText, RetryBackoff, TopicSettings, TopicSettingsChange};

/// Read by the command line, which may run in the same environment.
const CLIENT_VARIABLE: &str = "WEIR_BROKER";

/// The broker's settings, read and checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The core's.
    pub broker: BrokerOptions,
    /// Where HTTP listens; nowhere if empty. The first is the one that is shown.
    pub http: Vec<SocketAddr>,
    /// Where gRPC listens.
    pub grpc: GrpcListen,
    /// What HTTP clients may take.
    pub http_limits: HttpLimits,
    /// What a request body may take; `max_bytes` is set by each route.
    pub body_limits: BodyLimits,
    /// Request bodies held at one time.
    pub max_bytes_in_flight: usize,
    /// From the signal to the end.
    pub grace_period: Duration,
    /// Threads that serve requests; `None` takes one for each processor but one.
    pub worker_threads: Option<usize>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: String,
    /// Variables that look like ours but are not.
    pub warnings: Vec<String>,
}

/// The command line of `weir-broker`.
#[must_use]
pub fn command() -> Command {
    Command::new("weir-broker")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A lean, durable message broker: JSON messages in, acknowledged means on disk")
        .after_help(AFTER_HELP)
        .arg(probe::healthcheck_flag())
        .arg(probe::drain_flag())
        .arg(settings::config_flag())
        .args(settings::flags(SETTINGS))
}

const AFTER_HELP: &str = "\
Examples:
  weir-broker                                   data in ./data, HTTP on 127.0.0.1:5000
  weir-broker --data-dir /var/lib/weir --http 0.0.0.0:5000
  WEIR_RETENTION_AGE=24h weir-broker --config /etc/weir.toml

Try it:
  curl -d '{\"hello\":\"world\"}' 127.0.0.1:5000/v1/topics/greetings/messages
  curl '127.0.0.1:5000/v1/topics/greetings/messages?from=earliest'

A flag goes before an environment variable, that before the TOML file, that before the default.";

impl Settings {
    /// Reads the settings of this process: flags, environment, file; and whether it is only to ask
    /// the one that runs with them.
    ///
    /// # Errors
    /// [`Refused`] knows every problem at once.
    pub fn from_process() -> Result<(Self, Option<Probe>), Refused> {
        let matches = command().try_get_matches().map_err(Refused::Flags)?;
        let settings = Self::from_matches(&matches).map_err(Refused::Settings)?;
        Ok((settings, Probe::from_matches(&matches)))
    }

    /// Reads the settings of a process whose flags are parsed already.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn from_matches(matches: &ArgMatches) -> Result<Self, SettingsProblems> {
        let env = |name: &str| std::env::var(name).ok();
        let mut settings = Self::read(matches, &env)?;
        let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let variables = variables.filter(|name| name != CLIENT_VARIABLE);
        settings.warnings = settings::unknown_variables(&[SETTINGS], variables);
        Ok(settings)
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
        let broker = broker_options(&mut from);
        let http = from.read("http", listeners::http);
        let grpc = from.read("grpc", listeners::grpc);
        let absent = from.read("tcp", only_off);
        let http_limits = http_limits(&mut from);
        let body_timeout = from.read("body-timeout", settings::duration);
        let in_flight = from.read(
            "max-bytes-in-flight",
            byte_count(MAX_BATCH_BYTES, usize::MAX),
        );
        let grace_period = from.read("grace-period", settings::duration);
        let worker_threads = from.read("worker-threads", settings::in_range(0..=1024));
        let log_format = from.read("log-format", settings::text);
        let log_filter = from.read("log-filter", telemetry::log_filter);
        if http.as_ref().is_some_and(Vec::is_empty) && grpc == Some(GrpcListen::Off) {
            from.refuse("no listener is left: http, tcp and grpc are all \"off\"");
        }
        from.finish_with(|| {
            absent?;
            let (body_timeout, grace_period) = (body_timeout?, grace_period?);
            Some(Self {
                broker: broker?,
                http: http?,
                grpc: grpc?,
                http_limits: HttpLimits {
                    drain_timeout: drain_timeout(grace_period),
                    ..http_limits?
                },
                body_limits: BodyLimits {
                    max_bytes: 0,
                    idle_timeout: body_timeout,
                    total_timeout: 4 * body_timeout,
                },
                max_bytes_in_flight: in_flight?,
                grace_period,
                worker_threads: Some(worker_threads?).filter(|threads| *threads > 0),
                log_format: log_format?,
                log_filter: log_filter?,
                warnings: Vec::new(),
            })
        })
    }
}

/// Requests get three quarters of the grace period; the rest is for the last round and the files.
fn drain_timeout(grace_period: Duration) -> Duration {
    grace_period * 3 / 4
}

fn broker_options(from: &mut SettingsReader) -> Option<BrokerOptions> {
    let data_dir = from.read("data-dir", settings::text::<PathBuf>);
    let topic_defaults = topic_defaults(from);
    let create_topics = from.read("create-topics", create_topics);
    let max_topics = from.read("max-topics", settings::in_range(1..=1_000_000));
    let max_payload_bytes = from.read("max-payload-bytes", byte_count(1, MAX_BATCH_BYTES));
    let min_free_bytes = from.read("min-free-bytes", settings::bytes);
    let commit_log_bytes = from.read("commit-log-bytes", byte_count(1 << 20, 4 << 30));
    let max_open_files = from.read("max-open-files", settings::in_range(16..=1_000_000));
    let max_held_back = from.read("max-held-back", settings::in_range(1..=100_000_000));
    let max_in_flight = from.read("max-in-flight", settings::in_range(1..=100_000_000));
    let push = dialects::push(from);
    let ownership = dialects::ownership(from);
    let dialect_topics = dialects::topics(from);
    Some(BrokerOptions {
        push: push?,
        ownership: ownership?,
        dialect_topics: dialect_topics?,
        group_bounds: GroupBounds {
            max_held_back: max_held_back?,
            max_in_flight: max_in_flight?,
        },
        commit_log_bytes: commit_log_bytes? as u64,
        max_open_files: max_open_files?,
        data_dir: data_dir?,
        topic_defaults: topic_defaults?,
        create_topics: create_topics?,
        max_topics: max_topics?,
        max_payload_bytes: max_payload_bytes?,
        min_free_bytes: min_free_bytes?,
    })
}

fn topic_defaults(from: &mut SettingsReader) -> Option<TopicSettings> {
    let partitions = from.read("partitions", settings::in_range(1..=MAX_PARTITIONS));
    let retention_age = from.read("retention-age", settings::duration);
    let retention_bytes = from.read("retention-bytes", settings::bytes);
    let segment_bytes = from.read("segment-bytes", settings::bytes);
    let segment_age = from.read("segment-age", settings::duration);
    let durability = from.read("durability", settings::text);
    let visibility_timeout = from.read("visibility-timeout", settings::duration);
    let max_deliveries = from.read("max-deliveries", settings::in_range(1..=10_000));
    let retry_backoff = from.read("retry-backoff", retry_backoff);
    let dedupe_window = from.read("dedupe-window", settings::duration);
    let change = TopicSettingsChange {
        partitions: Some(partitions?),
        retention_age: Some(DurationText(retention_age?)),
        retention_bytes: Some(ByteCount(retention_bytes?)),
        segment_bytes: Some(ByteCount(segment_bytes?)),
        segment_age: Some(DurationText(segment_age?)),
        durability: Some(durability?),
        visibility_timeout: Some(DurationText(visibility_timeout?)),
        max_deliveries: Some(max_deliveries?),
        retry_backoff: Some(retry_backoff?),
        dedupe_window: Some(DurationText(dedupe_window?)),
        expires_after: None,
    };
    match TopicSettings::default().with(&change) {
        Ok(defaults) => Some(defaults),
        Err(outside) => {
            from.refuse(outside.to_string());
            None
        }
    }
}

fn http_limits(from: &mut SettingsReader) -> Option<HttpLimits> {
    let max_connections = from.read("max-connections", settings::in_range(1..=1_000_000));
    let header_read_timeout = from.read("header-timeout", settings::duration);
    let write_timeout = from.read("write-timeout", settings::duration);
    Some(HttpLimits {
        max_connections: max_connections?,
        header_read_timeout: header_read_timeout?,
        write_timeout: write_timeout?,
        ..HttpLimits::default()
    })
}

fn only_off(value: &str) -> Result<(), String> {
    match value {
        "off" => Ok(()),
        _ => Err("allowed is only \"off\": this version has no such listener".to_owned()),
    }
}

fn create_topics(value: &str) -> Result<CreateTopics, String> {
    match value {
        "on-first-use" => Ok(CreateTopics::OnFirstUse),
        "explicitly" => Ok(CreateTopics::Explicitly),
        _ => Err("allowed are \"on-first-use\" and \"explicitly\"".to_owned()),
    }
}

/// As in the API, so that there is one way to write it.
fn retry_backoff(value: &str) -> Result<RetryBackoff, String> {
    serde_json::from_str(value).map_err(|_| {
        "allowed is JSON: a list of delays such as [\"1s\",\"10s\"], or \
         {\"initial\":\"1s\",\"factor\":2,\"cap\":\"10m\",\"jitter\":0.2}"
            .to_owned()
    })
}

fn byte_count(least: usize, most: usize) -> impl FnOnce(&str) -> Result<usize, String> {
    move |value| {
        let bytes = usize::try_from(settings::bytes(value)?).unwrap_or(usize::MAX);
        let allowed = (least..=most).contains(&bytes);
        allowed
            .then_some(bytes)
            .ok_or_else(|| format!("allowed are {least} to {most} bytes"))
    }
}

/// docs/settings.md, made from the table.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(MARKDOWN_HEAD);
    let _infallible = write!(page, "{}", settings::markdown_table(SETTINGS));
    page
}

const MARKDOWN_HEAD: &str = "\
# Settings of weir-broker

A flag goes before an environment variable, that before the TOML file (`--config FILE` or
`WEIR_CONFIG`), that before the default. Nonsense is refused at start, with every problem listed at
once. Durations are written `250ms`, `30s`, `2h`, `7days`; bytes `1048576`, `1MiB`, `10GiB`.

This page is made from the code: `UPDATE_DOCS=1 cargo test -p weir-broker the_settings_page`.

";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flags: &[&str], env: &[(&str, &str)]) -> Result<Settings, String> {
        let matches = command()
            .try_get_matches_from([&["weir-broker"], flags].concat())
            .unwrap();
        let env = |name: &str| {
            env.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Settings::read(&matches, &env).map_err(|problems| problems.to_string())
    }

    #[test]
    fn the_defaults_are_valid() {
        let settings = read(&[], &[]).unwrap();
        assert_eq!(settings.http, ["127.0.0.1:5000".parse().unwrap()]);
        assert_eq!(settings.grpc, GrpcListen::IfFree);
        assert_eq!(settings.broker.topic_defaults, TopicSettings::default());
        assert_eq!(settings.grace_period, Duration::from_secs(20));
        command().debug_assert();
    }

    #[test]
    fn the_settings_page_says_what_the_code_does() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(page, markdown()).unwrap();
        }
        let written = std::fs::read_to_string(page).unwrap();
        assert!(
            written == markdown(),
            "docs/settings.md is old; it says how to renew it"
        );
    }

    #[test]
    fn a_flag_goes_before_the_environment() {
        let settings = read(&["--http", "127.0.0.1:1"], &[("WEIR_HTTP", "127.0.0.1:2")]).unwrap();
        assert_eq!(settings.http, ["127.0.0.1:1".parse().unwrap()]);
    }

    #[test]
    fn the_variables_of_the_brokers_that_were_replaced_are_heard() {
        let env = [
            ("PORT", "8001"),
            ("BROKER_DATA_DIR", "/data"),
            ("BROKER_INDEX", "1"),
            ("BROKER_COUNT", "2"),
            ("BROKER_PEERS", "a:1,b:2"),
            ("TOPICS", "telemetry:4"),
            ("BACKEND_TARGETS", "127.0.0.1:7000, localhost:7001"),
            ("BACKEND_CIRCUIT_MAX_FAILURES", "3"),
            ("BACKEND_CIRCUIT_RESET_SECS", "10"),
        ];
        let settings = read(&[], &env).unwrap();
        let broker = settings.broker;
        assert_eq!(settings.http, ["127.0.0.1:8001".parse().unwrap()]);
        assert_eq!(broker.data_dir, PathBuf::from("/data"));
        assert_eq!((broker.ownership.index, broker.ownership.count), (1, 2));
        assert_eq!(broker.ownership.peers, ["http://a:1", "http://b:2"]);
        assert_eq!(broker.dialect_topics.partitioned.len(), 1);
        assert_eq!(broker.push.backends, ["127.0.0.1:7000", "localhost:7001"]);
        assert_eq!(broker.push.breaker.max_failures, 3);
        assert_eq!(broker.push.breaker.reset, Duration::from_secs(10));
    }

    #[test]
    fn places_among_brokers_are_checked() {
        let refused = read(&["--broker-index", "2", "--broker-count", "2"], &[]).unwrap_err();
        assert!(refused.contains("allowed is at most 1"), "{refused}");
        // As where a variable was to come from a label that is not there.
        let env = [("WEIR_BROKER_INDEX", "")];
        let refused = read(&["--broker-count", "2"], &env).unwrap_err();
        assert!(refused.contains("which of them this is"), "{refused}");
        let flags = ["--broker-index", "0", "--broker-count", "2"];
        let refused = read(&[&flags[..], &["--broker-peers", "a:1"]].concat(), &[]).unwrap_err();
        assert!(refused.contains("name all brokers"), "{refused}");
        let refused = read(&["--backend-topics", "jobs"], &[]).unwrap_err();
        assert!(refused.contains("backend-targets no backend"), "{refused}");
    }

    #[test]
    fn several_listeners_are_separated_by_commas() {
        let settings = read(
            &["--http", "127.0.0.1:1,[::1]:2,8001", "--grpc", "off"],
            &[],
        )
        .unwrap();
        assert_eq!(settings.http.len(), 3);
        assert_eq!(settings.http[2], "127.0.0.1:8001".parse().unwrap());
        let refused = read(&["--http", "off", "--grpc", "off"], &[]).unwrap_err();
        assert!(refused.contains("no listener is left"), "{refused}");
    }

    #[test]
    fn a_retry_backoff_is_written_as_json() {
        let with = |value: &str| read(&["--retry-backoff", value], &[]);
        let settings = with(r#"{"initial":"1s","cap":"2m"}"#).unwrap();
        let backoff = settings.broker.topic_defaults.retry_backoff;
        assert_eq!(backoff.cap(), Duration::from_secs(120));
        let refused = with("1s").unwrap_err();
        assert!(refused.contains("allowed is JSON"), "{refused}");
        let refused = with(r#"["13h"]"#).unwrap_err();
        assert!(refused.contains("retry_backoff is 13h"), "{refused}");
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        let refused = read(
            &[
                "--http",
                "here",
                "--max-topics",
                "0",
                "--tcp",
                "127.0.0.1:5001",
            ],
            &[
                ("WEIR_DURABILITY", "sometimes"),
                ("WEIR_SEGMENT_BYTES", "1KiB"),
            ],
        )
        .unwrap_err();
        for part in [
            "--http",
            "--max-topics",
            "--tcp",
            "WEIR_DURABILITY",
            "interval=",
        ] {
            assert!(refused.contains(part), "{part} is missing in {refused}");
        }
        let refused = read(&["--segment-bytes", "1KiB"], &[]).unwrap_err();
        assert!(
            refused.contains("segment_bytes is 1024; allowed is 4096 to"),
            "{refused}"
        );
    }
}
