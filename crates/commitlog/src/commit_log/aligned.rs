//! Memory that direct I/O takes.

use crate::fs::BLOCK_BYTES;

/// Bytes that begin at a multiple of [`BLOCK_BYTES`] in memory.
#[derive(Debug, Default)]
pub(super) struct AlignedBuffer {
    storage: Vec<u8>,
    start: usize,
    length: usize,
}

/// A larger buffer is given back after use.
const KEPT_BYTES: usize = 1 << 20;

impl AlignedBuffer {
    /// Makes the buffer `length` zeros.
    pub(super) fn zeroed(&mut self, length: usize) -> &mut [u8] {
        if self.storage.len() < length + BLOCK_BYTES || self.storage.len() > KEPT_BYTES {
            self.storage = vec![0; length + BLOCK_BYTES];
            self.start = self.storage.as_ptr().align_offset(BLOCK_BYTES);
        } else {
            self.storage[self.start..self.start + length].fill(0);
        }
        self.length = length;
        &mut self.storage[self.start..self.start + length]
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.storage[self.start..self.start + self.length]
    }
}
