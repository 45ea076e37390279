//! What an operator may choose. One table makes the flags, the environment variables, the TOML keys
//! and their documentation.

mod table;

pub use table::SETTINGS;
pub use weir_service::settings::Refused;

use clap::{ArgMatches, Command};
use std::net::SocketAddr;
use std::time::Duration;
use weir_client::{Client, ClientOptions};
use weir_service::http::HttpLimits;
use weir_service::probe::{self, Probe};
use weir_service::settings::{self, SettingsProblems, SettingsReader};
use weir_service::telemetry::LogFormat;

/// Variables of other parts of Weir, which may run in the same environment.
const OTHERS: [&str; 1] = ["WEIR_BROKER"];

/// The dashboard's settings, read and checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The broker to follow.
    pub broker_url: String,
    /// Where HTTP listens.
    pub http: SocketAddr,
    /// What HTTP clients may take.
    pub http_limits: HttpLimits,
    /// From the signal to the end.
    pub grace_period: Duration,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: String,
    /// Variables that look like ours but are not.
    pub warnings: Vec<String>,
}

/// The command line of `weir-ui`.
#[must_use]
pub fn command() -> Command {
    Command::new("weir-ui")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Shows every host live in a browser, and to Prometheus")
        .after_help(AFTER_HELP)
        .arg(probe::healthcheck_flag())
        .arg(probe::drain_flag())
        .arg(settings::config_flag())
        .args(settings::flags(SETTINGS))
}

const AFTER_HELP: &str = "\
Examples:
  weir-ui                                       follows 127.0.0.1:5000, page on 127.0.0.1:8080
  weir-ui --broker http://weir:5000 --http 0.0.0.0:8080

Try it:
  curl 127.0.0.1:8080/api/fleet
  curl 127.0.0.1:8080/metrics

Prometheus: scrape /metrics with `honor_labels: true`, or discover the nodes with http_sd at /sd.

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
        let variables = variables.filter(|name| !OTHERS.contains(&name.as_str()));
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
        let broker_url = from.read("broker", broker_url);
        let http = from.read("http", address);
        let max_connections = from.read("max-connections", settings::in_range(1..=100_000));
        let grace_period = from.read("grace-period", settings::duration);
        let log_format = from.read("log-format", settings::text);
        let log_filter = from.read("log-filter", settings::text);
        from.finish_with(|| {
            let mut settings = Self::embedded(broker_url?, http?, grace_period?);
            settings.http_limits.max_connections = max_connections?;
            settings.log_format = log_format?;
            settings.log_filter = log_filter?;
            Some(settings)
        })
    }

    /// Settings for a process that runs more than the dashboard and has read its own.
    #[must_use]
    pub fn embedded(broker_url: String, http: SocketAddr, grace_period: Duration) -> Self {
        Self {
            broker_url,
            http,
            http_limits: HttpLimits {
                max_connections: 1_000,
                // What is left of the grace period is for the tasks behind.
                drain_timeout: grace_period * 3 / 4,
                ..HttpLimits::default()
            },
            grace_period,
            log_format: LogFormat::default(),
            log_filter: "info".to_owned(),
            warnings: Vec::new(),
        }
    }
}

fn broker_url(value: &str) -> Result<String, String> {
    let checked = Client::new(value, ClientOptions::default());
    checked.map_err(|error| error.to_string())?;
    Ok(value.trim_end_matches('/').to_owned())
}

fn address(value: &str) -> Result<SocketAddr, String> {
    let refused = || "allowed is an IP address with a port, such as \"127.0.0.1:8080\"".to_owned();
    value.parse().map_err(|_| refused())
}

/// docs/settings-ui.md, made from the table.
#[must_use]
pub fn markdown() -> String {
    format!("{MARKDOWN_HEAD}{}", settings::markdown_table(SETTINGS))
}

const MARKDOWN_HEAD: &str = "\
# Settings of weir-ui

A flag goes before an environment variable, that before the TOML file (`--config FILE` or
`WEIR_CONFIG`), that before the default. Nonsense is refused at start, with every problem listed at
once.

This page is made from the code: `UPDATE_DOCS=1 cargo test -p weir-ui the_settings_page`.

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_page_says_what_the_code_does() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings-ui.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(page, markdown()).unwrap();
        }
        let written = std::fs::read_to_string(page).unwrap();
        assert!(
            written == markdown(),
            "docs/settings-ui.md is old; it says how to renew it"
        );
    }

    fn read(flags: &[&str], env: &[(&str, &str)]) -> Result<Settings, String> {
        let matches = command()
            .try_get_matches_from([&["weir-ui"], flags].concat())
            .unwrap();
        let env = |name: &str| {
            let known = env.iter().find(|(known, _)| *known == name);
            known.map(|(_, value)| (*value).to_owned())
        };
        Settings::read(&matches, &env).map_err(|problems| problems.to_string())
    }

    #[test]
    fn the_defaults_are_valid() {
        let settings = read(&[], &[]).unwrap();
        assert_eq!(settings.http, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(settings.broker_url, "http://127.0.0.1:5000");
        command().debug_assert();
    }

    #[test]
    fn the_broker_has_an_alias_and_the_flag_goes_before_it() {
        let env = [("BROKER_URL", "http://b:1/")];
        assert_eq!(read(&[], &env).unwrap().broker_url, "http://b:1");
        let flag = read(&["--broker", "http://c:2"], &env).unwrap();
        assert_eq!(flag.broker_url, "http://c:2");
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        let flags = [
            "--http",
            "off",
            "--broker",
            "ftp://b",
            "--grace-period",
            "soon",
        ];
        let refused = read(&flags, &[]).unwrap_err();
        for flag in ["--http", "--broker", "--grace-period"] {
            assert!(refused.contains(flag), "{flag} is missing in {refused}");
        }
    }
}
