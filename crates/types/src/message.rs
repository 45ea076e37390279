use crate::bounded_text::{self, InvalidText};
use crate::limits::{MAX_HEADERS_BYTES, MAX_KEY_BYTES};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use thiserror::Error;

/// A message's key: 1 to 256 bytes of UTF-8 without control characters. Messages with one key
/// share a partition and an order.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(Box<str>);

impl Key {
    /// Parses a key.
    ///
    /// # Errors
    /// [`InvalidText`] says which rule was broken.
    pub fn parse(key: &str) -> Result<Self, InvalidText> {
        bounded_text::check("a key", key, MAX_KEY_BYTES)?;
        Ok(Self(key.into()))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl TryFrom<String> for Key {
    type Error = InvalidText;
    fn try_from(key: String) -> Result<Self, InvalidText> {
        Self::parse(&key)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0.into()
    }
}

/// Why a message's headers were refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidHeaders {
    /// Names and values together exceed [`MAX_HEADERS_BYTES`].
    #[error("the headers have {total_bytes} bytes; at most {max_bytes} are allowed")]
    TooLarge {
        /// Bytes of all names and values.
        total_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// A header without a name.
    #[error("a header name must not be empty")]
    EmptyName,
}

/// A message's headers: names to texts, at most 4 KiB together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<String, String>",
    into = "BTreeMap<String, String>"
)]
pub struct Headers(BTreeMap<String, String>);

impl Headers {
    /// Checks and wraps `headers`.
    ///
    /// # Errors
    /// [`InvalidHeaders`] says which rule was broken.
    pub fn new(headers: BTreeMap<String, String>) -> Result<Self, InvalidHeaders> {
        if headers.contains_key("") {
            return Err(InvalidHeaders::EmptyName);
        }
        let total_bytes = headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if total_bytes > MAX_HEADERS_BYTES {
            return Err(InvalidHeaders::TooLarge {
                total_bytes,
                max_bytes: MAX_HEADERS_BYTES,
            });
        }
        Ok(Self(headers))
    }

    /// Headers of a record that the broker writes itself: what it adds comes on top of what the
    /// producer was allowed.
    #[must_use]
    pub const fn of_broker(headers: BTreeMap<String, String>) -> Self {
        Self(headers)
    }

    /// Whether there are none; such headers are not stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<BTreeMap<String, String>> for Headers {
    type Error = InvalidHeaders;
    fn try_from(headers: BTreeMap<String, String>) -> Result<Self, InvalidHeaders> {
        Self::new(headers)
    }
}

impl From<Headers> for BTreeMap<String, String> {
    fn from(headers: Headers) -> Self {
        headers.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_limited_as_a_whole() {
        let pair = |value: usize| BTreeMap::from([("n".to_owned(), "v".repeat(value))]);
        assert!(Headers::new(pair(4095)).is_ok());
        assert_eq!(
            Headers::new(pair(4096)),
            Err(InvalidHeaders::TooLarge {
                total_bytes: 4097,
                max_bytes: 4096
            })
        );
        let unnamed = BTreeMap::from([(String::new(), "v".to_owned())]);
        assert_eq!(Headers::new(unnamed), Err(InvalidHeaders::EmptyName));
    }

    #[test]
    fn keys_refuse_control_characters() {
        assert!(Key::parse("node-1").is_ok());
        assert!(Key::parse("a\rb").is_err());
        assert!(Key::parse(&"k".repeat(257)).is_err());
    }
}
