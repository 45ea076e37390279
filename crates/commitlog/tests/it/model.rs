//! Random operations, faults, kills and power cuts against a model of what was acknowledged.
//!
//! A failing seed is printed; `WEIR_MODEL_SEED=<seed>` replays it alone and
//! `WEIR_MODEL_SEEDS=<count>` runs more of them.

use crate::rig::{contents, group, settings, topic, try_append, try_journal, try_open};
use fastrand::Rng;
use std::collections::{BTreeMap, HashMap, HashSet};
use weir_commitlog::faulty::{Fault, FaultyDisk};
use weir_commitlog::{JournalEntry, Opened, Progress, Returned, StorageError, TopicFiles};
use weir_types::{Incarnation, Offset, OffsetRange, Timestamp};

const TOPICS: [&str; 3] = ["a", "b", "c"];
const GROUPS: [&str; 2] = ["g", "münchen/eins"];
const STEPS: usize = 60;

#[derive(Default)]
struct ModelPartition {
    /// Acknowledged and not trimmed.
    acknowledged: BTreeMap<u64, String>,
    /// Ever sent here.
    sent: HashSet<String>,
    /// Every acknowledged or observed offset is below.
    used_below: u64,
    log_start: u64,
}

struct ModelTopic {
    incarnation: Incarnation,
    partitions: Vec<ModelPartition>,
    /// What each journal may say after a restart; several where an entry was not acknowledged.
    groups: BTreeMap<&'static str, Vec<Vec<Progress>>>,
    /// A call that failed may have taken the topic away, or purged it.
    maybe_gone: bool,
    maybe_purged: bool,
    maybe_group: Option<&'static str>,
}

struct World {
    rng: Rng,
    disk: FaultyDisk,
    opened: Opened,
    topics: BTreeMap<&'static str, ModelTopic>,
    /// Creations that failed may have happened, until one succeeds.
    maybe_created: HashMap<&'static str, Vec<(Incarnation, u32)>>,
    now: Timestamp,
    count: u64,
}

#[test]
fn what_was_acknowledged_survives_and_nothing_else_appears() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    if let Some(seed) = number("WEIR_MODEL_SEED") {
        return run(seed);
    }
    for seed in 0..number("WEIR_MODEL_SEEDS").unwrap_or(300) {
        let result = std::panic::catch_unwind(|| run(seed));
        assert!(result.is_ok(), "replay with WEIR_MODEL_SEED={seed}");
    }
}

fn run(seed: u64) {
    let disk = FaultyDisk::new();
    let opened = try_open(&disk).unwrap();
    let mut world = World {
        rng: Rng::with_seed(seed),
        disk,
        opened,
        topics: BTreeMap::new(),
        maybe_created: HashMap::new(),
        now: Timestamp(1_000_000),
        count: 0,
    };
    for _ in 0..STEPS {
        world.step();
    }
    world.restart();
}

impl World {
    fn step(&mut self) {
        self.now = Timestamp(self.now.0 + self.rng.u64(0..2_000) - 500);
        if self.rng.u8(..5) == 0 {
            let (nth, bytes) = (self.rng.u64(1..14), self.rng.u64(..200));
            let fault = Fault::on_any().after_bytes(bytes);
            self.disk.fail(match self.rng.bool() {
                true => fault.nth(nth),
                false => fault.from_nth(nth),
            });
        }
        let name = self.rng.choice(TOPICS).unwrap();
        let settled = match self.rng.u8(..20) {
            _ if !self.topics.contains_key(name) => self.create(name),
            0 => self.delete(name),
            1 => self.purge(name),
            2 => self.alter(name),
            3 => self.create_or_delete_group(name),
            4 => self.maintain(name),
            5 | 6 => Err(StorageError::Gone),
            7..12 => {
                self.journal(name);
                Ok(())
            }
            _ => {
                self.append(name);
                Ok(())
            }
        };
        // Whatever failed half-way shows what it left in the next life.
        match settled {
            Err(_) => self.restart(),
            Ok(()) => self.disk.heal(),
        }
    }

    fn files(&mut self, name: &str) -> &mut TopicFiles {
        let mut topics = self.opened.topics.iter_mut();
        topics.find(|files| files.name.as_str() == name).unwrap()
    }

    fn create(&mut self, name: &'static str) -> Result<(), StorageError> {
        self.count += 1;
        let incarnation = Incarnation(self.count);
        let partitions = self.rng.u32(1..4);
        let attempts = self.maybe_created.entry(name).or_default();
        attempts.push((incarnation, partitions));
        let settings = settings(partitions, self.rng.u64(200..2_000));
        let created = self
            .opened
            .store
            .create_topic(&topic(name), settings, incarnation, self.now);
        self.opened.topics.push(created?);
        self.maybe_created.remove(name);
        self.topics
            .insert(name, ModelTopic::new(incarnation, partitions));
        Ok(())
    }

    fn delete(&mut self, name: &'static str) -> Result<(), StorageError> {
        self.topics.get_mut(name).unwrap().maybe_gone = true;
        self.opened.store.delete_topic(&topic(name))?;
        self.opened
            .topics
            .retain(|files| files.name.as_str() != name);
        self.topics.remove(name);
        Ok(())
    }

    fn purge(&mut self, name: &'static str) -> Result<(), StorageError> {
        let model = self.topics.get_mut(name).unwrap();
        model.maybe_purged = true;
        self.opened.store.purge_topic(&topic(name))?;
        for partition in &mut model.partitions {
            partition.acknowledged.clear();
            partition.log_start = partition.used_below;
        }
        model.maybe_purged = false;
        Ok(())
    }

    fn alter(&mut self, name: &'static str) -> Result<(), StorageError> {
        let settings = settings(99, self.rng.u64(200..2_000));
        self.opened.store.alter_topic(&topic(name), settings)
    }

    fn maintain(&mut self, name: &'static str) -> Result<(), StorageError> {
        let later = Timestamp(self.now.0 + 2 * 86_400_000); // Segments roll, nothing is trimmed.
        let trimmed = self.opened.store.maintain_topic(&topic(name), &[], later)?;
        assert_eq!(trimmed, 0);
        Ok(())
    }

    fn create_or_delete_group(&mut self, name: &'static str) -> Result<(), StorageError> {
        let chosen = self.rng.choice(GROUPS).unwrap();
        let random = self.rng.u64(..);
        let model = self.topics.get_mut(name).unwrap();
        model.maybe_group = Some(chosen);
        if model.groups.contains_key(chosen) {
            self.opened
                .store
                .delete_group(&topic(name), &group(chosen))?;
            self.files(name)
                .groups
                .retain(|found| found.group != group(chosen));
            self.topics.get_mut(name).unwrap().groups.remove(chosen);
        } else {
            let start = |log: &ModelPartition| Offset(random % (log.used_below + 1));
            let starts: Vec<Offset> = model.partitions.iter().map(start).collect();
            let created = self.opened.store.create_group(
                &topic(name),
                &group(chosen),
                Incarnation(random),
                &starts,
            )?;
            let at_start = |(_, progress): &(_, Progress)| vec![progress.clone()];
            let progress = created.partitions.iter().map(at_start).collect();
            self.files(name).groups.push(created);
            self.topics
                .get_mut(name)
                .unwrap()
                .groups
                .insert(chosen, progress);
        }
        self.topics.get_mut(name).unwrap().maybe_group = None;
        Ok(())
    }

    fn append(&mut self, name: &'static str) {
        let partitions = self.topics[name].partitions.len();
        let partition = self.rng.usize(..partitions);
        let payloads: Vec<String> = (0..self.rng.usize(1..4)).map(|_| self.payload()).collect();
        let key = self.files(name).partitions[partition].0;
        let texts: Vec<&str> = payloads.iter().map(String::as_str).collect();
        let result = try_append(&mut self.opened.store, key, &texts, self.now);
        let model = &mut self.topics.get_mut(name).unwrap().partitions[partition];
        model.sent.extend(payloads.iter().cloned());
        if let Ok(appended) = result {
            assert!(
                appended.first_offset.0 >= model.used_below,
                "an offset was reused"
            );
            let offsets = appended.first_offset.0..;
            model.acknowledged.extend(offsets.zip(payloads));
            model.used_below = appended.first_offset.0 + appended.count;
        }
    }

    fn payload(&mut self) -> String {
        self.count += 1;
        format!("\"{}-{}\"", self.count, "x".repeat(self.rng.usize(..150)))
    }

    fn journal(&mut self, name: &'static str) {
        let groups: Vec<_> = self.topics[name].groups.keys().copied().collect();
        let Some(chosen) = self.rng.choice(groups) else {
            return;
        };
        let partition = self.rng.usize(..self.topics[name].partitions.len());
        let end = self.topics[name].partitions[partition].used_below;
        let entry = random_entry(&mut self.rng, end);
        let mut groups = self.files(name).groups.iter();
        let found = groups.find(|found| found.group == group(chosen)).unwrap();
        let key = found.partitions[partition].0;
        let result = try_journal(&mut self.opened.store, key, entry.clone());
        let model = self.topics.get_mut(name).unwrap();
        let candidates = &mut model.groups.get_mut(chosen).unwrap()[partition];
        let mut changed = candidates.clone();
        changed
            .iter_mut()
            .for_each(|progress| progress.apply(&entry));
        match result {
            Ok(()) => *candidates = changed,
            Err(_) => candidates.append(&mut changed),
        }
    }

    /// Kill or power cut, then all is checked, and the model learns what became of the rest.
    fn restart(&mut self) {
        self.disk = match self.rng.u8(..3) {
            0 => self.disk.kill(),
            _ => self.disk.cut_power(&mut self.rng),
        };
        // A start may be cut short, too.
        if self.rng.u8(..4) == 0 {
            self.disk
                .fail(Fault::on_any().from_nth(self.rng.u64(1..40)));
            drop(try_open(&self.disk));
            self.disk = self.disk.cut_power(&mut self.rng);
        }
        self.opened = try_open(&self.disk).unwrap();
        let mut found: Vec<_> = self.opened.topics.clone();
        for name in TOPICS {
            let position = found.iter().position(|files| files.name.as_str() == name);
            self.check_topic(name, position.map(|at| found.swap_remove(at)).as_ref());
        }
        assert!(found.is_empty(), "topics nobody created: {found:?}");
    }

    fn check_topic(&mut self, name: &'static str, found: Option<&TopicFiles>) {
        let Some(found) = found else {
            let lost = self.topics.remove(name);
            assert!(lost.is_none_or(|lost| lost.maybe_gone), "{name} was lost");
            return;
        };
        let attempts = self.maybe_created.remove(name).unwrap_or_default();
        let created = attempts.into_iter().find(|one| one.0 == found.incarnation);
        if let Some((incarnation, partitions)) = created {
            assert!(!self.topics.contains_key(name));
            self.topics
                .insert(name, ModelTopic::new(incarnation, partitions));
        }
        let model = self.topics.get_mut(name);
        model
            .unwrap_or_else(|| panic!("{name} came back"))
            .check(found);
    }
}

impl ModelTopic {
    fn new(incarnation: Incarnation, partitions: u32) -> Self {
        Self {
            incarnation,
            partitions: (0..partitions).map(|_| ModelPartition::default()).collect(),
            groups: BTreeMap::new(),
            maybe_gone: false,
            maybe_purged: false,
            maybe_group: None,
        }
    }

    fn check(&mut self, found: &TopicFiles) {
        assert_eq!(found.incarnation, self.incarnation);
        assert_eq!(found.partitions.len(), self.partitions.len());
        for (model, (_, reader)) in self.partitions.iter_mut().zip(&found.partitions) {
            model.check(
                &contents(reader),
                reader.high_watermark().0,
                self.maybe_purged,
            );
            model.log_start = reader.log_start_offset().0;
        }
        for name in GROUPS {
            let progress = found.groups.iter().find(|found| found.group == group(name));
            let progress = progress.map(|found| found.partitions.iter().map(|(_, p)| p.clone()));
            self.check_group(name, progress.map(Iterator::collect));
        }
        (self.maybe_gone, self.maybe_purged, self.maybe_group) = (false, false, None);
    }

    fn check_group(&mut self, name: &'static str, found: Option<Vec<Progress>>) {
        let uncertain = self.maybe_group == Some(name);
        let Some(found) = found else {
            let lost = self.groups.remove(name).is_some();
            assert!(uncertain || !lost, "group {name} was lost");
            return;
        };
        if !uncertain {
            let expected = self.groups.get(name).expect("a group nobody created");
            for (progress, candidates) in found.iter().zip(expected) {
                assert!(
                    candidates.contains(progress),
                    "{progress:?} not of {candidates:?}"
                );
            }
        }
        self.groups.insert(
            name,
            found.into_iter().map(|progress| vec![progress]).collect(),
        );
    }
}

impl ModelPartition {
    fn check(&mut self, found: &[(u64, String)], high_watermark: u64, maybe_purged: bool) {
        let mut seen = HashSet::new();
        for (offset, payload) in found {
            assert!(self.sent.contains(payload), "never sent: {payload}");
            assert!(seen.insert(payload), "stored twice: {payload}");
            let sent = self.acknowledged.get(offset);
            assert!(
                sent.is_none_or(|sent| sent == payload),
                "{offset} has changed"
            );
        }
        assert!(found.is_sorted_by(|a, b| a.0 < b.0), "out of order");
        let found: BTreeMap<u64, String> = found.iter().cloned().collect();
        let lost = self
            .acknowledged
            .keys()
            .find(|offset| !found.contains_key(offset));
        assert!(maybe_purged || lost.is_none(), "lost {lost:?}");
        assert!(high_watermark >= self.used_below, "an offset may be reused");
        self.used_below = high_watermark;
        self.acknowledged = found;
    }
}

fn random_entry(rng: &mut Rng, end: u64) -> JournalEntry {
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
    JournalEntry {
        committed: (rng.u8(..6) == 0).then_some(Offset(start)),
        finished: Vec::from_iter((!range.is_empty()).then_some(range)),
        returned: match end > 0 && rng.u8(..3) == 0 {
            true => vec![returned(rng.u64(..end))],
            false => Vec::new(),
        },
    }
}
