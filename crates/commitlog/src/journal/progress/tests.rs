use super::super::entry::Seek;
use super::*;
use proptest::prelude::*;
use weir_types::{PartitionId, Timestamp};

const IDENTITY: JournalIdentity = JournalIdentity {
    number: JournalNumber(7),
    incarnation: Incarnation(70),
};

fn offset() -> impl Strategy<Value = Offset> {
    (0_u64..40).prop_map(Offset)
}

fn seek() -> impl Strategy<Value = Seek> {
    (offset(), any::<u64>()).prop_map(|(to, random)| Seek {
        to,
        incarnation: Incarnation(random),
    })
}

fn settings() -> impl Strategy<Value = GroupSettings> {
    prop::option::of(1_u32..9).prop_map(|max_deliveries| GroupSettings {
        max_deliveries,
        ..GroupSettings::default()
    })
}

fn range() -> impl Strategy<Value = OffsetRange> {
    (offset(), 1_u64..6).prop_map(|(start, len)| OffsetRange {
        start,
        end: start.plus(len),
    })
}

fn returned() -> impl Strategy<Value = Returned> {
    (offset(), 1_u32..5).prop_map(|(offset, attempts)| Returned {
        offset,
        attempts,
        available_at: Timestamp(9),
        reason: Some("because".into()),
    })
}

fn dead_letter() -> impl Strategy<Value = DeadLetterIntent> {
    (offset(), offset()).prop_map(|(offset, from)| DeadLetterIntent {
        offset,
        attempts: 16,
        incarnation: Incarnation(3),
        partition: PartitionId(1),
        from,
        at: Timestamp(8),
        reason: None,
    })
}

/// Mostly some finished offsets, now and then each of the others.
fn entry() -> impl Strategy<Value = JournalEntry> {
    (
        prop::option::weighted(0.05, seek()),
        prop::option::weighted(0.05, settings()),
        prop::option::weighted(0.1, offset()),
        prop::collection::vec(range(), 0..3),
        prop::collection::vec(returned(), 0..2),
        prop::collection::vec(dead_letter(), 0..2),
    )
        .prop_map(
            |(seek, settings, committed, finished, returned, dead_letters)| JournalEntry {
                seek,
                settings,
                committed,
                finished,
                returned,
                dead_letters,
            },
        )
        .prop_filter("is never written", |entry| !entry.is_empty())
}

/// What the members mean, told another way: one offset after the other.
#[derive(Default)]
struct Plain {
    finished: std::collections::BTreeSet<u64>,
    committed: u64,
}

impl Plain {
    fn apply(&mut self, entry: &JournalEntry) {
        if let Some(seek) = entry.seek {
            (self.finished, self.committed) = (Default::default(), seek.to.0);
        }
        self.committed = entry.committed.map_or(self.committed, |offset| offset.0);
        let ranges = entry.finished.iter();
        self.finished
            .extend(ranges.flat_map(|range| range.start.0..range.end.0));
        while self.finished.contains(&self.committed) {
            self.committed += 1;
        }
        self.finished.retain(|&offset| offset >= self.committed);
    }
}

proptest! {
    #[test]
    fn a_compacted_journal_says_what_its_lines_said(entries in prop::collection::vec(entry(), 1..30)) {
        let mut lines = Folded::beginning_at(Offset(4), None).as_line(IDENTITY);
        let (mut progress, mut plain) = (Progress::beginning_at(Offset(4)), Plain::default());
        plain.committed = 4;
        let (mut incarnation, mut settings) = (IDENTITY.incarnation, None);
        for entry in &entries {
            entry.encode(None, &mut lines);
            progress.apply(entry);
            plain.apply(entry);
            incarnation = entry.seek.map_or(incarnation, |seek| seek.incarnation);
            settings = entry.settings.clone().or(settings);
        }
        let folded = Folded::of(&lines);
        prop_assert_eq!(&folded.progress, &progress);
        prop_assert_eq!(&folded.settings, &settings);
        prop_assert_eq!((folded.number, folded.incarnation), (Some(IDENTITY.number), Some(incarnation)));
        let now = JournalIdentity { incarnation, ..IDENTITY };
        let compacted = Folded::of(&folded.as_line(now));
        prop_assert_eq!(compacted.progress, progress);
        prop_assert_eq!(compacted.settings, settings);
        prop_assert_eq!(compacted.incarnation, Some(incarnation));
        prop_assert!(!compacted.has_seek);
        let progress = folded.progress;
        let above = progress.finished.iter().flat_map(|range| range.start.0..range.end.0);
        prop_assert!(above.eq(plain.finished.iter().copied()));
        prop_assert_eq!(progress.committed.0, plain.committed);
    }
}

#[test]
fn what_is_finished_is_neither_back_nor_on_its_way() {
    let mut progress = Progress::default();
    let back = |offset| Returned {
        offset: Offset(offset),
        attempts: 1,
        available_at: Timestamp(9),
        reason: None,
    };
    let dead = |offset| DeadLetterIntent {
        offset: Offset(offset),
        attempts: 16,
        incarnation: Incarnation(3),
        partition: PartitionId(0),
        from: Offset(0),
        at: Timestamp(8),
        reason: None,
    };
    progress.apply(&JournalEntry {
        returned: vec![back(3), back(5)],
        dead_letters: vec![dead(3), dead(5)],
        ..JournalEntry::default()
    });
    assert_eq!(progress.end(), Offset(6));
    progress.apply(&JournalEntry {
        finished: vec![OffsetRange::single(Offset(5))],
        returned: vec![back(5)],
        dead_letters: vec![dead(5)],
        ..JournalEntry::default()
    });
    assert_eq!(progress.returned.len(), 1);
    assert_eq!(progress.dead_letters.len(), 1);
    progress.apply(&JournalEntry {
        seek: Some(Seek {
            to: Offset(2),
            incarnation: Incarnation(1),
        }),
        returned: vec![back(2)],
        ..JournalEntry::default()
    });
    assert!(progress.dead_letters.is_empty());
    assert_eq!(progress.returned.keys().collect::<Vec<_>>(), [&Offset(2)]);
    assert!(progress.finished.is_empty());
}
