use super::after_flush::{AfterFlush, WrittenAnswers};
use std::pin::Pin;
use std::task::{Context, Poll};

/// An HTTP/2 connection that tells answers when they have left (see `after_flush` for why then).
#[derive(Debug)]
pub(super) struct FlushWatch<C> {
    connection: C,
    written: WrittenAnswers,
    is_stopping: bool,
}

impl<C> FlushWatch<C> {
    pub(super) fn new(connection: C, written: WrittenAnswers) -> Self {
        Self {
            connection,
            written,
            is_stopping: false,
        }
    }

    /// The connection, to be told that it ends when its requests have.
    pub(super) fn stopping(&mut self) -> Pin<&mut C>
    where
        C: Unpin,
    {
        self.is_stopping = true;
        Pin::new(&mut self.connection)
    }

    /// Whether an end without error means that all answers were sent: it does if we wanted it, and
    /// not if the client went away first.
    fn has_ended_politely(&self) -> bool {
        self.is_stopping && !self.written.peer_has_closed()
    }
}

impl<C, E> Future for FlushWatch<C>
where
    C: Future<Output = Result<(), E>> + Unpin,
{
    type Output = Result<(), E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let answers = this.written.take_and_watch(cx.waker());
        let polled = Pin::new(&mut this.connection).poll(cx);
        let is_flushed = !this.written.io_has_unflushed();
        match &polled {
            Poll::Pending if is_flushed => answers.iter().for_each(AfterFlush::flushed),
            Poll::Pending => this.written.put_back(answers),
            Poll::Ready(Ok(())) if is_flushed && this.has_ended_politely() => {
                answers.iter().for_each(AfterFlush::flushed);
                // Also those whose last data went out in this very poll.
                this.written.take().iter().for_each(AfterFlush::flushed);
            }
            Poll::Ready(_) => {}
        }
        polled
    }
}
