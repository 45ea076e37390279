//! Messages: JSON objects of a fixed size that carry a time stamp and a number.
//!
//! The stamp is a marker that survives any envelope and any JSON escaping, so a consumer
//! finds the messages of a response by scanning its bytes instead of parsing it.

use bytes::Bytes;
use std::sync::OnceLock;
use std::time::Instant;

const MARK: &[u8] = b"@t=";
const TIME_DIGITS: usize = 20;
const ID_DIGITS: usize = 12;
/// `@t=`, the time, `#`, the number, `@`.
const STAMP_LEN: usize = MARK.len() + TIME_DIGITS + 1 + ID_DIGITS + 1;

/// Nanoseconds since this process first asked.
pub fn now_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

#[derive(Clone)]
pub struct Template {
    bytes: Vec<u8>,
    stamp_at: usize,
}

impl Template {
    /// A JSON object of `size` bytes, or of the least possible size above it.
    pub fn new(size: usize) -> Self {
        let blank = format!("@t={}#{}@", "0".repeat(TIME_DIGITS), "0".repeat(ID_DIGITS));
        let before_stamp = r#"{"stamp":""#;
        let head = format!(
            r#"{before_stamp}{blank}","device":"sensor-0042","kind":"temperature","value":21.4375,"ok":true,"tags":["a","b"],"pad":""#
        );
        let tail = r#""}"#;
        let pad = size.saturating_sub(head.len() + tail.len());
        let text = format!("{head}{}{tail}", "x".repeat(pad));
        Self {
            bytes: text.into_bytes(),
            stamp_at: before_stamp.len(),
        }
    }

    pub fn stamped(&self, time_ns: u64, id: u64) -> Bytes {
        let mut bytes = self.bytes.clone();
        let time_at = self.stamp_at + MARK.len();
        write_digits(&mut bytes[time_at..time_at + TIME_DIGITS], time_ns);
        let id_at = time_at + TIME_DIGITS + 1;
        write_digits(&mut bytes[id_at..id_at + ID_DIGITS], id);
        bytes.into()
    }
}

fn write_digits(field: &mut [u8], mut value: u64) {
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn read_digits(field: &[u8]) -> u64 {
    field.iter().fold(0, |value, digit| {
        value * 10 + u64::from(digit.wrapping_sub(b'0'))
    })
}

/// What a message said of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stamp {
    pub time_ns: u64,
    pub id: u64,
}

/// Adds the stamps found in `body` to `out`.
pub fn scan(body: &[u8], out: &mut Vec<Stamp>) {
    for at in memchr::memmem::find_iter(body, MARK) {
        let Some(stamp) = body.get(at..at + STAMP_LEN) else {
            break;
        };
        let time_at = MARK.len();
        let id_at = time_at + TIME_DIGITS + 1;
        out.push(Stamp {
            time_ns: read_digits(&stamp[time_at..time_at + TIME_DIGITS]),
            id: read_digits(&stamp[id_at..id_at + ID_DIGITS]),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_escaping() {
        let payload = Template::new(200).stamped(1_234_567, 89);
        assert_eq!(payload.len(), 200);
        serde_json::from_slice::<serde::de::IgnoredAny>(&payload).unwrap();
        let text = std::str::from_utf8(&payload).unwrap();
        let wrapped = serde_json::json!({ "message": text, "offset": 3 }).to_string();
        let mut found = Vec::new();
        scan(wrapped.as_bytes(), &mut found);
        assert_eq!(
            found,
            [Stamp {
                time_ns: 1_234_567,
                id: 89
            }]
        );
    }

    #[test]
    fn a_cut_stamp_is_none() {
        let payload = Template::new(200).stamped(7, 1);
        let mut twice = payload.to_vec();
        twice.extend_from_slice(&payload[..30]);
        let mut found = Vec::new();
        scan(&twice, &mut found);
        assert_eq!(found.len(), 1);
    }
}
