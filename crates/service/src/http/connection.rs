use super::HttpLimits;
use super::after_flush::WrittenAnswers;
use super::answering::{ConnectionInfo, answering};
use super::automatic_answer::{self, Turn};
use super::connection_io::ConnectionIo;
use super::first_bytes::{Protocol, tell_protocol};
use super::flush_watch::FlushWatch;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

/// How long, and for how many bytes, we listen on after our last word.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 1024 * 1024;
/// How long after the stop a request whose headers have begun to arrive may still start.
const LAST_HEADERS: Duration = Duration::from_secs(1);

/// All that the connections of one listener share.
#[derive(Clone, Debug)]
pub(super) struct Connections<S> {
    pub(super) service: S,
    pub(super) limits: HttpLimits,
    /// Stop politely: finish the running requests.
    pub(super) stop: CancellationToken,
    /// Stop at once.
    pub(super) abort: CancellationToken,
    /// Owns every task.
    pub(super) tasks: TaskTracker,
}

type ConnectionResult = Result<(), Box<dyn Error + Send + Sync>>;

impl<S, B> Connections<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Serves one connection to its end.
    pub(super) async fn serve<I>(self, mut io: I, info: ConnectionInfo) -> ConnectionResult
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut read = BytesMut::with_capacity(1024);
        let protocol = tokio::select! {
            told = timeout(self.limits.first_byte_timeout, tell_protocol(&mut io, &mut read)) => told,
            () = self.stop.cancelled() => return Ok(()),
        };
        match protocol {
            Ok(Ok(Protocol::Http1)) => self.serve_http1(io, read.freeze(), info).await,
            Ok(Ok(Protocol::Http2)) => Box::pin(self.serve_http2(io, read.freeze(), info)).await,
            Ok(Err(error)) => Err(error.into()),
            Err(_) if read.is_empty() => Ok(()),
            Err(_) => answer_timeout(io, &self.stop).await,
        }
    }

    async fn serve_http1<I>(self, io: I, read: Bytes, info: ConnectionInfo) -> ConnectionResult
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (turn, written) = (Turn::default(), WrittenAnswers::default());
        let own_turn = Some(turn.clone());
        let io = ConnectionIo::new(
            io,
            read,
            self.limits.write_timeout,
            own_turn.clone(),
            written.clone(),
        );
        let service = answering(self.service.clone(), info, own_turn, written);
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_read_timeout)
            .max_buf_size(self.limits.header_bytes())
            .serve_connection(TokioIo::new(io), service);
        let ended = tokio::select! {
            result = &mut connection => Some(result),
            () = self.stop.cancelled() => None,
        };
        let result = match ended {
            Some(result) => result,
            None => {
                Pin::new(&mut connection).graceful_shutdown();
                match timeout(LAST_HEADERS, &mut connection).await {
                    Ok(result) => result,
                    // Half of a request's headers is no running request.
                    Err(_) if turn.is_hyper() => return Ok(()),
                    Err(_) => (&mut connection).await,
                }
            }
        };
        let http1::Parts { io, read_buf, .. } = connection.into_parts();
        let io = io.into_inner().into_inner();
        match result {
            Ok(()) => linger(io, &self.stop).await,
            Err(error) if error.is_parse() => {
                linger(io, &self.stop).await;
                return Err(error.into());
            }
            // hyper is silent here. Between requests that is right; within one, say why.
            Err(error) if error.is_timeout() && !read_buf.is_empty() => {
                return answer_timeout(io, &self.stop).await;
            }
            Err(error) if error.is_timeout() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn serve_http2<I>(self, io: I, read: Bytes, info: ConnectionInfo) -> ConnectionResult
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let written = WrittenAnswers::default();
        let io = ConnectionIo::new(io, read, self.limits.write_timeout, None, written.clone());
        let service = answering(self.service.clone(), info, None, written.clone());
        let executor = OwnedTasks {
            tasks: self.tasks.clone(),
            abort: self.abort.clone(),
        };
        let header_bytes = u32::try_from(self.limits.header_bytes()).unwrap_or(u32::MAX);
        let connection = http2::Builder::new(executor)
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.max_h2_streams)
            .max_header_list_size(header_bytes)
            .keep_alive_interval(Some(Duration::from_secs(30)))
            .keep_alive_timeout(Duration::from_secs(20))
            .serve_connection(TokioIo::new(io), service);
        let mut connection = FlushWatch::new(connection, written);
        let ended = tokio::select! {
            result = &mut connection => Some(result),
            () = self.stop.cancelled() => None,
        };
        match ended {
            Some(result) => result?,
            None => {
                connection.stopping().graceful_shutdown();
                connection.await?;
            }
        }
        Ok(())
    }
}

/// Says that the headers took too long, and closes.
async fn answer_timeout<I>(mut io: I, stop: &CancellationToken) -> ConnectionResult
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let answer = automatic_answer::request_timeout();
    timeout(LINGER, io.write_all(&answer)).await??;
    linger(io, stop).await;
    Ok(())
}

/// Ends our side and reads on for a moment. To close with unread input would reset the
/// connection, and the client would lose the answer that says what was wrong.
async fn linger<I>(mut io: I, stop: &CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let discard = async {
        // It may have been shut down before: not an error here.
        let _ = io.shutdown().await;
        let mut discarded_bytes = 0;
        let mut buf = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = io.read(&mut buf).await {
            discarded_bytes += read;
            if discarded_bytes > LINGER_BYTES {
                break;
            }
        }
    };
    tokio::select! {
        _ = timeout(LINGER, discard) => {}
        () = stop.cancelled() => {}
    }
}

/// Runs the requests of an HTTP/2 connection as tasks that somebody owns.
#[derive(Clone, Debug)]
struct OwnedTasks {
    tasks: TaskTracker,
    abort: CancellationToken,
}

impl<F> hyper::rt::Executor<F> for OwnedTasks
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, request: F) {
        let abort = self.abort.clone();
        self.tasks.spawn(abort.run_until_cancelled_owned(request));
    }
}
