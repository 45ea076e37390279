use super::HttpLimits;
use super::answering::ConnectionInfo;
use super::connection::Connections;
use crate::telemetry::LogLimiter;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

/// Pause after the system refused to accept, such as when file descriptors ran out.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How much of an answer the kernel takes ahead of what the client's window admits. Without this it
/// would hold up to 4 MiB for each slow client, and tell us of progress only in steps of a third of
/// that: too coarse to know one that reads slowly from one that does not read.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 128 * 1024;

/// How a listener's connections ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainOutcome {
    /// All by themselves.
    Drained,
    /// Some were cut after the drain timeout.
    TimedOut {
        /// How many.
        connections: usize,
    },
}

/// Serves HTTP/1.1 and HTTP/2 (prior knowledge) on `listener` until `stop`, then closes the
/// listener and idle connections at once, lets running requests finish for at most
/// [`HttpLimits::drain_timeout`], and cuts the rest. No task of it is left when it returns.
///
/// `connections` follows the number of open connections. The service finds a
/// [`ConnectionInfo`] in the extensions of every request; its futures are dropped when their
/// client leaves.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    limits: HttpLimits,
    connections: metrics::Gauge,
    stop: CancellationToken,
) -> DrainOutcome
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let max_connections = limits.max_connections.min(Semaphore::MAX_PERMITS);
    let port = listener.local_addr().map_or(0, |address| address.port());
    let acceptor = Acceptor {
        listener,
        write_timeout: limits.write_timeout,
        permits: Arc::new(Semaphore::new(max_connections)),
        failures: LogLimiter::new(Duration::from_secs(10)),
    };
    let shared = Connections {
        service,
        limits,
        stop,
        abort: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    while let Some((tcp, peer, permit)) = acceptor.accept_until(&shared.stop).await {
        let open = OpenConnection::new(&connections, permit);
        let connection = shared.clone();
        shared.tasks.spawn(async move {
            let abort = connection.abort.clone();
            let own_address = tcp.local_addr().ok().map(|own| own.ip());
            let info = ConnectionInfo {
                peer,
                own_address,
                port,
            };
            let serving = Box::pin(connection.serve(tcp, info));
            if let Some(Err(error)) = abort.run_until_cancelled(serving).await {
                tracing::debug!(%peer, %error, "connection ended");
            }
            drop(open);
        });
    }
    let permits = acceptor.close();
    shared.tasks.close();
    let drained = timeout(shared.limits.drain_timeout, shared.tasks.wait()).await;
    if drained.is_ok() {
        return DrainOutcome::Drained;
    }
    let connections = max_connections - permits.available_permits();
    shared.abort.cancel();
    shared.tasks.wait().await;
    DrainOutcome::TimedOut { connections }
}

struct Acceptor {
    listener: TcpListener,
    write_timeout: Duration,
    permits: Arc<Semaphore>,
    failures: LogLimiter,
}

impl Acceptor {
    /// The next connection and its permit; `None` once stopped.
    async fn accept_until(
        &self,
        stop: &CancellationToken,
    ) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let accepting = async {
            // First the permit: what we cannot serve stays in the kernel's queue.
            let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
            let (tcp, peer) = self.accept().await;
            if let Err(error) = set_options(&tcp, self.write_timeout) {
                // Gone already, most likely: whoever serves it will notice.
                tracing::debug!(%peer, %error, "cannot set the socket's options");
            }
            Some((tcp, peer, permit))
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            accepted = accepting => accepted,
        }
    }

    async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if let Some(suppressed) = self.failures.admit(Instant::now()) {
                        tracing::warn!(%error, suppressed, "cannot accept connections, trying on");
                    }
                    sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    /// Closes the listener; the permits tell how many connections are left.
    fn close(self) -> Arc<Semaphore> {
        self.permits
    }
}

fn set_options(tcp: &TcpStream, write_timeout: Duration) -> io::Result<()> {
    // Answers are written whole; waiting to fill packets only delays them.
    tcp.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    {
        let socket = socket2::SockRef::from(tcp);
        socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
        // What the kernel took, it is to try no longer than we do: also for a peer that vanished
        // without a word, and after we have closed.
        socket.set_tcp_user_timeout(Some(write_timeout))?;
    }
    Ok(())
}

/// Whether the client went away before we got to it: the next one is not affected.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Counts a connection as open until dropped.
struct OpenConnection {
    connections: metrics::Gauge,
    _permit: OwnedSemaphorePermit,
}

impl OpenConnection {
    fn new(connections: &metrics::Gauge, permit: OwnedSemaphorePermit) -> Self {
        connections.increment(1.0);
        Self {
            connections: connections.clone(),
            _permit: permit,
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.decrement(1.0);
    }
}
