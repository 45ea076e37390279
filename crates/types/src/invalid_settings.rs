use crate::DurationText;
use std::ops::RangeInclusive;
use std::time::Duration;
use thiserror::Error;

/// Why settings of a topic or a group were refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidSettings {
    /// A value outside its range.
    #[error("{setting} is {value}; allowed is {allowed}")]
    OutOfRange {
        /// Name of the setting.
        setting: &'static str,
        /// What was asked for.
        value: String,
        /// What would be accepted.
        allowed: String,
    },
}

pub(crate) fn within<T: PartialOrd>(
    setting: &'static str,
    value: &T,
    allowed: &RangeInclusive<T>,
    show: impl Fn(&T) -> String,
) -> Result<(), InvalidSettings> {
    if allowed.contains(value) {
        return Ok(());
    }
    Err(InvalidSettings::OutOfRange {
        setting,
        value: show(value),
        allowed: format!("{} to {}", show(allowed.start()), show(allowed.end())),
    })
}

pub(crate) fn duration_within(
    setting: &'static str,
    value: DurationText,
    allowed: &RangeInclusive<Duration>,
) -> Result<(), InvalidSettings> {
    within(setting, &value.0, allowed, |d| DurationText(*d).to_string())
}
