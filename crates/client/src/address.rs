use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Display;
use std::time::Duration;

/// Everything but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Path and query of a call. Every part is percent-encoded, so that a group named `a/b?c` stays
/// one path segment.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    text: String,
    has_query: bool,
}

impl Address {
    /// The path made of `segments`.
    pub(crate) fn path(segments: &[&str]) -> Self {
        let mut text = String::with_capacity(64);
        for segment in segments {
            text.push('/');
            push_segment(&mut text, segment);
        }
        Self {
            text,
            has_query: false,
        }
    }

    /// With `name=value` added to the query.
    pub(crate) fn with(mut self, name: &str, value: impl Display) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.text.push_str(name);
        self.text.push('=');
        let value = value.to_string();
        self.text.extend(utf8_percent_encode(&value, ENCODED));
        self
    }

    /// With `name=value` added to the query if there is a value.
    pub(crate) fn with_some(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With a duration in milliseconds added to the query, as `"250ms"`.
    pub(crate) fn with_duration(self, name: &str, value: Option<Duration>) -> Self {
        self.with_some(name, value.map(|d| format!("{}ms", d.as_millis())))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

fn push_segment(text: &mut String, segment: &str) {
    match segment {
        // Bare, these would be navigation for whoever stands between client and broker.
        "." => text.push_str("%2E"),
        ".." => text.push_str("%2E%2E"),
        _ => text.extend(utf8_percent_encode(segment, ENCODED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    #[test]
    fn parts_are_encoded_each_on_its_own() {
        let address = Address::path(&["v1", "topics", "a b", "groups", "x/y?z"])
            .with("key", "ü&1")
            .with_some("partition", Some(3))
            .with_some("id", None::<&str>)
            .with_duration("wait", Some(Duration::from_secs(2)));
        assert_eq!(
            address.as_str(),
            "/v1/topics/a%20b/groups/x%2Fy%3Fz?key=%C3%BC%261&partition=3&wait=2000ms"
        );
        assert_eq!(Address::path(&["a", ".."]).as_str(), "/a/%2E%2E");
    }

    proptest! {
        #[test]
        fn any_segment_comes_back_whole(segment in "\\PC{1,20}") {
            let address = Address::path(&[&segment]);
            let encoded = &address.as_str()[1..];
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"%-._~".contains(&b);
            prop_assert!(encoded.bytes().all(plain));
            let decoded = percent_decode_str(encoded).decode_utf8().unwrap();
            prop_assert_eq!(decoded, segment);
        }
    }
}
