use std::io::Write;

/// The smallest payload that holds its number and time whatever they are.
pub(crate) const MIN_PAYLOAD_BYTES: usize = 80;

/// Appends a JSON object of exactly `bytes` bytes: a number, a time in milliseconds, padding.
///
/// `bytes` is at least [`MIN_PAYLOAD_BYTES`].
pub(crate) fn push_payload(out: &mut Vec<u8>, number: u64, timestamp_ms: u64, bytes: usize) {
    let start = out.len();
    let _infallible = write!(
        out,
        "{{\"number\":{number},\"timestamp\":{timestamp_ms},\"padding\":\""
    );
    let end = start + bytes.max(MIN_PAYLOAD_BYTES) - 2;
    out.resize(end, b'x');
    out.extend_from_slice(b"\"}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_json_of_the_exact_size() {
        for (number, bytes) in [(0, 200), (u64::MAX, MIN_PAYLOAD_BYTES), (7, 1 << 20)] {
            let mut out = b"before".to_vec();
            push_payload(&mut out, number, u64::MAX, bytes);
            let payload = &out[6..];
            assert_eq!(payload.len(), bytes);
            let value: serde_json::Value = serde_json::from_slice(payload).unwrap();
            assert_eq!(value["number"], number);
        }
    }
}
