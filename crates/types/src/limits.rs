//! What a broker accepts at most. Constants are part of the contract with clients; the ones an
//! operator may change are the defaults of settings with the same name.

/// Longest topic name that a client may choose, in characters.
pub const MAX_TOPIC_NAME_CHARS: usize = 200;
/// Longest name of a topic derived by the broker, such as `<topic>.dead-letter`.
pub const MAX_DERIVED_TOPIC_NAME_CHARS: usize = 240;
/// Longest group name in bytes of UTF-8: percent-encoded it must still be a legal file name.
pub const MAX_GROUP_NAME_BYTES: usize = 80;
/// Longest name of a group's member in bytes of UTF-8.
pub const MAX_MEMBER_NAME_BYTES: usize = 80;
/// Longest key in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 256;
/// Longest message id in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 128;
/// Names and values of all headers of one message together, in bytes.
pub const MAX_HEADERS_BYTES: usize = 4 * 1024;
/// Most partitions a topic may have.
pub const MAX_PARTITIONS: u32 = 256;
/// Default of the largest payload, in bytes.
pub const DEFAULT_MAX_PAYLOAD_BYTES: usize = 1024 * 1024;
/// Deepest nesting of arrays and objects in a payload.
pub const MAX_PAYLOAD_DEPTH: usize = 128;
/// Largest body of a batch, in bytes.
pub const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Most lines in a batch.
pub const MAX_BATCH_LINES: usize = 10_000;
/// Default of the bytes of all request bodies held at one time.
pub const DEFAULT_MAX_BYTES_IN_FLIGHT: usize = 64 * 1024 * 1024;
/// Default of the number of topics.
pub const DEFAULT_MAX_TOPICS: usize = 10_000;
/// Most messages one fetch or lease hands out.
pub const MAX_FETCH_RECORDS: usize = 10_000;
/// Most bytes one fetch or lease hands out (one message may exceed it).
pub const MAX_FETCH_BYTES: usize = 16 * 1024 * 1024;
/// Longest wait of a long poll, in seconds.
pub const MAX_WAIT_SECONDS: u64 = 60;
/// Most receipts in one ack or nack.
pub const MAX_RECEIPTS: usize = 10_000;
