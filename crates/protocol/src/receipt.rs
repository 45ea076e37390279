use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use weir_types::{BrokerStart, Incarnation, Offset, PartitionId};

/// The token of one lease: names the message and which lease of it.
///
/// On the wire it is opaque. Layout before base64url without padding, all numbers big-endian:
///
/// | bytes | content |
/// |---|---|
/// | 1 | version, 2 |
/// | 8 | incarnation of the group in that partition |
/// | 4 | partition |
/// | 8 | offset |
/// | 4 | delivery attempt |
/// | 4 | broker start |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// Incarnation of the group in that partition, and with it of the topic: a deleted group or topic
    /// makes it void, and so does a seek.
    pub incarnation: Incarnation,
    /// Partition of the message.
    pub partition: PartitionId,
    /// Offset of the message.
    pub offset: Offset,
    /// Which lease of the message this is, from 1.
    pub delivery_attempt: u32,
    /// Which start of the broker granted the lease: a restart ends all leases.
    pub broker_start: BrokerStart,
}

/// A text that is no receipt of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this is no receipt")]
pub struct InvalidReceipt;

const VERSION: u8 = 2;
/// Of an encoded receipt: 29 bytes in base64 without padding.
const TEXT_BYTES: usize = 39;

impl Receipt {
    /// Writes the receipt for the wire.
    #[must_use]
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.to_bytes())
    }

    /// Appends what [`Receipt::encode`] returns.
    pub fn encode_to(&self, out: &mut Vec<u8>) {
        let mut text = [0; TEXT_BYTES];
        // It is as long as it has to be.
        if let Ok(length) = URL_SAFE_NO_PAD.encode_slice(self.to_bytes(), &mut text) {
            out.extend_from_slice(&text[..length]);
        }
    }

    fn to_bytes(self) -> [u8; 29] {
        let mut bytes = [0; 29];
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&self.incarnation.0.to_be_bytes());
        bytes[9..13].copy_from_slice(&self.partition.0.to_be_bytes());
        bytes[13..21].copy_from_slice(&self.offset.0.to_be_bytes());
        bytes[21..25].copy_from_slice(&self.delivery_attempt.to_be_bytes());
        bytes[25..].copy_from_slice(&self.broker_start.0.to_be_bytes());
        bytes
    }

    /// Reads a receipt from the wire.
    ///
    /// # Errors
    /// [`InvalidReceipt`] if [`Receipt::encode`] did not make it.
    pub fn decode(text: &str) -> Result<Self, InvalidReceipt> {
        let mut bytes = [0; 29];
        let decoded = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes);
        if decoded != Ok(bytes.len()) || bytes[0] != VERSION {
            return Err(InvalidReceipt);
        }
        Ok(Self {
            incarnation: Incarnation(u64::from_be_bytes(take(&bytes, 1))),
            partition: PartitionId(u32::from_be_bytes(take(&bytes, 9))),
            offset: Offset(u64::from_be_bytes(take(&bytes, 13))),
            delivery_attempt: u32::from_be_bytes(take(&bytes, 21)),
            broker_start: BrokerStart(u32::from_be_bytes(take(&bytes, 25))),
        })
    }
}

fn take<const N: usize>(bytes: &[u8; 29], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn receipts_round_trip(i: u64, partition: u32, offset: u64, delivery_attempt: u32, s: u32) {
            let receipt = Receipt {
                incarnation: Incarnation(i),
                partition: PartitionId(partition),
                offset: Offset(offset),
                delivery_attempt,
                broker_start: BrokerStart(s),
            };
            prop_assert_eq!(Receipt::decode(&receipt.encode()), Ok(receipt));
            let mut text = Vec::new();
            receipt.encode_to(&mut text);
            prop_assert_eq!(text, receipt.encode().into_bytes());
        }

        #[test]
        fn receipts_of_the_first_version_are_refused(text in "AQ[A-Za-z0-9_-]{37}") {
            prop_assert_eq!(Receipt::decode(&text), Err(InvalidReceipt));
        }

        #[test]
        fn other_texts_are_refused(text in "[A-Za-z0-9_-]{0,60}") {
            prop_assume!(!text.starts_with("Ag") || text.len() != 39);
            prop_assert_eq!(Receipt::decode(&text), Err(InvalidReceipt));
        }
    }
}
