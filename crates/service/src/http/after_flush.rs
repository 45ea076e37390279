//! Telling a handler that its answer has left.
//!
//! An answer has left when the kernel has taken its last byte. Three things must have happened, in
//! this order, and each is seen where it happens:
//!
//! 1. The body came to its end, and hyper knows (`answering::AnswerBody`). A body that is dropped
//!    before does not count; one that hyper need not ask, or not to its end, does: an answer to
//!    HEAD, an empty one, one whose announced length is reached.
//! 2. Whoever buffers the body's data has passed all of it on (`answer_data::AnswerData`). This is
//!    what tells, on HTTP/2, that no data waits for the client to open its window.
//! 3. The connection was flushed after that. [`WrittenAnswers`] collects the answers that have got
//!    as far as 2.
//!
//! HTTP/1: hyper flushes its I/O only when its own buffer is empty (`proto/h1/io.rs`,
//! `Buffered::poll_flush`), and all of a connection runs in one task: between the end of a body and
//! the buffering of what follows from it (chunked encoding's end, a head without a body) no flush
//! can come. So the next flush that succeeds tells all answers collected before it.
//!
//! HTTP/2: requests run in tasks of their own, and h2 also flushes a full buffer before it takes
//! queued frames, so a flush by itself proves nothing (`codec/framed_write.rs`, `poll_ready`). But
//! a poll of the connection that returns `Pending` has ended in `Prioritize::poll_complete`: either
//! some write is unfinished, or all queued frames that flow control admits were written and flushed.
//! Frames without data (trailers, an empty end) are not subject to flow control, and follow data
//! that is gone by 2. So [`FlushWatch`](super::flush_watch::FlushWatch) tells, after a poll that left
//! nothing unflushed, the answers that were collected before that poll began.
//!
//! When the connection breaks, everything here is dropped with it, and that tells `false`. Two
//! limits: what the kernel took may still get lost with the connection; and a client that resets its
//! stream between the last data and the trailers that follow may count as served.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use tokio::sync::oneshot;

/// Put into an answer's extensions by a handler that wants to know when the connection has flushed
/// the answer's last byte.
#[derive(Clone, Debug)]
pub struct AfterFlush(Arc<Mutex<Option<oneshot::Sender<()>>>>);

impl AfterFlush {
    /// What to put into the extensions, and what tells: `true` when the last byte was flushed,
    /// `false` when that cannot happen any more.
    pub fn new() -> (Self, impl Future<Output = bool> + Send + 'static) {
        let (sender, flushed) = oneshot::channel();
        let told = async move { flushed.await.is_ok() };
        (Self(Arc::new(Mutex::new(Some(sender)))), told)
    }

    /// The last byte was flushed.
    pub fn flushed(&self) {
        let sender = lock(&self.0).take();
        if let Some(sender) = sender {
            let _nobody_asks = sender.send(());
        }
    }
}

/// The answers of one connection that are written and wait for a flush. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct WrittenAnswers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    io_has_unflushed: AtomicBool,
    peer_has_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    answers: Vec<AfterFlush>,
    /// HTTP/2's: an answer may be written by another task, after the connection's last poll.
    connection: Option<Waker>,
}

impl WrittenAnswers {
    /// Adds an answer: what was buffered of it, or is queued after its data, is all there is.
    pub(super) fn add(&self, answer: AfterFlush) {
        let mut waiting = lock(&self.0.waiting);
        waiting.answers.push(answer);
        if let Some(connection) = &waiting.connection {
            connection.wake_by_ref();
        }
    }

    /// Takes the answers that wait now.
    pub(super) fn take(&self) -> Vec<AfterFlush> {
        mem::take(&mut lock(&self.0.waiting).answers)
    }

    /// Likewise; who comes later wakes `connection`.
    pub(super) fn take_and_watch(&self, connection: &Waker) -> Vec<AfterFlush> {
        let mut waiting = lock(&self.0.waiting);
        if !matches!(&waiting.connection, Some(known) if known.will_wake(connection)) {
            waiting.connection = Some(connection.clone());
        }
        mem::take(&mut waiting.answers)
    }

    /// Gives back what was taken and cannot be told yet.
    pub(super) fn put_back(&self, answers: Vec<AfterFlush>) {
        if !answers.is_empty() {
            lock(&self.0.waiting).answers.extend(answers);
        }
    }

    // The connection's task sets and reads these two; they are atomic only to be shared within it.

    /// The I/O took bytes, or could not, or was flushed.
    pub(super) fn set_io_has_unflushed(&self, has_unflushed: bool) {
        self.0
            .io_has_unflushed
            .store(has_unflushed, Ordering::Relaxed);
    }

    pub(super) fn io_has_unflushed(&self) -> bool {
        self.0.io_has_unflushed.load(Ordering::Relaxed)
    }

    /// The client has sent its last byte.
    pub(super) fn set_peer_has_closed(&self) {
        self.0.peer_has_closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn peer_has_closed(&self) -> bool {
        self.0.peer_has_closed.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
