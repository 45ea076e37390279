//! The record that all benches write: a payload of 200 bytes.

use bytes::Bytes;
use weir_commitlog::RecordDraft;
use weir_types::{Headers, MessageId};

pub(crate) fn record() -> RecordDraft {
    RecordDraft {
        id: MessageId::from_bits(1 << 90),
        key: None,
        headers: Headers::default(),
        reply_to: None,
        expires_at: None,
        dedupe: false,
        payload: Bytes::from(format!("{{\"text\":\"{}\"}}", "x".repeat(189))),
    }
}
