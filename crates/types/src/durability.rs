use crate::DurationText;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use thiserror::Error;

/// Why a durability was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{text:?} is no durability; allowed are \"fsync\", \"interval=<duration up to 1h>\" and \"os\""
)]
pub struct InvalidDurability {
    text: String,
}

/// When a write counts as done, and so what survives a loss of power. Every choice survives
/// `kill -9`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Durability {
    /// After it was synced to the disk: nothing acknowledged is lost.
    #[default]
    Fsync,
    /// After it was written; synced this often. A power cut may cost that much.
    Interval(Duration),
    /// After it was written; the operating system syncs when it likes.
    Os,
}

impl FromStr for Durability {
    type Err = InvalidDurability;
    fn from_str(text: &str) -> Result<Self, InvalidDurability> {
        let refused = || InvalidDurability {
            text: text.to_owned(),
        };
        match text {
            "fsync" => Ok(Self::Fsync),
            "os" => Ok(Self::Os),
            _ => {
                let interval = text.strip_prefix("interval=").ok_or_else(refused)?;
                let interval: DurationText = interval.parse().map_err(|_| refused())?;
                let allowed = Duration::from_millis(1)..=Duration::from_secs(3600);
                allowed
                    .contains(&interval.0)
                    .then_some(Self::Interval(interval.0))
                    .ok_or_else(refused)
            }
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fsync => f.write_str("fsync"),
            Self::Interval(interval) => write!(f, "interval={}", DurationText(*interval)),
            Self::Os => f.write_str("os"),
        }
    }
}

impl TryFrom<String> for Durability {
    type Error = InvalidDurability;
    fn try_from(text: String) -> Result<Self, InvalidDurability> {
        text.parse()
    }
}

impl From<Durability> for String {
    fn from(durability: Durability) -> Self {
        durability.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durabilities_round_trip() {
        for text in ["fsync", "os", "interval=250ms"] {
            assert_eq!(text.parse::<Durability>().unwrap().to_string(), text);
        }
        for text in ["", "async", "interval", "interval=0s", "interval=2h"] {
            assert!(text.parse::<Durability>().is_err(), "{text:?}");
        }
    }
}
