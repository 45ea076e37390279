use super::Setting;
use clap::{Arg, ArgMatches};
use std::path::PathBuf;

/// The environment variable that names the TOML file.
pub const CONFIG_VARIABLE: &str = "WEIR_CONFIG";
const CONFIG_FLAG: &str = "config";

/// One flag per setting. All take text; [`super::SettingsReader`] reads it.
#[must_use]
pub fn flags(settings: &'static [Setting]) -> Vec<Arg> {
    settings.iter().map(flag).collect()
}

fn flag(setting: &'static Setting) -> Arg {
    let default = setting
        .default
        .filter(|default| !default.is_empty())
        .map_or_else(String::new, |default| format!(" [default: {default}]"));
    Arg::new(setting.name)
        .long(setting.name)
        .value_name(setting.value_name)
        .help(format!("{} [env: {}]{default}", setting.help, setting.env))
}

/// The flag `--config FILE`.
#[must_use]
pub fn config_flag() -> Arg {
    Arg::new(CONFIG_FLAG)
        .long(CONFIG_FLAG)
        .value_name("FILE")
        .help(format!("Settings in TOML [env: {CONFIG_VARIABLE}]"))
}

/// The TOML file to read, from [`config_flag`] or [`CONFIG_VARIABLE`].
pub fn config_file(matches: &ArgMatches, env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    flag_value(matches, CONFIG_FLAG)
        .or_else(|| env(CONFIG_VARIABLE).filter(|path| !path.is_empty()))
        .map(PathBuf::from)
}

pub(super) fn flag_value(matches: &ArgMatches, name: &str) -> Option<String> {
    let value = matches.try_get_one::<String>(name);
    value.ok().flatten().cloned()
}
