use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use thiserror::Error;
use weir_types::{Incarnation, Offset, PartitionId};

/// Where a reader stands in all partitions it reads: the next offset of each, and the incarnation
/// of the topic, so that a cursor of a deleted topic is told from one of its successor.
///
/// On the wire it is opaque. Layout before base64url without padding, all numbers big-endian:
///
/// | bytes | content |
/// |---|---|
/// | 1 | version, 1 |
/// | 8 | incarnation |
/// | 12 per partition | partition (4), next offset (8), in rising order of partition |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Incarnation of the topic.
    pub incarnation: Incarnation,
    /// The next offset to read in each partition.
    pub next: BTreeMap<PartitionId, Offset>,
}

/// A text that is no cursor of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this is no cursor; pass on a \"next\" or event id unchanged")]
pub struct InvalidCursor;

const VERSION: u8 = 1;

impl Cursor {
    /// Writes the cursor for the wire.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(9 + 12 * self.next.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.incarnation.0.to_be_bytes());
        for (partition, offset) in &self.next {
            bytes.extend_from_slice(&partition.0.to_be_bytes());
            bytes.extend_from_slice(&offset.0.to_be_bytes());
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor from the wire.
    ///
    /// # Errors
    /// [`InvalidCursor`] if [`Cursor::encode`] did not make it.
    pub fn decode(text: &str) -> Result<Self, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let (&[VERSION], rest) = bytes.split_first_chunk().ok_or(InvalidCursor)? else {
            return Err(InvalidCursor);
        };
        let (incarnation, rest) = rest.split_first_chunk().ok_or(InvalidCursor)?;
        let (places, []) = rest.as_chunks::<12>() else {
            return Err(InvalidCursor);
        };
        let place = |&[p0, p1, p2, p3, offset @ ..]: &[u8; 12]| {
            (
                PartitionId(u32::from_be_bytes([p0, p1, p2, p3])),
                Offset(u64::from_be_bytes(offset)),
            )
        };
        Ok(Self {
            incarnation: Incarnation(u64::from_be_bytes(*incarnation)),
            next: places.iter().map(place).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip() {
        let cursor = Cursor {
            incarnation: Incarnation(7),
            next: BTreeMap::from([
                (PartitionId(0), Offset(42)),
                (PartitionId(3), Offset(u64::MAX)),
            ]),
        };
        assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
    }

    #[test]
    fn the_wire_form_is_golden() {
        let next = BTreeMap::from([(PartitionId(1), Offset(2))]);
        let cursor = Cursor {
            incarnation: Incarnation(0xab),
            next,
        };
        assert_eq!(cursor.encode(), "AQAAAAAAAACrAAAAAQAAAAAAAAAC");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "AA", "earliest", "AQAAAAAAAACrAAAAAQAAAAAAAAA", "!!"] {
            assert_eq!(Cursor::decode(text), Err(InvalidCursor), "{text}");
        }
    }
}
