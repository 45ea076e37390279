use super::after_flush::{AfterFlush, WrittenAnswers};
use super::automatic_answer::{Turn, with_error_body};
use bytes::{Buf, Bytes};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// What a client that leaves bytes unread has to take in each `write_timeout`: 546 bytes a second at
/// the default of 30 s. Any progress would do for one that takes a byte now and then, for ever.
pub(super) const LEAST_TAKEN_BYTES: usize = 16 * 1024;

/// A connection's bytes under our rules: replays the bytes that were read to tell the protocol,
/// fails when the client reads too slowly, replaces hyper's own answers, and knows when all that was
/// written is flushed.
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
        this.stall.watch_write(cx, written)
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
        this.stall.watch_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.written.set_io_has_unflushed(true);
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        ready!(this.stall.watch_end(cx, flushed))?;
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
        this.stall.watch_end(cx, shut_down)
    }
}

/// Runs while the client leaves bytes unread: from a write that has to wait until all that was
/// buffered is written.
#[derive(Debug)]
struct StallTimer {
    write_timeout: Duration,
    running: Option<Period>,
}

#[derive(Debug)]
struct Period {
    end: Pin<Box<Sleep>>,
    taken_bytes: usize,
}

impl StallTimer {
    fn watch_write(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(written) = written else {
            return self.poll_too_slow(cx).map(Err);
        };
        if let (Some(period), Ok(written)) = (&mut self.running, &written) {
            period.taken_bytes += written;
        }
        Poll::Ready(written)
    }

    /// Watches what ends when nothing is left to be taken.
    fn watch_end(
        &mut self,
        cx: &mut Context<'_>,
        ended: Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        if ended.is_pending() {
            return self.poll_too_slow(cx).map(Err);
        }
        self.running = None;
        ended
    }

    /// Ready at the end of a period in which the client took too little.
    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let write_timeout = self.write_timeout;
        let period = self.running.get_or_insert_with(|| Period {
            end: Box::pin(sleep(write_timeout)),
            taken_bytes: 0,
        });
        loop {
            ready!(period.end.as_mut().poll(cx));
            if period.taken_bytes < LEAST_TAKEN_BYTES {
                let too_slow = "the client reads too slowly";
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, too_slow));
            }
            period.taken_bytes = 0;
            period.end.as_mut().reset(Instant::now() + write_timeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const TIMEOUT: Duration = Duration::from_secs(30);
    const ANSWER_BYTES: usize = 256 * 1024;

    /// Writes an answer to a client that takes `bytes` every `pause`; how that ended, and when.
    async fn serve(bytes: usize, pause: Duration) -> (io::Result<()>, Duration) {
        let (server, client) = duplex(64);
        let written = WrittenAnswers::default();
        let mut io = ConnectionIo::new(server, Bytes::new(), TIMEOUT, None, written);
        let started = Instant::now();
        let serving = async {
            io.write_all(&vec![0; ANSWER_BYTES]).await?;
            io.flush().await
        };
        let served = tokio::select! {
            served = serving => served,
            () = read_slowly(client, bytes, pause) => unreachable!("it reads on"),
        };
        (served, started.elapsed())
    }

    async fn read_slowly(mut client: DuplexStream, bytes: usize, pause: Duration) {
        let mut crumbs = vec![0; bytes];
        loop {
            sleep(pause).await;
            client.read_exact(&mut crumbs).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_after_the_timeout() {
        let (served, after) = serve(1, 10 * TIMEOUT).await;
        assert_eq!(served.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(after.as_secs(), TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_crumbs_for_ever_is_cut_too() {
        let second = Duration::from_secs(1);
        for bytes in [1, LEAST_TAKEN_BYTES / 31] {
            let (served, after) = serve(bytes, second).await;
            assert_eq!(served.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(after.as_secs(), TIMEOUT.as_secs(), "{bytes} bytes");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_that_reads_on_gets_all_of_it() {
        let (served, after) = serve(LEAST_TAKEN_BYTES / 28, Duration::from_secs(1)).await;
        served.unwrap();
        assert!(after > 10 * TIMEOUT, "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_whole_does_not_count_against_the_next() {
        let (server, mut client) = duplex(64);
        let written = WrittenAnswers::default();
        let mut io = ConnectionIo::new(server, Bytes::new(), TIMEOUT, None, written);
        for _ in 0..3 {
            let writing = async {
                io.write_all(&[0; 100]).await.unwrap();
                io.flush().await.unwrap();
            };
            let reading = async {
                sleep(TIMEOUT * 2 / 3).await;
                client.read_exact(&mut [0; 100]).await.unwrap();
            };
            tokio::join!(writing, reading);
        }
    }
}
