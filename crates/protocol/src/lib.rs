//! What Weir says on the wire: shapes, codecs and error codes, shared by server and client.
//!
//! Only this crate knows bytes on the wire. It decides what a payload is ([`Payload`]), how a
//! batch, a cursor and a receipt are written, and which HTTP status an [`ErrorCode`] becomes.
//!
//! Absent on purpose: sockets, async, a web framework, and the layout of files on disk.

mod batch;
mod cursor;
mod delivery;
mod envelope;
mod error;
#[cfg(feature = "grpc")]
pub mod grpc;
mod payload;
mod raw_object;
mod receipt;
mod scan;
mod schedules;
pub mod shapes;
mod task;
mod workers;

pub use batch::{FromLine, InvalidBatch, MultiTopicLine, NewMessage, parse_batch};
pub use cursor::{Cursor, InvalidCursor};
pub use delivery::{Deliver, InvalidDelivery, MAX_AHEAD, parse_delay, parse_deliver_at, parse_ttl};
pub use envelope::{push_leased_message, push_message, push_receipt_results};
pub use error::{ErrorBody, ErrorCode, ErrorDetail};
pub use payload::{InvalidPayload, Payload, check_json, is_object};
pub use raw_object::RawObject;
pub use receipt::{InvalidReceipt, Receipt};
pub use schedules::{InvalidScheduleCursor, ScheduleCursor};
pub use task::{BASE64_ENCODING, ENCODING_HEADER, task_bytes, task_payload};

/// Media type of newline-delimited JSON: a batch when published, stored lines when fetched.
pub const NDJSON: &str = "application/x-ndjson";
/// Prefix of the HTTP headers that become a message's headers.
pub const MESSAGE_HEADER_PREFIX: &str = "weir-header-";
