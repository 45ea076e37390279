use crate::{Offset, OffsetRange};
use std::collections::BTreeMap;

/// A set of offsets, kept as disjoint ranges: cheap when the offsets cluster, as finished records
/// above the committed offset do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetSet {
    /// Start of each range to its end; neighbours never touch.
    ranges: BTreeMap<Offset, Offset>,
    count: u64,
}

impl OffsetSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ranges: BTreeMap::new(),
            count: 0,
        }
    }

    /// How many offsets the set holds.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Whether the set holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether `offset` is in the set.
    #[must_use]
    pub fn contains(&self, offset: Offset) -> bool {
        self.range_of(offset).is_some()
    }

    /// The whole range of the set that `offset` lies in.
    #[must_use]
    pub fn range_of(&self, offset: Offset) -> Option<OffsetRange> {
        let (&start, &end) = self.ranges.range(..=offset).next_back()?;
        let range = OffsetRange { start, end };
        range.contains(offset).then_some(range)
    }

    /// Adds every offset of `range`.
    pub fn insert(&mut self, range: OffsetRange) {
        if range.is_empty() {
            return;
        }
        let mut merged = range;
        while let Some(neighbour) = self.touching(merged) {
            self.ranges.remove(&neighbour.start);
            self.count -= neighbour.len();
            merged.start = merged.start.min(neighbour.start);
            merged.end = merged.end.max(neighbour.end);
        }
        self.count += merged.len();
        self.ranges.insert(merged.start, merged.end);
    }

    /// Adds every offset of `ranges`, in whatever order they are: fast also for a million.
    pub fn insert_all(&mut self, mut ranges: Vec<OffsetRange>) {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_unstable_by_key(|range| range.start);
        ranges.dedup_by(|next, last| {
            let touches = next.start <= last.end;
            last.end = last.end.max(if touches { next.end } else { last.end });
            touches
        });
        let lowest = ranges.first().map(|range| range.start);
        let highest = self.ranges.last_key_value().map(|(_, &end)| end);
        if highest >= lowest && lowest.is_some() {
            return ranges.into_iter().for_each(|range| self.insert(range));
        }
        // All are above: a map is built from what is sorted without a search for each.
        self.count += ranges.iter().map(|range| range.len()).sum::<u64>();
        let pairs = ranges.into_iter().map(|range| (range.start, range.end));
        self.ranges.append(&mut pairs.collect());
    }

    /// Some range of the set that overlaps or adjoins `range`.
    fn touching(&self, range: OffsetRange) -> Option<OffsetRange> {
        let (&start, &end) = self.ranges.range(..=range.end).next_back()?;
        (end >= range.start).then_some(OffsetRange { start, end })
    }

    /// Removes every offset below `offset`.
    pub fn remove_below(&mut self, offset: Offset) {
        while let Some(first) = self.first().filter(|first| first.start < offset) {
            self.ranges.remove(&first.start);
            self.count -= first.len();
            if first.end > offset {
                self.count += first.end.since(offset);
                self.ranges.insert(offset, first.end);
            }
        }
    }

    /// The lowest range.
    #[must_use]
    pub fn first(&self) -> Option<OffsetRange> {
        self.iter().next()
    }

    /// The ranges in rising order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = OffsetRange> + '_ {
        self.ranges
            .iter()
            .map(|(&start, &end)| OffsetRange { start, end })
    }
}

impl FromIterator<OffsetRange> for OffsetSet {
    fn from_iter<I: IntoIterator<Item = OffsetRange>>(ranges: I) -> Self {
        let mut set = Self::new();
        set.insert_all(ranges.into_iter().collect());
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn range(start: u64, end: u64) -> OffsetRange {
        OffsetRange {
            start: Offset(start),
            end: Offset(end),
        }
    }

    #[test]
    fn neighbours_are_merged() {
        let set: OffsetSet = [range(0, 2), range(4, 6), range(2, 4)]
            .into_iter()
            .collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [range(0, 6)]);
        assert_eq!(set.range_of(Offset(3)), Some(range(0, 6)));
        assert_eq!(set.range_of(Offset(6)), None);
    }

    proptest! {
        #[test]
        fn behaves_like_a_plain_set(
            inserts in prop::collection::vec((0_u64..60, 0_u64..12), 0..30),
            batches in prop::collection::vec(prop::collection::vec((0_u64..60, 0_u64..6), 0..9), 0..3),
            floor in 0_u64..70,
        ) {
            let mut set = OffsetSet::new();
            let mut model = BTreeSet::new();
            for (start, len) in inserts {
                set.insert(range(start, start + len));
                model.extend(start..start + len);
            }
            for batch in batches {
                model.extend(batch.iter().flat_map(|&(start, len)| start..start + len));
                set.insert_all(batch.iter().map(|&(start, len)| range(start, start + len)).collect());
            }
            set.remove_below(Offset(floor));
            model.retain(|&o| o >= floor);
            prop_assert_eq!(set.len(), model.len() as u64);
            let held: Vec<u64> = set.iter().flat_map(|r| r.start.0..r.end.0).collect();
            prop_assert_eq!(&held, &model.iter().copied().collect::<Vec<_>>());
            let disjoint = set.iter().zip(set.iter().skip(1)).all(|(a, b)| a.end < b.start);
            prop_assert!(disjoint);
            prop_assert!((0..80).all(|o| set.contains(Offset(o)) == model.contains(&o)));
        }
    }
}
