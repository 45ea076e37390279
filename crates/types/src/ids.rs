use crate::bounded_text::{self, InvalidText};
use crate::limits::MAX_ID_BYTES;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The id of a message: the publisher's, else made by the broker.
///
/// 1 to 128 bytes of UTF-8 without control characters.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId(Box<str>);

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl MessageId {
    /// Parses an id chosen by a publisher.
    ///
    /// # Errors
    /// [`InvalidText`] says which rule was broken.
    pub fn parse(id: &str) -> Result<Self, InvalidText> {
        bounded_text::check("an id", id, MAX_ID_BYTES)?;
        Ok(Self(id.into()))
    }

    /// The id made of 128 bits, as 22 characters of base64url. The caller brings the randomness.
    #[must_use]
    pub fn from_bits(bits: u128) -> Self {
        // The last character stands for two bits, followed by four zeros.
        let last = BASE64_URL[((bits << 4) & 63) as usize];
        let mut text = String::with_capacity(22);
        text.extend(
            (0..21).map(|i| char::from(BASE64_URL[((bits >> (122 - 6 * i)) & 63) as usize])),
        );
        text.push(char::from(last));
        Self(text.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl TryFrom<String> for MessageId {
    type Error = InvalidText;
    fn try_from(id: String) -> Result<Self, InvalidText> {
        Self::parse(&id)
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> Self {
        id.0.into()
    }
}

/// Tells a topic from an earlier, deleted one of the same name. Written as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<Incarnation> for String {
    fn from(incarnation: Incarnation) -> Self {
        incarnation.to_string()
    }
}

impl TryFrom<String> for Incarnation {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let refused = || format!("an incarnation has 16 hex digits, not {text:?}");
        if text.len() != 16 {
            return Err(refused());
        }
        u64::from_str_radix(&text, 16)
            .map(Self)
            .map_err(|_| refused())
    }
}

/// Which start of the broker on this data directory handed something out, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BrokerStart(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_ids_are_22_characters_of_base64url() {
        assert_eq!(MessageId::from_bits(0).as_str(), "A".repeat(22));
        assert_eq!(
            MessageId::from_bits(u128::MAX).as_str(),
            format!("{}w", "_".repeat(21))
        );
        assert_eq!(
            MessageId::from_bits(1 << 122).as_str(),
            format!("B{}", "A".repeat(21))
        );
    }

    #[test]
    fn incarnations_round_trip() {
        let incarnation = Incarnation(0xab);
        let text = serde_json::to_string(&incarnation).unwrap();
        assert_eq!(text, "\"00000000000000ab\"");
        assert_eq!(
            serde_json::from_str::<Incarnation>(&text).unwrap(),
            incarnation
        );
        assert!(serde_json::from_str::<Incarnation>("\"xyz\"").is_err());
    }
}
