use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weir_protocol::{ErrorBody, ErrorCode};
use weir_service::http::{DrainOutcome, HttpLimits, serve};

/// No test waits longer for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type AnyBody = UnsyncBoxBody<Bytes, io::Error>;
pub(crate) type Answer = Response<AnyBody>;

/// A service from a function.
#[derive(Clone)]
pub(crate) struct Handler<F>(pub(crate) F);

impl<F, R> tower_service::Service<Request<Incoming>> for Handler<F>
where
    F: Fn(Request<Incoming>) -> R + Clone,
    R: Future<Output = Answer> + Send + 'static,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let answer = (self.0)(request);
        Box::pin(async move { Ok(answer.await) })
    }
}

pub(crate) fn text(answer: impl Into<Bytes>) -> Answer {
    let body = Full::new(answer.into()).map_err(|never| match never {});
    Response::new(body.boxed_unsync())
}

/// A running accept loop.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    task: JoinSet<DrainOutcome>,
    connections: Arc<AtomicU64>,
}

impl Server {
    pub(crate) async fn start<F, R>(limits: HttpLimits, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let connections = Arc::new(AtomicU64::new(0));
        let mut task = JoinSet::new();
        task.spawn(serve(
            listener,
            Handler(handler),
            limits,
            metrics::Gauge::from_arc(Arc::clone(&connections)),
            stop.clone(),
        ));
        Self {
            address,
            stop,
            task,
            connections,
        }
    }

    /// A server whose every answer is `hello`.
    pub(crate) async fn hello(limits: HttpLimits) -> Self {
        Self::start(limits, |_| async { text("hello") }).await
    }

    pub(crate) async fn client(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    pub(crate) async fn drained(mut self) -> DrainOutcome {
        self.stop.cancel();
        let outcome = timeout(PATIENCE, self.task.join_next()).await;
        assert_eq!(self.open_connections(), 0.0);
        outcome.unwrap().unwrap().unwrap()
    }

    /// What the gauge shows.
    pub(crate) fn open_connections(&self) -> f64 {
        f64::from_bits(self.connections.load(Ordering::SeqCst))
    }
}

/// A client that says what it is told to.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// All that comes until the server closes.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut all = String::new();
        let read = timeout(PATIENCE, self.0.read_to_string(&mut all)).await;
        read.expect("the server closes").unwrap();
        all
    }

    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let mut all = Vec::new();
        while !all.ends_with(end.as_bytes()) {
            let byte = timeout(PATIENCE, self.0.read_u8()).await;
            all.push(byte.expect("an answer").unwrap());
        }
        String::from_utf8(all).unwrap()
    }
}

/// Checks that `answer` ends with one with this status, a JSON body with `code`, and the right
/// length.
pub(crate) fn assert_error(answer: &str, status: u16, code: ErrorCode) {
    let start = answer
        .rfind("HTTP/1.")
        .unwrap_or_else(|| panic!("{answer:?}"));
    let (head, body) = answer[start..].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(head.contains("content-type: application/json"), "{answer}");
    let length = format!("content-length: {}", body.len());
    assert!(head.contains(&length), "{answer}");
    let body: ErrorBody = serde_json::from_str(body).unwrap();
    assert_eq!(body.error.code, code);
}
