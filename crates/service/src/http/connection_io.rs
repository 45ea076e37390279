use super::after_flush::{AfterFlush, WrittenAnswers};
use super::automatic_answer::{Turn, with_error_body};
use bytes::{Buf, Bytes};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A connection's bytes under our rules: replays the bytes that were read to tell the protocol,
/// fails a write that makes no progress for `write_timeout`, replaces hyper's own answers, and knows
/// when all that was written is flushed.
#[derive(Debug)]
pub(super) struct ConnectionIo<I> {
    inner: I,
    first_bytes: Bytes,
    stall: StallTimer,
    /// `None` on HTTP/2, where hyper's answers are frames.
    turn: Option<Turn>,
    replacement: Option<Bytes>,
    written: WrittenAnswers,
}

impl<I> ConnectionIo<I> {
    pub(super) fn new(
        inner: I,
        first_bytes: Bytes,
        write_timeout: Duration,
        turn: Option<Turn>,
        written: WrittenAnswers,
    ) -> Self {
        Self {
            inner,
            first_bytes,
            stall: StallTimer {
                write_timeout,
                running: None,
            },
            turn,
            replacement: None,
            written,
        }
    }

    /// The bare connection. Answers that wait for a flush learn that there will be none.
    pub(super) fn into_inner(self) -> I {
        self.inner
    }

    /// The answer to write instead of `buf`, if `buf` holds one of hyper's own.
    fn replacement_for(&self, buf: &[u8]) -> Option<Bytes> {
        let is_hyper = self.turn.as_ref().is_some_and(Turn::is_hyper);
        is_hyper.then(|| with_error_body(buf))?.map(Bytes::from)
    }
}

impl<I: AsyncWrite + Unpin> ConnectionIo<I> {
    /// Writes all of `replacement`, which stands for the `replaced_bytes` hyper wanted written.
    fn poll_write_replacement(
        &mut self,
        cx: &mut Context<'_>,
        mut replacement: Bytes,
        replaced_bytes: usize,
    ) -> Poll<io::Result<usize>> {
        while replacement.has_remaining() {
            match Pin::new(&mut self.inner).poll_write(cx, &replacement) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => replacement.advance(written),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    // hyper comes back with the same bytes; this is what is left of their stand-in.
                    self.replacement = Some(replacement);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(replaced_bytes))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for ConnectionIo<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first_bytes.is_empty() {
            let filled = buf.filled().len();
            ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
            if buf.filled().len() == filled {
                self.written.set_peer_has_closed();
            }
            return Poll::Ready(Ok(()));
        }
        let length = self.first_bytes.len().min(buf.remaining());
        buf.put_slice(&self.first_bytes.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for ConnectionIo<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.written.set_io_has_unflushed(true);
        let replacement = this.replacement.take();
        let written = match replacement.or_else(|| this.replacement_for(buf)) {
            Some(replacement) => this.poll_write_replacement(cx, replacement, buf.len()),
            None => Pin::new(&mut this.inner).poll_write(cx, buf),
        };
        this.stall.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.turn.as_ref().is_some_and(Turn::is_hyper) {
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return self.poll_write(cx, first.map_or(&[], |buf| buf));
        }
        let this = &mut *self;
        this.written.set_io_has_unflushed(true);
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.stall.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.written.set_io_has_unflushed(true);
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        ready!(this.stall.watch(cx, flushed))?;
        this.written.set_io_has_unflushed(false);
        if let Some(turn) = &this.turn {
            turn.flushed();
            this.written.take().iter().for_each(AfterFlush::flushed);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let shut_down = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.stall.watch(cx, shut_down)
    }
}

/// Runs while the peer takes nothing; any progress stops it.
#[derive(Debug)]
struct StallTimer {
    write_timeout: Duration,
    running: Option<Pin<Box<Sleep>>>,
}

impl StallTimer {
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.running = None;
            return result;
        }
        let write_timeout = self.write_timeout;
        let timer = self
            .running
            .get_or_insert_with(|| Box::pin(sleep(write_timeout)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client stopped reading",
        )))
    }
}
