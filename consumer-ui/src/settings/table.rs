//! Every setting, once: flag, environment variable, TOML key, default, meaning.

use weir_service::settings::Setting;

/// Everything that can be set.
pub static SETTINGS: &[Setting] = &[
    Setting {
        env_aliases: &["BROKER_URL"],
        ..setting(
            "broker",
            "WEIR_UI_BROKER",
            "URL",
            "http://127.0.0.1:5000",
            "The broker to follow",
        )
    },
    setting(
        "http",
        "WEIR_UI_HTTP",
        "ADDR",
        "127.0.0.1:8080",
        "Address of the dashboard and of /metrics",
    ),
    setting(
        "max-connections",
        "WEIR_UI_MAX_CONNECTIONS",
        "N",
        "1000",
        "Connections at one time; further ones wait",
    ),
    setting(
        "grace-period",
        "WEIR_GRACE_PERIOD",
        "DURATION",
        "20s",
        "Longest time between SIGTERM and the end",
    ),
    setting(
        "log-format",
        "WEIR_LOG_FORMAT",
        "FORMAT",
        "text",
        "How log lines look: \"text\" or \"json\"",
    ),
    setting(
        "log-filter",
        "WEIR_LOG_FILTER",
        "FILTER",
        "info",
        "What is logged, such as \"info\" or \"info,weir_ui=debug\"",
    ),
];

const fn setting(
    name: &'static str,
    env: &'static str,
    value_name: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        name,
        env,
        env_aliases: &[],
        value_name,
        default: Some(default),
        help,
    }
}
