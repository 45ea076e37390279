//! The thread's loop: rounds of whatever is queued.

use super::answers::{Answering, Waiter};
use super::checkpoints::Checkpointer;
use super::queue;
use super::request::{CommitRequest, Request};
use super::{Committer, CommitterStart};
use crate::metrics::CommitMetrics;
use crate::topics::Topics;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;
use weir_commitlog::{Checkpoint, NodeIdentity, Outcome, StorageError};

/// Operations that one round takes at most, so that nobody waits behind an endless round.
const ROUND_OPERATIONS: usize = 4096;

pub(super) struct Thread {
    pub(super) start: CommitterStart,
    /// For the groups that it opens.
    pub(super) committer: Committer,
    /// For their dead letters.
    pub(super) topics: Arc<Topics>,
    pub(super) identity: NodeIdentity,
    pub(super) metrics: CommitMetrics,
    pub(super) checkpointer: Checkpointer,
    pub(super) answers: Answering,
}

impl Thread {
    pub(super) fn run(mut self, mut requests: queue::Receiver) -> Result<(), StorageError> {
        while let Some(first) = self.next(&mut requests) {
            if self.serve(first, &mut requests).is_break() {
                requests.close();
            }
        }
        // What it has in hand is synced again at closing, at no great cost.
        self.checkpointer.stop();
        self.start.store.close()
    }

    /// The next request; syncs what is due in the meantime. `None` when nobody can ask any more.
    fn next(&mut self, requests: &mut queue::Receiver) -> Option<Request> {
        loop {
            let Some(due) = self.start.store.next_sync_due() else {
                return self.start.runtime.block_on(requests.recv());
            };
            let wait = due.since(self.start.clock.now());
            let received = async { tokio::time::timeout(wait, requests.recv()).await };
            match self.start.runtime.block_on(received) {
                Ok(request) => return request,
                Err(_) => self.sync_due(),
            }
        }
    }

    fn sync_due(&mut self) {
        if let Err(error) = self.start.store.sync_due(self.start.clock.now()) {
            tracing::error!(%error, "a delayed sync failed");
            self.metrics.failed();
        }
    }

    /// Serves `first` and whatever else waits, up to the next request that is no commit. Breaks
    /// when that one says close.
    fn serve(&mut self, first: Request, requests: &mut queue::Receiver) -> ControlFlow<()> {
        let mut next = Some(first);
        let mut round = Vec::new();
        let mut operations = 0;
        while let Some(request) = next.take() {
            match request {
                Request::Commit(commit) => {
                    operations += commit.operations.len();
                    round.push(commit);
                }
                other => {
                    self.commit(std::mem::take(&mut round));
                    return self.administer(other);
                }
            }
            if operations < ROUND_OPERATIONS {
                next = requests.try_recv();
            }
        }
        self.commit(round);
        ControlFlow::Continue(())
    }

    pub(super) fn commit(&mut self, round: Vec<CommitRequest>) {
        if round.is_empty() {
            return;
        }
        let began = Instant::now();
        let mut operations = Vec::with_capacity(round.len());
        let mut waiters = Vec::with_capacity(round.len());
        for request in round {
            waiters.push(Waiter::of(request, &mut operations));
        }
        let outcomes = self
            .start
            .store
            .commit_round(&operations, self.start.clock.now());
        self.metrics.round(operations.len(), began.elapsed());
        self.report_failures(&outcomes);
        // Payloads are slices of the connections' buffers, which are used again if they are free.
        drop(operations);
        self.answers.give(waiters, outcomes);
        self.hand_out_checkpoint();
    }

    /// Gives the work that makes room in the commit log to its own thread.
    fn hand_out_checkpoint(&mut self) {
        let stats = self.start.store.commit_log_stats();
        self.metrics.commit_log(stats);
        if let Some(checkpoint) = self.start.store.take_checkpoint()
            && let Err(mut checkpoint) = self.checkpointer.submit(checkpoint)
        {
            checkpoint.run();
            self.take_back(&checkpoint);
        }
    }

    pub(super) fn take_back(&mut self, checkpoint: &Checkpoint) {
        if let Some(error) = checkpoint.failure() {
            tracing::error!(
                %error,
                "a checkpoint failed; what it held stays in the commit log until the next start"
            );
            self.metrics.failed();
        }
        if let Err(error) = self.start.store.finish_checkpoint(checkpoint) {
            tracing::error!(%error, "the commit log cannot go on: nothing more is acknowledged");
            self.metrics.failed();
        }
    }

    /// One line a round, however many waited: a failing disk must not flood the log.
    fn report_failures(&self, outcomes: &[Result<Outcome, StorageError>]) {
        let failures = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        let mut failures = failures.filter(|error| !matches!(error, StorageError::Gone));
        if let Some(error) = failures.next() {
            let others = failures.count();
            tracing::error!(%error, others, "a commit failed; nothing of it was acknowledged");
            self.metrics.failed();
        }
    }
}
