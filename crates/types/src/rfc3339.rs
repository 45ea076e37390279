//! Times as people write them.

use crate::Timestamp;
use std::time::{Duration, UNIX_EPOCH};
use thiserror::Error;

/// A text that is no time of RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no time such as 2026-01-31T12:00:00Z or 2026-01-31T13:00:00.5+01:00")]
pub struct InvalidTime(String);

/// A year has four digits.
const END_OF_9999: Duration = Duration::from_secs(253_402_300_799);

impl Timestamp {
    /// Parses a time of RFC 3339 since 1970, with `Z` or an offset from UTC. What is finer than
    /// a millisecond is cut.
    ///
    /// # Errors
    /// [`InvalidTime`] shows what a time looks like.
    pub fn parse_rfc3339(text: &str) -> Result<Self, InvalidTime> {
        parse(text).ok_or_else(|| InvalidTime(text.to_owned()))
    }

    /// The time in words of RFC 3339, UTC, with milliseconds.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let latest = Duration::from_millis(self.0).min(END_OF_9999);
        humantime::format_rfc3339_millis(UNIX_EPOCH + latest).to_string()
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let upper = text.to_ascii_uppercase();
    if let Some(local) = upper.strip_suffix('Z') {
        return utc_millis(local).map(Timestamp);
    }
    let (local, offset) = upper.split_at_checked(upper.len().checked_sub(6)?)?;
    let local = utc_millis(local)?;
    let minutes = minutes(&offset[1..])?;
    let millis = match offset.as_bytes()[0] {
        b'+' => local.checked_sub(minutes * 60_000)?,
        b'-' => local.checked_add(minutes * 60_000)?,
        _ => return None,
    };
    Some(Timestamp(millis))
}

/// `2026-01-31T12:00:00`, taken as UTC.
fn utc_millis(local: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// `01:30`
fn minutes(text: &str) -> Option<u64> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<u64>().ok()).flatten()
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_same_in_every_zone() {
        let noon = Timestamp(1_769_860_800_000);
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31t12:00:00.000z",
            "2026-01-31T13:30:00+01:30",
            "2026-01-31T02:00:00-10:00",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text), Ok(noon), "{text}");
        }
        assert_eq!(noon.to_rfc3339(), "2026-01-31T12:00:00.000Z");
        assert_eq!(Timestamp(u64::MAX).to_rfc3339(), "9999-12-31T23:59:59.000Z");
        let finer = Timestamp::parse_rfc3339("2026-01-31T12:00:00.1239Z");
        assert_eq!(finer, Ok(Timestamp(noon.0 + 123)));
    }

    #[test]
    fn what_is_no_time_is_refused_with_an_example() {
        for text in [
            "",
            "now",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-13-31T12:00:00Z",
            "2026-01-31T12:00:00+1:00",
            "2026-01-31T12:00:00*01:00",
            "1960-01-31T12:00:00Z",
            "1970-01-01T00:00:00+01:00",
            "äöüäöü",
        ] {
            let refused = Timestamp::parse_rfc3339(text).unwrap_err().to_string();
            assert!(
                refused.contains("2026-01-31T12:00:00Z"),
                "{text}: {refused}"
            );
        }
    }
}
