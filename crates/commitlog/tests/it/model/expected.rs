//! What must be there, what may be there, and what must not.

use crate::rig::{ALL, group, payload};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use weir_commitlog::{
    Appended, JournalEntry, PartitionProgress, PartitionReader, Progress, StoredLine, TopicFiles,
};
use weir_types::{Durability, Incarnation, Offset, OffsetRange, Timestamp, TopicSettings};

pub(super) const GROUPS: [&str; 2] = ["g", "münchen/eins"];

/// How the last life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All that was written is there.
    Kept,
    /// What was not synced may be gone.
    PowerCut,
}

#[derive(Default)]
pub(super) struct ModelPartition {
    /// Acknowledged and not trimmed.
    pub(super) acknowledged: BTreeMap<u64, String>,
    /// When each of them was stored.
    pub(super) times: BTreeMap<u64, Timestamp>,
    /// Those of them that a power cut may take: acknowledged with less than `fsync`.
    pub(super) soft: BTreeSet<u64>,
    /// Ever sent here.
    pub(super) sent: HashSet<String>,
    /// No offset below is given again, whatever happens.
    pub(super) used_below: u64,
    /// The end of what was acknowledged.
    pub(super) end: u64,
    pub(super) log_start: u64,
    pub(super) last_timestamp: Timestamp,
    /// A call that failed may have trimmed what is below.
    pub(super) maybe_trimmed_below: u64,
}

/// A group in one partition, as a journal tells it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) incarnation: Incarnation,
    pub(super) progress: Progress,
}

impl Told {
    pub(super) fn of(found: &PartitionProgress) -> Self {
        Self {
            incarnation: found.incarnation,
            progress: found.progress.clone(),
        }
    }

    fn apply(&mut self, entry: &JournalEntry) {
        self.progress.apply(entry);
        if let Some(seek) = entry.seek {
            self.incarnation = seek.incarnation;
        }
    }
}

/// What a journal must say, or may.
pub(super) struct ModelJournal {
    /// What it may say after a restart; several where an entry was not acknowledged.
    pub(super) candidates: Vec<Told>,
    /// Entries since then that a power cut may take, in any part; and whether each was
    /// acknowledged, so that nothing else may take it.
    pub(super) soft: Vec<(JournalEntry, bool)>,
}

pub(super) struct ModelTopic {
    pub(super) incarnation: Incarnation,
    pub(super) settings: TopicSettings,
    pub(super) partitions: Vec<ModelPartition>,
    pub(super) groups: BTreeMap<&'static str, Vec<ModelJournal>>,
    /// Durability `interval` in all of this life.
    pub(super) always_interval: bool,
    /// A call that failed may have taken the topic away, or created or deleted a group.
    pub(super) maybe_gone: bool,
    pub(super) maybe_group: Option<&'static str>,
}

impl ModelTopic {
    pub(super) fn new(incarnation: Incarnation, settings: TopicSettings) -> Self {
        let partitions = 0..settings.partitions;
        Self {
            incarnation,
            partitions: partitions.map(|_| ModelPartition::default()).collect(),
            always_interval: matches!(settings.durability, Durability::Interval(_)),
            settings,
            groups: BTreeMap::new(),
            maybe_gone: false,
            maybe_group: None,
        }
    }

    pub(super) fn is_soft(&self) -> bool {
        self.settings.durability != Durability::Fsync
    }

    /// Nothing of it can be lost any more.
    pub(super) fn harden(&mut self) {
        self.partitions.iter_mut().for_each(|log| log.harden());
        let journals = self.groups.values_mut().flatten();
        journals.for_each(ModelJournal::harden);
    }

    pub(super) fn check(&mut self, found: &TopicFiles, end: End) {
        assert_eq!(found.incarnation, self.incarnation);
        assert_eq!(found.partitions.len(), self.partitions.len());
        for (model, (_, reader)) in self.partitions.iter_mut().zip(&found.partitions) {
            model.check_start(reader, end);
        }
        for name in GROUPS {
            let found = found.groups.iter().find(|found| found.group == group(name));
            let found = found.map(|found| found.partitions.iter().map(Told::of).collect());
            self.check_group(name, found, end);
        }
        self.settings = found.settings.clone();
        self.always_interval = matches!(self.settings.durability, Durability::Interval(_));
        (self.maybe_gone, self.maybe_group) = (false, None);
    }

    fn check_group(&mut self, name: &'static str, found: Option<Vec<Told>>, end: End) {
        let uncertain = self.maybe_group == Some(name);
        let Some(found) = found else {
            let lost = self.groups.remove(name).is_some();
            assert!(uncertain || !lost, "group {name} was lost");
            return;
        };
        if !uncertain {
            let journals = self.groups.get(name).expect("a group nobody created");
            for (told, journal) in found.iter().zip(journals) {
                journal.check(told, end);
            }
        }
        let journals = found.into_iter().map(ModelJournal::of).collect();
        self.groups.insert(name, journals);
    }
}

impl ModelPartition {
    pub(super) fn harden(&mut self) {
        self.soft.clear();
        self.used_below = self.used_below.max(self.end);
    }

    pub(super) fn appended(&mut self, appended: &Appended, payloads: Vec<String>, is_soft: bool) {
        let first = appended.first_offset.0;
        assert_eq!(appended.count, payloads.len() as u64);
        assert!(appended.timestamp >= self.last_timestamp);
        self.last_timestamp = appended.timestamp;
        assert!(first >= self.end.max(self.used_below), "{first} was reused");
        self.end = first + payloads.len() as u64;
        match is_soft {
            true => self.soft.extend(first..self.end),
            false => self.used_below = self.end,
        }
        let times = (first..self.end).map(|offset| (offset, appended.timestamp));
        self.times.extend(times);
        self.acknowledged.extend((first..).zip(payloads));
    }

    pub(super) fn trimmed_below(&mut self, log_start: u64) {
        assert!(log_start >= self.log_start, "the log start went back");
        self.log_start = log_start;
        self.acknowledged = self.acknowledged.split_off(&log_start);
        self.soft = self.soft.split_off(&log_start);
        self.times = self.times.split_off(&log_start);
    }

    /// In one life, readers see what was acknowledged and nothing else.
    pub(super) fn check_life(&self, reader: &PartitionReader) {
        let (found, _) = self.read(reader);
        let odd =
            |(offset, payload): &(&u64, &String)| self.acknowledged.get(offset) != Some(payload);
        assert_eq!(found.iter().find(odd), None, "was never acknowledged");
        assert_eq!(found.len(), self.acknowledged.len(), "not all is there");
        assert_eq!(reader.log_start_offset().0, self.log_start);
    }

    fn check_start(&mut self, reader: &PartitionReader, end: End) {
        let (found, times) = self.read(reader);
        let mut seen = HashSet::new();
        for (offset, payload) in &found {
            assert!(self.sent.contains(payload), "never sent: {payload}");
            assert!(seen.insert(payload), "stored twice: {payload}");
            let lost = end == End::PowerCut && self.soft.contains(offset);
            let sent = self.acknowledged.get(offset).filter(|_| !lost);
            assert!(sent.is_none_or(|sent| sent == payload), "{offset} changed");
        }
        let mut missing = self.acknowledged.keys();
        let lost = missing.find(|&offset| {
            let may_go = *offset < self.maybe_trimmed_below
                || (end == End::PowerCut && self.soft.contains(offset));
            !may_go && !found.contains_key(offset)
        });
        let high_watermark = reader.high_watermark().0;
        assert!(lost.is_none(), "lost {lost:?} of {high_watermark}");
        let below = match end {
            End::Kept => self.end.max(self.used_below),
            End::PowerCut => self.used_below,
        };
        assert!(
            high_watermark >= below,
            "{high_watermark} may be given again"
        );
        let log_start = reader.log_start_offset().0;
        assert!(log_start >= self.log_start, "trimmed records came back");
        (self.used_below, self.end) = (high_watermark, high_watermark);
        self.acknowledged = found;
        self.log_start = log_start;
        self.maybe_trimmed_below = 0;
        self.soft.clear();
        self.last_timestamp = times.values().copied().max().unwrap_or_default();
        self.times = times;
    }

    /// Everything that is readable, and when it was stored. Both ways of reading agree.
    fn read(&self, reader: &PartitionReader) -> (BTreeMap<u64, String>, BTreeMap<u64, Timestamp>) {
        let batch = reader.read(Offset::ZERO, ALL).unwrap();
        let raw = reader.read_raw(Offset::ZERO, ALL).unwrap();
        let lines = batch.lines.iter().flat_map(|line| [&line.bytes[..], b"\n"]);
        assert_eq!(lines.collect::<Vec<_>>().concat(), raw.runs.concat());
        assert_eq!((raw.next_offset, raw.gaps), (batch.next_offset, batch.gaps));
        assert!(batch.next_offset <= reader.high_watermark());
        assert!(batch.lines.is_sorted_by(|a, b| a.offset < b.offset));
        assert!(batch.lines.is_sorted_by_key(|line| line.timestamp));
        let place = |line: &StoredLine| (line.offset.0, payload(line));
        let time = |line: &StoredLine| (line.offset.0, line.timestamp);
        (
            batch.lines.iter().map(place).collect(),
            batch.lines.iter().map(time).collect(),
        )
    }
}

impl ModelJournal {
    pub(super) fn of(told: Told) -> Self {
        Self {
            candidates: vec![told],
            soft: Vec::new(),
        }
    }

    pub(super) fn harden(&mut self) {
        self.candidates = self.all();
        self.soft.clear();
    }

    pub(super) fn journaled(&mut self, entry: &JournalEntry, is_soft: bool, acknowledged: bool) {
        self.soft.push((entry.clone(), acknowledged));
        if !is_soft {
            self.harden();
        }
    }

    /// The candidates with all that is soft, if no power cut takes any of it.
    fn all(&self) -> Vec<Told> {
        let mut all = self.candidates.clone();
        for (entry, acknowledged) in &self.soft {
            let before = all.clone();
            all.iter_mut().for_each(|told| told.apply(entry));
            if !acknowledged {
                let news = before.into_iter().filter(|old| !all.contains(old));
                all.extend(news.collect::<Vec<_>>());
            }
        }
        all
    }

    fn check(&self, found: &Told, end: End) {
        let all = self.all();
        if end == End::Kept || self.soft.is_empty() {
            assert!(all.contains(found), "{found:?} not of {all:?}");
            return;
        }
        // Any part of the soft entries: nothing sure is missing, nothing else is there.
        let known = |told: &Told| told.incarnation == found.incarnation;
        assert!(all.iter().any(known), "{found:?} is another group");
        let least = |sure: &Told| {
            let sure = finished(sure);
            sure.is_subset(&finished(found))
        };
        assert!(self.candidates.iter().any(least), "{found:?} lost an ack");
        let mut most: BTreeSet<u64> = self.candidates.iter().flat_map(finished).collect();
        let ranges = self.soft.iter().flat_map(|(entry, _)| &entry.finished);
        most.extend(ranges.flat_map(|range: &OffsetRange| range.start.0..range.end.0));
        assert!(
            finished(found).is_subset(&most),
            "{found:?} was never acked"
        );
    }
}

fn finished(Told { progress, .. }: &Told) -> BTreeSet<u64> {
    let ranges = progress.finished.iter();
    let above = ranges.flat_map(|range| range.start.0..range.end.0);
    (0..progress.committed.0).chain(above).collect()
}
