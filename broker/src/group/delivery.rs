//! What a group hands out.

use weir_commitlog::StoredLine;
use weir_protocol::Receipt;
use weir_types::Timestamp;

/// One message under a lease.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    pub(crate) line: StoredLine,
    pub(crate) receipt: Receipt,
    pub(crate) lease_expires_at: Timestamp,
}

/// Messages under a lease, in order within each partition. Empty when the wait ran out.
#[derive(Debug, Default)]
pub(crate) struct Leased {
    pub(crate) messages: Vec<Delivered>,
}
