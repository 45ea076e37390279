use super::file::{nearest, read_file};
use super::flags::{CONFIG_VARIABLE, flag_value};
use super::{Setting, SettingsProblem, SettingsProblems, ValueSource};
use clap::ArgMatches;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Reads settings one by one and remembers every problem.
#[derive(Debug)]
pub struct SettingsReader {
    settings: &'static [Setting],
    values: BTreeMap<&'static str, (String, ValueSource)>,
    problems: Vec<SettingsProblem>,
}

impl SettingsReader {
    /// Gathers the value of every setting: from its flag, else from its environment variable (or
    /// the first alias that is set), else from `config_file`, else its default.
    #[must_use]
    pub fn load(
        settings: &'static [Setting],
        matches: &ArgMatches,
        env: &dyn Fn(&str) -> Option<String>,
        config_file: Option<&Path>,
    ) -> Self {
        let mut problems = Vec::new();
        let file = config_file.map(|path| ConfigFile {
            path: path.to_owned(),
            values: read_file(path, settings, &mut problems),
        });
        let values = settings
            .iter()
            .filter_map(|setting| {
                let value = from_flag(setting, matches)
                    .or_else(|| from_environment(setting, env))
                    .or_else(|| file.as_ref()?.value(setting))
                    .or_else(|| Some((setting.default?.to_owned(), ValueSource::Default)))?;
                Some((setting.name, value))
            })
            .collect();
        Self {
            settings,
            values,
            problems,
        }
    }

    /// The value of a setting that must have one. `None` means a problem was recorded.
    pub fn read<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.read_optional(name, parse)?;
        if value.is_none()
            && let Some(setting) = self.settings.iter().find(|setting| setting.name == name)
        {
            self.problems.push(SettingsProblem::Missing {
                name: setting.name,
                env: setting.env,
                key: setting.toml_key(),
            });
        }
        value
    }

    /// The value of a setting that may be absent, which is `Some(None)`. `None` means a problem
    /// was recorded.
    pub fn read_optional<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        if !self.settings.iter().any(|setting| setting.name == name) {
            self.problems
                .push(SettingsProblem::NotInTable(name.to_owned()));
            return None;
        }
        let Some((&name, (value, source))) = self.values.get_key_value(name) else {
            return Some(None);
        };
        match parse(value) {
            Ok(parsed) => Some(Some(parsed)),
            Err(reason) => {
                self.problems.push(SettingsProblem::InvalidValue {
                    name,
                    value: value.clone(),
                    source_of_value: source.clone(),
                    reason,
                });
                None
            }
        }
    }

    /// Where the value of a setting came from; `None` if it has none.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&ValueSource> {
        self.values.get(name).map(|(_, source)| source)
    }

    /// Records a problem that only the caller can see, such as two settings that contradict each
    /// other.
    pub fn refuse(&mut self, problem: impl Into<String>) {
        self.problems.push(SettingsProblem::Refused(problem.into()));
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Every problem there was: print them and do not start.
    pub fn finish(self) -> Result<(), SettingsProblems> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(SettingsProblems(self.problems))
        }
    }

    /// Ends the reading with the settings that `build` puts together; it may use `?` on every
    /// value read, since each `None` stands for a recorded problem.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn finish_with<T>(
        mut self,
        build: impl FnOnce() -> Option<T>,
    ) -> Result<T, SettingsProblems> {
        let built = build();
        if built.is_none() && self.problems.is_empty() {
            self.refuse("a setting is missing");
        }
        let problems = SettingsProblems(self.problems);
        built.filter(|_| problems.0.is_empty()).ok_or(problems)
    }
}

#[derive(Debug)]
struct ConfigFile {
    path: PathBuf,
    values: BTreeMap<String, String>,
}

impl ConfigFile {
    fn value(&self, setting: &Setting) -> Option<(String, ValueSource)> {
        let key = setting.toml_key();
        let value = self.values.get(&key)?.clone();
        let path = self.path.clone();
        Some((value, ValueSource::File { path, key }))
    }
}

fn from_flag(setting: &Setting, matches: &ArgMatches) -> Option<(String, ValueSource)> {
    let value = flag_value(matches, setting.name)?;
    Some((value, ValueSource::Flag(setting.name)))
}

fn from_environment(
    setting: &Setting,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<(String, ValueSource)> {
    std::iter::once(&setting.env)
        .chain(setting.env_aliases)
        .find_map(|&variable| {
            let value = env(variable).filter(|value| !value.is_empty())?;
            Some((value, ValueSource::Environment(variable)))
        })
}

/// Warnings about variables that begin with `WEIR_` but that none of `settings` reads: they are
/// most likely misspelt.
#[must_use]
pub fn unknown_variables(
    settings: &[&[Setting]],
    variables: impl IntoIterator<Item = String>,
) -> Vec<String> {
    let known: Vec<&str> = settings
        .iter()
        .copied()
        .flatten()
        .flat_map(|setting| std::iter::once(setting.env).chain(setting.env_aliases.iter().copied()))
        .chain([CONFIG_VARIABLE])
        .collect();
    let mut warnings: Vec<String> = variables
        .into_iter()
        .filter(|name| name.starts_with("WEIR_") && !known.contains(&name.as_str()))
        .map(|name| match nearest(&name, known.iter().copied()) {
            Some(nearest) => {
                format!("environment variable {name} is not known; did you mean {nearest}?")
            }
            None => format!("environment variable {name} is not known"),
        })
        .collect();
    warnings.sort();
    warnings
}
