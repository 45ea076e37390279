use crate::scan::is_plain_json;
use bytes::Bytes;
use memchr::memchr2;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::fmt;
use thiserror::Error;
use weir_types::limits::MAX_PAYLOAD_DEPTH;

/// Why a payload was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidPayload {
    /// Nothing but white space.
    #[error("the payload is empty; send one JSON value")]
    Empty,
    /// Larger than allowed.
    #[error("the payload has {length_bytes} bytes; at most {max_bytes} are allowed")]
    TooLarge {
        /// Bytes given.
        length_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// Not UTF-8.
    #[error("the payload is not UTF-8: invalid byte at position {position}")]
    NotUtf8 {
        /// First invalid byte, counted from 0.
        position: usize,
    },
    /// Not JSON, or JSON that some parsers refuse.
    #[error("the payload is not valid JSON: {reason}")]
    NotJson {
        /// What the parser found, with line and column.
        reason: String,
    },
}

/// One JSON value as it is stored: the producer's bytes, valid for every JSON parser, on one line.
///
/// White space around the value is cut; CR and LF between tokens become spaces. (Inside a JSON
/// string they can only stand escaped, so no value changes.) Refused are invalid UTF-8, lone
/// surrogates, numbers that fit no double, and nesting deeper than 128: what is accepted here,
/// every consumer can parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload(Bytes);

impl Payload {
    /// Checks `body` and takes its JSON value.
    ///
    /// # Errors
    /// [`InvalidPayload`] says what is wrong and where; the producer has to correct it.
    pub fn parse(body: &Bytes, max_bytes: usize) -> Result<Self, InvalidPayload> {
        check_size(body, max_bytes)?;
        let text = std::str::from_utf8(body).map_err(|e| InvalidPayload::NotUtf8 {
            position: e.valid_up_to(),
        })?;
        let value = text.trim_matches([' ', '\t', '\r', '\n']);
        if value.is_empty() {
            return Err(InvalidPayload::Empty);
        }
        if !is_plain_json(value) {
            check_json(text).map_err(|e| InvalidPayload::NotJson {
                reason: e.to_string(),
            })?;
        }
        Ok(Self(on_one_line(body.slice_ref(value.as_bytes()))))
    }

    /// Takes a JSON value that was checked already.
    ///
    /// # Errors
    /// [`InvalidPayload::TooLarge`].
    pub(crate) fn of_checked(value: Bytes, max_bytes: usize) -> Result<Self, InvalidPayload> {
        check_size(&value, max_bytes)?;
        Ok(Self(on_one_line(value)))
    }

    /// The JSON string whose content is `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(serde_json::Value::from(text).to_string().into())
    }

    /// The stored bytes: one JSON value without raw CR or LF.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The stored bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

fn check_size(body: &Bytes, max_bytes: usize) -> Result<(), InvalidPayload> {
    match body.len() > max_bytes {
        true => Err(InvalidPayload::TooLarge {
            length_bytes: body.len(),
            max_bytes,
        }),
        false => Ok(()),
    }
}

fn on_one_line(value: Bytes) -> Bytes {
    if memchr2(b'\n', b'\r', &value).is_none() {
        return value;
    }
    value
        .iter()
        .map(|&b| if matches!(b, b'\n' | b'\r') { b' ' } else { b })
        .collect()
}

/// Whether JSON text can only be an object. serde also reads structs from arrays, by position,
/// which nobody means who sends one.
#[must_use]
pub fn is_object(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{")
}

/// Checks that `text` is exactly one JSON value that every parser accepts.
///
/// `serde_json`'s own shortcuts (`IgnoredAny`, `RawValue`) let pass lone surrogates, `1e999` and
/// any depth; walking the value does not.
///
/// # Errors
/// The parser's finding, with line and column.
pub fn check_json(text: &str) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // The limit is ours, below: serde_json's own stops at 127.
    deserializer.disable_recursion_limit();
    Walk { depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()
}

/// Visits every token of a value and keeps nothing.
#[derive(Clone, Copy)]
struct Walk {
    depth: usize,
}

impl Walk {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_PAYLOAD_DEPTH {
            let limit = format!("nested deeper than {MAX_PAYLOAD_DEPTH} levels");
            return Err(E::custom(limit));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = ();
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while members.next_key_seed(inner)?.is_some() {
            members.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(body: &[u8]) -> Result<Payload, InvalidPayload> {
        Payload::parse(&Bytes::copy_from_slice(body), 1024 * 1024)
    }

    #[test]
    fn every_kind_of_value_is_stored_as_it_came() {
        for value in [
            "null",
            "true",
            "-0",
            "1.5e300",
            "\"\"",
            "[]",
            "{\"a\": [1,{}]}",
            "\"\\ud83d\\ude00\"",
        ] {
            assert_eq!(
                parse(value.as_bytes()).unwrap().as_bytes(),
                value.as_bytes()
            );
        }
    }

    #[test]
    fn line_breaks_between_tokens_become_spaces() {
        let stored = parse(b"\n{\r\n\"a\":\n1}\r\n").unwrap();
        assert_eq!(stored.as_bytes().as_ref(), b"{  \"a\": 1}");
    }

    #[test]
    fn what_some_parsers_refuse_is_refused() {
        let refused: [&[u8]; 9] = [
            b"{\"a\":",
            b"\"\\ud800\"",
            b"1e999",
            b"-1e999",
            b"1 2",
            b"{} x",
            b"NaN",
            b"[1,]",
            b"{\"\\udc00\":1}",
        ];
        for body in refused {
            let result = parse(body);
            assert!(
                matches!(result, Err(InvalidPayload::NotJson { .. })),
                "{result:?}"
            );
        }
        assert_eq!(
            parse(b"\"a\xffb\""),
            Err(InvalidPayload::NotUtf8 { position: 2 })
        );
        assert_eq!(parse(b" \r\n"), Err(InvalidPayload::Empty));
        assert_eq!(
            Payload::parse(&Bytes::from_static(b"12345"), 4),
            Err(InvalidPayload::TooLarge {
                length_bytes: 5,
                max_bytes: 4
            })
        );
    }

    #[test]
    fn depth_128_is_accepted_and_129_refused() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(128).as_bytes()).is_ok());
        let refused = parse(nested(129).as_bytes()).unwrap_err().to_string();
        assert!(
            refused.contains("nested deeper than 128 levels"),
            "{refused}"
        );
        assert!(parse(nested(100_000).as_bytes()).is_err());
        let objects = |depth: usize| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
        assert!(parse(objects(128).as_bytes()).is_ok());
        assert!(parse(objects(129).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_valid_payload(text in ".*") {
            let payload = Payload::from_text(&text);
            prop_assert_eq!(parse(payload.as_bytes()), Ok(payload.clone()));
            let back: String = serde_json::from_slice(payload.as_bytes()).unwrap();
            prop_assert_eq!(back, text);
        }

        #[test]
        fn arbitrary_bytes_never_break_the_line(body in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(payload) = parse(&body) {
                prop_assert!(!payload.as_bytes().contains(&b'\n'));
                prop_assert!(serde_json::from_slice::<serde_json::Value>(payload.as_bytes()).is_ok());
            }
        }
    }
}
