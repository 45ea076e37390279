//! When a message is delivered, and until when: `ttl`, `delay` and `deliver_at`, alike in queries
//! and in lines of batches.

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;
use thiserror::Error;
use weir_types::{DurationText, InvalidDuration, Timestamp};

/// Longest `ttl` and `delay`, and how far ahead `deliver_at` may be: ten years of 365.25 days.
pub const MAX_AHEAD: Duration = Duration::from_secs(10 * 31_557_600);
const MIN_TTL: Duration = Duration::from_millis(1);

/// When a message is delivered, if not at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deliver {
    /// So long after it was published.
    After(Duration),
    /// At this time; at once if it is past.
    At(Timestamp),
}

/// Why a `ttl`, `delay` or `deliver_at` was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidDelivery {
    /// Not written as a duration.
    #[error(transparent)]
    NoDuration(#[from] InvalidDuration),
    /// A `ttl` out of range.
    #[error("allowed is a ttl from 1ms to 10years")]
    Ttl,
    /// A `delay` out of range.
    #[error("allowed is a delay up to 10years")]
    Delay,
    /// Neither milliseconds nor a time of RFC 3339.
    #[error(
        "{0:?} is no time; write one such as 2026-01-31T12:00:00Z, or milliseconds since the epoch"
    )]
    NoTime(String),
    /// A `deliver_at` too far ahead.
    #[error("deliver_at is {}; allowed are times up to 10 years ahead", .0.to_rfc3339())]
    TooFarAhead(Timestamp),
    /// Both say when.
    #[error("delay and deliver_at exclude each other: give one of them")]
    Both,
}

impl Deliver {
    /// What the two parameters, of which at most one may be given, come to.
    ///
    /// # Errors
    /// [`InvalidDelivery::Both`].
    pub fn of(
        delay: Option<Duration>,
        deliver_at: Option<Timestamp>,
    ) -> Result<Option<Self>, InvalidDelivery> {
        match (delay, deliver_at) {
            (Some(_), Some(_)) => Err(InvalidDelivery::Both),
            (Some(delay), None) => Ok(Some(Self::After(delay))),
            (None, at) => Ok(at.map(Self::At)),
        }
    }

    /// The time of delivery of a message that is published `now`.
    ///
    /// # Errors
    /// [`InvalidDelivery::TooFarAhead`].
    pub fn due(self, now: Timestamp) -> Result<Timestamp, InvalidDelivery> {
        match self {
            Self::After(delay) => Ok(now.plus(delay)),
            Self::At(at) if at.since(now) > MAX_AHEAD => Err(InvalidDelivery::TooFarAhead(at)),
            Self::At(at) => Ok(at),
        }
    }
}

/// Parses a `ttl`: a duration from 1 ms to 10 years.
///
/// # Errors
/// [`InvalidDelivery`] says what is allowed.
pub fn parse_ttl(text: &str) -> Result<Duration, InvalidDelivery> {
    let DurationText(ttl) = text.parse()?;
    match ttl < MIN_TTL || ttl > MAX_AHEAD {
        true => Err(InvalidDelivery::Ttl),
        false => Ok(ttl),
    }
}

/// Parses a `delay`: a duration up to 10 years.
///
/// # Errors
/// [`InvalidDelivery`] says what is allowed.
pub fn parse_delay(text: &str) -> Result<Duration, InvalidDelivery> {
    let DurationText(delay) = text.parse()?;
    match delay > MAX_AHEAD {
        true => Err(InvalidDelivery::Delay),
        false => Ok(delay),
    }
}

/// Parses a `deliver_at`: a time of RFC 3339, or the digits of milliseconds since the Unix epoch.
/// How far ahead it is, [`Deliver::due`] checks.
///
/// # Errors
/// [`InvalidDelivery`] shows what a time looks like.
pub fn parse_deliver_at(text: &str) -> Result<Timestamp, InvalidDelivery> {
    let no_time = || InvalidDelivery::NoTime(text.to_owned());
    match !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        true => text.parse().map(Timestamp).map_err(|_| no_time()),
        false => Timestamp::parse_rfc3339(text).map_err(|_| no_time()),
    }
}

/// The member `ttl` of a line.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Ttl(pub(crate) Duration);

impl TryFrom<String> for Ttl {
    type Error = InvalidDelivery;
    fn try_from(text: String) -> Result<Self, InvalidDelivery> {
        parse_ttl(&text).map(Self)
    }
}

/// The member `delay` of a line.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "DurationText")]
pub(crate) struct Delay(pub(crate) Duration);

impl From<Delay> for DurationText {
    fn from(delay: Delay) -> Self {
        Self(delay.0)
    }
}

impl TryFrom<String> for Delay {
    type Error = InvalidDelivery;
    fn try_from(text: String) -> Result<Self, InvalidDelivery> {
        parse_delay(&text).map(Self)
    }
}

/// The member `deliver_at` of a line: a text or a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeliverAt(pub(crate) Timestamp);

impl<'de> Deserialize<'de> for DeliverAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DeliverAtVisitor)
    }
}

impl Serialize for DeliverAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

struct DeliverAtVisitor;

impl Visitor<'_> for DeliverAtVisitor {
    type Value = DeliverAt;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time of RFC 3339, or milliseconds since the epoch")
    }

    fn visit_u64<E: de::Error>(self, millis: u64) -> Result<DeliverAt, E> {
        Ok(DeliverAt(Timestamp(millis)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<DeliverAt, E> {
        parse_deliver_at(text).map(DeliverAt).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_has_a_range() {
        assert_eq!(parse_ttl("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_ttl("1ms"), Ok(MIN_TTL));
        assert_eq!(parse_ttl("10years"), Ok(MAX_AHEAD));
        for text in ["0s", "999us", "10years 1ms"] {
            assert_eq!(parse_ttl(text), Err(InvalidDelivery::Ttl), "{text}");
        }
        assert!(parse_ttl("30").unwrap_err().to_string().contains("30s"));
    }

    #[test]
    fn a_delay_may_be_nothing() {
        assert_eq!(parse_delay("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_delay("11years"), Err(InvalidDelivery::Delay));
    }

    #[test]
    fn a_time_is_a_text_or_milliseconds() {
        let at = Ok(Timestamp(1_769_860_800_000));
        assert_eq!(parse_deliver_at("1769860800000"), at);
        assert_eq!(parse_deliver_at("2026-01-31T12:00:00Z"), at);
        for text in ["", "tomorrow", "-1", "1.5", "99999999999999999999"] {
            let refused = parse_deliver_at(text).unwrap_err().to_string();
            assert!(refused.contains("2026-01-31T12:00:00Z"), "{refused}");
        }
    }

    #[test]
    fn one_of_the_two_says_when() {
        let (second, time) = (Duration::from_secs(1), Timestamp(5));
        let after = Deliver::After(second);
        assert_eq!(Deliver::of(None, None), Ok(None));
        assert_eq!(Deliver::of(Some(second), None), Ok(Some(after)));
        assert_eq!(Deliver::of(None, Some(time)), Ok(Some(Deliver::At(time))));
        assert_eq!(
            Deliver::of(Some(second), Some(time)),
            Err(InvalidDelivery::Both)
        );
    }

    #[test]
    fn the_due_time_is_at_most_ten_years_ahead() {
        let now = Timestamp(1_769_860_800_000);
        let latest = now.plus(MAX_AHEAD);
        assert_eq!(Deliver::After(MAX_AHEAD).due(now), Ok(latest));
        assert_eq!(Deliver::At(latest).due(now), Ok(latest));
        assert_eq!(Deliver::At(Timestamp(1)).due(now), Ok(Timestamp(1)));
        let late = Timestamp(latest.0 + 1);
        assert_eq!(
            Deliver::At(late).due(now),
            Err(InvalidDelivery::TooFarAhead(late))
        );
    }
}
