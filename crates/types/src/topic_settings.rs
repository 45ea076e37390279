use crate::invalid_settings::{InvalidSettings, duration_within, within};
use crate::limits::{MAX_BATCH_BYTES, MAX_PARTITIONS};
use crate::{Durability, DurationText, RetryBackoff};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

const SEGMENT_BYTES: RangeInclusive<u64> = 4 * KIB..=4 * GIB;
const RETENTION_BYTES: RangeInclusive<u64> = 4 * KIB..=u64::MAX;
/// Of 365.25 days, as texts count it.
const YEAR: u64 = DAY / 4 * 1461;
pub(crate) const AGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(10 * YEAR);
const VISIBILITY_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(12 * HOUR);
pub(crate) const MAX_DELIVERIES: RangeInclusive<u32> = 1..=10_000;
const DEDUPE_WINDOW: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(HOUR);

/// A number of bytes, read from a JSON number or a text such as `"64MiB"`, written as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ByteCount(pub u64);

impl<'de> Deserialize<'de> for ByteCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteCount;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes such as 67108864 or \"64MiB\"")
            }
            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteCount, E> {
                Ok(ByteCount(bytes))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteCount, E> {
                let parsed = text.parse::<bytesize::ByteSize>();
                let refused = |_| E::invalid_value(de::Unexpected::Str(text), &self);
                parsed.map(|size| ByteCount(size.as_u64())).map_err(refused)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// What an operator chose for one topic. Stored in its `topic.json`, shown by the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicSettings {
    /// Number of partitions, fixed once created: key order depends on it.
    pub partitions: u32,
    /// Records older than this are trimmed, a sealed segment at a time.
    pub retention_age: DurationText,
    /// When a partition exceeds this, its oldest sealed segments are trimmed.
    pub retention_bytes: ByteCount,
    /// A segment that reached this size is sealed and a new one begun.
    pub segment_bytes: ByteCount,
    /// A segment whose first record is this old is sealed, so that quiet topics trim too.
    pub segment_age: DurationText,
    /// When a publish counts as done.
    pub durability: Durability,
    /// How long a lease lasts unless the consumer says.
    pub visibility_timeout: DurationText,
    /// A message that a group leased this often, and did not finish, becomes a dead letter; unless
    /// the group has its own.
    #[serde(default = "default_max_deliveries")]
    pub max_deliveries: u32,
    /// How long a message waits between deliveries, unless the group has its own.
    #[serde(default)]
    pub retry_backoff: RetryBackoff,
    /// A message with the id of one that was stored this short ago is not stored again; zero
    /// stores all.
    #[serde(default = "default_dedupe_window")]
    pub dedupe_window: DurationText,
    /// The topic is deleted when nobody has published to it or read from it for this long; `None` is
    /// never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<DurationText>,
}

const fn default_max_deliveries() -> u32 {
    16
}

const fn default_dedupe_window() -> DurationText {
    DurationText(Duration::from_secs(120))
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self {
            partitions: 1,
            retention_age: DurationText(Duration::from_secs(7 * DAY)),
            retention_bytes: ByteCount(10 * GIB),
            segment_bytes: ByteCount(64 * MIB),
            segment_age: DurationText(Duration::from_secs(DAY)),
            durability: Durability::Fsync,
            visibility_timeout: DurationText(Duration::from_secs(30)),
            max_deliveries: default_max_deliveries(),
            retry_backoff: RetryBackoff::default(),
            dedupe_window: default_dedupe_window(),
            expires_after: None,
        }
    }
}

/// Settings to set; what is absent stays as it is, or takes its default in a new topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicSettingsChange {
    /// See [`TopicSettings::partitions`]; an existing topic only accepts the number it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// See [`TopicSettings::retention_age`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_age: Option<DurationText>,
    /// See [`TopicSettings::retention_bytes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_bytes: Option<ByteCount>,
    /// See [`TopicSettings::segment_bytes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_bytes: Option<ByteCount>,
    /// See [`TopicSettings::segment_age`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_age: Option<DurationText>,
    /// See [`TopicSettings::durability`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
    /// See [`TopicSettings::visibility_timeout`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility_timeout: Option<DurationText>,
    /// See [`TopicSettings::max_deliveries`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_deliveries: Option<u32>,
    /// See [`TopicSettings::retry_backoff`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_backoff: Option<RetryBackoff>,
    /// See [`TopicSettings::dedupe_window`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe_window: Option<DurationText>,
    /// See [`TopicSettings::expires_after`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<DurationText>,
}

impl TopicSettings {
    /// These settings with `change` applied and checked.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the first setting outside its range.
    pub fn with(&self, change: &TopicSettingsChange) -> Result<Self, InvalidSettings> {
        let backoff = change.retry_backoff.as_ref();
        let changed = Self {
            partitions: change.partitions.unwrap_or(self.partitions),
            retention_age: change.retention_age.unwrap_or(self.retention_age),
            retention_bytes: change.retention_bytes.unwrap_or(self.retention_bytes),
            segment_bytes: change.segment_bytes.unwrap_or(self.segment_bytes),
            segment_age: change.segment_age.unwrap_or(self.segment_age),
            durability: change.durability.unwrap_or(self.durability),
            visibility_timeout: change.visibility_timeout.unwrap_or(self.visibility_timeout),
            max_deliveries: change.max_deliveries.unwrap_or(self.max_deliveries),
            retry_backoff: backoff.unwrap_or(&self.retry_backoff).clone(),
            dedupe_window: change.dedupe_window.unwrap_or(self.dedupe_window),
            expires_after: change.expires_after.or(self.expires_after),
        };
        changed.check()?;
        Ok(changed)
    }

    fn check(&self) -> Result<(), InvalidSettings> {
        let number = u64::to_string;
        let (retention_bytes, segment_bytes) = (self.retention_bytes.0, self.segment_bytes.0);
        let partitions = 1..=MAX_PARTITIONS;
        within("partitions", &self.partitions, &partitions, u32::to_string)?;
        duration_within("retention_age", self.retention_age, &AGE)?;
        within(
            "retention_bytes",
            &retention_bytes,
            &RETENTION_BYTES,
            number,
        )?;
        within("segment_bytes", &segment_bytes, &SEGMENT_BYTES, number)?;
        duration_within("segment_age", self.segment_age, &AGE)?;
        let (timeout, deliveries) = (self.visibility_timeout, &self.max_deliveries);
        duration_within("visibility_timeout", timeout, &VISIBILITY_TIMEOUT)?;
        within(
            "max_deliveries",
            deliveries,
            &MAX_DELIVERIES,
            u32::to_string,
        )?;
        self.retry_backoff.check()?;
        duration_within("dedupe_window", self.dedupe_window, &DEDUPE_WINDOW)?;
        match self.expires_after {
            Some(given) => duration_within("expires_after", given, &AGE),
            None => Ok(()),
        }
    }
}

const _: () = assert!(
    MAX_BATCH_BYTES as u64 <= 4 * GIB,
    "a batch fits into a segment"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn change(json: &str) -> TopicSettingsChange {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_change_touches_only_what_it_names() {
        let changed = TopicSettings::default()
            .with(&change(r#"{"segment_bytes":"1MiB","durability":"os"}"#))
            .unwrap();
        assert_eq!(changed.segment_bytes, ByteCount(MIB));
        assert_eq!(changed.durability, Durability::Os);
        assert_eq!(changed.partitions, 1);
        assert_eq!(changed.retention_age.0.as_secs(), 7 * DAY);
    }

    #[test]
    fn nonsense_is_refused_with_the_allowed_range() {
        let refused = TopicSettings::default()
            .with(&change(r#"{"partitions":0}"#))
            .unwrap_err();
        assert_eq!(refused.to_string(), "partitions is 0; allowed is 1 to 256");
        let refused = TopicSettings::default().with(&change(r#"{"segment_age":"0s"}"#));
        assert_eq!(
            refused.unwrap_err().to_string(),
            "segment_age is 0s; allowed is 1s to 10years"
        );
        assert!(serde_json::from_str::<TopicSettingsChange>(r#"{"partition":2}"#).is_err());
        assert!(serde_json::from_str::<TopicSettingsChange>(r#"{"segment_bytes":-1}"#).is_err());
    }

    #[test]
    fn the_bounds_of_delivery_are_checked() {
        for (json, refused) in [
            (
                r#"{"max_deliveries":10001}"#,
                "max_deliveries is 10001; allowed is 1 to 10000",
            ),
            (
                r#"{"dedupe_window":"2h"}"#,
                "dedupe_window is 2h; allowed is 0s to 1h",
            ),
            (
                r#"{"retry_backoff":{"initial":"1s","cap":"13h"}}"#,
                "retry_backoff.cap is 13h; allowed is 0s to 12h",
            ),
        ] {
            let result = TopicSettings::default().with(&change(json));
            assert_eq!(result.unwrap_err().to_string(), refused);
        }
        let off = TopicSettings::default().with(&change(r#"{"dedupe_window":"0s"}"#));
        assert!(off.unwrap().dedupe_window.0.is_zero());
    }

    #[test]
    fn settings_of_before_take_the_defaults_of_what_came_later() {
        let before = r#"{"partitions":1,"retention_age":"7days","retention_bytes":10737418240,
            "segment_bytes":67108864,"segment_age":"1day","durability":"fsync","visibility_timeout":"30s"}"#;
        let read: TopicSettings = serde_json::from_str(before).unwrap();
        assert_eq!(read, TopicSettings::default());
    }

    #[test]
    fn settings_are_written_as_they_are_read() {
        let text = serde_json::to_string(&TopicSettings::default()).unwrap();
        assert_eq!(
            serde_json::from_str::<TopicSettings>(&text).unwrap(),
            TopicSettings::default()
        );
    }
}
