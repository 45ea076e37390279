//! Which records a consumer gets now.

use super::super::client::{Consumer, LeaseRequest};
use super::super::dead_letters::REDRIVEN_FOR;
use super::super::delivery::{Delivered, Leased};
use super::super::partition::Terms;
use super::super::unfinished::{Holder, KeyHash};
use super::{GroupPartition, GroupTask, ReadAhead};
use crate::broker::BrokerError;
use crate::reads;
use weir_commitlog::{ReadLimits, RecordHead, StoredLine};
use weir_protocol::Receipt;
use weir_types::{BrokerStart, GroupName, GroupOrdering, Offset, OffsetRange, Timestamp};

/// Reads that one pass makes at most, so that acks do not wait behind it.
const READS_PER_PASS: usize = 16;
/// Records that are read at once even if fewer are asked for, and the bytes of what is too much.
const READ_AHEAD: ReadLimits = ReadLimits {
    max_records: 64,
    max_bytes: 64 * 1024,
};

/// What one pass may still hand out, to whom, and what it has.
struct Pass {
    terms: Terms,
    now: Timestamp,
    /// Takes what is nobody's at the moment.
    is_passing: bool,
    max_messages: usize,
    max_bytes: usize,
    reads: usize,
    leased: Vec<Delivered>,
}

impl Pass {
    fn is_full(&self) -> bool {
        self.max_messages == 0 || self.max_bytes == 0
    }

    /// Whether a record may come along; the first one always may.
    fn has_room_for(&self, line: &StoredLine) -> bool {
        self.leased.is_empty() || line.bytes.len() <= self.max_bytes
    }

    fn take(&mut self, message: Delivered) {
        self.max_messages -= 1;
        self.max_bytes = self.max_bytes.saturating_sub(message.line.bytes.len());
        self.leased.push(message);
    }

    /// What to read for it.
    fn limits(&self) -> ReadLimits {
        let max_bytes = match self.max_messages < READ_AHEAD.max_records {
            true => self.max_bytes.min(READ_AHEAD.max_bytes),
            false => self.max_bytes,
        };
        ReadLimits {
            max_records: self.max_messages.max(READ_AHEAD.max_records),
            max_bytes,
        }
    }
}

impl GroupTask {
    /// Leases what is there now.
    pub(super) async fn lease(&mut self, request: &LeaseRequest) -> Result<Leased, BrokerError> {
        self.behind = false;
        let (holder, max_messages) = self.who(request)?;
        let visibility_timeout = request.visibility_timeout;
        let now = self.clock.now();
        let lasts = visibility_timeout.unwrap_or(self.topic_settings.visibility_timeout.0);
        let mut pass = Pass {
            terms: Terms {
                until: now.plus(lasts),
                holder,
            },
            now,
            is_passing: matches!(request.consumer, Consumer::Passing),
            max_messages,
            max_bytes: request.max_bytes,
            reads: READS_PER_PASS,
            leased: Vec::new(),
        };
        self.turn = (self.turn + 1) % self.partitions.len();
        for step in 0..self.partitions.len() {
            let index = (self.turn + step) % self.partitions.len();
            if pass.is_full() {
                break;
            }
            let log = &self.partitions[index].log;
            if request.partition.is_some_and(|only| only != log.id()) {
                continue;
            }
            match self.lease_from(index, &mut pass).await {
                // What is leased must reach the consumer; the failure meets the next one.
                Err(_) if !pass.leased.is_empty() => break,
                result => result?,
            }
        }
        Ok(Leased {
            messages: pass.leased,
        })
    }

    /// Under which name a consumer leases, and how many messages it may have.
    fn who(&mut self, request: &LeaseRequest) -> Result<(Holder, usize), BrokerError> {
        match &request.consumer {
            Consumer::Anonymous if self.rules.ordering == GroupOrdering::Partition => {
                Err(BrokerError::MemberNeeded {
                    group: self.client.name().clone(),
                })
            }
            Consumer::Anonymous | Consumer::Passing => {
                Ok((Holder::ANONYMOUS, request.max_messages))
            }
            Consumer::Member(name) => {
                let name = name.clone();
                Ok((self.hear(&name)?, request.max_messages))
            }
            &Consumer::Stream {
                holder,
                max_in_flight,
            } => {
                let held = self.partitions.iter().map(|p| p.state.leased_by(holder));
                let room = max_in_flight.saturating_sub(held.sum());
                Ok((holder, request.max_messages.min(room as usize)))
            }
        }
    }

    /// What is due first, then fresh ones.
    async fn lease_from(&mut self, index: usize, pass: &mut Pass) -> Result<(), BrokerError> {
        self.pass_over_trimmed(index);
        let partition = &self.partitions[index];
        let is_taken = partition.state.is_taken(&self.rules);
        let holder = pass.terms.holder;
        if is_taken || !(pass.is_passing || self.members.may_consume(holder, index)) {
            return Ok(());
        }
        self.lease_due(index, pass).await?;
        self.lease_fresh(index, pass).await
    }

    async fn lease_due(&mut self, index: usize, pass: &mut Pass) -> Result<(), BrokerError> {
        let partition = &self.partitions[index];
        let due = partition
            .state
            .due(pass.now, pass.max_messages, &self.rules);
        if due.is_empty() {
            return Ok(());
        }
        let found = reads::records_at(&partition.log, due, pass.max_bytes).await?;
        let (group, start) = (self.client.name(), self.broker_start);
        let partition = &mut self.partitions[index];
        for (offset, line) in found {
            let Some(line) = line else {
                let gone = OffsetRange::single(offset);
                partition.state.pass_over(gone, pass.now);
                continue;
            };
            if !pass.has_room_for(&line) {
                break;
            }
            if let Some(skipped) = skipped(&line, group, pass.now).1 {
                partition.state.skip(offset, skipped.is_expired(), pass.now);
            } else if let Some(attempt) = partition.state.lease_due(offset, pass.terms) {
                pass.take(partition.delivered(line, attempt, pass.terms, start));
            }
        }
        Ok(())
    }

    async fn lease_fresh(&mut self, index: usize, pass: &mut Pass) -> Result<(), BrokerError> {
        while !pass.is_full() && self.partitions[index].state.may_read_on(&self.rules) {
            let Some(line) = self.partitions[index].next_read(pass.now) else {
                if self.partitions[index].is_read_to_the_end() {
                    return Ok(());
                }
                if pass.reads == 0 {
                    self.behind = true;
                    return Ok(());
                }
                pass.reads -= 1;
                self.read_on(index, pass).await?;
                continue;
            };
            let partition = &mut self.partitions[index];
            if !pass.has_room_for(&line) {
                partition.ahead.lines.push_front(line);
                return Ok(());
            }
            let (key, skipped) = skipped(&line, self.client.name(), pass.now);
            let (offset, now) = (line.offset, pass.now);
            let state = &mut partition.state;
            if let Some(skipped) = skipped.filter(|_| !state.is_moving_ahead(offset)) {
                state.skip(offset, skipped.is_expired(), now);
                continue;
            }
            if let Some(attempt) = state.lease_fresh(offset, key, now, pass.terms, &self.rules) {
                pass.take(partition.delivered(line, attempt, pass.terms, self.broker_start));
            }
        }
        Ok(())
    }

    async fn read_on(&mut self, index: usize, pass: &Pass) -> Result<(), BrokerError> {
        let partition = &self.partitions[index];
        let batch =
            reads::read(&partition.log, partition.state.next_fresh(), pass.limits()).await?;
        self.partitions[index].ahead = ReadAhead {
            lines: batch.lines.into(),
            until: batch.next_offset,
        };
        Ok(())
    }

    /// Retention and purging take records away whoever needs them.
    pub(super) fn pass_over_trimmed(&mut self, index: usize) {
        let now = self.clock.now();
        let GroupPartition { log, state, .. } = &mut self.partitions[index];
        let log_start = log.reader().log_start_offset();
        if state.committed_offset() < log_start {
            let trimmed = OffsetRange {
                start: state.committed_offset(),
                end: log_start,
            };
            state.pass_over(trimmed, now);
        }
    }
}

impl GroupPartition {
    fn is_read_to_the_end(&self) -> bool {
        self.state.next_fresh() >= self.log.reader().high_watermark()
    }

    /// The next record that was read and is not finished; passes over offsets without a record.
    fn next_read(&mut self, now: Timestamp) -> Option<StoredLine> {
        while let Some(line) = self.ahead.lines.pop_front() {
            self.pass_over_until(line.offset, now);
            if line.offset == self.state.next_fresh() {
                return Some(line);
            }
        }
        self.pass_over_until(self.ahead.until, now);
        None
    }

    fn pass_over_until(&mut self, end: Offset, now: Timestamp) {
        let start = self.state.next_fresh();
        if start < end {
            self.state.pass_over(OffsetRange { start, end }, now);
        }
    }

    fn delivered(
        &self,
        line: StoredLine,
        attempt: u32,
        terms: Terms,
        broker_start: BrokerStart,
    ) -> Delivered {
        Delivered {
            receipt: Receipt {
                incarnation: self.incarnation,
                partition: self.log.id(),
                offset: line.offset,
                delivery_attempt: attempt,
                broker_start,
            },
            lease_expires_at: terms.until,
            line,
        }
    }
}

/// Why a group is not to have a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skipped {
    /// Its time to live is over.
    Expired,
    /// It was moved back for another group.
    ForAnotherGroup,
}

impl Skipped {
    fn is_expired(self) -> bool {
        self == Self::Expired
    }
}

/// A record's key, and whether the group is not to have it.
fn skipped(
    line: &StoredLine,
    group: &GroupName,
    now: Timestamp,
) -> (Option<KeyHash>, Option<Skipped>) {
    let Some(head) = RecordHead::of(&line.bytes) else {
        return (None, None);
    };
    let key = head.key.map(KeyHash::of);
    let skipped = match head.expires_at {
        Some(expires_at) if expires_at <= now => Some(Skipped::Expired),
        _ => head
            .headers
            .filter(|headers| is_for_another(headers, group))
            .map(|_| Skipped::ForAnotherGroup),
    };
    (key, skipped)
}

fn is_for_another(headers: &[u8], group: &GroupName) -> bool {
    if memchr::memmem::find(headers, REDRIVEN_FOR.as_bytes()).is_none() {
        return false;
    }
    let headers: std::collections::BTreeMap<String, String> =
        serde_json::from_slice(headers).unwrap_or_default();
    headers
        .get(REDRIVEN_FOR)
        .is_some_and(|only| only != group.as_str())
}
