#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn at(moment: u64) -> Timestamp {
    Timestamp(moment)
}

fn single(offset: u64) -> OffsetRange {
    OffsetRange::single(Offset(offset))
}

impl Unfinished {
    /// What it has allocated; the set of offsets by what it would take on disk.
    fn bytes(&self) -> usize {
        let tables = self.by_offset.allocation_size() + self.by_key.allocation_size();
        tables + self.nodes.bytes() + self.held.bytes() + self.offsets.serialized_size()
    }
}

#[test]
fn leases_end_in_the_order_of_their_time_wherever_they_were_moved() {
    let mut unfinished = Unfinished::default();
    for (offset, until) in [(0, 30), (1, 10), (2, 30), (3, 20)] {
        unfinished.add(Offset(offset), None);
        unfinished.lease(Offset(offset), 1, at(until), Holder(1));
    }
    unfinished.extend(Offset(1), at(40));
    let mut ends = Vec::new();
    while let Some((until, offset)) = unfinished.first_expiry() {
        ends.push((until.0, offset.0));
        unfinished.wait(offset, 1, at(0));
    }
    assert_eq!(ends, [(20, 3), (30, 0), (30, 2), (40, 1)]);
    assert_eq!(unfinished.leased_by(Holder(1)), 0);
}

#[test]
fn a_key_goes_on_with_the_next_that_is_not_finished() {
    let mut unfinished = Unfinished::default();
    let key = Some(KeyHash::of(b"k"));
    for offset in 0..4 {
        assert_eq!(unfinished.add(Offset(offset), key), offset > 0);
    }
    assert_eq!(unfinished.finish(single(1)), (vec![], 1));
    assert_eq!(unfinished.finish(single(0)), (vec![Offset(2)], 1));
    assert_eq!(unfinished.held_back(), 1);
    let all = OffsetRange {
        start: Offset(0),
        end: Offset(99),
    };
    let (_, finished) = unfinished.finish(all);
    assert_eq!((finished, unfinished.len(), unfinished.active()), (2, 0, 0));
    assert!(!unfinished.add(Offset(99), key), "nobody is in front");
}

#[test]
fn the_memory_of_a_message_stays_within_its_bounds() {
    // A few more than a hash table holds before it doubles: its worst.
    const MANY: u64 = 115_000;
    let mut unfinished = Unfinished::default();
    for offset in 0..MANY {
        let key = KeyHash::of(&offset.to_be_bytes());
        unfinished.add(Offset(offset), Some(key));
        unfinished.lease(Offset(offset), 1, at(offset / 256), Holder(1));
    }
    let in_flight = unfinished.bytes();
    assert!(in_flight <= 64 * MANY as usize, "{in_flight}");
    for offset in MANY..11 * MANY {
        let key = KeyHash::of(&(offset % MANY).to_be_bytes());
        assert!(unfinished.add(Offset(offset), Some(key)));
    }
    let held_back = unfinished.bytes() - in_flight;
    assert!(held_back <= 16 * 10 * MANY as usize, "{held_back}");
}

proptest! {
    /// Against sets that are searched from end to end.
    #[test]
    fn finishing_in_any_order_releases_each_key_in_its_order(
        keys in prop::collection::vec(0_u8..4, 1..60),
        order in prop::collection::vec((0_usize..60, 1_u64..4), 0..60),
    ) {
        let mut unfinished = Unfinished::default();
        let hash = |key: u8| (key > 0).then(|| KeyHash::of(&[key]));
        let mut open: BTreeSet<u64> = BTreeSet::new();
        let mut active: BTreeSet<u64> = BTreeSet::new();
        for (offset, &key) in (0..).zip(&keys) {
            let behind = key > 0 && open.iter().any(|&o| keys[o as usize] == key);
            prop_assert_eq!(unfinished.add(Offset(offset), hash(key)), behind);
            open.insert(offset);
            if !behind {
                active.insert(offset);
                unfinished.wait(Offset(offset), 0, at(offset % 3));
            }
        }
        for (start, length) in order {
            let start = start as u64;
            let range = OffsetRange { start: Offset(start), end: Offset(start + length) };
            let (released, finished) = unfinished.finish(range);
            let before = open.len();
            open.retain(|&o| !range.contains(Offset(o)));
            prop_assert_eq!(finished as usize, before - open.len());
            active.retain(|o| open.contains(o));
            for offset in released {
                active.insert(offset.0);
                unfinished.wait(offset, 0, at(0));
            }
            let first_of_key = |o: &u64| {
                let key = keys[*o as usize];
                key == 0 || open.iter().find(|&&e| keys[e as usize] == key) == Some(o)
            };
            let expected: BTreeSet<u64> = open.iter().copied().filter(first_of_key).collect();
            prop_assert_eq!(&active, &expected);
            prop_assert_eq!(unfinished.active(), active.len());
            prop_assert_eq!(unfinished.len(), open.len() as u64);
            prop_assert_eq!(unfinished.first(), open.first().copied().map(Offset));
            let available: BTreeSet<u64> = unfinished.available(at(9)).map(|o| o.0).collect();
            prop_assert_eq!(&available, &active);
        }
    }
}
