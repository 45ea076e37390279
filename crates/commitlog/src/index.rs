//! The sparse index of a segment: where some of its records lie, one about every 64 KiB.
//!
//! In memory for the segment that is written to. On disk as `<base offset>.index`, one checked line,
//! once the segment is sealed and when the broker stops; also of an empty segment that is about to be
//! all that is left, so that time does not run backwards behind it:
//!
//! | member | content |
//! |---|---|
//! | `bytes` | how much of the segment it covers, from the front |
//! | `first_timestamp` | of the first record |
//! | `last_offset`, `last_timestamp` | of the last record |
//! | `places` | `[offset, position, timestamp]` of some records, in order |
//! | `crc` | see `checked_line` |
//!
//! An index file is not synced, but for that of an empty segment, and never trusted further than its checksum: without it, or if it
//! is damaged, the segment is read once from its front. What it covers never changes, because
//! segments only grow.

use crate::checked_line;
use crate::error::StorageError;
use crate::fs::{self, FileSystem, OpenMode};
use crate::record;
use crate::scan::LineScanner;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use std::sync::Arc;
use weir_types::{FilePosition, Offset, Timestamp};

/// A record's place is noted when the last one noted is this far behind.
pub(crate) const INDEX_EVERY_BYTES: u64 = 64 * 1024;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: Offset,
    pub(crate) position: FilePosition,
    pub(crate) timestamp: Timestamp,
}

/// Places of some records, in rising order, the first one included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SparseIndex {
    places: Vec<Place>,
    /// Offset and time of the last record.
    last: Option<(Offset, Timestamp)>,
    /// How far the segment was looked at.
    bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct IndexLine {
    bytes: u64,
    first_timestamp: Option<Timestamp>,
    last_offset: Option<Offset>,
    last_timestamp: Option<Timestamp>,
    places: Vec<(Offset, u64, Timestamp)>,
}

impl SparseIndex {
    /// The index of an empty segment: it knows what came before it.
    pub(crate) fn behind(last: (Offset, Timestamp)) -> Self {
        Self {
            last: Some(last),
            ..Self::default()
        }
    }

    /// Notes a record; keeps its place if the last one kept is far enough behind.
    pub(crate) fn note(&mut self, place: Place) {
        let due = self.places.last().is_none_or(|last| {
            place.offset > last.offset && place.position.0 >= last.position.0 + INDEX_EVERY_BYTES
        });
        if due {
            self.places.push(place);
        }
        self.last = Some((place.offset, place.timestamp));
    }

    /// Says that all of the segment's first `bytes` bytes were noted.
    pub(crate) fn cover(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    /// How much of the segment, from the front, it speaks of.
    pub(crate) fn covered_bytes(&self) -> u64 {
        self.bytes
    }

    /// When the first record was stored; `None` if there is none.
    fn first_timestamp(&self) -> Option<Timestamp> {
        self.places.first().map(|place| place.timestamp)
    }

    /// Offset and time of the last record.
    pub(crate) fn last(&self) -> Option<(Offset, Timestamp)> {
        self.last
    }

    /// Where to begin reading for `offset`: at or before its record.
    pub(crate) fn floor(&self, offset: Offset) -> FilePosition {
        self.floor_by(|place| place.offset <= offset)
    }

    /// Where to begin reading for the first record that is not older than `time`.
    pub(crate) fn floor_of_time(&self, time: Timestamp) -> FilePosition {
        self.floor_by(|place| place.timestamp < time)
    }

    /// The first noted record at or behind `position`.
    pub(crate) fn ceiling(&self, position: FilePosition) -> Option<Offset> {
        let behind = self
            .places
            .partition_point(|place| place.position < position);
        self.places.get(behind).map(|place| place.offset)
    }

    fn floor_by(&self, before: impl Fn(&Place) -> bool) -> FilePosition {
        let after = self.places.partition_point(before);
        let floor = after.checked_sub(1).map(|at| self.places[at].position);
        floor.unwrap_or(FilePosition(0))
    }

    /// Whether it says more than that reading begins at the front.
    pub(crate) fn is_worth_saving(&self) -> bool {
        self.places.len() > 1
    }

    /// Gives back memory that further records would need.
    pub(crate) fn shrink(&mut self) {
        self.places.shrink_to_fit();
    }

    /// Reads what the segment has from where the index ends up to `end`.
    pub(crate) fn extend(&mut self, file: &dyn fs::File, end: u64) -> io::Result<()> {
        let mut lines = LineScanner::new(file, FilePosition(self.bytes), end);
        while let Some(line) = lines.next_line()? {
            // An offset from a damaged line could lead readers past the records behind it.
            if let Some((offset, timestamp)) = record::intact_place(line.bytes) {
                self.note(Place {
                    offset,
                    position: line.position,
                    timestamp,
                });
            }
        }
        self.cover(end);
        Ok(())
    }

    /// Reads an index file. `None` if there is none that is intact and fits a segment of
    /// `segment_bytes`.
    pub(crate) fn load(fs: &dyn FileSystem, path: &Path, segment_bytes: u64) -> Option<Self> {
        let content = fs::read_all(fs, path).ok()?;
        let line: IndexLine = checked_line::read(content.strip_suffix(b"\n")?)?;
        let place = |(offset, position, timestamp)| Place {
            offset,
            position: FilePosition(position),
            timestamp,
        };
        let fits = line.bytes <= segment_bytes;
        fits.then(|| Self {
            places: line.places.into_iter().map(place).collect(),
            last: line.last_offset.zip(line.last_timestamp),
            bytes: line.bytes,
        })
    }

    /// Writes the index file, without syncing it; returns the open file.
    pub(crate) fn save(
        &self,
        fs: &dyn FileSystem,
        path: &Path,
    ) -> Result<Arc<dyn fs::File>, StorageError> {
        use crate::error::Context;
        let line = IndexLine {
            bytes: self.bytes,
            first_timestamp: self.first_timestamp(),
            last_offset: self.last.map(|(offset, _)| offset),
            last_timestamp: self.last.map(|(_, timestamp)| timestamp),
            places: self
                .places
                .iter()
                .map(|place| (place.offset, place.position.0, place.timestamp))
                .collect(),
        };
        let mut content = Vec::new();
        checked_line::push(&mut content, &line);
        let file = fs.open(path, OpenMode::Fresh).context("create", path)?;
        file.write_all_at(&content, 0).context("write to", path)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Disk;

    fn place(number: u64) -> Place {
        Place {
            offset: Offset(number),
            position: FilePosition(number * 10_000),
            timestamp: Timestamp(number / 2),
        }
    }

    fn index() -> SparseIndex {
        let mut index = SparseIndex::default();
        (0..100).for_each(|number| index.note(place(number)));
        index.cover(1_000_000);
        index
    }

    #[test]
    fn it_is_sparse_and_never_points_past_a_record() {
        let index = index();
        assert_eq!(index.places.len(), 15);
        assert_eq!(index.floor(Offset(6)), FilePosition(0));
        assert_eq!(index.floor(Offset(7)), FilePosition(70_000));
        assert_eq!(index.floor(Offset(1_000)), FilePosition(980_000));
        assert_eq!(index.last(), Some((Offset(99), Timestamp(49))));
    }

    #[test]
    fn a_time_is_found_before_all_records_that_have_it() {
        let index = index();
        // Record 14 is noted and has time 7, as record 15 has: reading begins before both.
        assert_eq!(index.floor_of_time(Timestamp(7)), FilePosition(70_000));
        assert_eq!(index.floor_of_time(Timestamp(8)), FilePosition(140_000));
        assert_eq!(index.floor_of_time(Timestamp(0)), FilePosition(0));
    }

    #[test]
    fn the_file_is_golden() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.index");
        let mut index = SparseIndex::default();
        (0..8).for_each(|number| index.note(place(number)));
        index.cover(80_000);
        index.save(&Disk, &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\"bytes\":80000,\"first_timestamp\":0,\"last_offset\":7,\"last_timestamp\":3,\
             \"places\":[[0,0,0],[7,70000,3]],\"crc\":\"CRC\"}\n"
                .replace("CRC", &text[text.len() - 11..text.len() - 3])
        );
        assert_eq!(SparseIndex::load(&Disk, &path, 80_000), Some(index));
    }

    #[test]
    fn a_damaged_or_unfitting_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.index");
        let index = index();
        index.save(&Disk, &path).unwrap();
        assert_eq!(SparseIndex::load(&Disk, &path, 1_000_000), Some(index));
        assert_eq!(SparseIndex::load(&Disk, &path, 999_999), None);
        let content = std::fs::read(&path).unwrap();
        for at in 0..content.len() {
            let mut changed = content.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            assert_eq!(
                SparseIndex::load(&Disk, &path, 1_000_000),
                None,
                "byte {at}"
            );
        }
    }
}
