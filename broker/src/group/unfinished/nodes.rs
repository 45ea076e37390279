//! Where the nodes live: in chunks that never move, so that a million of them cost no more than
//! their own size, and growing copies nothing.

use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};
use weir_types::{Offset, Timestamp};

const CHUNK_NODES: usize = 1024;

/// Names a node. Used again after its node was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(NonZeroU32);

impl Slot {
    /// The slot of the `index`th node.
    pub(super) fn of(index: usize) -> Self {
        let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        // Four thousand million messages in flight would have met their bound long before.
        Self(number.unwrap_or(NonZeroU32::MAX))
    }

    pub(super) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// What stands for a message's key: equal for equal keys. Two keys may share it; then one waits for
/// the other, and nothing is out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyHash(NonZeroU32);

impl KeyHash {
    /// The CRC-32C of the key: different for all keys of one length that differ within 32
    /// neighbouring bits, such as a running number at the end.
    pub(crate) fn of(key: &[u8]) -> Self {
        Self(NonZeroU32::new(crc32c::crc32c(key)).unwrap_or(NonZeroU32::MIN))
    }

    pub(super) fn hash(self) -> u64 {
        spread(u64::from(self.0.get()))
    }
}

/// Spreads a number over all bits, as a hash table needs it (Fibonacci hashing).
pub(super) fn spread(number: u64) -> u64 {
    let product = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 32)
}

/// Who holds a lease: 0 is a consumer without a name. Below [`Holder::END`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holder(pub(crate) u32);

impl Holder {
    /// A consumer that did not say who it is.
    pub(crate) const ANONYMOUS: Self = Self(0);
    /// Holders have as many bits as a node has left for them.
    pub(crate) const END: u32 = 1 << (u32::BITS - PhaseAndHolder::PHASE_BITS);
}

/// What is happening to an unfinished message that no other holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A consumer has it until its time.
    Leased,
    /// It waits for its next delivery, not before its time.
    Waiting,
    /// It is on its way to the dead-letter topic.
    Moving,
    /// Leased, and its ack is on its way to the disk.
    Finishing,
    /// Waiting, and a late ack is on its way to the disk.
    FinishingLate,
    /// Leased, and its nack is on its way to the disk.
    Returning,
}

/// A phase and a holder in the space of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PhaseAndHolder(u32);

impl PhaseAndHolder {
    const PHASES: [Phase; 6] = [
        Phase::Leased,
        Phase::Waiting,
        Phase::Moving,
        Phase::Finishing,
        Phase::FinishingLate,
        Phase::Returning,
    ];
    const PHASE_BITS: u32 = 3;

    fn new(phase: Phase, holder: Holder) -> Self {
        Self(holder.0 << Self::PHASE_BITS | phase as u32)
    }

    fn phase(self) -> Phase {
        let code = self.0 & ((1 << Self::PHASE_BITS) - 1);
        Self::PHASES
            .get(code as usize)
            .copied()
            .unwrap_or(Phase::Moving)
    }

    fn holder(self) -> Holder {
        Holder(self.0 >> Self::PHASE_BITS)
    }
}

/// One unfinished message that no other holds back: 40 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) offset: Offset,
    /// When the lease ends, or when it becomes available.
    pub(super) at: Timestamp,
    pub(super) key: Option<KeyHash>,
    /// Leased: which delivery this is. Otherwise: how many have ended.
    pub(super) attempts: u32,
    state: PhaseAndHolder,
    /// Neighbours in the list of those with the same time.
    pub(super) before: Option<Slot>,
    pub(super) after: Option<Slot>,
    /// The last of those that this one holds back.
    pub(super) last_held: Option<Slot>,
}

const _: () = assert!(
    size_of::<Node>() == 40,
    "a million in flight stay below 64 MB"
);

impl Node {
    /// A message that waits, in no list yet.
    pub(super) fn new(offset: Offset, key: Option<KeyHash>) -> Self {
        Self {
            offset,
            at: Timestamp::default(),
            key,
            attempts: 0,
            state: PhaseAndHolder::new(Phase::Moving, Holder::ANONYMOUS),
            before: None,
            after: None,
            last_held: None,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.state.phase()
    }

    pub(super) fn holder(&self) -> Holder {
        self.state.holder()
    }

    pub(super) fn set_state(&mut self, phase: Phase, holder: Holder) {
        self.state = PhaseAndHolder::new(phase, holder);
    }
}

/// All nodes of a partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    chunks: Vec<Vec<Node>>,
    /// The first of the removed ones, which are used again; `after` leads to the next.
    free: Option<Slot>,
    len: usize,
    /// Slots that were used at least once.
    used: usize,
}

impl Nodes {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let nodes: usize = self.chunks.iter().map(Vec::capacity).sum();
        nodes * size_of::<Node>()
    }

    pub(super) fn insert(&mut self, node: Node) -> Slot {
        self.len += 1;
        if let Some(slot) = self.free {
            self.free = self[slot].after;
            self[slot] = node;
            return slot;
        }
        if self.used.is_multiple_of(CHUNK_NODES) {
            // The first one grows as it is needed: most groups have little in hand.
            let capacity = if self.used == 0 { 0 } else { CHUNK_NODES };
            self.chunks.push(Vec::with_capacity(capacity));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(node);
        }
        self.used += 1;
        Slot::of(self.used - 1)
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        self.len -= 1;
        self[slot].after = self.free;
        self.free = Some(slot);
    }
}

impl Index<Slot> for Nodes {
    type Output = Node;
    fn index(&self, slot: Slot) -> &Node {
        &self.chunks[slot.index() / CHUNK_NODES][slot.index() % CHUNK_NODES]
    }
}

impl IndexMut<Slot> for Nodes {
    fn index_mut(&mut self, slot: Slot) -> &mut Node {
        &mut self.chunks[slot.index() / CHUNK_NODES][slot.index() % CHUNK_NODES]
    }
}
