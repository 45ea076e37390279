//! Whole lives of a group, from a seed: random operations and time, restarts that lose what was not
//! durable, and a second, naive bookkeeping that knows what must hold. After every life everything
//! is drained: each record is finished once, or moved to the dead letters once.
//!
//! `WEIR_GROUP_SEED=<n>` plays one life and tells every step of it.

use super::super::*;
use super::rig::{LogRecord, Rig};
use std::collections::{BTreeMap, BTreeSet};

/// Lives in all tests here together.
const LIVES: u64 = 100_000;
const TESTS: u64 = 8;
const MOST_STEPS: u32 = 60;

/// What a consumer believes to hold.
#[derive(Clone, Copy, Debug)]
struct Held {
    token: LeaseToken,
    until: Timestamp,
    holder: Holder,
}

/// A life, and what is known of it without looking into the state.
struct Life {
    rig: Rig,
    random: fastrand::Rng,
    /// Leases that the state must honour.
    held: BTreeMap<Offset, Held>,
    /// Every receipt that was ever given out.
    receipts: Vec<LeaseToken>,
    /// Deliveries of each message that count.
    attempts: BTreeMap<Offset, u32>,
    finished: BTreeSet<Offset>,
    dead: BTreeSet<Offset>,
    /// On the way to the dead letters, with an intent on the disk or not.
    moving: BTreeMap<Offset, Exhausted>,
    /// Decided, and not durable yet.
    undecided: Vec<JournalEntry>,
    /// Messages of these decisions, and whether it is a nack.
    settling: BTreeMap<Offset, bool>,
    verbose: bool,
}

impl Life {
    fn new(seed: u64, verbose: bool) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let orderings = [
            GroupOrdering::Key,
            GroupOrdering::Key,
            GroupOrdering::None,
            GroupOrdering::Partition,
        ];
        let ordering = orderings[random.usize(..orderings.len())];
        let mut rig = Rig::with(Vec::new(), ordering);
        rig.rules.max_deliveries = random.u32(1..5);
        rig.rules.moves_dead_letters = random.u8(..8) > 0;
        rig.rules.max_held_back = random.usize(1..12);
        rig.rules.max_active = random.usize(1..12);
        Self {
            rig,
            random,
            held: BTreeMap::new(),
            receipts: Vec::new(),
            attempts: BTreeMap::new(),
            finished: BTreeSet::new(),
            dead: BTreeSet::new(),
            moving: BTreeMap::new(),
            undecided: Vec::new(),
            settling: BTreeMap::new(),
            verbose,
        }
    }

    fn live(&mut self, steps: u32) {
        self.publish();
        for _ in 0..steps {
            self.step();
            self.check_numbers();
        }
    }

    fn step(&mut self) {
        match self.random.u8(..40) {
            0..=4 => self.publish(),
            5..=14 => self.lease(),
            15..=22 => self.ack(),
            23..=26 => self.nack(),
            27 => self.extend(),
            28..=30 => self.pass_time(),
            31 => self.release(),
            32 => self.give_back(),
            33..=34 => self.make_durable(),
            35 => self.note_intent(),
            36..=37 => self.finish_move(),
            38 => self.trim(),
            _ => self.restart(),
        }
        for exhausted in self.rig.state.take_exhausted() {
            self.tell(|| format!("exhausted {exhausted:?}"));
            let twice = self.moving.insert(exhausted.offset, exhausted);
            assert!(twice.is_none(), "told twice: {twice:?}");
        }
    }

    fn tell(&self, what: impl Fn() -> String) {
        if self.verbose {
            println!("{:>8} {}", self.rig.now.0, what());
        }
    }

    fn publish(&mut self) {
        for _ in 0..self.random.usize(1..6) {
            let key = self.random.u8(..5);
            let lives = self.random.u64(..200);
            self.rig.log.push(LogRecord {
                key: (key > 0).then(|| KeyHash::of(&[key])),
                expires_at: (lives < 20).then(|| self.rig.now.plus(Duration::from_secs(lives))),
            });
        }
        self.tell(|| format!("published, {} in all", self.rig.log.len()));
    }

    fn lease(&mut self) {
        self.expire();
        self.rig.holder = Holder(self.random.u32(..3));
        self.rig.visibility_timeout = Duration::from_secs(self.random.u64(1..30));
        let until = self.rig.now.plus(self.rig.visibility_timeout);
        let max = self.random.usize(1..6);
        let leased = self.rig.lease(max);
        self.tell(|| {
            format!(
                "leased {leased:?} until {} by {:?}",
                until.0, self.rig.holder
            )
        });
        assert!(leased.len() <= max.max(1));
        self.note_skipped();
        for (offset, attempt) in leased {
            let token = LeaseToken {
                offset: Offset(offset),
                attempt,
                current_start: true,
            };
            self.check_lease(token);
            self.held.insert(
                token.offset,
                Held {
                    token,
                    until,
                    holder: self.rig.holder,
                },
            );
            self.receipts.push(token);
            self.check_key_order(token.offset);
        }
    }

    fn check_lease(&mut self, token: LeaseToken) {
        let offset = token.offset;
        assert!(!self.held.contains_key(&offset), "two leases of {offset}");
        assert!(!self.finished.contains(&offset), "{offset} was finished");
        assert!(!self.dead.contains(&offset), "{offset} is a dead letter");
        assert!(!self.moving.contains_key(&offset), "{offset} is moving");
        let before = self.attempts.get(&offset).copied().unwrap_or_default();
        assert_eq!(token.attempt, before + 1, "attempts of {offset}");
        let most = self.rig.rules.max_deliveries;
        assert!(token.attempt <= most || !self.rig.rules.moves_dead_letters);
    }

    /// No two of one key at once, none before an earlier one is finished.
    fn check_key_order(&self, offset: Offset) {
        let key_of = |offset: Offset| self.rig.record(offset).unwrap().key;
        let key = key_of(offset);
        let same_key = |earlier: &Offset| match self.rig.rules.ordering {
            GroupOrdering::None => false,
            GroupOrdering::Key => key.is_some() && key_of(*earlier) == key,
            GroupOrdering::Partition => !self.held.contains_key(earlier),
        };
        let is_open =
            |earlier: &Offset| !self.finished.contains(earlier) && !self.dead.contains(earlier);
        let mut earlier = (0..offset.0).map(Offset).filter(is_open);
        let open = earlier.find(same_key);
        assert!(open.is_none(), "{offset} was leased before {open:?}");
    }

    /// What was passed over because its time was over.
    fn note_skipped(&mut self) {
        for offset in (0..self.rig.log.len() as u64).map(Offset) {
            let is_over = self.rig.is_expired(offset);
            if is_over && self.rig.state.is_finished(offset) && !self.dead.contains(&offset) {
                assert!(!self.held.contains_key(&offset));
                self.finished.insert(offset);
            }
        }
    }

    fn pick_receipt(&mut self) -> Option<LeaseToken> {
        let newest = self.receipts.len().checked_sub(1)?;
        let back = self.random.usize(..12).min(newest);
        Some(self.receipts[newest - back])
    }

    fn ack(&mut self) {
        let Some(token) = self.pick_receipt() else {
            return;
        };
        let mut entry = JournalEntry::default();
        let end = self.rig.high_watermark();
        let status = self.rig.state.ack(token, end, &mut entry);
        self.tell(|| format!("ack {token:?}: {status:?}"));
        let is_newer = |held: &Held| held.token.attempt != token.attempt || !token.current_start;
        let newer = self.held.get(&token.offset).is_some_and(is_newer);
        let done = self.finished.contains(&token.offset) || self.dead.contains(&token.offset);
        let refused = match self.settling.get(&token.offset) {
            Some(&is_nack) => is_nack,
            None => newer || self.moving.contains_key(&token.offset),
        };
        let expected = match refused && !done {
            true => ReceiptStatus::LeaseExpired,
            false => ReceiptStatus::Acked,
        };
        if expected == ReceiptStatus::Acked && !done {
            self.settling.insert(token.offset, false);
        }
        assert_eq!(status, expected, "{token:?}");
        self.undecided.push(entry);
        if self.random.bool() {
            self.make_durable();
        }
    }

    fn nack(&mut self) {
        let Some(token) = self.pick_receipt() else {
            return;
        };
        let mut entry = JournalEntry::default();
        let delay = self.random.u64(..20);
        let terms = self.rig.nack_terms((delay > 3).then_some(delay));
        let (state, rules) = (&mut self.rig.state, &self.rig.rules);
        let status = state.nack(token, terms, rules, &mut entry);
        self.tell(|| format!("nack {token:?} for {delay}: {status:?}"));
        let held = self.held.get(&token.offset);
        let holds = token.current_start
            && held.is_some_and(|h| h.token.attempt == token.attempt)
            && !self.settling.contains_key(&token.offset);
        if holds {
            self.settling.insert(token.offset, true);
        }
        let expected = match holds {
            true => ReceiptStatus::Nacked,
            false => ReceiptStatus::LeaseExpired,
        };
        assert_eq!(status, expected, "{token:?}");
        self.undecided.push(entry);
        if self.random.bool() {
            self.make_durable();
        }
    }

    fn extend(&mut self) {
        let Some(token) = self.pick_receipt() else {
            return;
        };
        let until = self
            .rig
            .now
            .plus(Duration::from_secs(self.random.u64(1..40)));
        let status = self.rig.state.extend(token, until);
        let settles = self.settling.contains_key(&token.offset);
        let held = self.held.get_mut(&token.offset);
        let held = held.filter(|h| token.current_start && h.token.attempt == token.attempt);
        let held = held.filter(|_| !settles);
        assert_eq!(held.is_some(), status == ReceiptStatus::Extended);
        if let Some(held) = held {
            held.until = until;
        }
    }

    /// Everything decided so far reaches the disk, in its order, and becomes true.
    fn make_durable(&mut self) {
        self.settling.clear();
        for entry in std::mem::take(&mut self.undecided) {
            if self.random.u8(..20) == 0 {
                self.tell(|| format!("the disk refused {entry:?}"));
                self.rig.state.revert(&entry);
                continue;
            }
            self.rig.commit(entry.clone());
            for offset in entry
                .finished
                .iter()
                .flat_map(|r| (r.start.0..r.end.0).map(Offset))
            {
                self.held.remove(&offset);
                if !self.dead.contains(&offset) {
                    self.finished.insert(offset);
                }
                assert!(!self.moving.contains_key(&offset), "{offset} is moving");
            }
            for returned in entry.returned {
                let held = self.held.get(&returned.offset);
                if held.is_some_and(|held| held.token.attempt == returned.attempts) {
                    self.end_lease(returned.offset);
                }
            }
        }
    }

    fn end_lease(&mut self, offset: Offset) {
        if let Some(held) = self.held.remove(&offset) {
            self.attempts.insert(offset, held.token.attempt);
        }
    }

    fn pass_time(&mut self) {
        let seconds = self.random.u64(1..25);
        self.rig.now = self.rig.now.plus(Duration::from_secs(seconds));
        self.expire();
    }

    fn expire(&mut self) {
        self.rig.expire();
        let over = self.held.values().filter(|held| held.until <= self.rig.now);
        let over: Vec<_> = over.map(|held| held.token.offset).collect();
        let settles = |offset: &Offset| self.settling.contains_key(offset);
        let over: Vec<_> = over.into_iter().filter(|o| !settles(o)).collect();
        for offset in over {
            self.tell(|| format!("lease of {offset} expired"));
            self.end_lease(offset);
        }
    }

    /// A lease that never reached its consumer.
    fn release(&mut self) {
        let Some((&offset, _)) = self.held.iter().next_back() else {
            return;
        };
        if self.settling.contains_key(&offset) {
            // It reached its consumer.
            return;
        }
        self.rig.state.release(offset, self.rig.now);
        self.held.remove(&offset);
        self.receipts.retain(|token| token.offset != offset);
        self.tell(|| format!("released {offset}"));
    }

    fn give_back(&mut self) {
        let holder = Holder(self.random.u32(1..3));
        self.rig.give_back(holder);
        let theirs = self.held.values().filter(|held| held.holder == holder);
        let theirs = theirs.map(|held| held.token.offset);
        let settles = |offset: &Offset| self.settling.contains_key(offset);
        let theirs: Vec<_> = theirs.filter(|offset| !settles(offset)).collect();
        self.tell(|| format!("{holder:?} went away with {theirs:?}"));
        theirs.into_iter().for_each(|offset| self.end_lease(offset));
    }

    fn note_intent(&mut self) {
        let Some(offset) = self.moving.keys().next().copied() else {
            return;
        };
        self.rig.note_intent(offset.0);
        self.tell(|| format!("intent for {offset}"));
    }

    fn finish_move(&mut self) {
        let Some((offset, _)) = self.moving.pop_first() else {
            return;
        };
        self.tell(|| format!("moved {offset}"));
        assert!(!self.finished.contains(&offset), "{offset} was acked");
        assert!(self.dead.insert(offset), "{offset} moved twice");
        self.rig.moved(offset.0);
    }

    fn trim(&mut self) {
        let committed = self.rig.state.committed_offset().0;
        let to = (committed + self.random.u64(..4)).min(self.rig.high_watermark().0);
        self.tell(|| format!("trimmed to {to}"));
        self.rig.trim(to);
        for offset in (0..to).map(Offset) {
            self.held.remove(&offset);
            self.moving.remove(&offset);
            if !self.dead.contains(&offset) {
                self.finished.insert(offset);
            }
        }
    }

    /// What was decided may have reached the disk, up to some point, or not.
    fn restart(&mut self) {
        self.tell(|| "restart".to_owned());
        let durable = self.random.usize(..=self.undecided.len());
        self.undecided.truncate(durable);
        self.make_durable();
        // Nothing else of the state survives: passed over records are passed over again.
        self.rig.restart();
        self.held.clear();
        self.moving.clear();
        self.settling.clear();
        self.receipts
            .iter_mut()
            .for_each(|token| token.current_start = false);
        let disk = &self.rig.disk;
        self.finished.retain(|&offset| disk.is_finished(offset));
        self.attempts = disk
            .returned
            .values()
            .map(|returned| (returned.offset, returned.attempts))
            .collect();
        if self.rig.log_start > Offset::ZERO {
            self.rig.trim(self.rig.log_start.0);
            self.finished.extend(
                (0..self.rig.log_start.0)
                    .map(Offset)
                    .filter(|o| !self.dead.contains(o)),
            );
        }
    }

    /// What the state must say at every moment.
    fn check_numbers(&self) {
        let end = self.rig.high_watermark();
        let is_open =
            |offset: &Offset| !self.finished.contains(offset) && !self.dead.contains(offset);
        let open: Vec<_> = (0..end.0).map(Offset).filter(is_open).collect();
        let state = &self.rig.state;
        assert_eq!(state.lag_records(end), open.len() as u64, "lag");
        let committed = open.first().copied().unwrap_or(end);
        assert_eq!(state.committed_offset(), committed, "committed offset");
        assert_eq!(state.in_flight(), self.held.len() as u64, "in flight");
        assert!(state.held_back() <= self.rig.rules.max_held_back as u64);
        let active = state.in_flight() + state.waiting();
        assert!(active <= (self.rig.rules.max_active + self.rig.rules.max_held_back) as u64);
    }

    /// With patience, every record is finished or a dead letter, exactly once.
    fn drain(&mut self) {
        self.make_durable();
        let patience = 40 + 20 * self.rig.log.len();
        for _ in 0..patience {
            if self.rig.state.lag_records(self.rig.high_watermark()) == 0 {
                break;
            }
            self.rig.now = self.rig.now.plus(Duration::from_secs(100));
            self.lease();
            while !self.moving.is_empty() {
                self.finish_move();
            }
            let held: Vec<_> = self.held.values().map(|held| held.token).collect();
            for token in held {
                let mut entry = JournalEntry::default();
                let end = self.rig.high_watermark();
                let status = self.rig.state.ack(token, end, &mut entry);
                assert_eq!(status, ReceiptStatus::Acked);
                self.settling.insert(token.offset, false);
                self.undecided.push(entry);
            }
            self.make_durable();
            for exhausted in self.rig.state.take_exhausted() {
                self.moving.insert(exhausted.offset, exhausted);
            }
        }
        assert_eq!(self.rig.place(), (self.rig.log.len() as u64, 0), "drained");
        self.rig.commit(JournalEntry::default());
        assert_eq!(self.rig.disk.committed, self.rig.high_watermark());
        assert!(self.rig.disk.returned.is_empty() && self.rig.disk.dead_letters.is_empty());
    }
}

fn play(seed: u64, steps: u32, verbose: bool) {
    let mut life = Life::new(seed, verbose);
    life.live(steps);
    life.drain();
}

/// Plays this test's share of all lives; tells the seed and the fewest steps that fail.
fn play_share(share: u64) {
    if let Some(seed) = std::env::var("WEIR_GROUP_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
    {
        return play(seed, steps_of(seed), true);
    }
    for seed in (0..LIVES).filter(|seed| seed % TESTS == share) {
        let fails = |steps| std::panic::catch_unwind(|| play(seed, steps, false)).is_err();
        if fails(steps_of(seed)) {
            let fewest = (0..=steps_of(seed)).find(|&steps| fails(steps));
            println!("WEIR_GROUP_SEED={seed} fails with {fewest:?} steps:");
            play(seed, fewest.unwrap_or(MOST_STEPS), true);
        }
    }
}

fn steps_of(seed: u64) -> u32 {
    fastrand::Rng::with_seed(!seed).u32(1..MOST_STEPS)
}

macro_rules! shares {
    ($($name:ident = $share:literal;)*) => {
        $(#[test] fn $name() { play_share($share); })*
    };
}

shares! {
    slow_lives_keep_every_promise_0 = 0;
    slow_lives_keep_every_promise_1 = 1;
    slow_lives_keep_every_promise_2 = 2;
    slow_lives_keep_every_promise_3 = 3;
    slow_lives_keep_every_promise_4 = 4;
    slow_lives_keep_every_promise_5 = 5;
    slow_lives_keep_every_promise_6 = 6;
    slow_lives_keep_every_promise_7 = 7;
}
