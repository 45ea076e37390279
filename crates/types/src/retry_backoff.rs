use crate::DurationText;
use crate::invalid_settings::{InvalidSettings, duration_within, within};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

const NAME: &str = "retry_backoff";
const DELAY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(12 * 3600);
const LIST_LEN: RangeInclusive<usize> = 0..=64;
const FACTOR: RangeInclusive<f64> = 1.0..=100.0;
const JITTER: RangeInclusive<f64> = 0.0..=1.0;

/// How long a message waits before its next delivery, after a lease of it ended without an ack.
///
/// As JSON a list, `["1s","10s","1m"]`, or `{"initial":"1s","factor":2.0,"cap":"10m","jitter":0.2}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum RetryBackoff {
    /// Attempt n waits for the n-th, all later ones for the last. None at all: at once.
    List(Vec<DurationText>),
    /// Each attempt waits `factor` times as long as the one before.
    Exponential {
        /// After the first attempt.
        initial: DurationText,
        /// 1 to 100; 2 unless given.
        factor: f64,
        /// Never longer.
        cap: DurationText,
        /// Up to this part of the delay is left out, by chance, so that what failed together is
        /// not tried again together: 0 to 1, 0 unless given.
        jitter: f64,
    },
}

impl Default for RetryBackoff {
    /// At once.
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl RetryBackoff {
    /// Delay after the attempt `attempts`, from 1, ended. `random` is uniform over all of `u64`; it
    /// decides the jitter and nothing else.
    #[must_use]
    pub fn delay(&self, attempts: u32, random: u64) -> Duration {
        let before = attempts.saturating_sub(1);
        match self {
            Self::List(delays) => {
                let nth = delays.get(before as usize).or(delays.last());
                nth.map_or(Duration::ZERO, |delay| delay.0)
            }
            Self::Exponential {
                initial,
                factor,
                cap,
                jitter,
            } => {
                let power = i32::try_from(before).unwrap_or(i32::MAX);
                let grown = scaled(initial.0, factor.powi(power), cap.0);
                scaled(grown, 1.0 - jitter * fraction(random), cap.0)
            }
        }
    }

    /// The longest delay it gives.
    #[must_use]
    pub fn cap(&self) -> Duration {
        match self {
            Self::List(delays) => delays.iter().max().map_or(Duration::ZERO, |delay| delay.0),
            Self::Exponential { cap, .. } => cap.0,
        }
    }

    pub(crate) fn check(&self) -> Result<(), InvalidSettings> {
        match self {
            Self::List(delays) => {
                let show = |len: &usize| format!("{len} delays");
                within(NAME, &delays.len(), &LIST_LEN, show)?;
                let mut delays = delays.iter();
                delays.try_for_each(|delay| duration_within(NAME, *delay, &DELAY))
            }
            Self::Exponential {
                initial,
                factor,
                cap,
                jitter,
            } => {
                duration_within("retry_backoff.cap", *cap, &DELAY)?;
                let up_to_cap = *DELAY.start()..=cap.0;
                duration_within("retry_backoff.initial", *initial, &up_to_cap)?;
                within("retry_backoff.factor", factor, &FACTOR, f64::to_string)?;
                within("retry_backoff.jitter", jitter, &JITTER, f64::to_string)
            }
        }
    }
}

/// At most `cap`, also where the product is no duration.
fn scaled(delay: Duration, by: f64, cap: Duration) -> Duration {
    let product = Duration::try_from_secs_f64(delay.as_secs_f64() * by);
    product.unwrap_or(cap).min(cap)
}

/// Uniform in [0, 1), from the 53 bits that a float holds.
fn fraction(random: u64) -> f64 {
    const STEPS: f64 = (1_u64 << 53) as f64;
    (random >> 11) as f64 / STEPS
}

/// The members of the second form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exponential {
    initial: DurationText,
    #[serde(default = "twice")]
    factor: f64,
    cap: DurationText,
    #[serde(default)]
    jitter: f64,
}

const fn twice() -> f64 {
    2.0
}

impl<'de> Deserialize<'de> for RetryBackoff {
    // By hand: of an untagged enum serde only says that no form fits.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = RetryBackoff;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a list of delays such as [\"1s\",\"1m\"], or {\"initial\":\"1s\",\"cap\":\"10m\"}",
                )
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<RetryBackoff, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(list)).map(RetryBackoff::List)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RetryBackoff, A::Error> {
                let form = Exponential::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RetryBackoff::Exponential {
                    initial: form.initial,
                    factor: form.factor,
                    cap: form.cap,
                    jitter: form.jitter,
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn backoff(json: &str) -> RetryBackoff {
        serde_json::from_str(json).unwrap()
    }

    fn delays(backoff: &RetryBackoff) -> Vec<u64> {
        let seconds = |attempts| backoff.delay(attempts, 0).as_secs();
        (1..=5).map(seconds).collect()
    }

    #[test]
    fn a_list_is_followed_to_its_last() {
        assert_eq!(
            delays(&backoff(r#"["1s","10s","1m"]"#)),
            [1, 10, 60, 60, 60]
        );
        assert_eq!(delays(&RetryBackoff::default()), [0; 5]);
        assert_eq!(
            backoff(r#"["1m","1s"]"#).cap(),
            Duration::from_secs(60),
            "the longest need not be the last"
        );
    }

    #[test]
    fn delays_grow_up_to_the_cap() {
        let doubling = backoff(r#"{"initial":"1s","cap":"10s"}"#);
        assert_eq!(delays(&doubling), [1, 2, 4, 8, 10]);
        let cap = Duration::from_secs(10);
        assert_eq!(doubling.cap(), cap);
        assert_eq!(doubling.delay(u32::MAX, 0), cap);
        assert_eq!(doubling.delay(0, 0).as_secs(), 1);
    }

    #[test]
    fn jitter_shortens_by_chance() {
        let half = backoff(r#"{"initial":"8s","factor":1,"cap":"10s","jitter":0.5}"#);
        assert_eq!(half.delay(1, 0).as_millis(), 8_000);
        assert_eq!(half.delay(1, 1 << 63).as_millis(), 6_000);
        assert_eq!(half.delay(1, u64::MAX).as_millis(), 4_000);
    }

    #[test]
    fn what_is_no_backoff_is_refused_with_the_reason() {
        for (json, reason) in [
            ("5", "a list of delays such as"),
            (r#"["soon"]"#, "is no duration"),
            (r#"{"initial":"1s"}"#, "missing field `cap`"),
            (
                r#"{"initial":"1s","cap":"2s","jiter":1}"#,
                "unknown field `jiter`",
            ),
        ] {
            let refused = serde_json::from_str::<RetryBackoff>(json).unwrap_err();
            assert!(refused.to_string().contains(reason), "{refused}");
        }
        for (json, reason) in [
            (r#"["13h"]"#, "retry_backoff is 13h; allowed is 0s to 12h"),
            (
                r#"{"initial":"1s","cap":"2s","factor":0.5}"#,
                "retry_backoff.factor is 0.5; allowed is 1 to 100",
            ),
            (
                r#"{"initial":"3s","cap":"2s"}"#,
                "retry_backoff.initial is 3s; allowed is 0s to 2s",
            ),
            (
                r#"{"initial":"1s","cap":"2s","jitter":1.5}"#,
                "retry_backoff.jitter is 1.5; allowed is 0 to 1",
            ),
        ] {
            assert_eq!(backoff(json).check().unwrap_err().to_string(), reason);
        }
        let long = RetryBackoff::List(vec![DurationText(Duration::ZERO); 65]);
        assert_eq!(
            long.check().unwrap_err().to_string(),
            "retry_backoff is 65 delays; allowed is 0 delays to 64 delays"
        );
    }

    #[test]
    fn backoffs_are_written_as_they_are_read() {
        for json in [
            "[]",
            r#"["1s","1m"]"#,
            r#"{"initial":"1s","factor":2.5,"cap":"10m","jitter":0.2}"#,
        ] {
            assert_eq!(serde_json::to_string(&backoff(json)).unwrap(), json);
        }
    }

    proptest! {
        #[test]
        fn no_delay_is_longer_than_the_cap(
            initial in 0_u64..50_000, cap in 0_u64..50_000, factor in 1.0..100.0, jitter in 0.0..=1.0,
            attempts: u32, random: u64,
        ) {
            let backoff = RetryBackoff::Exponential {
                initial: DurationText(Duration::from_millis(initial)),
                factor,
                cap: DurationText(Duration::from_millis(cap)),
                jitter,
            };
            prop_assert!(backoff.delay(attempts, random) <= backoff.cap());
            prop_assert!(backoff.delay(attempts, random) <= backoff.delay(attempts, 0));
        }
    }
}
