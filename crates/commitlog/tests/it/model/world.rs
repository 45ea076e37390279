//! The store under test, the model beside it, and the random steps that both take.

use super::expected::{GROUPS, ModelJournal, ModelPartition, ModelTopic, Told};
use crate::rig::{draft, group, open_with, settings, topic};
use fastrand::Rng;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use weir_commitlog::faulty::{Fault, FaultyDisk};
use weir_commitlog::{
    Checkpoint, DeadLetterIntent, JournalEntry, OpenOptions, Opened, Operation, Outcome,
    PartitionProgress, PartitionReader, Returned, Seek, StorageError, Store, TopicFiles,
};
use weir_types::{
    ByteCount, Durability, DurationText, GroupSettings, Incarnation, Offset, OffsetRange,
    PartitionId, Timestamp, TopicSettings,
};

pub(super) const TOPICS: [&str; 3] = ["a", "b", "c"];
const MOST_STEPS: u64 = 200;
const HOUR: u64 = 3_600_000;
/// More than this is not kept in mind for one journal.
const MOST_CANDIDATES: usize = 16;

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) disk: FaultyDisk,
    pub(super) options: OpenOptions,
    pub(super) opened: Option<Opened>,
    pub(super) topics: BTreeMap<&'static str, ModelTopic>,
    /// Creations that failed may have happened, until one succeeds.
    pub(super) maybe_created: HashMap<&'static str, Vec<(Incarnation, TopicSettings)>>,
    /// Handed out, and whether it ran.
    pub(super) checkpoint: Option<(Checkpoint, bool)>,
    pub(super) steps: u64,
    pub(super) trace: u64,
    pub(super) is_replay: bool,
    now: Timestamp,
    count: u64,
}

/// What an operation of a round means to the model.
#[derive(Debug)]
enum Sent {
    Records(&'static str, usize, Vec<String>),
    Progress(&'static str, &'static str, usize, JournalEntry),
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let options = OpenOptions {
            commit_log_bytes: rng.choice([8, 32, 64]).unwrap() * 1024,
            max_open_files: rng.choice([1, 4, 16, 1024]).unwrap(),
            direct_above_bytes: 1_000,
            compact_above_bytes: 600,
            compact_at_once_above_bytes: rng.choice([700, 8 << 20]).unwrap(),
            ..OpenOptions::new(7)
        };
        let disk = FaultyDisk::new();
        Self {
            opened: Some(open_with(&disk, options).unwrap()),
            rng,
            disk,
            options,
            topics: BTreeMap::new(),
            maybe_created: HashMap::new(),
            checkpoint: None,
            steps: 0,
            trace: 0,
            is_replay: std::env::var_os("WEIR_MODEL_SEED").is_some(),
            now: Timestamp(1_000_000_000),
            count: 0,
        }
    }

    pub(super) fn run(&mut self) {
        let steps = self.rng.u64(1..=MOST_STEPS);
        while self.steps < steps {
            self.steps += 1;
            self.step();
        }
        self.restart(false);
    }

    fn step(&mut self) {
        self.now = match self.rng.u8(..30) {
            0 => Timestamp(self.now.0 + self.rng.u64(..3 * HOUR)),
            1 => Timestamp(self.now.0 - self.rng.u64(..HOUR)),
            _ => Timestamp(self.now.0 + self.rng.u64(..2_000) - 500),
        };
        let power_fails = self.break_something();
        let name = self.rng.choice(TOPICS).unwrap();
        let choice = self.rng.u8(..40);
        self.say(&format!("{choice} on {name} at {}", self.now));
        let settled = match choice {
            _ if !self.topics.contains_key(name) => self.create(name),
            0 => self.delete(name),
            1 => self.purge(name),
            2 | 3 => self.alter(name),
            4 | 5 => self.create_or_delete_group(name),
            6..9 => self.maintain(name),
            9 | 10 => self.sync_due(),
            11..14 => self.checkpoint(),
            14 => return self.stop(),
            15 | 16 => Err(StorageError::Gone),
            _ => self.round(),
        };
        self.note_result(&settled);
        self.note_events();
        // Whatever failed half-way shows what it left in the next life.
        match settled {
            _ if power_fails => self.restart(true),
            Err(_) => self.restart(false),
            Ok(()) => self.disk.heal(),
        }
        if self.rng.u8(..8) == 0 {
            self.check_life();
        }
    }

    /// Returns whether the power fails in the middle of the step.
    fn break_something(&mut self) -> bool {
        if self.rng.u8(..7) != 0 {
            return false;
        }
        let (nth, bytes) = (self.rng.u64(1..14), self.rng.u64(..5_000));
        let fault = Fault::on_any().after_bytes(bytes);
        let fault = match self.rng.u8(..3) {
            0 => fault.error(std::io::ErrorKind::StorageFull),
            _ => fault,
        };
        let power_fails = self.rng.u8(..3) == 0;
        self.disk.fail(match power_fails || self.rng.bool() {
            true => fault.from_nth(nth),
            false => fault.nth(nth),
        });
        power_fails
    }

    fn store(&mut self) -> &mut Store {
        &mut self.opened.as_mut().unwrap().store
    }

    fn files(&mut self, name: &str) -> &mut TopicFiles {
        let mut topics = self.opened.as_mut().unwrap().topics.iter_mut();
        topics.find(|files| files.name.as_str() == name).unwrap()
    }

    fn model(&mut self, name: &str) -> &mut ModelTopic {
        self.topics.get_mut(name).unwrap()
    }

    fn random_settings(&mut self, partitions: u32) -> TopicSettings {
        let hours = |count| DurationText(Duration::from_millis(count * HOUR));
        let interval = Duration::from_secs(1);
        TopicSettings {
            durability: match self.rng.u8(..6) {
                0 => Durability::Os,
                1 => Durability::Interval(interval),
                _ => Durability::Fsync,
            },
            retention_age: hours(self.rng.u64(1..48)),
            retention_bytes: ByteCount(self.rng.u64(1_000..30_000)),
            segment_age: hours(self.rng.u64(1..10)),
            ..settings(partitions, self.rng.u64(200..2_500))
        }
    }

    fn create(&mut self, name: &'static str) -> Result<(), StorageError> {
        self.count += 1;
        let incarnation = Incarnation(self.count);
        let partitions = self.rng.u32(1..4);
        let settings = self.random_settings(partitions);
        let attempts = self.maybe_created.entry(name).or_default();
        attempts.push((incarnation, settings.clone()));
        let now = self.now;
        let created =
            self.store()
                .create_topic(&topic(name), settings.clone(), incarnation, now)?;
        self.opened.as_mut().unwrap().topics.push(created);
        self.maybe_created.remove(name);
        self.topics
            .insert(name, ModelTopic::new(incarnation, settings));
        Ok(())
    }

    fn delete(&mut self, name: &'static str) -> Result<(), StorageError> {
        self.model(name).maybe_gone = true;
        self.store().delete_topic(&topic(name))?;
        let topics = &mut self.opened.as_mut().unwrap().topics;
        topics.retain(|files| files.name.as_str() != name);
        self.topics.remove(name);
        Ok(())
    }

    fn purge(&mut self, name: &'static str) -> Result<(), StorageError> {
        for partition in &mut self.model(name).partitions {
            partition.maybe_trimmed_below = u64::MAX;
        }
        self.store().purge_topic(&topic(name))?;
        for partition in &mut self.model(name).partitions {
            partition.trimmed_below(partition.end.max(partition.used_below));
            partition.maybe_trimmed_below = 0;
        }
        Ok(())
    }

    fn alter(&mut self, name: &'static str) -> Result<(), StorageError> {
        let settings = self.random_settings(99);
        self.store().alter_topic(&topic(name), settings.clone())?;
        let model = self.model(name);
        let partitions = model.settings.partitions;
        model.settings = TopicSettings {
            partitions,
            ..settings
        };
        if !model.is_soft() {
            model.harden();
        }
        model.always_interval = false;
        Ok(())
    }

    /// Trims; the model looks whether all that went was allowed to.
    fn maintain(&mut self, name: &'static str) -> Result<(), StorageError> {
        let model = &self.topics[name];
        let floors: Vec<Offset> = match self.rng.u8(..3) {
            0 => model
                .partitions
                .iter()
                .map(|log| Offset(log.end / 2))
                .collect(),
            _ => Vec::new(),
        };
        for partition in &mut self.model(name).partitions {
            partition.maybe_trimmed_below = u64::MAX;
        }
        let now = self.now;
        let readers = self.files(name).partitions.clone();
        let extent = |reader: &PartitionReader| (reader.log_start_offset(), reader.bytes());
        let before: Vec<_> = readers.iter().map(|(_, reader)| extent(reader)).collect();
        let trimmed = self.store().maintain_topic(&topic(name), &floors, now)?;
        let went = readers.iter().zip(&before);
        let went = went.map(|((_, reader), (start, _))| reader.log_start_offset().since(*start));
        assert_eq!(trimmed.records, went.sum::<u64>());
        let model = self.model(name);
        for (id, (_, reader)) in readers.iter().enumerate() {
            let may_go = |(&offset, &time): (&u64, &Timestamp)| {
                let is_old = now.since(time) > model.settings.retention_age.0;
                is_old && floors.get(id).is_none_or(|floor| offset < floor.0)
            };
            let times = &model.partitions[id].times;
            let all_may = times.range(..reader.log_start_offset().0).all(may_go);
            assert!(all_may || before[id].1 > model.settings.retention_bytes.0);
            let log_start = reader.log_start_offset().0;
            let partition = &mut model.partitions[id];
            partition.trimmed_below(log_start);
            partition.maybe_trimmed_below = 0;
            let bytes = model.settings.retention_bytes.0 + model.settings.segment_bytes.0;
            // A record that is larger than a segment may have one by itself.
            assert!(
                reader.bytes() <= bytes + 8_000,
                "{} bytes stay",
                reader.bytes()
            );
        }
        Ok(())
    }

    fn sync_due(&mut self) -> Result<(), StorageError> {
        let all = self.rng.bool();
        let until = if all { Timestamp(u64::MAX) } else { self.now };
        self.store().sync_due(until)?;
        if all {
            // What was written while the topic had another durability may wait for something else.
            let soft = self.topics.values_mut();
            soft.filter(|model| model.always_interval)
                .for_each(ModelTopic::harden);
        }
        Ok(())
    }

    /// Takes one, runs it or gives it back, whichever is next; or forgets it.
    fn checkpoint(&mut self) -> Result<(), StorageError> {
        match self.checkpoint.take() {
            None => {
                let taken = self.store().take_checkpoint();
                self.checkpoint = taken.map(|checkpoint| (checkpoint, false));
            }
            Some(_) if self.rng.u8(..5) == 0 => {}
            Some((mut checkpoint, false)) => {
                checkpoint.run();
                self.checkpoint = Some((checkpoint, true));
            }
            Some((checkpoint, true)) => self.store().finish_checkpoint(&checkpoint)?,
        }
        Ok(())
    }

    fn create_or_delete_group(&mut self, name: &'static str) -> Result<(), StorageError> {
        let chosen = self.rng.choice(GROUPS).unwrap();
        let random = self.rng.u64(..);
        let model = self.model(name);
        model.maybe_group = Some(chosen);
        if model.groups.contains_key(chosen) {
            self.store().delete_group(&topic(name), &group(chosen))?;
            let groups = &mut self.files(name).groups;
            groups.retain(|found| found.group != group(chosen));
            self.model(name).groups.remove(chosen);
        } else {
            let start = |log: &ModelPartition| Offset(random % (log.used_below + 1));
            let starts: Vec<Offset> = model.partitions.iter().map(start).collect();
            let incarnation = Incarnation(random);
            let created = self.store().create_group(
                &topic(name),
                &group(chosen),
                incarnation,
                &GroupSettings::default(),
                &starts,
            )?;
            let at_start = |one: &PartitionProgress| ModelJournal::of(Told::of(one));
            let journals = created.partitions.iter().map(at_start).collect();
            self.files(name).groups.push(created);
            let groups = &mut self.model(name).groups;
            groups.insert(chosen, journals);
        }
        self.model(name).maybe_group = None;
        Ok(())
    }

    /// Several operations at once, on several files.
    fn round(&mut self) -> Result<(), StorageError> {
        let mut round: Vec<(Operation, Sent)> = Vec::new();
        for _ in 0..self.rng.usize(1..6) {
            let names: Vec<_> = self.topics.keys().copied().collect();
            let name = self.rng.choice(names).unwrap();
            let one = match self.rng.u8(..3) {
                0 => self.progress(name),
                _ => Some(self.records(name)),
            };
            let known = |one: &(Operation, Sent)| {
                let keys = round.iter().map(|(operation, _)| journal_of(operation));
                journal_of(&one.0).is_some() && keys.into_iter().any(|k| k == journal_of(&one.0))
            };
            round.extend(one.filter(|one| !known(one)));
        }
        let (operations, sent): (Vec<_>, Vec<_>) = round.into_iter().unzip();
        let now = self.now;
        let outcomes = self.store().commit_round(&operations, now);
        for (sent, outcome) in sent.into_iter().zip(outcomes) {
            self.say(&format!("{sent:?} {outcome:?}"));
            self.learn(sent, &outcome);
        }
        let groups = self.topics.values().flat_map(|model| model.groups.values());
        let mut journals = groups.flatten();
        match journals.any(|journal| journal.candidates.len() > MOST_CANDIDATES) {
            true => Err(StorageError::Gone),
            false => Ok(()),
        }
    }

    fn records(&mut self, name: &'static str) -> (Operation, Sent) {
        let partition = self.rng.usize(..self.topics[name].partitions.len());
        let payloads: Vec<String> = (0..self.rng.usize(1..4)).map(|_| self.payload()).collect();
        let operation = Operation::Append {
            partition: self.files(name).partitions[partition].0,
            records: payloads.iter().map(|payload| draft(payload)).collect(),
        };
        let model = &mut self.model(name).partitions[partition];
        model.sent.extend(payloads.iter().cloned());
        (operation, Sent::Records(name, partition, payloads))
    }

    fn payload(&mut self) -> String {
        self.count += 1;
        let bytes = match self.rng.u8(..20) {
            0 => self.rng.usize(..3_000),
            _ => self.rng.usize(..100),
        };
        format!("\"{}-{}\"", self.count, "x".repeat(bytes))
    }

    fn progress(&mut self, name: &'static str) -> Option<(Operation, Sent)> {
        let groups: Vec<_> = self.topics[name].groups.keys().copied().collect();
        let chosen = self.rng.choice(groups)?;
        let model = &self.topics[name];
        let (is_soft, partitions) = (model.is_soft(), model.partitions.len());
        let partition = self.rng.usize(..partitions);
        let end = model.partitions[partition].used_below;
        let entry = random_entry(&mut self.rng, end, !is_soft);
        let mut groups = self.files(name).groups.iter();
        let found = groups.find(|found| found.group == group(chosen)).unwrap();
        let operation = Operation::Journal {
            journal: found.partitions[partition].journal,
            entry: entry.clone(),
        };
        Some((operation, Sent::Progress(name, chosen, partition, entry)))
    }

    fn learn(&mut self, sent: Sent, outcome: &Result<Outcome, StorageError>) {
        match sent {
            Sent::Records(name, partition, payloads) => {
                let model = self.model(name);
                let is_soft = model.is_soft();
                let partition = &mut model.partitions[partition];
                if let Ok(Outcome::Appended(appended)) = outcome {
                    partition.appended(appended, payloads, is_soft);
                }
            }
            Sent::Progress(name, group, partition, entry) => {
                let model = self.model(name);
                let is_soft = model.is_soft();
                let journals = model.groups.get_mut(group).unwrap();
                journals[partition].journaled(&entry, is_soft, outcome.is_ok());
            }
        }
    }

    fn check_life(&mut self) {
        let readers = self.opened.iter().flat_map(|opened| &opened.topics);
        for files in readers {
            let model = &self.topics[files.name.as_str()];
            for (partition, (_, reader)) in model.partitions.iter().zip(&files.partitions) {
                partition.check_life(reader);
            }
        }
    }
}

fn journal_of(operation: &Operation) -> Option<weir_commitlog::JournalKey> {
    match operation {
        Operation::Journal { journal, .. } => Some(*journal),
        Operation::Append { .. } => None,
    }
}

fn random_entry(rng: &mut Rng, end: u64, may_seek: bool) -> JournalEntry {
    let start = rng.u64(..=end);
    let range = OffsetRange {
        start: Offset(start),
        end: Offset(rng.u64(start..=end)),
    };
    let returned = |offset| Returned {
        offset: Offset(offset),
        attempts: 1,
        available_at: Timestamp(5),
        reason: Some("because".into()),
    };
    let dead_letter = |offset| DeadLetterIntent {
        offset: Offset(offset),
        attempts: 16,
        incarnation: Incarnation(3),
        partition: PartitionId(0),
        from: Offset(start),
        at: Timestamp(6),
        reason: None,
    };
    JournalEntry {
        seek: (may_seek && rng.u8(..6) == 0).then(|| Seek {
            to: Offset(rng.u64(..=end)),
            incarnation: Incarnation(rng.u64(..)),
        }),
        settings: None,
        committed: (may_seek && rng.u8(..6) == 0).then_some(Offset(start)),
        finished: Vec::from_iter((!range.is_empty()).then_some(range)),
        returned: match end > 0 && rng.u8(..3) == 0 {
            true => vec![returned(rng.u64(..end))],
            false => Vec::new(),
        },
        dead_letters: match end > 0 && rng.u8(..6) == 0 {
            true => vec![dead_letter(rng.u64(..end))],
            false => Vec::new(),
        },
    }
}
