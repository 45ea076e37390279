//! What can be chosen for `weir up`: everything of the broker, and which of the others run.

use clap::{Arg, ArgMatches};
use std::net::SocketAddr;
use weir_broker::settings as broker;
use weir_service::settings::{
    Listen, Setting, SettingsReader, config_flag, flags, listen, unknown_variables,
};

/// What `weir up` adds to the broker's settings.
static SETTINGS: &[Setting] = &[
    Setting {
        name: "ui",
        env: "WEIR_UI_HTTP",
        env_aliases: &[],
        value_name: "ADDR",
        default: Some("127.0.0.1:8080"),
        help: "Address of the dashboard, or \"off\"",
    },
    Setting {
        name: "agent",
        env: "WEIR_AGENT",
        env_aliases: &[],
        value_name: "ON|OFF",
        default: Some("on"),
        help: "Whether this host's CPU, memory, disk and network are measured",
    },
];

/// Everything that `weir up` starts from.
#[derive(Debug)]
pub(super) struct UpSettings {
    pub(super) broker: weir_broker::Settings,
    pub(super) ui: Option<SocketAddr>,
    pub(super) agent: bool,
}

pub(super) fn arguments() -> Vec<Arg> {
    let mut arguments = vec![config_flag()];
    arguments.extend(flags(broker::SETTINGS));
    arguments.extend(flags(SETTINGS));
    arguments
}

impl UpSettings {
    /// Reads flags, environment and, for the broker, a TOML file.
    ///
    /// # Errors
    /// Every problem there is, ready to be shown.
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let env = |name: &str| std::env::var(name).ok();
        let mut from = SettingsReader::load(SETTINGS, matches, &env, None);
        let ui = from.read("ui", listen).map(Listen::address);
        let agent = from.read("agent", on_or_off);
        let own = from.finish_with(|| Some((ui?, agent?)));
        let broker = broker::Settings::read(matches, &env);
        match (broker, own) {
            (Ok(mut broker), Ok((ui, agent))) => {
                broker.warnings = warnings();
                Ok(Self { broker, ui, agent })
            }
            (Err(broker), Err(own)) => Err(format!("{broker}\n{own}")),
            (Err(problems), _) | (_, Err(problems)) => Err(problems.to_string()),
        }
    }
}

fn on_or_off(value: &str) -> Result<bool, String> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("allowed are \"on\" and \"off\"".to_owned()),
    }
}

/// Variables that look like Weir's but belong to none of its parts.
fn warnings() -> Vec<String> {
    let tables = [
        broker::SETTINGS,
        SETTINGS,
        weir_agent::settings::SETTINGS,
        weir_ui::settings::SETTINGS,
    ];
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    unknown_variables(&tables, variables)
}
