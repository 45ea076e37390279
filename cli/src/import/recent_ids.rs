//! Ids of the messages just before, as far back as the broker would take a second one for a repetition.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// So many ids a partition of the broker remembers at most.
const REMEMBERED: usize = 100_000;

/// Tells whether an id was there shortly before. What it holds is bounded: of each id a hash. Two ids may
/// have the same one, and then the second is taken for a repetition without harm.
#[derive(Debug, Default)]
pub(super) struct RecentIds {
    /// Without a random seed: an import that is run again finds the same.
    hasher: BuildHasherDefault<DefaultHasher>,
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl RecentIds {
    /// Notes `id`; false if it was there before.
    pub(super) fn is_new(&mut self, id: &str) -> bool {
        let hash = self.hasher.hash_one(id);
        if !self.known.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_as_long_as_the_broker_knows_it() {
        let mut recent = RecentIds::default();
        assert!(recent.is_new("first"));
        assert!(!recent.is_new("first"));
        assert!((0..REMEMBERED).all(|n| recent.is_new(&n.to_string())));
        assert!(recent.is_new("first"));
    }
}
