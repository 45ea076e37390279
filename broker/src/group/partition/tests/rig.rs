//! Drives a state as the group's task does, and keeps its journal.

use super::super::*;
use weir_commitlog::DeadLetterIntent;
use weir_types::RetryBackoff;

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp(seconds * 1000)
}

pub(super) fn token(offset: u64, attempt: u32) -> LeaseToken {
    LeaseToken {
        offset: Offset(offset),
        attempt,
        current_start: true,
    }
}

/// Records without a key.
pub(super) fn plain(records: usize) -> Vec<LogRecord> {
    vec![LogRecord::default(); records]
}

/// One record a letter, with that letter as its key; a blank is none.
pub(super) fn keyed(keys: &str) -> Vec<LogRecord> {
    let key = |letter: u8| (letter != b' ').then(|| KeyHash::of(&[letter]));
    keys.bytes()
        .map(|letter| LogRecord {
            key: key(letter),
            ..LogRecord::default()
        })
        .collect()
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LogRecord {
    pub(super) key: Option<KeyHash>,
    pub(super) expires_at: Option<Timestamp>,
}

/// A state, the log it reads, and what its journal says.
#[derive(Clone, Debug)]
pub(super) struct Rig {
    pub(super) state: PartitionState,
    pub(super) rules: Rules,
    pub(super) log: Vec<LogRecord>,
    pub(super) log_start: Offset,
    pub(super) disk: Progress,
    pub(super) now: Timestamp,
    pub(super) holder: Holder,
    pub(super) visibility_timeout: Duration,
}

impl Rig {
    pub(super) fn with(log: Vec<LogRecord>, ordering: GroupOrdering) -> Self {
        Self {
            state: PartitionState::default(),
            rules: Rules {
                ordering,
                max_deliveries: 16,
                moves_dead_letters: true,
                retry_backoff: RetryBackoff::default(),
                max_held_back: 1000,
                max_active: 1000,
            },
            log,
            log_start: Offset::ZERO,
            disk: Progress::default(),
            now: Timestamp(0),
            holder: Holder::ANONYMOUS,
            visibility_timeout: Duration::from_secs(30),
        }
    }

    pub(super) fn high_watermark(&self) -> Offset {
        Offset(self.log.len() as u64)
    }

    /// Committed offset and lag.
    pub(super) fn place(&self) -> (u64, u64) {
        let lag = self.state.lag_records(self.high_watermark());
        (self.state.committed_offset().0, lag)
    }

    /// What was leased: offsets and attempts.
    pub(super) fn lease(&mut self, max: usize) -> Vec<(u64, u32)> {
        if self.state.is_taken(&self.rules) {
            return Vec::new();
        }
        let terms = Terms {
            until: self.now.plus(self.visibility_timeout),
            holder: self.holder,
        };
        let mut leased = Vec::new();
        for offset in self.state.due(self.now, max, &self.rules) {
            match self.is_expired(offset) {
                true => self.state.skip(offset, true, self.now),
                false => {
                    let attempt = self.state.lease_due(offset, terms);
                    leased.extend(attempt.map(|attempt| (offset.0, attempt)));
                }
            }
        }
        while leased.len() < max && self.state.may_read_on(&self.rules) {
            let offset = self.state.next_fresh();
            let Some(record) = self.record(offset) else {
                break;
            };
            if self.is_expired(offset) && !self.state.is_moving_ahead(offset) {
                self.state.skip(offset, true, self.now);
                continue;
            }
            let (state, rules) = (&mut self.state, &self.rules);
            let attempt = state.lease_fresh(offset, record.key, self.now, terms, rules);
            leased.extend(attempt.map(|attempt| (offset.0, attempt)));
        }
        leased
    }

    pub(super) fn record(&self, offset: Offset) -> Option<LogRecord> {
        self.log.get(usize::try_from(offset.0).unwrap()).copied()
    }

    pub(super) fn is_expired(&self, offset: Offset) -> bool {
        let record = self.record(offset);
        let expires_at = record.and_then(|record| record.expires_at);
        expires_at.is_some_and(|at| at <= self.now)
    }

    pub(super) fn expires_at(&mut self, offset: usize, seconds: u64) {
        self.log[offset].expires_at = Some(at(seconds));
    }

    pub(super) fn ack(&mut self, offset: u64, attempt: u32) -> ReceiptStatus {
        self.ack_token(token(offset, attempt))
    }

    pub(super) fn ack_token(&mut self, token: LeaseToken) -> ReceiptStatus {
        let mut entry = JournalEntry::default();
        let status = self.state.ack(token, self.high_watermark(), &mut entry);
        self.commit(entry);
        status
    }

    pub(super) fn nack_terms(&self, delay: Option<u64>) -> NackTerms<'static> {
        NackTerms {
            redelivery: delay.map_or(Redelivery::ByBackoff, |seconds| {
                Redelivery::After(Duration::from_secs(seconds))
            }),
            reason: Some("broken"),
            now: self.now,
            random: 0,
        }
    }

    pub(super) fn nack(&mut self, offset: u64, attempt: u32, delay: Option<u64>) -> ReceiptStatus {
        let mut entry = JournalEntry::default();
        let (token, terms) = (token(offset, attempt), self.nack_terms(delay));
        let status = self.state.nack(token, terms, &self.rules, &mut entry);
        self.commit(entry);
        status
    }

    pub(super) fn reject(&mut self, offset: u64, attempt: u32) -> ReceiptStatus {
        let mut entry = JournalEntry::default();
        let terms = NackTerms {
            redelivery: Redelivery::Never,
            ..self.nack_terms(None)
        };
        let token = token(offset, attempt);
        let status = self.state.nack(token, terms, &self.rules, &mut entry);
        self.commit(entry);
        status
    }

    pub(super) fn pass_to(&mut self, seconds: u64) {
        self.now = at(seconds);
        self.expire();
    }

    pub(super) fn expire(&mut self) {
        let mut entry = JournalEntry::default();
        let (now, rules) = (self.now, &self.rules);
        self.state.expire(now, &mut || 0, rules, &mut entry);
        self.journal(&entry);
    }

    pub(super) fn give_back(&mut self, holder: Holder) {
        let mut entry = JournalEntry::default();
        let (now, rules) = (self.now, &self.rules);
        let state = &mut self.state;
        state.give_back(holder, now, rules, &mut entry);
        self.journal(&entry);
    }

    pub(super) fn note_intent(&mut self, offset: u64) -> DeadLetterIntent {
        let intent = DeadLetterIntent {
            offset: Offset(offset),
            attempts: 1,
            incarnation: weir_types::Incarnation(1),
            partition: weir_types::PartitionId(0),
            from: Offset::ZERO,
            at: self.now,
            reason: None,
        };
        self.journal(&JournalEntry {
            dead_letters: vec![intent.clone()],
            ..JournalEntry::default()
        });
        intent
    }

    /// A dead letter is where it belongs.
    pub(super) fn moved(&mut self, offset: u64) {
        self.journal(&JournalEntry {
            finished: vec![OffsetRange::single(Offset(offset))],
            ..JournalEntry::default()
        });
        self.state.moved(Offset(offset), self.now);
    }

    pub(super) fn trim(&mut self, log_start: u64) {
        self.log_start = self.log_start.max(Offset(log_start));
        let trimmed = OffsetRange {
            start: self.state.committed_offset(),
            end: self.log_start,
        };
        if !trimmed.is_empty() {
            self.state.pass_over(trimmed, self.now);
        }
    }

    /// The broker starts anew: what is not in the journal is forgotten.
    pub(super) fn restart(&mut self) {
        self.state = PartitionState::new(self.disk.clone(), &self.rules);
    }

    /// Journals an entry and makes it true.
    pub(super) fn commit(&mut self, mut entry: JournalEntry) {
        self.state.journal_passed(&mut entry);
        self.disk.apply(&entry);
        self.state.apply(&entry, self.now, &self.rules);
    }

    /// Journals what is true already.
    pub(super) fn journal(&mut self, entry: &JournalEntry) {
        self.disk.apply(entry);
    }
}
