//! The ids that publishers gave to the newest records of a partition, to recognise one that comes
//! again.
//!
//! Ids are kept as keyed hashes of 128 bits: two different ones are never taken for one in practice,
//! and nobody who does not know the key can choose two that are. Entries lie in order of offset, so
//! that the oldest go first and those of a round that failed go last; 24 bytes each, and a hash table
//! of their numbers finds them.

mod loading;
#[cfg(test)]
mod tests;

use hashbrown::HashTable;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;
use weir_types::{Offset, Timestamp};

/// Most ids of one partition. Beyond, the oldest is forgotten early.
pub(crate) const MAX_IDS: usize = 100_000;

/// Makes hashes of ids; another key makes others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdHasher {
    key: u64,
}

/// Stands for an id.
pub(crate) type IdHash = [u64; 2];

impl IdHasher {
    pub(crate) fn new(key: u64) -> Self {
        Self { key }
    }

    pub(crate) fn hash(self, id: &[u8]) -> IdHash {
        let half = |number: u8| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u64(self.key);
            hasher.write_u8(number);
            hasher.write(id);
            hasher.finish()
        };
        [half(0), half(1)]
    }
}

/// Where the first record with an id went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct First {
    pub(crate) offset: Offset,
    pub(crate) timestamp: Timestamp,
}

/// Offset and time are relative to those of the table's base.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: IdHash,
    offset: u32,
    timestamp: u32,
}

/// All ids of the window, but for those forgotten early.
#[derive(Debug)]
pub(crate) struct RecentIds {
    /// How long an id is remembered.
    window: Duration,
    base: First,
    entries: VecDeque<Entry>,
    /// Number of the first entry; numbers go on from entry to entry, and begin again after 2^32.
    first_number: u32,
    /// The number of the newest entry of each id.
    numbers: HashTable<u32>,
}

impl RecentIds {
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            window,
            base: First {
                offset: Offset::ZERO,
                timestamp: Timestamp(0),
            },
            entries: VecDeque::new(),
            first_number: 0,
            numbers: HashTable::new(),
        }
    }

    /// How far back it knows all ids.
    pub(crate) fn window(&self) -> Duration {
        self.window
    }

    /// The ids of a shorter window are known as well.
    pub(crate) fn narrow(&mut self, window: Duration) {
        self.window = self.window.min(window);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.len()
    }

    /// The record with this id. What is older than the window counts until it is forgotten.
    pub(crate) fn find(&self, hash: &IdHash) -> Option<First> {
        let entries = Entries::of(&self.entries, self.first_number);
        let same = |&number: &u32| entries.get(number).is_some_and(|entry| entry.hash == *hash);
        let number = self.numbers.find(hash[0], same)?;
        entries.get(*number).map(|entry| self.place(entry))
    }

    fn place(&self, entry: &Entry) -> First {
        First {
            offset: self.base.offset.plus(u64::from(entry.offset)),
            timestamp: Timestamp(self.base.timestamp.0 + u64::from(entry.timestamp)),
        }
    }

    /// Notes the id of a record behind all others. Returns whether another was forgotten early to
    /// make room.
    pub(crate) fn insert(&mut self, hash: IdHash, place: First) -> bool {
        let full = self.entries.len() >= MAX_IDS;
        if full {
            self.forget_first();
        }
        if self.entries.is_empty() {
            // The old base may have been a record that was taken back, and be too high.
            self.base = place;
        }
        let (offset, timestamp) = self.relative(place);
        if self.entries.len() == self.entries.capacity() {
            // Less slack than doubling leaves.
            self.entries.reserve_exact((self.entries.len() / 4).max(16));
        }
        let number = self.number_behind();
        self.entries.push_back(Entry {
            hash,
            offset,
            timestamp,
        });
        let entries = Entries::of(&self.entries, self.first_number);
        let same = |&known: &u32| entries.get(known).is_some_and(|entry| entry.hash == hash);
        let rehash = |&known: &u32| entries.get(known).map_or(0, |entry| entry.hash[0]);
        match self.numbers.find_mut(hash[0], same) {
            Some(known) => *known = number,
            None => {
                self.numbers.insert_unique(hash[0], number, rehash);
            }
        }
        full
    }

    fn number_behind(&self) -> u32 {
        // Never more than MAX_IDS.
        let length = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.first_number.wrapping_add(length)
    }

    /// Offset and time from the base; moves the base where they would not fit.
    fn relative(&mut self, place: First) -> (u32, u32) {
        loop {
            let offset = u32::try_from(place.offset.since(self.base.offset));
            let timestamp = u32::try_from(place.timestamp.0 - self.base.timestamp.0);
            match (offset, timestamp) {
                (Ok(offset), Ok(timestamp)) => return (offset, timestamp),
                _ => self.move_base(place),
            }
        }
    }

    /// To the first entry, or, if that is where it is, to `place`: the entries are too far away to
    /// be of use then.
    fn move_base(&mut self, place: First) {
        let first = self.entries.front().map(|entry| self.place(entry));
        let Some(first) = first.filter(|first| *first != self.base) else {
            self.clear();
            self.base = place;
            return;
        };
        let by = self.entries[0];
        for entry in &mut self.entries {
            entry.offset -= by.offset;
            entry.timestamp -= by.timestamp;
        }
        self.base = first;
    }

    /// Forgets what is older than the window, and gives back memory that it took.
    pub(crate) fn forget_old(&mut self, now: Timestamp) {
        while let Some(oldest) = self.entries.front().map(|entry| self.place(entry))
            && now.since(oldest.timestamp) >= self.window
        {
            self.forget_first();
        }
        if self.entries.is_empty() {
            self.clear();
        }
    }

    /// Gives back the memory of a busier time.
    pub(crate) fn shrink(&mut self) {
        if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to_fit();
            let entries = Entries::of(&self.entries, self.first_number);
            let rehash = |&known: &u32| entries.get(known).map_or(0, |entry| entry.hash[0]);
            self.numbers.shrink_to_fit(rehash);
        }
    }

    /// Forgets the records from `offset` on: they never became durable.
    pub(crate) fn forget_from(&mut self, offset: Offset) {
        while let Some(newest) = self.entries.back().copied()
            && self.place(&newest).offset >= offset
        {
            self.entries.pop_back();
            let number = self.number_behind();
            self.forget_number(&newest.hash, number);
        }
    }

    fn forget_first(&mut self) {
        if let Some(first) = self.entries.pop_front() {
            let number = self.first_number;
            self.first_number = number.wrapping_add(1);
            self.forget_number(&first.hash, number);
        }
    }

    /// If that is still the newest entry of its id.
    fn forget_number(&mut self, hash: &IdHash, number: u32) {
        let found = self.numbers.find_entry(hash[0], |&known| known == number);
        if let Ok(found) = found {
            found.remove();
        }
    }

    fn clear(&mut self) {
        self.entries = VecDeque::new();
        self.numbers = HashTable::new();
    }

    /// Bytes that it takes on the heap.
    #[cfg(test)]
    fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.numbers.allocation_size()
    }
}

/// Entries by their number.
#[derive(Clone, Copy)]
struct Entries<'a> {
    entries: &'a VecDeque<Entry>,
    first_number: u32,
}

impl<'a> Entries<'a> {
    fn of(entries: &'a VecDeque<Entry>, first_number: u32) -> Self {
        Self {
            entries,
            first_number,
        }
    }

    fn get(self, number: u32) -> Option<&'a Entry> {
        let at = number.wrapping_sub(self.first_number);
        self.entries.get(at as usize)
    }
}
