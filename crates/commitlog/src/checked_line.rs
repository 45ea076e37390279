//! A JSON object on one line that carries its own checksum as the last member.
//!
//! The last 18 bytes before the newline are `,"crc":"xxxxxxxx"}`, lower-case hex of the CRC-32C
//! (Castagnoli) of every byte before them. They are found from the end and compared byte for byte,
//! so a reader needs no JSON parser to know whether a line is intact.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of the trailer `,"crc":"xxxxxxxx"}`.
pub(crate) const TRAILER_BYTES: usize = 18;
const BEFORE_HEX: &[u8; 8] = b",\"crc\":\"";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// The trailer for a line whose bytes so far are `body`.
fn trailer(body: &[u8]) -> [u8; TRAILER_BYTES] {
    let crc = crc32c::crc32c(body).to_be_bytes();
    let mut trailer = *b",\"crc\":\"........\"}";
    for (i, byte) in crc.into_iter().enumerate() {
        trailer[8 + 2 * i] = HEX[usize::from(byte >> 4)];
        trailer[9 + 2 * i] = HEX[usize::from(byte & 15)];
    }
    trailer
}

/// Closes the line that begins at `start` in `out`: trailer and newline.
pub(crate) fn seal(out: &mut Vec<u8>, start: usize) {
    let trailer = trailer(&out[start..]);
    out.extend_from_slice(&trailer);
    out.push(b'\n');
}

/// Appends `value`, an object with at least one member, as a checked line with its newline.
pub(crate) fn push(out: &mut Vec<u8>, value: &impl Serialize) {
    let start = out.len();
    // Numbers, texts and sequences of them always serialize, and a Vec always takes them.
    let _infallible = serde_json::to_writer(&mut *out, value);
    out.pop(); // The closing brace comes with the checksum.
    seal(out, start);
}

/// The value of `line` (without its newline); `None` if it is damaged or another kind of object.
pub(crate) fn read<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    is_intact(line)
        .then(|| serde_json::from_slice(line).ok())
        .flatten()
}

/// Whether `line` (without its newline) is intact.
pub(crate) fn is_intact(line: &[u8]) -> bool {
    check(line).is_ok()
}

/// Checks `line` (without its newline).
///
/// On failure says which trailer the bytes ask for and which they have, for the report.
pub(crate) fn check(line: &[u8]) -> Result<(), Mismatch> {
    let body_len = line.len().saturating_sub(TRAILER_BYTES);
    let (body, found) = line.split_at(body_len);
    let expected = trailer(body);
    if found == expected {
        return Ok(());
    }
    Err(Mismatch {
        expected: String::from_utf8_lossy(&expected[8..16]).into_owned(),
        found: match found.strip_prefix(BEFORE_HEX) {
            Some(rest) => String::from_utf8_lossy(&rest[..rest.len().min(8)]).into_owned(),
            None => "no checksum".to_owned(),
        },
    })
}

/// A line whose checksum does not fit its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Checksum of the bytes that are there.
    pub(crate) expected: String,
    /// Checksum that the line carries.
    pub(crate) found: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(body: &str) -> Vec<u8> {
        let mut line = body.as_bytes().to_vec();
        seal(&mut line, 0);
        line
    }

    #[test]
    fn the_trailer_is_golden() {
        // CRC-32C of "123456789" is e3069283 (RFC 3720, B.4 gives the polynomial).
        assert_eq!(sealed("123456789"), b"123456789,\"crc\":\"e3069283\"}\n");
    }

    #[test]
    fn every_flipped_bit_dropped_and_inserted_byte_is_noticed() {
        let line = sealed("{\"offset\":1,\"payload\":\"x\"");
        let line = &line[..line.len() - 1];
        assert!(is_intact(line));
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut flipped = line.to_vec();
                flipped[at] ^= 1 << bit;
                assert!(!is_intact(&flipped), "bit {bit} of byte {at}");
            }
            let mut dropped = line.to_vec();
            dropped.remove(at);
            assert!(!is_intact(&dropped), "byte {at} dropped");
            let mut inserted = line.to_vec();
            inserted.insert(at, b'0');
            assert!(!is_intact(&inserted), "byte inserted at {at}");
            assert!(!is_intact(&line[..at]), "cut at {at}");
        }
    }
}
