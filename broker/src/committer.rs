//! The thread that owns the store.
//!
//! It waits for a first request, drains whatever else arrived meanwhile, makes all of it durable in
//! one round, and answers. There is no linger timer: a round is what came in during the previous
//! one. Creating and deleting topics and groups happens between rounds, here too, so that the
//! registry changes exactly when the disk has.

mod administration;
mod answers;
mod checkpoints;
mod client;
mod queue;
mod request;
mod rounds;

pub(crate) use client::{Committer, Ticket};
pub(crate) use request::Few;

use crate::broker::BrokerError;
use crate::group::GroupBounds;
use crate::metrics::CommitMetrics;
use crate::registry::Registry;
use crate::topics::{NewTopics, Topics};
use answers::Answering;
use checkpoints::Checkpointer;
use request::Request;
use rounds::Thread;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_commitlog::{StorageError, Store, TopicFiles};
use weir_service::clock::Clock;

/// Requests that may wait for the next round; beyond, callers wait for room.
const QUEUE_REQUESTS: usize = 4096;
/// What the committer's thread needs.
pub(crate) struct CommitterStart {
    pub(crate) store: Store,
    pub(crate) registry: Arc<Registry>,
    pub(crate) clock: Clock,
    /// Runs the groups' tasks.
    pub(crate) runtime: Handle,
    pub(crate) tasks: TaskTracker,
    /// Ends waiting in groups when the broker drains.
    pub(crate) draining: CancellationToken,
    /// Ends every topic and group when the broker stops.
    pub(crate) stop: CancellationToken,
    pub(crate) new_topics: NewTopics,
    pub(crate) group_bounds: GroupBounds,
}

/// The committer's thread.
#[derive(Debug)]
pub(crate) struct CommitterThread {
    requests: queue::Sender,
    finished: oneshot::Receiver<Result<(), StorageError>>,
    answering: JoinHandle<()>,
}

impl CommitterThread {
    /// Lets the thread serve what is queued and close every file; later requests are refused.
    ///
    /// # Errors
    /// A file could not be synced at closing.
    pub(crate) async fn close(self) -> Result<(), BrokerError> {
        // If the thread is gone already, `finished` says how.
        let _gone = self.requests.send(Request::Close).await;
        let closed = self
            .finished
            .await
            .map_err(|_| BrokerError::internal("the committer panicked"))?;
        self.answering
            .await
            .map_err(|_| BrokerError::internal("the committer's answers panicked"))?;
        closed.map_err(BrokerError::from)
    }
}

/// Puts `topics` into the registry, opens their groups and starts the thread.
///
/// # Errors
/// The operating system refused a thread.
pub(crate) fn start(
    start: CommitterStart,
    topics: Vec<TopicFiles>,
) -> std::io::Result<(Committer, Arc<Topics>, CommitterThread)> {
    let (sender, requests) = queue::queue(QUEUE_REQUESTS);
    let committer = Committer { requests: sender };
    let identity = start.store.identity();
    let (answers, answering) = Answering::start(&start.runtime);
    let finder = Arc::new(Topics::new(
        start.registry.clone(),
        committer.clone(),
        start.new_topics.clone(),
        start.draining.clone(),
    ));
    let thread = Thread {
        checkpointer: Checkpointer::start(start.runtime.clone(), committer.requests.clone())?,
        committer: committer.clone(),
        topics: finder.clone(),
        identity,
        start,
        metrics: CommitMetrics::new(),
        answers,
    };
    thread.register_all(topics);
    let (closed, finished) = oneshot::channel();
    std::thread::Builder::new()
        .name("committer".into())
        .spawn(move || {
            let _nobody_waits = closed.send(thread.run(requests));
        })?;
    let requests = committer.requests.clone();
    let thread = CommitterThread {
        requests,
        finished,
        answering,
    };
    Ok((committer, finder, thread))
}
