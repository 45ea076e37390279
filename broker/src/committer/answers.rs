//! Answers to those who wait for a round.
//!
//! The committer hands over a whole round at once, and one task on the async workers resolves its
//! tickets. To resolve them from the committer's thread would wake a worker at the first, which
//! then often takes the processor before the second is resolved.

use super::request::{CommitRequest, Few, Outcomes};
use crate::topic::TopicCore;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use weir_commitlog::{Operation, Outcome, StorageError};

/// Rounds that may wait for their answers; beyond, the committer waits.
const QUEUE_ROUNDS: usize = 64;

/// One who waits for a round.
#[derive(Debug)]
pub(super) struct Waiter {
    /// How many of the round's operations are its own.
    operations: usize,
    /// Topics whose waiting readers are woken.
    wake: Few<Arc<TopicCore>>,
    reply: oneshot::Sender<Outcomes>,
}

impl Waiter {
    /// Parts a request: the operations go to `round`, who waits for them is returned.
    pub(super) fn of(request: CommitRequest, round: &mut Vec<Operation>) -> Self {
        let waiter = Self {
            operations: request.operations.len(),
            wake: request.wake,
            reply: request.reply,
        };
        round.extend(request.operations);
        waiter
    }
}

/// Everyone who waits for one round, and what became of it; both in the same order.
#[derive(Debug)]
struct Answers {
    waiters: Vec<Waiter>,
    outcomes: Vec<Result<Outcome, StorageError>>,
}

impl Answers {
    fn give(self) {
        self.wake_readers();
        let mut outcomes = self.outcomes.into_iter();
        for waiter in self.waiters {
            let own = outcomes.by_ref().take(waiter.operations).collect();
            // A publisher that went away: its records are stored all the same.
            let _gone = waiter.reply.send(own);
        }
    }

    /// Mostly the whole round is of one topic, whose readers are woken once.
    fn wake_readers(&self) {
        let mut last: Option<&Arc<TopicCore>> = None;
        for topic in self.waiters.iter().flat_map(|waiter| &waiter.wake) {
            if !last.is_some_and(|last| Arc::ptr_eq(last, topic)) {
                topic.notify_appended();
            }
            last = Some(topic);
        }
    }
}

/// The committer's end.
#[derive(Debug)]
pub(super) struct Answering(mpsc::Sender<Answers>);

impl Answering {
    /// Starts the task. It ends, with every answer given, when this is dropped.
    pub(super) fn start(runtime: &Handle) -> (Self, JoinHandle<()>) {
        let (sender, mut rounds) = mpsc::channel::<Answers>(QUEUE_ROUNDS);
        let task = runtime.spawn(async move {
            while let Some(round) = rounds.recv().await {
                round.give();
            }
        });
        (Self(sender), task)
    }

    /// Has `waiters` answered with `outcomes`. Blocks while too many rounds wait.
    pub(super) fn give(&self, waiters: Vec<Waiter>, outcomes: Vec<Result<Outcome, StorageError>>) {
        // Without a runtime nobody is left to be answered.
        let _stopped = self.0.blocking_send(Answers { waiters, outcomes });
    }
}
