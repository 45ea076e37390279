use std::fmt;
use std::path::PathBuf;
use thiserror::Error;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// A flag of the command line, by its name.
    Flag(&'static str),
    /// An environment variable.
    Environment(&'static str),
    /// A key of the TOML file.
    File {
        /// The file.
        path: PathBuf,
        /// The key in it.
        key: String,
    },
    /// The default.
    Default,
}

impl fmt::Display for ValueSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag --{name}"),
            Self::Environment(variable) => write!(f, "environment variable {variable}"),
            Self::File { path, key } => write!(f, "{}, key {key}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsProblem {
    /// A value was refused.
    #[error("{name}: {value:?} ({source_of_value}) is refused: {reason}")]
    InvalidValue {
        /// The setting.
        name: &'static str,
        /// As given.
        value: String,
        /// Who gave it.
        source_of_value: ValueSource,
        /// What is wrong, and what would be allowed.
        reason: String,
    },
    /// A value is needed and nobody gave one.
    #[error("{name}: is not set; use flag --{name}, environment variable {env} or key {key}")]
    Missing {
        /// The setting.
        name: &'static str,
        /// Its environment variable.
        env: &'static str,
        /// Its key in a file.
        key: String,
    },
    /// The file has a key that no setting has.
    #[error("{path}: unknown key {key:?}{}", nearest.as_ref().map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?")), path = path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The known key that is most alike, if one is.
        nearest: Option<String>,
    },
    /// The file cannot be read, or is not TOML.
    #[error("{path}: {reason}", path = path.display())]
    UnreadableFile {
        /// The file.
        path: PathBuf,
        /// What the system or the parser said.
        reason: String,
    },
    /// Two settings contradict each other, or the caller refused for reasons of its own.
    #[error("{0}")]
    Refused(String),
    /// A defect: the program reads a setting that is not in its table.
    #[error("defect: the setting {0:?} is not in the table of settings")]
    NotInTable(String),
}

/// Everything that is wrong with the settings, at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsProblems(pub Vec<SettingsProblem>);

impl fmt::Display for SettingsProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are refused:")?;
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}

impl std::error::Error for SettingsProblems {}
