//! Handlers learn whether their answers have left.

use crate::support::{Answer, AnyBody, Client, PATIENCE, Server, text};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, FuturesUnordered};
use futures_util::{FutureExt, StreamExt};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use weir_service::http::{AfterFlush, DrainOutcome, HttpLimits};

/// More than the kernel's buffers hold.
const HUGE: usize = 64 * 1024 * 1024;

type Frames = Vec<io::Result<Frame<Bytes>>>;

/// A body that gives exactly `frames` and does not know its end before.
fn body_of(frames: Frames) -> AnyBody {
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

fn data(bytes: &'static str) -> io::Result<Frame<Bytes>> {
    Ok(Frame::data(Bytes::from_static(bytes.as_bytes())))
}

fn trailers() -> io::Result<Frame<Bytes>> {
    Ok(Frame::trailers(HeaderMap::from_iter([(
        header::ETAG,
        "end".parse().unwrap(),
    )])))
}

/// The answer a path asks for.
async fn answer(path: &str, gate: &Notify) -> Answer {
    match path {
        "/huge" => text(vec![b'x'; HUGE]),
        "/big" => text(vec![b'x'; 1024 * 1024]),
        "/empty" => text(""),
        "/gated" => {
            gate.notified().await;
            text("")
        }
        "/stream" => Response::new(body_of(vec![data("one"), data("two!")])),
        "/trailers" => Response::new(body_of(vec![data("hello"), trailers()])),
        "/only-trailers" => Response::new(body_of(vec![trailers()])),
        "/broken" => Response::new(body_of(vec![data("one"), Err(io::Error::other("no"))])),
        "/endless" => Response::new(endless()),
        "/never" => std::future::pending().await,
        "/announced" => {
            let mut answer = Response::new(body_of(vec![data("hello")]));
            let headers = answer.headers_mut();
            headers.insert(header::CONTENT_LENGTH, 5.into());
            answer
        }
        "/no-content" => {
            let mut answer = text("unseen");
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer
        }
        _ => text("hello"),
    }
}

fn endless() -> AnyBody {
    let once = stream::iter([data("hello")]);
    StreamBody::new(once.chain(stream::pending())).boxed_unsync()
}

/// A server whose handlers ask about every answer.
struct Watching {
    server: Server,
    /// Lets an answer to `/gated` go.
    gate: Arc<Notify>,
    told: mpsc::Receiver<BoxFuture<'static, bool>>,
}

impl Watching {
    async fn start(limits: HttpLimits) -> Self {
        let (tell, told) = mpsc::channel(64);
        let gate = Arc::new(Notify::new());
        let opened = Arc::clone(&gate);
        let server = Server::start(limits, move |request| {
            let (tell, gate) = (tell.clone(), Arc::clone(&opened));
            async move { watched(&request, &tell, &gate).await }
        })
        .await;
        Self { server, gate, told }
    }

    /// What the next request's handler will be told.
    async fn next(&mut self) -> BoxFuture<'static, bool> {
        timeout(PATIENCE, self.told.recv()).await.unwrap().unwrap()
    }

    async fn assert_next_is_told(&mut self, expected: bool) {
        assert_told(self.next().await, expected).await;
    }

    async fn http2(&self) -> Http2 {
        let (sender, io) = http2(&self.server, 65_535).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(io);
        Http2 { sender, tasks }
    }
}

async fn watched(
    request: &Request<Incoming>,
    tell: &mpsc::Sender<BoxFuture<'static, bool>>,
    gate: &Notify,
) -> Answer {
    let (after_flush, told) = AfterFlush::new();
    tell.send(told.boxed()).await.unwrap();
    let mut answer = answer(request.uri().path(), gate).await;
    answer.extensions_mut().insert(after_flush);
    answer
}

async fn assert_told(told: BoxFuture<'static, bool>, expected: bool) {
    assert_eq!(timeout(PATIENCE, told).await, Ok(expected));
}

/// A client's connection, and the future that does all of its input and output.
async fn http2(
    server: &Server,
    window: u32,
) -> (SendRequest<Empty<Bytes>>, BoxFuture<'static, ()>) {
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let (execute, mut executed) = mpsc::channel(1024);
    let handshake = hyper::client::conn::http2::Builder::new(Collect(execute.clone()))
        .initial_stream_window_size(window)
        .initial_connection_window_size(window.max(1024 * 1024))
        .handshake(TokioIo::new(tcp));
    let (sender, connection) = handshake.await.unwrap();
    let io = async move {
        let mut running = FuturesUnordered::from_iter([connection.map(|_| ()).boxed()]);
        while !running.is_empty() {
            tokio::select! {
                Some(more) = executed.recv() => running.push(more),
                _ = running.next() => {}
            }
        }
    };
    (sender, io.boxed())
}

#[derive(Clone)]
struct Collect(mpsc::Sender<BoxFuture<'static, ()>>);

impl<F> hyper::rt::Executor<F> for Collect
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.try_send(future.boxed()).ok().unwrap();
    }
}

/// One HTTP/2 connection; ends with the value.
struct Http2 {
    sender: SendRequest<Empty<Bytes>>,
    tasks: JoinSet<()>,
}

impl Http2 {
    async fn request(&mut self, method: Method, path: &str) -> Response<Incoming> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Empty::new())
            .unwrap();
        let answered = timeout(PATIENCE, self.sender.send_request(request)).await;
        answered.unwrap().unwrap()
    }

    async fn get(&mut self, path: &str) -> Response<Incoming> {
        self.request(Method::GET, path).await
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

async fn read_all(client: &mut Client) -> Vec<u8> {
    let mut all = Vec::new();
    let read = timeout(PATIENCE, client.0.read_to_end(&mut all)).await;
    read.unwrap().unwrap();
    all
}

#[tokio::test]
async fn every_kind_of_http1_answer_is_told_when_it_has_left() {
    let mut watching = Watching::start(HttpLimits::default()).await;
    let mut client = watching.server.client().await;
    for (path, end) in [
        ("/", "hello"),
        ("/empty", "\r\n\r\n"),
        ("/stream", "0\r\n\r\n"),
        ("/trailers", "0\r\n\r\n"),
        ("/only-trailers", "0\r\n\r\n"),
        ("/announced", "hello"),
        ("/no-content", "\r\n\r\n"),
    ] {
        client.send(get(path)).await;
        client.read_until(end).await;
        watching.assert_next_is_told(true).await;
    }
    client.send("HEAD / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let head = client.read_until("\r\n\r\n").await;
    assert!(head.contains("content-length: 5"), "{head}");
    watching.assert_next_is_told(true).await;
}

#[tokio::test]
async fn an_http10_answer_that_only_the_close_ends_is_told() {
    let mut watching = Watching::start(HttpLimits::default()).await;
    let mut client = watching.server.client().await;
    client.send("GET /stream HTTP/1.0\r\n\r\n").await;
    assert!(client.read_to_end().await.ends_with("onetwo!"));
    watching.assert_next_is_told(true).await;
}

#[tokio::test]
async fn pipelined_answers_are_told_each() {
    let mut watching = Watching::start(HttpLimits::default()).await;
    let mut client = watching.server.client().await;
    let requests = get("/") + &get("/stream") + &get("/empty") + &get("/never");
    client.send(requests).await;
    for _ in 0..3 {
        watching.assert_next_is_told(true).await;
    }
    let never = watching.next().await;
    drop(client);
    assert_told(never, false).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_told_before_it_does() {
    let mut watching = Watching::start(HttpLimits::default()).await;
    let mut client = watching.server.client().await;
    client.send(get("/") + &get("/huge")).await;
    watching.assert_next_is_told(true).await;
    let mut told = watching.next().await;
    client.read_until("content-length: 67108864").await;
    assert!((&mut told).now_or_never().is_none());
    let mut rest = pin!(read_all(&mut client));
    let told = tokio::select! {
        _ = &mut rest => panic!("the connection is kept alive"),
        told = timeout(PATIENCE, told) => told,
    };
    assert_eq!(told, Ok(true));
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_end_is_told_false() {
    let mut watching = Watching::start(HttpLimits::default()).await;
    for path in ["/never", "/huge", "/endless"] {
        let mut client = watching.server.client().await;
        client.send(get(path)).await;
        let told = watching.next().await;
        drop(client);
        assert_told(told, false).await;
    }
}

#[tokio::test]
async fn a_body_that_breaks_is_told_false() {
    let mut watching = Watching::start(HttpLimits::default()).await;
    let mut client = watching.server.client().await;
    client.send(get("/broken")).await;
    watching.assert_next_is_told(false).await;
    let mut http2 = watching.http2().await;
    let request = Request::get("/broken").body(Empty::new()).unwrap();
    if let Ok(answer) = http2.sender.send_request(request).await {
        assert!(answer.into_body().collect().await.is_err());
    }
    watching.assert_next_is_told(false).await;
}

#[tokio::test]
async fn a_client_that_is_cut_for_not_reading_is_told_false() {
    let limits = HttpLimits {
        write_timeout: Duration::from_millis(100),
        ..HttpLimits::default()
    };
    let mut watching = Watching::start(limits).await;
    let mut client = watching.server.client().await;
    client.send(get("/huge")).await;
    watching.assert_next_is_told(false).await;
}

#[tokio::test]
async fn every_kind_of_http2_answer_is_told_when_it_has_left() {
    let mut watching = Watching::start(HttpLimits::default()).await;
    let mut http2 = watching.http2().await;
    for path in [
        "/",
        "/big",
        "/empty",
        "/stream",
        "/trailers",
        "/only-trailers",
        "/announced",
        "/no-content",
    ] {
        let answer = http2.get(path).await;
        answer.into_body().collect().await.unwrap();
        watching.assert_next_is_told(true).await;
    }
    http2.request(Method::HEAD, "/empty").await;
    watching.assert_next_is_told(true).await;
}

#[tokio::test]
async fn trailers_reach_http2_clients() {
    let mut watching = Watching::start(HttpLimits::default()).await;
    let answer = watching.http2().await.get("/trailers").await;
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()[header::ETAG], "end");
    assert_eq!(body.to_bytes(), "hello");
    watching.assert_next_is_told(true).await;
}

#[tokio::test]
async fn a_stream_whose_window_is_full_is_not_told_and_holds_up_nobody() {
    let mut watching = Watching::start(HttpLimits::default()).await;
    let mut http2 = watching.http2().await;
    let slow = http2.get("/big").await;
    let mut slow_is_told = watching.next().await;
    for path in ["/", "/trailers", "/stream", "/empty"] {
        let answer = http2.get(path).await;
        watching.assert_next_is_told(true).await;
        answer.into_body().collect().await.unwrap();
    }
    assert!((&mut slow_is_told).now_or_never().is_none());
    slow.into_body().collect().await.unwrap();
    assert_told(slow_is_told, true).await;
}

#[tokio::test]
async fn an_http2_client_that_does_not_read_its_socket_is_not_told_before_it_does() {
    let mut watching = Watching::start(HttpLimits::default()).await;
    let window = HUGE.try_into().unwrap();
    let (mut sender, mut io) = http2(&watching.server, window).await;
    let request = |path| Request::get(path).body(Empty::new()).unwrap();
    let gated = sender.send_request(request("/gated"));
    let huge = tokio::select! {
        answer = sender.send_request(request("/huge")) => answer.unwrap(),
        () = &mut io => panic!("the connection ended"),
    };
    // Nobody reads the socket from here on: the server fills it, then gives one more answer.
    let_others_run().await;
    watching.gate.notify_one();
    let_others_run().await;
    let (mut first, mut second) = (watching.next().await, watching.next().await);
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    let told = async { tokio::join!(first, second) };
    let read = async { tokio::join!(huge.into_body().collect(), gated) };
    tokio::select! {
        () = io => panic!("the connection ended"),
        (told, _) = async { tokio::join!(timeout(PATIENCE, told), read) } => {
            assert_eq!(told, Ok((true, true)));
        }
    }
}

async fn let_others_run() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_or_cut_is_told_false() {
    let mut watching = Watching::start(HttpLimits::default()).await;
    let mut http2 = watching.http2().await;
    for path in ["/big", "/endless"] {
        let answer = http2.get(path).await;
        let told = watching.next().await;
        drop(answer);
        assert_told(told, false).await;
    }
    let _unread = http2.get("/big").await;
    let told = watching.next().await;
    http2.tasks.shutdown().await;
    assert_told(told, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_streams_at_once_are_told_each() {
    let mut watching = Watching::start(HttpLimits::default()).await;
    let http2 = watching.http2().await;
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        for path in ["/", "/trailers", "/stream", "/big"] {
            let mut sender = http2.sender.clone();
            requests.spawn(async move {
                let request = Request::get(path).body(Empty::new()).unwrap();
                let answer = sender.send_request(request).await.unwrap();
                answer.into_body().collect().await.unwrap();
            });
        }
    }
    for _ in 0..200 {
        watching.assert_next_is_told(true).await;
    }
    timeout(PATIENCE, requests.join_all()).await.unwrap();
}

#[tokio::test]
async fn the_last_answer_of_a_connection_that_drains_is_told() {
    let mut watching = Watching::start(HttpLimits::default()).await;
    let mut http2 = watching.http2().await;
    let big = http2.get("/big").await;
    let told = watching.next().await;
    watching.server.stop.cancel();
    let received = big.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(received.len(), 1024 * 1024);
    assert_told(told, true).await;
    assert_eq!(watching.server.drained().await, DrainOutcome::Drained);
}
