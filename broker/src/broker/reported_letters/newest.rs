//! The newest of many, within a number and a number of bytes. Pure.

use std::collections::BTreeMap;
use weir_types::{Offset, PartitionId, Timestamp};

/// Where an item stands among all: by its time, and among those of one time by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) at: Timestamp,
    /// Which log, partition and offset.
    pub(super) place: (usize, PartitionId, Offset),
}

/// Keeps the newest of what it is offered: no item is left out for an older one.
#[derive(Debug)]
pub(super) struct Newest<T> {
    limit: usize,
    max_bytes: usize,
    /// With its bytes.
    kept: BTreeMap<Rank, (T, usize)>,
    bytes: usize,
    /// The newest that was dropped: nothing older is kept any more.
    floor: Option<Rank>,
}

impl<T> Newest<T> {
    /// Keeps `limit` items of `max_bytes` together; at least one, whatever its size.
    pub(super) fn new(limit: usize, max_bytes: usize) -> Self {
        Self {
            limit: limit.max(1),
            max_bytes,
            kept: BTreeMap::new(),
            bytes: 0,
            floor: None,
        }
    }

    /// Whether an item of this rank would be kept, if it is small enough.
    pub(super) fn wants(&self, rank: Rank) -> bool {
        self.floor.is_none_or(|floor| rank > floor) && !self.is_full_above(|first| rank < first)
    }

    /// Whether nothing of that time, or older, would be kept.
    pub(super) fn is_closed_to(&self, at: Timestamp) -> bool {
        self.floor.is_some_and(|floor| at < floor.at) || self.is_full_above(|first| at < first.at)
    }

    fn is_full_above(&self, is_older: impl Fn(Rank) -> bool) -> bool {
        let first = self.kept.first_key_value().map(|(rank, _)| *rank);
        self.kept.len() >= self.limit && first.is_some_and(is_older)
    }

    pub(super) fn offer(&mut self, rank: Rank, item: T, bytes: usize) {
        if !self.wants(rank) {
            return;
        }
        self.bytes += bytes;
        self.kept.insert(rank, (item, bytes));
        while self.kept.len() > 1 && (self.kept.len() > self.limit || self.bytes > self.max_bytes) {
            let Some((rank, (_, bytes))) = self.kept.pop_first() else {
                return;
            };
            self.bytes -= bytes;
            self.floor = Some(rank);
        }
    }

    /// What is kept, newest first.
    pub(super) fn into_items(self) -> Vec<T> {
        let newest_first = self.kept.into_values().rev();
        newest_first.map(|(item, _)| item).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(at: u64) -> Rank {
        Rank {
            at: Timestamp(at),
            place: (0, PartitionId(0), Offset(at)),
        }
    }

    fn offered(newest: &mut Newest<u64>, items: &[(u64, usize)]) {
        for &(at, bytes) in items {
            newest.offer(rank(at), at, bytes);
        }
    }

    #[test]
    fn the_newest_stay_in_whatever_order_they_come() {
        let mut newest = Newest::new(3, 100);
        offered(
            &mut newest,
            &[(5, 1), (9, 1), (1, 1), (7, 1), (3, 1), (8, 1)],
        );
        assert!(!newest.wants(rank(6)) && newest.wants(rank(10)));
        assert!(newest.is_closed_to(Timestamp(6)) && !newest.is_closed_to(Timestamp(7)));
        assert_eq!(newest.into_items(), [9, 8, 7]);
    }

    #[test]
    fn an_item_without_room_leaves_none_for_older_ones() {
        let mut newest = Newest::new(9, 10);
        offered(&mut newest, &[(9, 4), (5, 8), (4, 1), (6, 1)]);
        assert!(newest.is_closed_to(Timestamp(4)));
        assert_eq!(newest.into_items(), [9, 6]);
    }

    #[test]
    fn one_item_is_kept_whatever_its_size() {
        let mut newest = Newest::new(9, 10);
        offered(&mut newest, &[(9, 40), (5, 1)]);
        assert_eq!(newest.into_items(), [9]);
        assert!(Newest::<u64>::new(9, 10).into_items().is_empty());
    }
}
