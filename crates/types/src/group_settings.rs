use crate::invalid_settings::{InvalidSettings, duration_within, within};
use crate::topic_settings::{AGE, MAX_DELIVERIES};
use crate::{DurationText, RetryBackoff};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which messages of a group wait for which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupOrdering {
    /// None waits.
    None,
    /// A message with a key waits until all earlier ones with that key are finished.
    #[default]
    Key,
    /// A partition's messages go to one member of the group, in order; the next of them are leased when
    /// all that were leased before are finished or back.
    Partition,
}

impl fmt::Display for GroupOrdering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Key => "key",
            Self::Partition => "partition",
        })
    }
}

/// What was chosen for one group; `None` is the topic's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupSettings {
    /// Fixed once the group exists: what is leased already would break another one.
    pub ordering: GroupOrdering,
    /// A message that was leased this often, and is not finished, becomes a dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_deliveries: Option<u32>,
    /// How long a message waits between deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_backoff: Option<RetryBackoff>,
    /// The group is deleted when nobody has used it for this long; `None` is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<DurationText>,
}

/// Settings to set; what is absent stays as it is, or takes its default in a new group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupSettingsChange {
    /// See [`GroupSettings::ordering`]; an existing group only accepts the one it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering: Option<GroupOrdering>,
    /// See [`GroupSettings::max_deliveries`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_deliveries: Option<u32>,
    /// See [`GroupSettings::retry_backoff`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_backoff: Option<RetryBackoff>,
    /// See [`GroupSettings::expires_after`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<DurationText>,
}

impl GroupSettings {
    /// These settings with `change` applied and checked.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the first setting outside its range.
    pub fn with(&self, change: &GroupSettingsChange) -> Result<Self, InvalidSettings> {
        let backoff = change
            .retry_backoff
            .as_ref()
            .or(self.retry_backoff.as_ref());
        let changed = Self {
            ordering: change.ordering.unwrap_or(self.ordering),
            max_deliveries: change.max_deliveries.or(self.max_deliveries),
            retry_backoff: backoff.cloned(),
            expires_after: change.expires_after.or(self.expires_after),
        };
        changed.check()?;
        Ok(changed)
    }

    fn check(&self) -> Result<(), InvalidSettings> {
        if let Some(deliveries) = &self.max_deliveries {
            let show = u32::to_string;
            within("max_deliveries", deliveries, &MAX_DELIVERIES, show)?;
        }
        if let Some(backoff) = &self.retry_backoff {
            backoff.check()?;
        }
        self.expires_after.map_or(Ok(()), |after| {
            duration_within("expires_after", after, &AGE)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(json: &str) -> Result<GroupSettings, InvalidSettings> {
        GroupSettings::default().with(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_change_touches_only_what_it_names() {
        let chosen = with(r#"{"ordering":"partition","max_deliveries":3}"#).unwrap();
        assert_eq!(chosen.ordering, GroupOrdering::Partition);
        let change = r#"{"retry_backoff":["1s"],"expires_after":"1day"}"#;
        let changed = chosen.with(&serde_json::from_str(change).unwrap()).unwrap();
        assert_eq!(changed.ordering, GroupOrdering::Partition);
        assert_eq!(changed.max_deliveries, Some(3));
        assert_eq!(changed.retry_backoff.unwrap().cap().as_secs(), 1);
        assert_eq!(changed.expires_after.unwrap().0.as_secs(), 24 * 3600);
    }

    #[test]
    fn nonsense_is_refused_with_the_allowed_range() {
        for (json, refused) in [
            (
                r#"{"max_deliveries":0}"#,
                "max_deliveries is 0; allowed is 1 to 10000",
            ),
            (
                r#"{"retry_backoff":["13h"]}"#,
                "retry_backoff is 13h; allowed is 0s to 12h",
            ),
        ] {
            assert_eq!(with(json).unwrap_err().to_string(), refused);
        }
        let refused = with(r#"{"expires_after":"1ms"}"#).unwrap_err().to_string();
        assert!(refused.starts_with("expires_after is 1ms; allowed is 1s to"));
        for json in [r#"{"order":"key"}"#, r#"{"ordering":"keys"}"#] {
            assert!(serde_json::from_str::<GroupSettingsChange>(json).is_err());
        }
    }

    #[test]
    fn settings_are_written_as_they_are_read() {
        let json = r#"{"ordering":"key"}"#;
        let settings: GroupSettings = serde_json::from_str(json).unwrap();
        assert_eq!(settings, GroupSettings::default());
        assert_eq!(serde_json::to_string(&settings).unwrap(), json);
        let json = r#"{"ordering":"none","max_deliveries":5,"retry_backoff":["1s"],"expires_after":"1day"}"#;
        let settings: GroupSettings = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&settings).unwrap(), json);
    }
}
