//! Asking the index.

use super::apply::{entry_of, found};
use super::{
    BY_OFFSET, BY_TIME, DELIVERING, DUE, ENTRIES, Entry, Found, Index, Known, NUMBERS, Result,
    Totals,
};
use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata};
use std::ops::Bound;
use weir_types::{Offset, Timestamp, TopicName};

/// Entries that one page looks at, whatever it shows.
const EXAMINED_ENTRIES: usize = 10_000;

/// A place in the order of delivery: `deliver_at` and the order of scheduling.
pub(in crate::schedule) type Place = (Timestamp, Offset);

/// Waiting messages in the order of delivery.
#[derive(Clone, Debug)]
pub(in crate::schedule) struct PageOf {
    pub(in crate::schedule) found: Vec<Found>,
    /// The last place that was looked at; `None` when nothing comes after.
    pub(in crate::schedule) last: Option<Place>,
}

impl Index {
    /// One message; `None` if it does not wait.
    pub(in crate::schedule) fn get(&self, schedule_id: &str) -> Result<Option<Entry>> {
        let entries = self.database.begin_read()?.open_table(ENTRIES)?;
        entry_of(&entries, schedule_id)
    }

    /// The first `max` messages whose attempt is due at `now`.
    pub(in crate::schedule) fn due(&self, now: Timestamp, max: usize) -> Result<Vec<Found>> {
        let read = self.database.begin_read()?;
        let (due, entries) = (read.open_table(DUE)?, read.open_table(ENTRIES)?);
        due.range(..=(now.0, u64::MAX))?
            .take(max)
            .map(|one| found(&entries, one?.1.value()))
            .collect()
    }

    /// The first `max` messages that may have been appended already.
    pub(in crate::schedule) fn delivering(&self, max: usize) -> Result<Vec<Found>> {
        let read = self.database.begin_read()?;
        let (delivering, entries) = (read.open_table(DELIVERING)?, read.open_table(ENTRIES)?);
        delivering
            .iter()?
            .take(max)
            .map(|one| found(&entries, one?.0.value()))
            .collect()
    }

    /// The `max` messages whose lines lie first in the log.
    pub(in crate::schedule) fn oldest(&self, max: usize) -> Result<Vec<Found>> {
        let read = self.database.begin_read()?;
        let (by_offset, entries) = (read.open_table(BY_OFFSET)?, read.open_table(ENTRIES)?);
        by_offset
            .iter()?
            .take(max)
            .map(|one| found(&entries, one?.1.value()))
            .collect()
    }

    /// At most `max` messages behind `after`, of one topic or of all.
    pub(in crate::schedule) fn page(
        &self,
        after: Option<Place>,
        topic: Option<&TopicName>,
        max: usize,
    ) -> Result<PageOf> {
        let read = self.database.begin_read()?;
        let (by_time, entries) = (read.open_table(BY_TIME)?, read.open_table(ENTRIES)?);
        let start = match after {
            Some((at, seq)) => Bound::Excluded((at.0, seq.0)),
            None => Bound::Unbounded,
        };
        let mut page = PageOf {
            found: Vec::new(),
            last: None,
        };
        for (examined, one) in by_time.range((start, Bound::Unbounded))?.enumerate() {
            if examined == EXAMINED_ENTRIES || page.found.len() == max {
                return Ok(page);
            }
            let (place, schedule_id) = one?;
            let (at, seq) = place.value();
            page.last = Some((Timestamp(at), Offset(seq)));
            let found = found(&entries, schedule_id.value())?;
            if topic.is_none_or(|topic| found.entry.topic == *topic) {
                page.found.push(found);
            }
        }
        page.last = None;
        Ok(page)
    }

    /// What is due next, and what all waiting messages come to.
    pub(in crate::schedule) fn known(&self) -> Result<Known> {
        let read = self.database.begin_read()?;
        let numbers = read.open_table(NUMBERS)?;
        let (by_offset, due) = (read.open_table(BY_OFFSET)?, read.open_table(DUE)?);
        let live_bytes = numbers.get("live_bytes")?;
        let (lowest, next_due) = (by_offset.first()?, due.first()?);
        Ok(Known {
            next_due: next_due.map(|(key, _)| Timestamp(key.value().0)),
            totals: Totals {
                messages: read.open_table(ENTRIES)?.len()?,
                live_bytes: live_bytes.map_or(0, |bytes| bytes.value()),
                lowest: lowest.map(|(offset, _)| Offset(offset.value())),
            },
        })
    }
}
