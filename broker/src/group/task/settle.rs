//! What consumers say of their messages, and operators of the group: decided, journaled, and only
//! then true.
//!
//! What was decided holds the message where it is until the disk has answered: its lease does not end
//! meanwhile, and nobody else gets it. A failed decision leaves everything as it was.

use super::super::client::{Consumer, LeaseRequest, ReceiptAction, SeekTargets};
use super::super::delivery::Delivered;
use super::super::partition::{LeaseToken, NackTerms, PartitionState};
use super::{GroupPartition, GroupTask, ReadAhead};
use crate::broker::BrokerError;
use crate::committer::Few;
use futures_util::StreamExt;
use std::time::Duration;
use tokio::sync::oneshot;
use weir_commitlog::{JournalEntry, Operation, Progress, Seek, StoredLine};
use weir_protocol::Receipt;
use weir_protocol::shapes::ReceiptStatus;
use weir_types::{
    GroupSettings, GroupSettingsChange, Incarnation, Offset, OffsetRange, PartitionId, Timestamp,
};

pub(crate) type SettleReply = oneshot::Sender<Result<Vec<ReceiptStatus>, BrokerError>>;
pub(crate) type TakeReply = oneshot::Sender<Result<Option<StoredLine>, BrokerError>>;
type DoneReply = oneshot::Sender<Result<(), BrokerError>>;

/// A decision on its way to the disk.
pub(super) struct PendingCommit {
    /// What becomes true.
    decisions: Vec<Decision>,
    answer: PendingAnswer,
}

/// What becomes true in one partition.
struct Decision {
    partition: usize,
    /// When it was decided; void after a seek.
    incarnation: Incarnation,
    entry: JournalEntry,
}

/// Who waits for it. One who went away loses the answer; what was decided stays.
enum PendingAnswer {
    Settle {
        statuses: Vec<ReceiptStatus>,
        reply: SettleReply,
    },
    Take {
        message: Delivered,
        reply: TakeReply,
    },
    Done(DoneReply),
}

impl GroupTask {
    /// Applies `action` to each receipt; answers when what must survive is durable.
    pub(super) async fn settle(
        &mut self,
        receipts: &[Receipt],
        action: &ReceiptAction,
        reply: SettleReply,
    ) {
        let mut decisions = Vec::new();
        let now = self.clock.now();
        let decide = |receipt| self.settle_one(receipt, action, now, &mut decisions);
        let statuses = receipts.iter().map(decide).collect();
        let answer = PendingAnswer::Settle { statuses, reply };
        self.commit(decisions, answer).await;
    }

    fn settle_one(
        &mut self,
        receipt: &Receipt,
        action: &ReceiptAction,
        now: Timestamp,
        decisions: &mut Vec<Decision>,
    ) -> ReceiptStatus {
        let index = receipt.partition.0 as usize;
        let partition = self.partitions.get_mut(index);
        let known = partition.filter(|p| p.incarnation == receipt.incarnation);
        let Some(GroupPartition { log, state, .. }) = known else {
            return ReceiptStatus::Unknown;
        };
        let token = LeaseToken {
            offset: receipt.offset,
            attempt: receipt.delivery_attempt,
            current_start: receipt.broker_start == self.broker_start,
        };
        let entry = entry_of(decisions, index, receipt.incarnation);
        match action {
            ReceiptAction::Ack => state.ack(token, log.reader().high_watermark(), entry),
            ReceiptAction::Nack { redelivery, reason } => {
                let terms = NackTerms {
                    redelivery: *redelivery,
                    reason: reason.as_deref(),
                    now,
                    random: fastrand::u64(..),
                };
                state.nack(token, terms, &self.rules, entry)
            }
            ReceiptAction::Release => state.give_up(token, now),
            ReceiptAction::Extend { visibility_timeout } => {
                let default = self.topic_settings.visibility_timeout.0;
                state.extend(token, now.plus(visibility_timeout.unwrap_or(default)))
            }
        }
    }

    /// Gives back what was leased for consumers that went away before they had it.
    pub(super) fn give_back_unclaimed(&mut self) {
        let now = self.clock.now();
        let nothing_to_journal = &mut Vec::new();
        for receipt in self.unclaimed.take() {
            self.settle_one(&receipt, &ReceiptAction::Release, now, nothing_to_journal);
        }
    }

    /// Leases one message and finishes it; answers when that is durable.
    pub(super) async fn take(&mut self, reply: TakeReply) {
        if reply.is_closed() {
            return;
        }
        self.expire_leases().await;
        let message = match self.lease_one().await {
            Ok(Some(message)) => message,
            Ok(None) => return drop(reply.send(Ok(None))),
            Err(error) => return drop(reply.send(Err(error))),
        };
        let mut decisions = Vec::new();
        let now = self.clock.now();
        self.settle_one(&message.receipt, &ReceiptAction::Ack, now, &mut decisions);
        let answer = PendingAnswer::Take { message, reply };
        self.commit(decisions, answer).await;
    }

    async fn lease_one(&mut self) -> Result<Option<Delivered>, BrokerError> {
        let one = LeaseRequest {
            max_messages: 1,
            max_bytes: usize::MAX,
            wait: Duration::ZERO,
            visibility_timeout: None,
            consumer: Consumer::Anonymous,
            partition: None,
        };
        loop {
            let message = self.lease(&one).await?.messages.pop();
            if message.is_some() || !self.behind {
                return Ok(message);
            }
        }
    }

    /// Goes on from other offsets, under a new incarnation: receipts of before are void.
    pub(super) async fn seek(&mut self, targets: SeekTargets, reply: DoneReply) {
        let mut decisions = Vec::new();
        for (PartitionId(index), to) in targets {
            let index = index as usize;
            let Some(partition) = self.partitions.get(index) else {
                continue;
            };
            let entry = entry_of(&mut decisions, index, partition.incarnation);
            entry.seek = Some(Seek {
                to,
                incarnation: Incarnation(fastrand::u64(..)),
            });
        }
        self.commit_alone(decisions, reply).await;
    }

    /// Changes what was chosen for the group.
    pub(super) async fn alter(&mut self, change: &GroupSettingsChange, reply: DoneReply) {
        let settings = match self.altered(change) {
            Ok(settings) => settings,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let mut decisions = Vec::new();
        if settings != self.settings {
            let first = self.partitions[0].incarnation;
            entry_of(&mut decisions, 0, first).settings = Some(settings);
        }
        self.commit_alone(decisions, reply).await;
    }

    fn altered(&self, change: &GroupSettingsChange) -> Result<GroupSettings, BrokerError> {
        let altered = self.settings.with(change)?;
        match altered.ordering == self.settings.ordering {
            true => Ok(altered),
            false => Err(BrokerError::OrderingFixed {
                group: self.client.name().clone(),
                ordering: self.settings.ordering,
            }),
        }
    }

    /// Finishes records without a lease.
    pub(super) async fn finish(
        &mut self,
        partition: PartitionId,
        finished: Vec<OffsetRange>,
        reply: DoneReply,
    ) {
        let index = partition.0 as usize;
        let mut decisions = Vec::new();
        if let Some(partition) = self.partitions.get(index) {
            entry_of(&mut decisions, index, partition.incarnation).finished = finished;
        }
        self.commit(decisions, PendingAnswer::Done(reply)).await;
    }

    /// Which of these records the group is done with.
    pub(super) fn finished(&self, partition: PartitionId, offsets: &[Offset]) -> Vec<bool> {
        let partition = self.partitions.get(partition.0 as usize);
        let is_finished = |&offset| partition.is_none_or(|p| p.state.is_finished(offset));
        offsets.iter().map(is_finished).collect()
    }

    /// Has decisions made durable before the group decides anything else: what was decided of the
    /// group as it is now, and stood behind a seek in the journal, would count for the group as it is
    /// then.
    async fn commit_alone(&mut self, decisions: Vec<Decision>, reply: DoneReply) {
        self.commit(decisions, PendingAnswer::Done(reply)).await;
        while let Some((result, pending)) = self.commits.next().await {
            self.committed(result, pending);
        }
    }

    /// Has decisions made durable.
    async fn commit(&mut self, mut decisions: Vec<Decision>, answer: PendingAnswer) {
        let mut operations = Few::new();
        decisions.retain(|decision| !decision.entry.is_empty());
        for decision in &mut decisions {
            let partition = &mut self.partitions[decision.partition];
            if decision.entry.seek.is_none() {
                partition.state.journal_passed(&mut decision.entry);
            }
            operations.push(Operation::Journal {
                journal: partition.journal,
                entry: decision.entry.clone(),
            });
        }
        let pending = PendingCommit { decisions, answer };
        if operations.is_empty() {
            return self.committed(Ok(()), pending);
        }
        let ticket = self.committer.submit(operations, Few::new()).await;
        self.commits.push(Box::pin(async move {
            (ticket.durable().await.map(drop), pending)
        }));
    }

    /// The disk has answered: make it true, or leave everything as it was.
    pub(super) fn committed(&mut self, result: Result<(), BrokerError>, pending: PendingCommit) {
        match result {
            Ok(()) => {
                let decisions = pending.decisions.into_iter();
                decisions.for_each(|decision| self.apply(decision));
                self.start_moves();
            }
            Err(_) => {
                let decisions = pending.decisions.iter();
                decisions.for_each(|decision| self.revert(decision));
            }
        }
        match pending.answer {
            PendingAnswer::Settle { statuses, reply } => {
                let _gone = reply.send(result.map(|()| statuses));
            }
            PendingAnswer::Take { message, reply } => self.taken(result, message, reply),
            PendingAnswer::Done(reply) => drop(reply.send(result)),
        }
    }

    fn apply(&mut self, decision: Decision) {
        let now = self.clock.now();
        let partition = &mut self.partitions[decision.partition];
        if let Some(settings) = decision.entry.settings {
            self.settings = settings;
            return self.make_rules();
        }
        if partition.incarnation != decision.incarnation {
            return;
        }
        if let Some(Seek { to, incarnation }) = decision.entry.seek {
            let progress = Progress::beginning_at(to);
            partition.state =
                PartitionState::new(progress, &self.rules).with_totals(partition.state.totals());
            partition.incarnation = incarnation;
            partition.ahead = ReadAhead::default();
            return self.moves.abandon(partition.log.id());
        }
        let finished = partition.state.apply(&decision.entry, now, &self.rules);
        self.metrics.acked(finished);
    }

    fn revert(&mut self, decision: &Decision) {
        let partition = &mut self.partitions[decision.partition];
        if partition.incarnation == decision.incarnation {
            partition.state.revert(&decision.entry);
        }
    }

    fn taken(&mut self, result: Result<(), BrokerError>, message: Delivered, reply: TakeReply) {
        match result {
            Ok(()) => self.metrics.delivered(1),
            Err(_) => self.release(&message),
        }
        let _gone = reply.send(result.map(|()| Some(message.line)));
    }
}

/// The entry of a partition; mostly that of the receipt before.
fn entry_of(
    decisions: &mut Vec<Decision>,
    partition: usize,
    incarnation: Incarnation,
) -> &mut JournalEntry {
    let known = decisions.iter().rposition(|d| d.partition == partition);
    let at = known.unwrap_or_else(|| {
        decisions.push(Decision {
            partition,
            incarnation,
            entry: JournalEntry::default(),
        });
        decisions.len() - 1
    });
    &mut decisions[at].entry
}
