/// Buckets of equal width within each power of two: values are at most 1/128 too high.
const SUB_BUCKET_BITS: u32 = 7;
const SUB_BUCKETS: usize = 1 << SUB_BUCKET_BITS;
const BUCKETS: usize = (64 - SUB_BUCKET_BITS as usize + 1) * SUB_BUCKETS;

/// Counts durations in nanoseconds, log-linear, in 58 KiB whatever their number or size; in none
/// before the first.
///
/// Own code because it is 60 lines: hdrhistogram would bring two more crates to do the same.
#[derive(Clone)]
pub(crate) struct Histogram {
    /// Empty before the first value.
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            counts: Vec::new(),
            total: 0,
            max: 0,
        }
    }

    pub(crate) fn record(&mut self, value: u64) {
        self.counts.resize(BUCKETS, 0);
        self.counts[bucket_of(value)] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if other.total == 0 {
            return;
        }
        self.counts.resize(BUCKETS, 0);
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub(crate) const fn max(&self) -> u64 {
        self.max
    }

    /// The value that `per_mille` of 1,000 recorded ones do not exceed; 0 when nothing is recorded.
    pub(crate) fn quantile(&self, per_mille: u64) -> u64 {
        let rank = (self.total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return highest_in(bucket).min(self.max);
            }
        }
        self.max
    }
}

/// The leading bit chooses the group, the next seven the bucket in it.
fn bucket_of(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(SUB_BUCKET_BITS + 1);
    let sub_bucket = usize::try_from(value >> shift).unwrap_or(usize::MAX);
    shift as usize * SUB_BUCKETS + sub_bucket
}

fn highest_in(bucket: usize) -> u64 {
    let shift = (bucket / SUB_BUCKETS).saturating_sub(1);
    let sub_bucket = (bucket - shift * SUB_BUCKETS) as u64;
    (sub_bucket << shift) + ((1_u64 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_bucket_that_is_close() {
        for value in (0..64)
            .map(|bit| 1_u64 << bit)
            .chain([0, 3, 255, 256, 257, 999_999, u64::MAX])
        {
            let highest = highest_in(bucket_of(value));
            assert!(highest >= value, "{value}");
            assert!(highest - value <= value / 128, "{value} became {highest}");
        }
        assert!(bucket_of(u64::MAX) < BUCKETS);
        let buckets: Vec<_> = (0..100_000).map(bucket_of).collect();
        assert!(buckets.is_sorted());
    }

    #[test]
    fn quantiles_are_those_of_the_recorded_values() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(500), 0);
        (1..=1000).for_each(|v| histogram.record(v * 1000));
        for (per_mille, exact) in [(500, 500_000), (990, 990_000), (999, 999_000)] {
            let value = histogram.quantile(per_mille);
            assert!(
                (exact..=exact + exact / 128).contains(&value),
                "{per_mille}: {value}"
            );
        }
        assert_eq!(histogram.quantile(1000), 1_000_000);
        assert_eq!(histogram.max(), 1_000_000);
    }

    #[test]
    fn merging_is_recording_into_one() {
        let (mut a, mut b, mut both) = (Histogram::new(), Histogram::new(), Histogram::new());
        for value in 0..500 {
            a.record(value);
            b.record(value * 77);
            both.record(value);
            both.record(value * 77);
        }
        a.merge(&b);
        a.merge(&Histogram::new());
        assert_eq!(
            (a.counts, a.total, a.max),
            (both.counts, both.total, both.max)
        );
    }
}
