use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use thiserror::Error;

/// Why a duration was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{text:?} is no duration; write a number with a unit, such as \"250ms\", \"30s\" or \"2h\""
)]
pub struct InvalidDuration {
    text: String,
}

/// A duration that is written as text: `"250ms"`, `"30s"`, `"2h"`, `"7days"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DurationText(pub Duration);

impl FromStr for DurationText {
    type Err = InvalidDuration;
    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let parsed = humantime::parse_duration(text);
        parsed.map(Self).map_err(|_| InvalidDuration {
            text: text.to_owned(),
        })
    }
}

impl TryFrom<String> for DurationText {
    type Error = InvalidDuration;
    fn try_from(text: String) -> Result<Self, InvalidDuration> {
        text.parse()
    }
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl From<DurationText> for String {
    fn from(duration: DurationText) -> Self {
        duration.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        let millis = |text: &str| text.parse::<DurationText>().map(|d| d.0.as_millis());
        assert_eq!(millis("250ms"), Ok(250));
        assert_eq!(millis("2h"), Ok(7_200_000));
        for text in ["", "5", "-1s", "soon"] {
            assert!(millis(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["250ms", "30s", "2h", "7days"] {
            assert_eq!(text.parse::<DurationText>().unwrap().to_string(), text);
        }
    }
}
