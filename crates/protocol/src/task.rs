use crate::Payload;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// Name of the header that says how a payload stands for bytes.
pub const ENCODING_HEADER: &str = "encoding";
/// Value of [`ENCODING_HEADER`] for a payload that is a string of base64 (RFC 4648, section 4).
pub const BASE64_ENCODING: &str = "base64";

/// How a task's bytes are stored: as they are if they are JSON that [`Payload`] keeps byte for byte,
/// else as a string of base64 with the value of the header [`ENCODING_HEADER`].
///
/// [`task_bytes`] is the inverse. The size of the result is for the caller to check.
#[must_use]
pub fn task_payload(data: &Bytes) -> (Payload, Option<&'static str>) {
    match Payload::parse(data, usize::MAX) {
        Ok(payload) if payload.as_bytes() == data => (payload, None),
        _ => (
            Payload::from_text(&STANDARD.encode(data)),
            Some(BASE64_ENCODING),
        ),
    }
}

/// The bytes that a stored payload stands for; `encoding` is the message's header of that name.
///
/// A payload that is no base64, whatever a publisher put into the header, stands for itself.
#[must_use]
pub fn task_bytes(payload: &Bytes, encoding: Option<&str>) -> Bytes {
    let decoded = encoding
        .filter(|&encoding| encoding == BASE64_ENCODING)
        .and_then(|_| serde_json::from_slice::<&str>(payload).ok())
        .and_then(|text| STANDARD.decode(text).ok());
    decoded.map_or_else(|| payload.clone(), Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stored(data: &[u8]) -> (Payload, Option<&'static str>) {
        task_payload(&Bytes::copy_from_slice(data))
    }

    #[test]
    fn json_on_one_line_is_stored_as_it_is() {
        for data in ["{\"a\": 1}", "null", "\"text\"", "[1,\t2]"] {
            let (payload, encoding) = stored(data.as_bytes());
            assert_eq!(
                (payload.as_bytes().as_ref(), encoding),
                (data.as_bytes(), None)
            );
        }
    }

    #[test]
    fn everything_else_is_stored_as_base64() {
        let base64 = Some(BASE64_ENCODING);
        let other: [(&[u8], &str); 6] = [
            (b"", "\"\""),
            (b"plain text", "\"cGxhaW4gdGV4dA==\""),
            (b"\x00\xff", "\"AP8=\""),
            // JSON, but not byte for byte what would be stored.
            (b" 1", "\"IDE=\""),
            (b"[1,\n2]", "\"WzEsCjJd\""),
            (b"1e999", "\"MWU5OTk=\""),
        ];
        for (data, expected) in other {
            let (payload, encoding) = stored(data);
            assert_eq!(payload.as_bytes(), expected.as_bytes());
            assert_eq!(encoding, base64, "{expected}");
        }
    }

    #[test]
    fn a_payload_that_is_no_base64_stands_for_itself() {
        for payload in ["1", "\"not base64!\"", "{\"a\":1}", "\"a\\u0062\""] {
            let payload = Bytes::from_static(payload.as_bytes());
            assert_eq!(task_bytes(&payload, Some("base64")), payload);
        }
        let payload = Bytes::from_static(b"\"AP8=\"");
        assert_eq!(task_bytes(&payload, Some("gzip")), payload);
        assert_eq!(task_bytes(&payload, None), payload);
    }

    proptest! {
        #[test]
        fn any_bytes_arrive_as_they_were(data in prop::collection::vec(any::<u8>(), 0..80)) {
            let (payload, encoding) = stored(&data);
            prop_assert_eq!(task_bytes(payload.as_bytes(), encoding), data);
        }

        #[test]
        fn any_json_arrives_as_it_was(text in "[ \\r\\n\"{}\\[\\]0-9a-z,:]{0,20}") {
            let (payload, encoding) = stored(text.as_bytes());
            prop_assert_eq!(task_bytes(payload.as_bytes(), encoding), text);
        }
    }
}
