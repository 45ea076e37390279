//! What consumers say of their messages: decided, journaled, and only then true.
//!
//! Nothing changes in memory before it is durable. So a repeated ack is answered by the journal and
//! not by a hope, and a failed one leaves everything as it was.

use super::super::client::{LeaseRequest, ReceiptAction};
use super::super::delivery::Delivered;
use super::super::partition::LeaseToken;
use super::{GroupPartition, GroupTask};
use crate::broker::BrokerError;
use crate::committer::Few;
use std::time::Duration;
use tokio::sync::oneshot;
use weir_commitlog::{JournalEntry, Operation, StoredLine};
use weir_protocol::Receipt;
use weir_protocol::shapes::ReceiptStatus;

pub(crate) type SettleReply = oneshot::Sender<Result<Vec<ReceiptStatus>, BrokerError>>;
pub(crate) type TakeReply = oneshot::Sender<Result<Option<StoredLine>, BrokerError>>;

/// A decision on its way to the disk.
pub(super) struct PendingCommit {
    /// What becomes true, by partition.
    entries: Vec<(usize, JournalEntry)>,
    answer: PendingAnswer,
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
}

impl GroupTask {
    /// Applies `action` to each receipt; answers when what must survive is durable.
    pub(super) async fn settle(
        &mut self,
        receipts: &[Receipt],
        action: &ReceiptAction,
        reply: SettleReply,
    ) {
        let mut entries = vec![JournalEntry::default(); self.partitions.len()];
        let decide = |receipt| self.settle_one(receipt, action, &mut entries);
        let statuses = receipts.iter().map(decide).collect();
        let entries = (0..).zip(entries).filter(|(_, entry)| !entry.is_empty());
        let entries = entries.collect();
        self.commit(PendingCommit {
            entries,
            answer: PendingAnswer::Settle { statuses, reply },
        })
        .await;
    }

    fn settle_one(
        &mut self,
        receipt: &Receipt,
        action: &ReceiptAction,
        entries: &mut [JournalEntry],
    ) -> ReceiptStatus {
        let index = receipt.partition.0 as usize;
        let known = |partition: &&mut GroupPartition| receipt.incarnation == partition.incarnation;
        let Some(GroupPartition { log, state, .. }) = self.partitions.get_mut(index).filter(known)
        else {
            return ReceiptStatus::Unknown;
        };
        let token = LeaseToken {
            offset: receipt.offset,
            attempt: receipt.delivery_attempt,
            current_start: receipt.broker_start == self.broker_start,
        };
        let now = self.clock.now();
        let entry = &mut entries[index];
        match action {
            ReceiptAction::Ack => state.ack(token, log.reader().high_watermark(), entry),
            ReceiptAction::Nack { delay, reason } => {
                state.nack(token, now.plus(*delay), reason.as_deref(), entry)
            }
            ReceiptAction::Extend { visibility_timeout } => {
                let default = self.topic.settings().visibility_timeout.0;
                state.extend(token, now.plus(visibility_timeout.unwrap_or(default)))
            }
        }
    }

    /// Leases one message and finishes it; answers when that is durable.
    pub(super) async fn take(&mut self, reply: TakeReply) {
        if reply.is_closed() {
            return;
        }
        self.expire_leases().await;
        let one = LeaseRequest {
            max_messages: 1,
            max_bytes: usize::MAX,
            wait: Duration::ZERO,
            visibility_timeout: None,
        };
        let leased = self
            .lease(&one)
            .await
            .map(|leased| leased.messages.into_iter().next());
        let message = match leased {
            Ok(Some(message)) => message,
            Ok(None) => return drop(reply.send(Ok(None))),
            Err(error) => return drop(reply.send(Err(error))),
        };
        let mut entries = vec![JournalEntry::default(); self.partitions.len()];
        self.settle_one(&message.receipt, &ReceiptAction::Ack, &mut entries);
        let partition = message.partition.0 as usize;
        let entries = vec![(partition, std::mem::take(&mut entries[partition]))];
        self.commit(PendingCommit {
            entries,
            answer: PendingAnswer::Take { message, reply },
        })
        .await;
    }

    async fn commit(&mut self, pending: PendingCommit) {
        if pending.entries.is_empty() {
            return self.committed(Ok(()), pending);
        }
        let operation = |(partition, entry): &(usize, JournalEntry)| Operation::Journal {
            journal: self.partitions[*partition].journal,
            entry: entry.clone(),
        };
        let operations = pending.entries.iter().map(operation).collect();
        let ticket = self.committer.submit(operations, Few::new()).await;
        self.commits.push(Box::pin(async move {
            (ticket.durable().await.map(drop), pending)
        }));
    }

    /// The disk has answered: make it true, or leave everything as it was.
    pub(super) fn committed(&mut self, result: Result<(), BrokerError>, pending: PendingCommit) {
        if result.is_ok() {
            for (partition, entry) in &pending.entries {
                let finished = self.partitions[*partition].state.apply(entry);
                self.metrics.acked(finished);
            }
        }
        match pending.answer {
            PendingAnswer::Settle { statuses, reply } => {
                let _gone = reply.send(result.map(|()| statuses));
            }
            PendingAnswer::Take { message, reply } => self.taken(result, message, reply),
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
