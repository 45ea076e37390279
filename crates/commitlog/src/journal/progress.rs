//! What the lines of a journal say together.

use super::entry::{DeadLetterIntent, JournalEntry, Line, Returned, read_finished};
use super::{JournalIdentity, JournalNumber};
use std::collections::BTreeMap;
use weir_types::{GroupSettings, Incarnation, Offset, OffsetRange, OffsetSet};

/// About as long as a range is when it is written.
const RANGE_BYTES: usize = 20;

/// Where a group stands in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// All offsets below are finished.
    pub committed: Offset,
    /// Finished offsets above it.
    pub finished: OffsetSet,
    /// Unfinished messages that came back at least once.
    pub returned: BTreeMap<Offset, Returned>,
    /// Unfinished messages on their way to the dead-letter topic.
    pub dead_letters: BTreeMap<Offset, DeadLetterIntent>,
}

impl Progress {
    /// A group that begins at `start`.
    #[must_use]
    pub fn beginning_at(start: Offset) -> Self {
        Self {
            committed: start,
            ..Self::default()
        }
    }

    /// Applies one change.
    pub fn apply(&mut self, entry: &JournalEntry) {
        if let Some(seek) = entry.seek {
            *self = Self::beginning_at(seek.to);
        }
        if let Some(committed) = entry.committed {
            self.committed = committed;
        }
        entry.finished.iter().for_each(|&range| self.forget(range));
        match entry.finished[..] {
            [range] => self.finished.insert(range),
            _ => self.finished.insert_all(entry.finished.clone()),
        }
        self.settle();
        for returned in &entry.returned {
            if !self.is_finished(returned.offset) {
                self.returned.insert(returned.offset, returned.clone());
            }
        }
        for intent in &entry.dead_letters {
            if !self.is_finished(intent.offset) {
                self.dead_letters.insert(intent.offset, intent.clone());
            }
        }
    }

    /// Whether the group is done with `offset`.
    #[must_use]
    pub fn is_finished(&self, offset: Offset) -> bool {
        offset < self.committed || self.finished.contains(offset)
    }

    /// How many offsets the group is done with.
    #[must_use]
    pub fn finished_records(&self) -> u64 {
        self.committed.0 + self.finished.len()
    }

    /// Moves the committed offset over what is finished right above it.
    fn settle(&mut self) {
        if let Some(range) = self.finished.range_of(self.committed) {
            self.committed = range.end;
        }
        self.finished.remove_below(self.committed);
        self.forget(OffsetRange {
            start: Offset::ZERO,
            end: self.committed,
        });
    }

    fn forget(&mut self, finished: OffsetRange) {
        remove_range(&mut self.returned, finished);
        remove_range(&mut self.dead_letters, finished);
    }

    /// The offset after the highest that the group has seen.
    pub(crate) fn end(&self) -> Offset {
        let finished = self.finished.iter().next_back().map(|range| range.end);
        let returned = self.returned.keys().next_back().map(|offset| offset.next());
        let dead = self.dead_letters.keys().next_back();
        let above = [finished, returned, dead.map(|offset| offset.next())];
        above
            .into_iter()
            .flatten()
            .fold(self.committed, Offset::max)
    }

    /// The one change that leads from nothing to here.
    fn as_entry(&self) -> JournalEntry {
        JournalEntry {
            committed: Some(self.committed),
            finished: self.finished.iter().collect(),
            returned: self.returned.values().cloned().collect(),
            dead_letters: self.dead_letters.values().cloned().collect(),
            ..JournalEntry::default()
        }
    }
}

fn remove_range<T>(map: &mut BTreeMap<Offset, T>, range: OffsetRange) {
    while let Some((&offset, _)) = map.range(range.start..range.end).next() {
        map.remove(&offset);
    }
}

/// What all intact lines of a file say together.
#[derive(Default)]
pub(crate) struct Folded {
    /// `None` if the first line is damaged.
    pub(crate) number: Option<JournalNumber>,
    /// `None` if the first line is damaged and no seek came after it.
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) settings: Option<GroupSettings>,
    pub(crate) progress: Progress,
    /// Whether a line that is not the first one tells of a seek.
    pub(super) has_seek: bool,
    pub(super) damaged_lines: u64,
}

impl Folded {
    /// A group that begins at `start`.
    pub(super) fn beginning_at(start: Offset, settings: Option<&GroupSettings>) -> Self {
        Self {
            settings: settings.cloned(),
            progress: Progress::beginning_at(start),
            ..Self::default()
        }
    }

    pub(super) fn of(content: &[u8]) -> Self {
        let mut folded = Self::default();
        let lines = content.split(|&b| b == b'\n');
        // Most lines finish something and nothing else: together they cost much less.
        let mut finished = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            if read_finished(line, &mut finished) {
                continue;
            }
            match Line::decode(line) {
                Some(line) => {
                    folded.finish(std::mem::take(&mut finished));
                    folded.apply(line);
                }
                None => folded.damaged_lines += 1,
            }
        }
        folded.finish(finished);
        folded
    }

    fn finish(&mut self, finished: Vec<OffsetRange>) {
        if !finished.is_empty() {
            self.progress.apply(&JournalEntry {
                finished,
                ..JournalEntry::default()
            });
        }
    }

    fn apply(&mut self, line: Line<'static>) {
        self.number = line.number.or(self.number);
        self.incarnation = line.incarnation.or(self.incarnation);
        let mut entry = line.into_entry();
        if let Some(seek) = entry.seek {
            self.incarnation = Some(seek.incarnation);
            self.has_seek = true;
        }
        self.settings = entry.settings.take().or(self.settings.take());
        self.progress.apply(&entry);
    }

    /// All of it as the first line of a file.
    pub(super) fn as_line(&self, identity: JournalIdentity) -> Vec<u8> {
        let entry = JournalEntry {
            settings: self.settings.clone(),
            ..self.progress.as_entry()
        };
        let mut line = Vec::with_capacity(256 + RANGE_BYTES * entry.finished.len());
        entry.encode(Some(identity), &mut line);
        line
    }
}

#[cfg(test)]
mod tests;
