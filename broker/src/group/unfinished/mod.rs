//! The unfinished messages of a partition, below the offset up to which it was read.
//!
//! A message is leased, waits for its next delivery, moves to the dead-letter topic, or is held
//! back by an earlier one with its key. A message in one of the first three phases takes at most 64
//! bytes, one that is held back at most 16, whatever the payload: the log has that.
//!
//! Everything here is a data structure; what may happen when is decided in `partition`.

mod held;
mod nodes;
mod times;

pub(crate) use nodes::{Holder, KeyHash, Phase};

use hashbrown::HashTable;
use held::HeldBack;
use nodes::{Node, Nodes, Slot, spread};
use roaring::RoaringTreemap;
use std::collections::BTreeMap;
use times::Times;
use weir_types::{Offset, OffsetRange, Timestamp};

/// The memory of so many messages is given back as soon as the last of them is gone.
const CROWD: usize = 4096;

/// An unfinished message that no other holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Active {
    pub(crate) phase: Phase,
    /// Leased: which delivery this is. Otherwise: how many have ended.
    pub(crate) attempts: u32,
    /// Leased: when the lease ends. Waiting: when it becomes available.
    pub(crate) at: Timestamp,
    /// Leased: by whom.
    pub(crate) holder: Holder,
}

/// The unfinished messages of a partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unfinished {
    /// All of them.
    offsets: RoaringTreemap,
    len: u64,
    nodes: Nodes,
    by_offset: HashTable<Slot>,
    /// The first unfinished message of each key.
    by_key: HashTable<Slot>,
    leased: Times,
    waiting: Times,
    /// Leased ones whose ack or nack is on its way to the disk: their leases do not end meanwhile.
    settling: usize,
    held: HeldBack,
    /// How many each named consumer holds; those that hold none are not there.
    by_holder: BTreeMap<Holder, u32>,
}

impl Unfinished {
    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The lowest of them.
    pub(crate) fn first(&self) -> Option<Offset> {
        self.offsets.min().map(Offset)
    }

    /// In order of offset.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Offset> + '_ {
        self.offsets.iter().map(Offset)
    }

    pub(crate) fn contains(&self, offset: Offset) -> bool {
        self.offsets.contains(offset.0)
    }

    /// How many are not held back.
    pub(crate) fn active(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn leased(&self) -> usize {
        self.leased.len() + self.settling
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many are held back by others.
    pub(crate) fn held_back(&self) -> usize {
        self.held.len()
    }

    /// How many a named consumer holds.
    pub(crate) fn leased_by(&self, holder: Holder) -> u32 {
        self.by_holder.get(&holder).copied().unwrap_or_default()
    }

    /// `None` when it is finished, or held back.
    pub(crate) fn get(&self, offset: Offset) -> Option<Active> {
        let node = &self.nodes[self.slot(offset)?];
        Some(Active {
            phase: node.phase(),
            attempts: node.attempts,
            at: node.at,
            holder: node.holder(),
        })
    }

    /// The lease that ends first, and when.
    pub(crate) fn first_expiry(&self) -> Option<(Timestamp, Offset)> {
        let (at, slot) = self.leased.first_slot()?;
        Some((at, self.nodes[slot].offset))
    }

    /// When the first of the waiting ones becomes available.
    pub(crate) fn first_available(&self) -> Option<Timestamp> {
        self.waiting.first()
    }

    /// Waiting ones that are available, the longest waiting first.
    pub(crate) fn available(&self, now: Timestamp) -> impl Iterator<Item = Offset> + '_ {
        let slots = self.waiting.until(now, &self.nodes);
        slots.map(|slot| self.nodes[slot].offset)
    }

    /// Everything that `holder` has.
    pub(crate) fn held_by(&self, holder: Holder) -> Vec<Offset> {
        let leased = self.leased.until(Timestamp(u64::MAX), &self.nodes);
        let nodes = leased.map(|slot| &self.nodes[slot]);
        let of_holder = nodes.filter(|node| node.holder() == holder);
        of_holder.map(|node| node.offset).collect()
    }

    /// Adds a message behind all that were added before. Returns whether it is held back by an
    /// earlier one with its key; if not, it has no phase until it gets one.
    pub(crate) fn add(&mut self, offset: Offset, key: Option<KeyHash>) -> bool {
        debug_assert!(
            self.offsets.max().is_none_or(|max| max < offset.0),
            "in order"
        );
        self.offsets.insert(offset.0);
        self.len += 1;
        if let Some(first) = key.and_then(|key| self.first_of_key(key)) {
            let last = self.nodes[first].last_held;
            self.nodes[first].last_held = Some(self.held.push(last, offset));
            return true;
        }
        let slot = self.nodes.insert(Node::new(offset, key));
        self.enter(slot);
        if let Some(key) = key {
            let nodes = &self.nodes;
            let hash = |slot: &Slot| nodes[*slot].key.map_or(0, KeyHash::hash);
            self.by_key.insert_unique(key.hash(), slot, hash);
        }
        false
    }

    /// Gives a message to a consumer.
    pub(crate) fn lease(&mut self, offset: Offset, attempt: u32, until: Timestamp, holder: Holder) {
        let Some(slot) = self.slot(offset) else {
            return;
        };
        self.unlink(slot);
        let node = &mut self.nodes[slot];
        (node.at, node.attempts) = (until, attempt);
        node.set_state(Phase::Leased, holder);
        self.leased.link(slot, &mut self.nodes);
        if holder != Holder::ANONYMOUS {
            *self.by_holder.entry(holder).or_default() += 1;
        }
    }

    /// Moves the end of a lease.
    pub(crate) fn extend(&mut self, offset: Offset, until: Timestamp) {
        if let Some(Active {
            phase: Phase::Leased,
            attempts,
            holder,
            ..
        }) = self.get(offset)
        {
            self.lease(offset, attempts, until, holder);
        }
    }

    /// Lets a message wait for its next delivery.
    pub(crate) fn wait(&mut self, offset: Offset, attempts: u32, available_at: Timestamp) {
        let Some(slot) = self.slot(offset) else {
            return;
        };
        self.unlink(slot);
        let node = &mut self.nodes[slot];
        (node.at, node.attempts) = (available_at, attempts);
        node.set_state(Phase::Waiting, Holder::ANONYMOUS);
        self.waiting.link(slot, &mut self.nodes);
    }

    /// Keeps a message as it is while what was said of it is on its way to the disk.
    pub(crate) fn settle(&mut self, offset: Offset, phase: Phase) {
        if let Some(slot) = self.slot(offset) {
            let holder = self.nodes[slot].holder();
            self.unlink(slot);
            self.nodes[slot].set_state(phase, holder);
            self.settling += usize::from(phase != Phase::FinishingLate);
        }
    }

    /// What was said of a message did not reach the disk.
    pub(crate) fn unsettle(&mut self, offset: Offset) {
        let Some(active) = self.get(offset) else {
            return;
        };
        match active.phase {
            Phase::Finishing | Phase::Returning => {
                self.lease(offset, active.attempts, active.at, active.holder);
            }
            Phase::FinishingLate => self.wait(offset, active.attempts, active.at),
            Phase::Leased | Phase::Waiting | Phase::Moving => {}
        }
    }

    /// Keeps a message from being delivered while it moves to the dead-letter topic.
    pub(crate) fn set_moving(&mut self, offset: Offset, attempts: u32) {
        if let Some(slot) = self.slot(offset) {
            self.unlink(slot);
            self.nodes[slot].attempts = attempts;
        }
    }

    /// Removes what is finished. Returns those that it held back, which have no phase until they get
    /// one, and how many messages were finished.
    pub(crate) fn finish(&mut self, range: OffsetRange) -> (Vec<Offset>, u64) {
        let finished = self.offsets.remove_range(range.start.0..range.end.0);
        self.len -= finished;
        let mut released = Vec::new();
        match range.len() <= self.nodes.len() as u64 {
            true => (range.start.0..range.end.0)
                .for_each(|offset| self.end(Offset(offset), &mut released)),
            false => {
                let within = self.by_offset.iter().map(|&slot| self.nodes[slot].offset);
                let mut within: Vec<_> = within.filter(|&o| range.contains(o)).collect();
                within.sort_unstable();
                within
                    .into_iter()
                    .for_each(|offset| self.end(offset, &mut released));
            }
        }
        if self.len == 0 && self.by_offset.capacity() > CROWD {
            *self = Self::default();
        }
        (released, finished)
    }

    /// Gives memory back that nobody needs at the moment.
    pub(crate) fn shrink(&mut self) {
        if self.len == 0 {
            *self = Self::default();
        }
    }

    /// Ends what is known of a finished message; the next of its key takes its place.
    fn end(&mut self, offset: Offset, released: &mut Vec<Offset>) {
        let Some(slot) = self.leave(offset) else {
            return;
        };
        self.unlink(slot);
        while let Some(last) = self.nodes[slot].last_held {
            let (next, left) = self.held.pop(last);
            self.nodes[slot].last_held = left;
            // One that was finished while it was held back is gone from the set.
            if self.contains(next) {
                self.nodes[slot].offset = next;
                self.nodes[slot].attempts = 0;
                self.enter(slot);
                released.push(next);
                return;
            }
        }
        if let Some(key) = self.nodes[slot].key
            && let Ok(found) = self.by_key.find_entry(key.hash(), |other| *other == slot)
        {
            found.remove();
        }
        self.nodes.remove(slot);
    }

    fn first_of_key(&self, key: KeyHash) -> Option<Slot> {
        let same = |slot: &Slot| self.nodes[*slot].key == Some(key);
        self.by_key.find(key.hash(), same).copied()
    }

    fn slot(&self, offset: Offset) -> Option<Slot> {
        let same = |slot: &Slot| self.nodes[*slot].offset == offset;
        self.by_offset.find(spread(offset.0), same).copied()
    }

    /// Makes a node known by its offset.
    fn enter(&mut self, slot: Slot) {
        let nodes = &self.nodes;
        let hash = |slot: &Slot| spread(nodes[*slot].offset.0);
        self.by_offset.insert_unique(hash(&slot), slot, hash);
    }

    /// Makes a message unknown.
    fn leave(&mut self, offset: Offset) -> Option<Slot> {
        let same = |slot: &Slot| self.nodes[*slot].offset == offset;
        let found = self.by_offset.find_entry(spread(offset.0), same).ok()?;
        Some(found.remove().0)
    }

    /// Takes a message out of the list of its phase.
    fn unlink(&mut self, slot: Slot) {
        match self.nodes[slot].phase() {
            Phase::Leased => {
                self.leased.unlink(slot, &mut self.nodes);
                self.forget_holder(self.nodes[slot].holder());
            }
            Phase::Waiting => self.waiting.unlink(slot, &mut self.nodes),
            Phase::Finishing | Phase::Returning => self.settling -= 1,
            Phase::FinishingLate | Phase::Moving => {}
        }
        self.nodes[slot].set_state(Phase::Moving, Holder::ANONYMOUS);
    }

    fn forget_holder(&mut self, holder: Holder) {
        if let Some(held) = self.by_holder.get_mut(&holder) {
            *held -= 1;
            if *held == 0 {
                self.by_holder.remove(&holder);
            }
        }
    }
}

#[cfg(test)]
mod tests;
