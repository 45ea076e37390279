use serde::{Deserialize, Serialize};
use std::fmt;

/// The position of a record in its partition, from 0, rising by one, never reused.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    /// The first offset of every partition.
    pub const ZERO: Self = Self(0);

    /// The offset after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The offset `records` further on.
    #[must_use]
    pub const fn plus(self, records: u64) -> Self {
        Self(self.0 + records)
    }

    /// How many offsets lie in `earlier..self`; 0 when `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Offsets from `start` (inclusive) to `end` (exclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetRange {
    /// First offset of the range.
    pub start: Offset,
    /// First offset after the range.
    pub end: Offset,
}

impl OffsetRange {
    /// The range that holds just `offset`.
    #[must_use]
    pub const fn single(offset: Offset) -> Self {
        Self {
            start: offset,
            end: offset.next(),
        }
    }

    /// How many offsets the range holds.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.since(self.start)
    }

    /// Whether the range holds nothing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.end.0 <= self.start.0
    }

    /// Whether `offset` lies in the range.
    #[must_use]
    pub const fn contains(self, offset: Offset) -> bool {
        self.start.0 <= offset.0 && offset.0 < self.end.0
    }
}

/// A partition of a topic, from 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PartitionId(pub u32);

impl PartitionId {
    /// The partition of `partitions` that a key (or, without one, an id) belongs to: its
    /// [`stable_hash`] modulo the number of partitions. Never changes.
    #[must_use]
    pub fn of_text(text: &str, partitions: u32) -> Self {
        // The remainder is below a u32.
        Self(u32::try_from(stable_hash(text) % u64::from(partitions.max(1))).unwrap_or_default())
    }
}

/// FNV-1a with 64 bits over the text's UTF-8. Never changes.
///
/// Source: <http://www.isthe.com/chongo/tech/comp/fnv/> (offset basis 0xcbf29ce484222325, prime
/// 0x100000001b3).
#[must_use]
pub fn stable_hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in a file, in bytes from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePosition(pub u64);

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// A time that does not come.
    pub const NEVER: Self = Self(u64::MAX);

    /// The time `duration` later.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_partition_for_ever() {
        // Golden: FNV-1a 64 of "a" is af63dc4c8601ec8c, of "foobar" 85944171f73967e8.
        assert_eq!(PartitionId::of_text("a", 1 << 16), PartitionId(0xec8c));
        assert_eq!(PartitionId::of_text("foobar", 1 << 16), PartitionId(0x67e8));
        assert_eq!(PartitionId::of_text("anything", 1), PartitionId(0));
    }

    #[test]
    fn keys_spread_over_all_partitions() {
        let mut counts = [0; 16];
        for key in 0..1600 {
            counts[PartitionId::of_text(&format!("node-{key}"), 16).0 as usize] += 1;
        }
        assert!(
            counts.iter().all(|&count| (60..140).contains(&count)),
            "{counts:?}"
        );
    }
}
