//! Which records a consumer gets now.

use super::super::client::LeaseRequest;
use super::super::delivery::{Delivered, Leased};
use super::super::partition::PartitionState;
use super::{GroupPartition, GroupTask};
use crate::broker::BrokerError;
use crate::reads;
use std::time::Duration;
use weir_commitlog::{ReadLimits, StoredLine};
use weir_protocol::Receipt;
use weir_types::{Offset, OffsetRange};

impl GroupTask {
    /// Leases what is there now.
    pub(super) async fn lease(&mut self, request: &LeaseRequest) -> Result<Leased, BrokerError> {
        let visibility_timeout = request
            .visibility_timeout
            .unwrap_or_else(|| self.topic.settings().visibility_timeout.0);
        let mut left = ReadLimits {
            max_records: request.max_messages,
            max_bytes: request.max_bytes,
        };
        let mut leased = Leased::default();
        self.turn = (self.turn + 1) % self.partitions.len();
        for step in 0..self.partitions.len() {
            let partition = (self.turn + step) % self.partitions.len();
            if left.max_records == 0 || left.max_bytes == 0 {
                break;
            }
            let lines = match self.next_lines(partition, left).await {
                // What is granted must reach the consumer; the failure meets the next one.
                Err(_) if !leased.messages.is_empty() => break,
                result => result?,
            };
            for line in lines {
                left.max_records -= 1;
                left.max_bytes = left.max_bytes.saturating_sub(line.bytes.len());
                leased
                    .messages
                    .push(self.grant(partition, line, visibility_timeout));
            }
        }
        Ok(leased)
    }

    fn grant(
        &mut self,
        partition: usize,
        line: StoredLine,
        visibility_timeout: Duration,
    ) -> Delivered {
        let partition = &mut self.partitions[partition];
        let GroupPartition { log, state, .. } = partition;
        let granted = state.grant(line.offset, self.clock.now(), visibility_timeout);
        Delivered {
            partition: log.id(),
            receipt: Receipt {
                incarnation: partition.incarnation,
                partition: log.id(),
                offset: line.offset,
                delivery_attempt: granted.attempt,
                broker_start: self.broker_start,
            },
            lease_expires_at: granted.expires_at,
            line,
        }
    }

    /// Records of a partition that may be handed out now: returned ones first, then fresh ones.
    async fn next_lines(
        &mut self,
        partition: usize,
        limits: ReadLimits,
    ) -> Result<Vec<StoredLine>, BrokerError> {
        self.pass_over_trimmed(partition);
        let now = self.clock.now();
        let due = self.partitions[partition]
            .state
            .due(now, limits.max_records);
        if due.is_empty() {
            return self.fresh_lines(partition, limits).await;
        }
        let mut lines = Vec::with_capacity(due.len());
        let mut bytes = 0;
        for offset in due {
            let one = ReadLimits {
                max_records: 1,
                max_bytes: limits.max_bytes,
            };
            let log = &self.partitions[partition].log;
            let batch = reads::read(log, offset, one).await?;
            match batch.lines.into_iter().find(|line| line.offset == offset) {
                Some(line) if lines.is_empty() || bytes + line.bytes.len() <= limits.max_bytes => {
                    bytes += line.bytes.len();
                    lines.push(line);
                }
                Some(_) => break,
                None => self.partitions[partition]
                    .state
                    .pass_over(OffsetRange::single(offset)),
            }
        }
        Ok(lines)
    }

    async fn fresh_lines(
        &mut self,
        partition: usize,
        limits: ReadLimits,
    ) -> Result<Vec<StoredLine>, BrokerError> {
        loop {
            let GroupPartition { log, state, .. } = &mut self.partitions[partition];
            let from = state.next_fresh();
            if from >= log.reader().high_watermark() {
                return Ok(Vec::new());
            }
            let batch = reads::read(log, from, limits).await?;
            let state = &mut self.partitions[partition].state;
            pass_over_gaps(state, from, &batch.lines, batch.next_offset);
            let deliverable = |line: &StoredLine| state.is_deliverable(line.offset);
            let lines: Vec<_> = batch.lines.into_iter().filter(deliverable).collect();
            state.advance_fresh(batch.next_offset);
            if !lines.is_empty() || batch.next_offset <= from {
                return Ok(lines);
            }
        }
    }

    /// Retention and purging take records away whoever needs them.
    pub(super) fn pass_over_trimmed(&mut self, partition: usize) {
        let GroupPartition { log, state, .. } = &mut self.partitions[partition];
        let log_start = log.reader().log_start_offset();
        if state.committed_offset() < log_start {
            state.pass_over(OffsetRange {
                start: state.committed_offset(),
                end: log_start,
            });
            state.advance_fresh(log_start);
        }
    }
}

/// Offsets that a read did not return although it passed them are carried by no record.
fn pass_over_gaps(state: &mut PartitionState, from: Offset, lines: &[StoredLine], next: Offset) {
    let mut expected = from;
    for line in lines {
        if line.offset > expected {
            state.pass_over(OffsetRange {
                start: expected,
                end: line.offset,
            });
        }
        expected = line.offset.next();
    }
    if next > expected {
        state.pass_over(OffsetRange {
            start: expected,
            end: next,
        });
    }
}
