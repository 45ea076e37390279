//! The committer's queue: bounded, and woken once for all that arrives together.
//!
//! To wake the sleeping thread at the first request would give rounds of one: it often runs at once,
//! on the sender's processor, while the next request is still being read. So whoever finds it asleep
//! lets the other ready tasks of its worker go first, and wakes it after them. That is no linger
//! timer: a worker with nothing else to do comes back at once.

use super::request::Request;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use tokio::sync::{Semaphore, TryAcquireError};

/// A queue with room for `max_requests`.
pub(super) fn queue(max_requests: usize) -> (Sender, Receiver) {
    let shared = Arc::new(Shared {
        queued: Mutex::default(),
        room: Semaphore::new(max_requests),
    });
    let receiver = Receiver {
        shared: shared.clone(),
        taken: VecDeque::new(),
    };
    (Sender(shared), receiver)
}

#[derive(Debug)]
struct Shared {
    queued: Mutex<Queued>,
    /// Closed with the queue.
    room: Semaphore,
}

#[derive(Debug, Default)]
struct Queued {
    requests: VecDeque<Request>,
    /// The receiver while it sleeps. Whoever takes it wakes it.
    sleeper: Option<Waker>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queued> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queue takes no more requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// The end that asks. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Sender(Arc<Shared>);

impl Sender {
    /// Queues a request; waits for room. Cancel-safe: what was queued is served all the same.
    pub(super) async fn send(&self, request: Request) -> Result<(), Closed> {
        self.take_room().await?;
        let sleeper = {
            let mut queued = self.0.lock();
            if queued.closed {
                return Err(Closed);
            }
            queued.requests.push_back(request);
            queued.sleeper.take()
        };
        if let Some(sleeper) = sleeper {
            let _wakes = WakeWhenDropped(sleeper);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// The receiver gives the room back.
    async fn take_room(&self) -> Result<(), Closed> {
        let permit = match self.0.room.try_acquire() {
            Err(TryAcquireError::NoPermits) => self.0.room.acquire().await.map_err(|_| Closed)?,
            taken => taken.map_err(|_| Closed)?,
        };
        permit.forget();
        Ok(())
    }
}

/// Wakes also when the sender is dropped while it lets others go first.
struct WakeWhenDropped(Waker);

impl Drop for WakeWhenDropped {
    fn drop(&mut self) {
        self.0.wake_by_ref();
    }
}

/// The end that serves.
#[derive(Debug)]
pub(super) struct Receiver {
    shared: Arc<Shared>,
    /// Taken from the queue with one lock, not yet returned.
    taken: VecDeque<Request>,
}

impl Receiver {
    /// The next request; `None` when the queue is closed and empty. Cancel-safe.
    pub(super) async fn recv(&mut self) -> Option<Request> {
        poll_fn(|cx| match self.take(Some(cx.waker())) {
            Taken::Request(request) => Poll::Ready(Some(request)),
            Taken::Nothing { closed: true } => Poll::Ready(None),
            Taken::Nothing { closed: false } => Poll::Pending,
        })
        .await
    }

    /// The next request, if one waits.
    pub(super) fn try_recv(&mut self) -> Option<Request> {
        match self.take(None) {
            Taken::Request(request) => Some(request),
            Taken::Nothing { .. } => None,
        }
    }

    /// Refuses further requests; those that wait are still received.
    pub(super) fn close(&mut self) {
        self.shared.room.close();
        self.shared.lock().closed = true;
    }

    /// Takes a request, or leaves `sleeper` to be woken.
    fn take(&mut self, sleeper: Option<&Waker>) -> Taken {
        if self.taken.is_empty() {
            let mut queued = self.shared.lock();
            std::mem::swap(&mut queued.requests, &mut self.taken);
            if self.taken.is_empty() {
                let closed = queued.closed;
                queued.sleeper = sleeper.filter(|_| !closed).cloned();
                return Taken::Nothing { closed };
            }
            queued.sleeper = None;
            drop(queued);
            self.shared.room.add_permits(self.taken.len());
        }
        self.taken
            .pop_front()
            .map_or(Taken::Nothing { closed: false }, Taken::Request)
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "lives for one match; a box would cost every request an allocation"
)]
enum Taken {
    Request(Request),
    Nothing { closed: bool },
}

#[cfg(test)]
mod tests;
