//! What the end of the log says about recent ids, after a start.

use super::{First, IdHasher, MAX_IDS, RecentIds};
use crate::error::StorageError;
use crate::reader::{PartitionReader, ReadLimits, StoredLine};
use crate::record::RecordHead;
use std::borrow::Cow;
use std::time::Duration;
use weir_types::{Offset, Timestamp};

/// Most bytes of the log that are read for it: the committer waits meanwhile.
const MAX_READ_BYTES: u64 = 64 << 20;
const STEP: ReadLimits = ReadLimits {
    max_records: 4096,
    max_bytes: 4 << 20,
};

impl RecentIds {
    /// The ids of the records that are not older than `window`, of at most [`MAX_IDS`] records and
    /// [`MAX_READ_BYTES`] before the end of the log. Those that were made by the broker are among
    /// them: nothing tells them apart.
    ///
    /// # Errors
    /// The file system's. Asking again may succeed.
    pub(crate) fn load(
        reader: &PartitionReader,
        window: Duration,
        now: Timestamp,
        hasher: IdHasher,
    ) -> Result<Self, StorageError> {
        let mut ids = Self::new(window);
        let window_millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let oldest = Timestamp(now.0.saturating_sub(window_millis));
        let end = reader.high_watermark();
        let most = Offset(end.0.saturating_sub(MAX_IDS as u64));
        let mut next = reader.offset_at(oldest)?.max(most);
        next = next.max(reader.offset_before_end(MAX_READ_BYTES)?);
        while next < end {
            let batch = reader.read(next, STEP)?;
            batch.lines.iter().for_each(|line| ids.take(line, hasher));
            if batch.next_offset <= next {
                break;
            }
            next = batch.next_offset;
        }
        Ok(ids)
    }

    fn take(&mut self, line: &StoredLine, hasher: IdHasher) {
        let Some(id) = RecordHead::of(&line.bytes).and_then(|head| text(head.id)) else {
            return;
        };
        let place = First {
            offset: line.offset,
            timestamp: line.timestamp,
        };
        self.insert(hasher.hash(&id), place);
    }
}

/// What a JSON string says. Most have no escapes.
fn text(json: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr(b'\\', json).is_none() {
        return Some(Cow::Borrowed(
            json.strip_prefix(b"\"")?.strip_suffix(b"\"")?,
        ));
    }
    let text: String = serde_json::from_slice(json).ok()?;
    Some(Cow::Owned(text.into_bytes()))
}
