//! The indexes of sealed segments that were used last. Their number bounds what they cost, however
//! many segments there are.

use crate::index::SparseIndex;
use crate::segment::Segment;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// An index of a full segment takes about 24 KiB.
const MOST_INDEXES: usize = 64;

/// Shared by all readers.
#[derive(Debug, Default)]
pub(crate) struct IndexCache {
    /// The last one used comes first.
    recent: Mutex<VecDeque<(Weak<Segment>, Arc<SparseIndex>)>>,
}

impl IndexCache {
    pub(crate) fn get(&self, segment: &Arc<Segment>) -> Option<Arc<SparseIndex>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = Arc::as_ptr(segment);
        let at = recent.iter().position(|(of, _)| of.as_ptr() == wanted)?;
        let found = recent.remove(at)?;
        let index = found.1.clone();
        recent.push_front(found);
        Some(index)
    }

    pub(crate) fn put(&self, segment: &Arc<Segment>, index: Arc<SparseIndex>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let same = Arc::as_ptr(segment);
        recent.retain(|(of, _)| of.strong_count() > 0 && of.as_ptr() != same);
        recent.truncate(MOST_INDEXES - 1);
        recent.push_front((Arc::downgrade(segment), index));
    }
}
