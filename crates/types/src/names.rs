use crate::bounded_text::{self, InvalidText};
use crate::limits::{MAX_DERIVED_TOPIC_NAME_CHARS, MAX_GROUP_NAME_BYTES, MAX_TOPIC_NAME_CHARS};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use thiserror::Error;

/// Why a topic name was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidName {
    /// Nothing was given.
    #[error("a topic name must not be empty")]
    Empty,
    /// Longer than [`MAX_TOPIC_NAME_CHARS`].
    #[error("the topic name has {chars} characters; at most {max} are allowed")]
    TooLong {
        /// Characters given.
        chars: usize,
        /// The limit.
        max: usize,
    },
    /// A character outside `[A-Za-z0-9._-]`.
    #[error(
        "the topic name contains {character:?} at character {position}; \
         allowed are A-Z, a-z, 0-9, '.', '_' and '-'"
    )]
    Character {
        /// The first offending character.
        character: char,
        /// Its place, counted in characters from 0.
        position: usize,
    },
    /// `.` and `..` are directories.
    #[error("a topic cannot be named \".\" or \"..\"")]
    Dots,
    /// `__` is the broker's own prefix.
    #[error("topic names beginning with \"__\" belong to the broker")]
    Reserved,
}

const SCHEDULE_LOG: &str = "__schedule";

/// The name of a topic: `[A-Za-z0-9._-]{1,200}`, not `.` or `..`, not beginning with `__`.
///
/// It is a legal directory name by construction. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Parses a name chosen by a client.
    ///
    /// # Errors
    /// [`InvalidName`] says which rule was broken and where.
    pub fn parse(name: &str) -> Result<Self, InvalidName> {
        Self::parse_up_to(name, MAX_TOPIC_NAME_CHARS)
    }

    /// Parses the name of a topic that may have been derived by the broker, up to
    /// [`MAX_DERIVED_TOPIC_NAME_CHARS`] characters long.
    ///
    /// # Errors
    /// Like [`TopicName::parse`].
    pub fn parse_derived(name: &str) -> Result<Self, InvalidName> {
        Self::parse_up_to(name, MAX_DERIVED_TOPIC_NAME_CHARS)
    }

    /// The log in which messages wait that are delivered later. The broker alone writes and reads it:
    /// no name that a client sends parses as this one.
    #[must_use]
    pub fn schedule_log() -> Self {
        Self(SCHEDULE_LOG.into())
    }

    /// Parses the name of a directory of stored topics: a derived name, or that of a log of the
    /// broker's own.
    ///
    /// # Errors
    /// Like [`TopicName::parse`].
    pub fn parse_stored(name: &str) -> Result<Self, InvalidName> {
        match name {
            SCHEDULE_LOG => Ok(Self::schedule_log()),
            _ => Self::parse_derived(name),
        }
    }

    /// Whether it is a log of the broker's own, which is no topic to clients.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        &*self.0 == SCHEDULE_LOG
    }

    fn parse_up_to(name: &str, max: usize) -> Result<Self, InvalidName> {
        if name.is_empty() {
            return Err(InvalidName::Empty);
        }
        let chars = name.chars().count();
        if chars > max {
            return Err(InvalidName::TooLong { chars, max });
        }
        let refused = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if let Some((position, character)) = name.chars().enumerate().find(|(_, c)| refused(c)) {
            return Err(InvalidName::Character {
                character,
                position,
            });
        }
        if matches!(name, "." | "..") {
            return Err(InvalidName::Dots);
        }
        if name.starts_with("__") {
            return Err(InvalidName::Reserved);
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl TryFrom<String> for TopicName {
    type Error = InvalidName;
    fn try_from(name: String) -> Result<Self, InvalidName> {
        Self::parse(&name)
    }
}

impl From<TopicName> for String {
    fn from(name: TopicName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl std::borrow::Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The name of a consumer group: 1 to 80 bytes of UTF-8 without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(Arc<str>);

impl GroupName {
    /// Parses a group name.
    ///
    /// # Errors
    /// [`InvalidText`] says which rule was broken.
    pub fn parse(name: &str) -> Result<Self, InvalidText> {
        bounded_text::check("a group name", name, MAX_GROUP_NAME_BYTES)?;
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl TryFrom<String> for GroupName {
    type Error = InvalidText;
    fn try_from(name: String) -> Result<Self, InvalidText> {
        Self::parse(&name)
    }
}

impl From<GroupName> for String {
    fn from(name: GroupName) -> Self {
        name.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_accepted() {
        for name in ["a", "host.cpu", "node-1_mem", "...", "_x", &"x".repeat(200)] {
            assert_eq!(TopicName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_could_leave_the_data_directory_are_refused() {
        assert_eq!(TopicName::parse(""), Err(InvalidName::Empty));
        assert_eq!(TopicName::parse("."), Err(InvalidName::Dots));
        assert_eq!(TopicName::parse(".."), Err(InvalidName::Dots));
        assert_eq!(TopicName::parse("__x"), Err(InvalidName::Reserved));
        for (name, character, position) in [
            ("../x", '/', 2),
            ("a/b", '/', 1),
            ("a\0b", '\0', 1),
            ("naïve", 'ï', 2),
        ] {
            let expected = InvalidName::Character {
                character,
                position,
            };
            assert_eq!(TopicName::parse(name), Err(expected));
        }
    }

    #[test]
    fn only_derived_names_may_exceed_200_characters() {
        let name = "x".repeat(201);
        let too_long = InvalidName::TooLong {
            chars: 201,
            max: 200,
        };
        assert_eq!(TopicName::parse(&name), Err(too_long));
        assert!(TopicName::parse_derived(&name).is_ok());
        assert!(TopicName::parse_derived(&"x".repeat(241)).is_err());
    }

    #[test]
    fn the_broker_s_own_log_is_found_on_disk_and_out_of_reach_for_clients() {
        let log = TopicName::schedule_log();
        assert!(log.is_internal());
        assert_eq!(TopicName::parse_stored("__schedule"), Ok(log));
        for parse in [TopicName::parse, TopicName::parse_derived] {
            assert_eq!(parse("__schedule"), Err(InvalidName::Reserved));
        }
        assert_eq!(
            TopicName::parse_stored("__weir"),
            Err(InvalidName::Reserved)
        );
        assert!(!TopicName::parse_stored("t").unwrap().is_internal());
    }

    #[test]
    fn group_names_may_hold_any_printable_text() {
        for name in ["web-ui", "münchen/eins", "a b"] {
            assert_eq!(GroupName::parse(name).unwrap().as_str(), name);
        }
        assert!(GroupName::parse("").is_err());
        assert!(GroupName::parse(&"x".repeat(81)).is_err());
        assert!(GroupName::parse("a\nb").is_err());
    }
}
