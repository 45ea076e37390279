//! What comes again under the same id is stored once: within the window, whatever happens between.

use crate::rig::{ALL, NOW, Rig, draft, settings, topic};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::time::Duration;
use weir_commitlog::faulty::{Call, Fault};
use weir_commitlog::{Appended, Operation, Outcome, RecordDraft, StorageError};
use weir_types::{DurationText, MessageId, Offset, Timestamp, TopicSettings};

const WINDOW_MILLIS: u64 = 120_000;

fn with_id(id: &str, payload: &str) -> RecordDraft {
    RecordDraft {
        id: MessageId::parse(id).unwrap(),
        dedupe: true,
        ..draft(payload)
    }
}

fn round(rig: &mut Rig, appends: &[Vec<RecordDraft>], now: Timestamp) -> Vec<Option<Appended>> {
    let key = rig.key(0);
    let operation = |records: &Vec<RecordDraft>| Operation::Append {
        partition: key,
        records: records.clone(),
    };
    let operations: Vec<_> = appends.iter().map(operation).collect();
    let outcomes = rig.commit_round(&operations, now);
    let appended = |outcome: Result<Outcome, StorageError>| match outcome {
        Ok(Outcome::Appended(appended)) => Some(appended),
        Ok(Outcome::Journaled) => panic!("an append is no journal entry"),
        Err(_) => None,
    };
    outcomes.into_iter().map(appended).collect()
}

/// Publishes one record; returns its offset and whether it is a duplicate.
fn publish(rig: &mut Rig, id: &str, now: Timestamp) -> (u64, bool) {
    let appended = round(rig, &[vec![with_id(id, "1")]], now)[0].unwrap();
    assert_eq!(appended.count + appended.duplicates, 1);
    (appended.first_offset.0, appended.duplicates == 1)
}

fn later(millis: u64) -> Timestamp {
    Timestamp(NOW.0 + millis)
}

#[test]
fn the_same_id_is_stored_once_within_the_window() {
    let mut rig = Rig::new();
    assert_eq!(publish(&mut rig, "a", NOW), (0, false));
    assert_eq!(publish(&mut rig, "b", later(5)), (1, false));
    let again = round(&mut rig, &[vec![with_id("a", "2")]], later(10))[0].unwrap();
    assert_eq!((again.first_offset, again.timestamp), (Offset(0), NOW));
    assert_eq!((again.count, again.duplicates), (0, 1));
    assert_eq!(publish(&mut rig, "a", later(WINDOW_MILLIS - 1)), (0, true));
    assert_eq!(publish(&mut rig, "a", later(WINDOW_MILLIS)), (2, false));
    assert_eq!(rig.contents(0).len(), 3);
    // A clock that goes back takes nobody's window away: the partition's time counts.
    assert_eq!(publish(&mut rig, "a", Timestamp(1)), (2, true));
}

#[test]
fn ids_made_by_the_broker_are_not_looked_at() {
    let mut rig = Rig::new();
    let made = || RecordDraft {
        dedupe: false,
        ..with_id("a", "1")
    };
    for offset in 0..3 {
        let appended = round(&mut rig, &[vec![made()]], NOW)[0].unwrap();
        assert_eq!((appended.first_offset.0, appended.duplicates), (offset, 0));
    }
}

#[test]
fn duplicates_of_one_batch_and_of_one_round_are_found() {
    let mut rig = Rig::new();
    let batch = vec![with_id("a", "1"), with_id("a", "2"), with_id("b", "3")];
    let more = vec![with_id("b", "4"), with_id("c", "5")];
    let only = vec![with_id("c", "6"), with_id("a", "7")];
    let appended = round(&mut rig, &[batch, more, only], NOW);
    let told = |appended: &Option<Appended>| {
        let appended = appended.unwrap();
        (appended.first_offset.0, appended.count, appended.duplicates)
    };
    let told: Vec<_> = appended.iter().map(told).collect();
    assert_eq!(told, [(0, 2, 1), (2, 1, 1), (2, 0, 2)]);
    let stored = rig.contents(0).into_iter().map(|(_, payload)| payload);
    assert_eq!(stored.collect::<Vec<_>>(), ["1", "3", "5"]);
}

#[test]
fn a_duplicate_shares_the_fate_of_a_first_one_that_is_not_durable_yet() {
    let mut rig = Rig::new();
    publish(&mut rig, "before", NOW);
    let full = std::io::ErrorKind::StorageFull;
    rig.disk.fail(
        Fault::on(Call::Write)
            .path("partition-0")
            .once()
            .error(full),
    );
    let twice = [vec![with_id("a", "1")], vec![with_id("a", "1")]];
    assert_eq!(round(&mut rig, &twice, NOW), [None, None]);
    rig.disk.heal();
    assert_eq!(publish(&mut rig, "a", NOW), (1, false), "it was forgotten");
    assert_eq!(publish(&mut rig, "before", NOW), (0, true));
}

#[test]
fn what_was_published_before_a_restart_is_known_after_it() {
    let mut rig = Rig::new();
    let escaped = "a\"\\ü";
    publish(&mut rig, escaped, NOW);
    publish(&mut rig, "b", later(60_000));
    for mut next in [rig.reopen(), Rig::on(rig.close())] {
        assert_eq!(publish(&mut next, escaped, later(60_000)), (0, true));
        assert_eq!(publish(&mut next, "b", later(130_000)), (1, true));
        assert_eq!(publish(&mut next, escaped, later(130_000)), (2, false));
    }
}

#[test]
fn the_window_is_the_topics_and_may_change() {
    let window = |millis| TopicSettings {
        dedupe_window: DurationText(Duration::from_millis(millis)),
        ..settings(1, 1 << 20)
    };
    let mut rig = Rig::with(window(0));
    assert_eq!(publish(&mut rig, "a", NOW), (0, false));
    assert_eq!(publish(&mut rig, "a", NOW), (1, false));
    rig.alter_topic(&topic("t"), window(100)).unwrap();
    assert_eq!(publish(&mut rig, "a", later(50)), (1, true), "the newest");
    rig.alter_topic(&topic("t"), window(1_000)).unwrap();
    assert_eq!(publish(&mut rig, "a", later(999)), (1, true));
    rig.alter_topic(&topic("t"), window(100)).unwrap();
    assert_eq!(publish(&mut rig, "a", later(999)), (2, false));
}

#[test]
fn what_was_purged_may_be_published_anew() {
    let mut rig = Rig::new();
    publish(&mut rig, "a", NOW);
    rig.purge_topic(&topic("t")).unwrap();
    assert_eq!(publish(&mut rig, "a", NOW), (1, false));
    assert_eq!(publish(&mut rig, "a", NOW), (1, true));
}

#[test]
fn beyond_the_most_ids_the_oldest_is_forgotten_and_counted() {
    let mut rig = Rig::with(settings(1, 1 << 30));
    let batch = |from: u32, until: u32| -> Vec<RecordDraft> {
        let ids = from..until;
        ids.map(|n| with_id(&n.to_string(), "1")).collect()
    };
    round(&mut rig, &[batch(0, 50_000)], NOW);
    let filled = round(&mut rig, &[batch(50_000, 100_000)], NOW)[0].unwrap();
    assert_eq!((filled.duplicates, filled.forgotten_ids), (0, 0));
    let more = round(&mut rig, &[batch(100_000, 100_002)], NOW)[0].unwrap();
    assert_eq!(more.forgotten_ids, 2);
    assert_eq!(publish(&mut rig, "2", NOW), (2, true));
    assert_eq!(publish(&mut rig, "1", NOW), (100_002, false));
}

/// A record that was found in the log.
#[derive(Clone, Debug, PartialEq)]
struct Stored {
    id: String,
    payload: String,
    time: u64,
}

/// What is in the log by offset, as far as it was acknowledged.
type Log = BTreeMap<u64, Stored>;

struct World {
    rng: Rng,
    rig: Rig,
    log: Log,
    now: Timestamp,
    count: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            rig: Rig::with(settings(1, 2_000)),
            log: Log::new(),
            now: NOW,
            count: 0,
        }
    }

    fn step(&mut self) {
        self.now.0 += match self.rng.u8(..8) {
            0 => self.rng.u64(..2 * WINDOW_MILLIS),
            _ => self.rng.u64(..WINDOW_MILLIS / 20),
        };
        match self.rng.u8(..20) {
            0 => self.restart(),
            1 => self.maintain(),
            2 => self.purge(),
            _ => self.publish(),
        }
    }

    fn records(&mut self) -> Vec<RecordDraft> {
        let records = 0..self.rng.usize(1..4);
        records.map(|_| self.record()).collect()
    }

    fn record(&mut self) -> RecordDraft {
        self.count += 1;
        let padding = "x".repeat(self.rng.usize(..300));
        let payload = format!("\"{}-{padding}\"", self.count);
        match self.rng.u8(..6) {
            0 => RecordDraft {
                dedupe: false,
                ..with_id(&format!("made-{}", self.count), &payload)
            },
            _ => with_id(&format!("id-{}", self.rng.u8(..12)), &payload),
        }
    }

    /// A round, which may fail; what it answers is what the list of all records says.
    fn publish(&mut self) {
        let appends: Vec<_> = (0..self.rng.usize(1..4)).map(|_| self.records()).collect();
        if self.rng.u8(..6) == 0 {
            let full = std::io::ErrorKind::StorageFull;
            let fault = Fault::on_any().nth(self.rng.u64(1..4));
            self.rig.disk.fail(match self.rng.bool() {
                true => fault.error(full),
                false => fault,
            });
        }
        let appended = round(&mut self.rig, &appends, self.now);
        self.rig.disk.heal();
        let failed = appended.contains(&None);
        for (records, appended) in appends.iter().zip(appended) {
            if let Some(appended) = appended {
                self.learn(records, appended);
            }
        }
        if failed && self.rng.bool() {
            self.restart();
        }
    }

    fn learn(&mut self, records: &[RecordDraft], appended: Appended) {
        let mut next = appended.first_offset.0;
        let (mut stored, mut first_known) = (0, None);
        for record in records {
            let known = self.known(record);
            first_known = first_known.or(known);
            if known.is_none() {
                let payload = String::from_utf8(record.payload.to_vec()).unwrap();
                let id = record.id.as_str().to_owned();
                let time = appended.timestamp.0;
                self.log.insert(next, Stored { id, payload, time });
                (next, stored) = (next + 1, stored + 1);
            }
        }
        assert_eq!(appended.count, stored, "of {records:?} in {:?}", self.log);
        assert_eq!(appended.duplicates, records.len() as u64 - stored);
        if stored == 0 {
            assert_eq!(Some(appended.first_offset.0), first_known);
            assert_eq!(
                appended.timestamp.0,
                self.log[&appended.first_offset.0].time
            );
        }
    }

    /// The offset of the newest record with this id that is young enough.
    fn known(&self, record: &RecordDraft) -> Option<u64> {
        let mut newest = self.log.iter().rev();
        let same = |(_, stored): &(&u64, &Stored)| {
            record.dedupe
                && stored.id == record.id.as_str()
                && self.now.0 - stored.time < WINDOW_MILLIS
        };
        newest.find(same).map(|(offset, _)| *offset)
    }

    fn maintain(&mut self) {
        let now = self.now;
        self.rig.maintain_topic(&topic("t"), &[], now).unwrap();
    }

    /// Not on a partition that has failed.
    fn purge(&mut self) {
        if self.rig.purge_topic(&topic("t")).is_ok() {
            self.log.clear();
        }
    }

    fn restart(&mut self) {
        let disk = match self.rng.u8(..3) {
            0 => self.rig.disk.cut_power(&mut self.rng),
            1 => self.rig.disk.kill(),
            _ => self.rig.disk.cut_power_hard(),
        };
        self.rig = Rig::on(disk);
        let found = found(&self.rig);
        for (offset, stored) in &self.log {
            assert_eq!(found.get(offset), Some(stored), "{offset} was acknowledged");
        }
        self.log = found;
        self.check_once();
    }

    /// No two records with an id of their publisher are less than the window apart.
    fn check_once(&self) {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for stored in self.log.values() {
            if let Some(before) = last.insert(&stored.id, stored.time) {
                assert!(stored.time - before >= WINDOW_MILLIS, "{stored:?} twice");
            }
        }
    }
}

fn found(rig: &Rig) -> Log {
    let batch = rig.reader(0).read(Offset::ZERO, ALL).unwrap();
    let stored = batch.lines.iter().map(|line| {
        let value: serde_json::Value = serde_json::from_slice(&line.bytes).unwrap();
        let stored = Stored {
            id: value["id"].as_str().unwrap().to_owned(),
            payload: value["payload"].to_string(),
            time: line.timestamp.0,
        };
        (line.offset.0, stored)
    });
    stored.collect()
}

fn run(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        eprintln!("seed {seed}");
        let mut world = World::new(seed);
        (0..80).for_each(|_| world.step());
        world.restart();
    }
}

#[test]
fn random_rounds_faults_and_restarts_answer_as_a_list_of_all_records_would() {
    run(0..100);
}

#[test]
fn slow_random_rounds_faults_and_restarts_answer_as_a_list_of_all_records_would() {
    run(100..3_000);
}
