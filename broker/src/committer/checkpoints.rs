//! The thread that syncs plain files, so that the commit log can go on meanwhile.

use super::queue;
use super::request::Request;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use tokio::runtime::Handle;
use weir_commitlog::Checkpoint;

/// The commit log has two halves: there is never more to do than one of them.
const QUEUE_CHECKPOINTS: usize = 2;

/// Runs checkpoints one after the other and sends them back to the committer.
#[derive(Debug)]
pub(super) struct Checkpointer {
    checkpoints: Option<SyncSender<Checkpoint>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub(super) fn start(runtime: Handle, requests: queue::Sender) -> std::io::Result<Self> {
        let (sender, checkpoints) = sync_channel(QUEUE_CHECKPOINTS);
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || run(&checkpoints, &runtime, &requests))?;
        Ok(Self {
            checkpoints: Some(sender),
            thread: Some(thread),
        })
    }

    /// Hands over a checkpoint; gives it back if the thread has too much to do, or is gone.
    pub(super) fn submit(&self, checkpoint: Checkpoint) -> Result<(), Checkpoint> {
        let Some(checkpoints) = &self.checkpoints else {
            return Err(checkpoint);
        };
        checkpoints
            .try_send(checkpoint)
            .map_err(|refused| match refused {
                TrySendError::Full(checkpoint) | TrySendError::Disconnected(checkpoint) => {
                    checkpoint
                }
            })
    }

    /// Waits for what the thread has in hand. The requests must be closed by now.
    pub(super) fn stop(&mut self) {
        self.checkpoints = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

fn run(checkpoints: &Receiver<Checkpoint>, runtime: &Handle, requests: &queue::Sender) {
    for mut checkpoint in checkpoints {
        checkpoint.run();
        // Closed: the committer stops, and syncs all files once more.
        let _closing = runtime.block_on(requests.send(Request::Checkpointed(checkpoint)));
    }
}
