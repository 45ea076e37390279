//! Messages that wait behind an unfinished one with the same key: 12 bytes each, in a ring for each
//! key, of which the message in front knows the last.

use super::nodes::Slot;
use weir_types::Offset;

const CHUNK: usize = 1024;

/// A message that is held back, and the next in its ring.
#[derive(Clone, Debug)]
struct Chunk {
    offsets: Vec<Offset>,
    after: Vec<Slot>,
}

/// All rings of a partition.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldBack {
    chunks: Vec<Chunk>,
    /// The first of the places that are free again; `after` leads to the next, and the last to itself.
    free: Option<Slot>,
    len: usize,
    /// Places that were used at least once.
    used: usize,
}

impl HeldBack {
    /// Messages in all rings.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let places: usize = self
            .chunks
            .iter()
            .map(|chunk| chunk.offsets.capacity())
            .sum();
        places * (size_of::<Offset>() + size_of::<Slot>())
    }

    /// Adds a message to the end of the ring whose last one is `last`, or begins a ring; returns
    /// the new last one.
    pub(super) fn push(&mut self, last: Option<Slot>, offset: Offset) -> Slot {
        let slot = self.place(offset);
        let first = last.map_or(slot, |last| self.after(last));
        self.set_after(slot, first);
        if let Some(last) = last {
            self.set_after(last, slot);
        }
        self.len += 1;
        slot
    }

    /// Takes the first message of the ring whose last one is `last`; returns it, and the last one
    /// of what is left.
    pub(super) fn pop(&mut self, last: Slot) -> (Offset, Option<Slot>) {
        let first = self.after(last);
        let offset = self.offset(first);
        let left = (first != last).then_some(last);
        if left.is_some() {
            let second = self.after(first);
            self.set_after(last, second);
        }
        self.len -= 1;
        self.set_free(first);
        (offset, left)
    }

    fn place(&mut self, offset: Offset) -> Slot {
        if let Some(slot) = self.free {
            let next = self.after(slot);
            self.free = (next != slot).then_some(next);
            self.chunks[slot.index() / CHUNK].offsets[slot.index() % CHUNK] = offset;
            return slot;
        }
        if self.used.is_multiple_of(CHUNK) {
            // The first one grows as it is needed: most groups hold little back.
            let capacity = if self.used == 0 { 0 } else { CHUNK };
            self.chunks.push(Chunk {
                offsets: Vec::with_capacity(capacity),
                after: Vec::with_capacity(capacity),
            });
        }
        let slot = Slot::of(self.used);
        self.used += 1;
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.offsets.push(offset);
            chunk.after.push(slot);
        }
        slot
    }

    fn set_free(&mut self, slot: Slot) {
        self.set_after(slot, self.free.unwrap_or(slot));
        self.free = Some(slot);
    }

    fn offset(&self, slot: Slot) -> Offset {
        self.chunks[slot.index() / CHUNK].offsets[slot.index() % CHUNK]
    }

    fn after(&self, slot: Slot) -> Slot {
        self.chunks[slot.index() / CHUNK].after[slot.index() % CHUNK]
    }

    fn set_after(&mut self, slot: Slot, after: Slot) {
        self.chunks[slot.index() / CHUNK].after[slot.index() % CHUNK] = after;
    }
}
