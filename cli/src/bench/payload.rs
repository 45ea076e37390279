use std::ops::Range;

const HEAD: &[u8] = br#"{"number":""#;
const AFTER_NUMBER: &[u8] =
    br#"","kind":"temperature","value":21.4375,"ok":true,"padding":""#.as_slice();
const TAIL: &[u8] = br#""}"#;
/// Enough for a million messages a second over eleven days.
const NUMBER_DIGITS: usize = 12;

/// Where a payload has its number.
pub(crate) const NUMBER: Range<usize> = HEAD.len()..HEAD.len() + NUMBER_DIGITS;
/// The smallest payload.
pub(crate) const MIN_PAYLOAD_BYTES: usize = NUMBER.end + AFTER_NUMBER.len() + TAIL.len();

/// Appends a JSON object of exactly `bytes` bytes, at least [`MIN_PAYLOAD_BYTES`]: its number with
/// leading zeros, fields as a sensor might send them, padding.
pub(crate) fn push_payload(out: &mut Vec<u8>, number: u64, bytes: usize) {
    let start = out.len();
    out.extend_from_slice(HEAD);
    out.resize(start + NUMBER.end, b'0');
    write_number(&mut out[start + NUMBER.start..], number);
    out.extend_from_slice(AFTER_NUMBER);
    out.resize(start + bytes.max(MIN_PAYLOAD_BYTES) - TAIL.len(), b'x');
    out.extend_from_slice(TAIL);
}

/// Replaces the number in place.
pub(crate) fn write_number(digits: &mut [u8], mut number: u64) {
    for digit in digits[..NUMBER_DIGITS].iter_mut().rev() {
        *digit = b"0123456789"[(number % 10) as usize];
        number /= 10;
    }
}

/// The number of a payload, or `None` when it is not one of ours.
pub(crate) fn number_of(payload: &[u8]) -> Option<u64> {
    if !payload.starts_with(HEAD) {
        return None;
    }
    decimal(payload.get(NUMBER)?)
}

/// Digits and nothing else.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| value.wrapping_mul(10).wrapping_add(u64::from(digit)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_json_of_the_exact_size() {
        for (number, bytes) in [(0, 200), (999_999_999_999, MIN_PAYLOAD_BYTES), (7, 1 << 20)] {
            let mut out = b"before".to_vec();
            push_payload(&mut out, number, bytes);
            let payload = &out[6..];
            assert_eq!(payload.len(), bytes);
            let value: serde_json::Value = serde_json::from_slice(payload).unwrap();
            assert_eq!(value["number"], format!("{number:012}"));
            assert_eq!(number_of(payload), Some(number));
        }
    }

    #[test]
    fn a_foreign_payload_has_no_number() {
        for payload in [
            &b"{}"[..],
            br#"{"number":"00000000000x"}"#,
            br#"{"number":"1"}"#,
        ] {
            assert_eq!(number_of(payload), None);
        }
    }
}
