//! Settings from one table: flag, then environment variable, then TOML file, then default.
//!
//! A process lists its settings once, as a static table of [`Setting`]s. The table makes the flags
//! ([`flags`]), tells [`SettingsReader`] where to look, and becomes the documentation
//! ([`markdown_table`]). Reading never stops at the first mistake: everything that is wrong is
//! reported at once, each with where it came from and what would be allowed.

mod file;
mod flags;
mod parse;
mod problems;
mod reader;
mod refused;

pub use flags::{CONFIG_VARIABLE, config_file, config_flag, flags};
pub use parse::{Listen, bool, bytes, duration, in_range, listen, text};
pub use problems::{SettingsProblem, SettingsProblems, ValueSource};
pub use reader::{SettingsReader, unknown_variables};
pub use refused::Refused;

/// One setting of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `data-dir` is the flag `--data-dir` and the TOML key `data_dir`; a dot, as in
    /// `path.procfs`, is a table in TOML.
    pub name: &'static str,
    /// The environment variable. An empty value counts as not set.
    pub env: &'static str,
    /// Further variables, looked at in order after `env`.
    pub env_aliases: &'static [&'static str],
    /// What the help shows for the value, such as `DIR`.
    pub value_name: &'static str,
    /// Used if nobody says otherwise, and read like any other value.
    pub default: Option<&'static str>,
    /// One sentence without a full stop.
    pub help: &'static str,
}

impl Setting {
    /// This setting, which these variables set, too, if its own does not.
    #[must_use]
    pub const fn or(self, env_aliases: &'static [&'static str]) -> Self {
        Self {
            env_aliases,
            ..self
        }
    }

    /// The key in a TOML file.
    #[must_use]
    pub fn toml_key(&self) -> String {
        self.name.replace('-', "_")
    }
}

/// The settings as a Markdown table.
#[must_use]
pub fn markdown_table(settings: &[Setting]) -> String {
    let mut table = String::from(
        "| flag | environment | TOML key | default | meaning |\n|---|---|---|---|---|\n",
    );
    for setting in settings {
        let variables: Vec<String> = std::iter::once(&setting.env)
            .chain(setting.env_aliases)
            .map(|variable| format!("`{variable}`"))
            .collect();
        let default = setting
            .default
            .filter(|default| !default.is_empty())
            .map_or_else(String::new, |default| format!("`{default}`"));
        table.push_str(&format!(
            "| `--{} {}` | {} | `{}` | {} | {} |\n",
            setting.name,
            setting.value_name,
            variables.join(", "),
            setting.toml_key(),
            default,
            setting.help.replace('|', "\\|"),
        ));
    }
    table
}

#[cfg(test)]
mod tests;
