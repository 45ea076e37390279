//! A broker in this process, on a port of its own, and an HTTP/1.1 client that hides nothing.

use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use weir_broker::metrics::Exporter;
use weir_broker::{Broker, Running, Settings, settings};

/// No test waits longer for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The recorder belongs to the process, so brokers of tests that share one share it too: tests
/// look at the series of their own topics only.
fn exporter() -> Exporter {
    static EXPORTER: OnceLock<Exporter> = OnceLock::new();
    let install = || Exporter::install().expect("nobody else installs a recorder");
    EXPORTER.get_or_init(install).clone()
}

/// Waits for what must happen.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let patient = tokio::time::timeout(PATIENCE, what).await;
    patient.expect("it happens in time")
}

/// A broker with a data directory of its own.
pub(crate) struct TestBroker {
    running: Running,
    settings: Settings,
    data_dir: TempDir,
}

impl TestBroker {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Starts one with other settings than the defaults.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let mut settings = settings_on(data_dir.path());
        change(&mut settings);
        let running = Running::start(&settings, exporter()).await.unwrap();
        Self {
            running,
            settings,
            data_dir,
        }
    }

    /// Stops politely and starts again on the same data.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with(|| {}).await
    }

    /// Like `restart`, with something happening in between.
    pub(crate) async fn restart_with(self, between: impl FnOnce()) -> Self {
        soon(self.running.stop()).await.unwrap();
        between();
        let running = Running::start(&self.settings, exporter()).await.unwrap();
        Self { running, ..self }
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        soon(self.running.stop()).await
    }

    pub(crate) fn core(&self) -> &Broker {
        self.running.broker()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.http_address().expect("HTTP is on")
    }

    pub(crate) fn grpc_address(&self) -> SocketAddr {
        *self.running.grpc_addresses().first().expect("gRPC is on")
    }

    /// Every address that HTTP listens on.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        self.running.http_addresses()
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// Every file and directory below the data directory, and what the files hold.
    pub(crate) fn tree(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        collect_tree(self.data_dir(), &mut found);
        found
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send(Request::new("GET", target)).await
    }

    pub(crate) async fn post(&self, target: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.send(Request::new("POST", target).body(body)).await
    }

    pub(crate) async fn put(&self, target: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.send(Request::new("PUT", target).body(body)).await
    }

    pub(crate) async fn delete(&self, target: &str) -> Answer {
        self.send(Request::new("DELETE", target)).await
    }

    pub(crate) async fn send(&self, request: Request) -> Answer {
        self.raw(&request.encode()).await
    }

    /// Sends bytes on a connection of their own, and reads the answer.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Answer {
        send_raw(self.address(), bytes).await
    }

    /// Sends bytes on a connection of their own, and reads whatever comes back until it ends.
    pub(crate) async fn raw_to_end(&self, bytes: &[u8]) -> String {
        let mut tcp = TcpStream::connect(self.address()).await.unwrap();
        tcp.write_all(bytes).await.unwrap();
        let mut answers = String::new();
        soon(tcp.read_to_string(&mut answers)).await.unwrap();
        answers
    }

    /// Publishes `payload` and returns the answer's fields.
    pub(crate) async fn publish(&self, topic: &str, payload: &str) -> Value {
        let target = format!("/v1/topics/{topic}/messages");
        self.post(&target, payload).await.expect(201).json()
    }

    /// Publishes a batch of lines to one topic.
    pub(crate) async fn publish_lines(&self, topic: &str, lines: &str) -> Answer {
        let target = format!("/v1/topics/{topic}/messages");
        let request = Request::new("POST", &target).header("content-type", "application/x-ndjson");
        self.send(request.body(lines)).await
    }

    /// Fetches, with whatever the query says.
    pub(crate) async fn fetch(&self, topic: &str, query: &str) -> Value {
        let target = format!("/v1/topics/{topic}/messages?{query}");
        self.get(&target).await.expect(200).json()
    }

    /// Leases as the query says; the messages.
    pub(crate) async fn lease(&self, topic: &str, group: &str, query: &str) -> Vec<Value> {
        let target = format!("/v1/topics/{topic}/groups/{group}/lease?{query}");
        let leased = self.post(&target, "").await.expect(200).json();
        leased["messages"].as_array().unwrap().clone()
    }

    /// Acks, nacks or extends; the statuses.
    pub(crate) async fn settle(
        &self,
        topic: &str,
        group: &str,
        verb: &str,
        body: Value,
    ) -> Vec<String> {
        let target = format!("/v1/topics/{topic}/groups/{group}/{verb}");
        let answer = self.post(&target, body.to_string()).await.expect(200);
        let results = answer.json();
        let results = results["results"].as_array().unwrap();
        results.iter().map(|one| text_of(&one["status"])).collect()
    }

    pub(crate) async fn group(&self, topic: &str, group: &str) -> Value {
        let target = format!("/v1/topics/{topic}/groups/{group}");
        self.get(&target).await.expect(200).json()
    }
}

pub(crate) fn settings_on(data_dir: &Path) -> Settings {
    let dir = data_dir.to_str().unwrap();
    let flags = [
        "weir-broker",
        "--data-dir",
        dir,
        "--http",
        "127.0.0.1:0",
        "--grpc",
        "off",
        "--min-free-bytes",
        "0",
    ];
    let matches = settings::command().try_get_matches_from(flags).unwrap();
    Settings::read(&matches, &|_| None).unwrap()
}

fn collect_tree(dir: &Path, found: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_tree(&path, found);
            found.insert(path, None);
        } else {
            let content = std::fs::read(&path).unwrap();
            found.insert(path, Some(content));
        }
    }
}

/// A JSON text as a string.
pub(crate) fn text_of(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

/// One field of every message.
pub(crate) fn fields(messages: &[Value], name: &str) -> Vec<Value> {
    messages
        .iter()
        .map(|message| message[name].clone())
        .collect()
}

/// The messages of a fetch.
pub(crate) fn messages_of(fetched: &Value) -> Vec<Value> {
    fetched["messages"].as_array().unwrap().clone()
}

/// A request as it goes over the wire.
pub(crate) struct Request {
    head: String,
    body: Vec<u8>,
    chunked: bool,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let head = format!("{method} {target} HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n");
        Self {
            head,
            body: Vec::new(),
            chunked: false,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub(crate) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }

    /// Sends the body in chunks of seven bytes, without a length.
    pub(crate) fn chunked(self) -> Self {
        Self {
            chunked: true,
            ..self
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut wire = self.head.clone().into_bytes();
        if self.chunked {
            wire.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
            for chunk in self.body.chunks(7) {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
        } else {
            wire.extend_from_slice(
                format!("content-length: {}\r\n\r\n", self.body.len()).as_bytes(),
            );
            wire.extend_from_slice(&self.body);
        }
        wire
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The answer, if it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The code and the message of a refusal, which must have the shape that was promised.
    #[track_caller]
    pub(crate) fn refusal(&self) -> (String, String) {
        assert_eq!(
            self.headers.get("content-type").map(String::as_str),
            Some("application/json")
        );
        let body = self.json();
        assert_eq!(
            body.as_object().map(|fields| fields.len()),
            Some(1),
            "{body}"
        );
        let error = &body["error"];
        assert_eq!(
            error.as_object().map(|fields| fields.len()),
            Some(2),
            "{body}"
        );
        (text_of(&error["code"]), text_of(&error["message"]))
    }

    /// Checks a refusal's status, code and a part of its message.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str, message_part: &str) {
        let (found_code, message) = self.refusal();
        assert_eq!(
            (self.status, found_code.as_str()),
            (status, code),
            "{message}"
        );
        assert!(
            message.contains(message_part),
            "{message_part:?} is not in {message:?}"
        );
    }
}

pub(crate) async fn send_raw(address: SocketAddr, bytes: &[u8]) -> Answer {
    let exchange = async {
        let tcp = TcpStream::connect(address).await.unwrap();
        let (read, mut write) = tcp.into_split();
        // A broker that refuses early may close while we still send: what counts is its answer.
        let sending = async { write.write_all(bytes).await };
        let mut read = BufReader::new(read);
        let (_sent, answer) = tokio::join!(sending, read_answer(&mut read));
        answer
    };
    soon(exchange).await
}

type Wire = BufReader<tokio::net::tcp::OwnedReadHalf>;

async fn read_answer(wire: &mut Wire) -> Answer {
    let (status, headers) = read_head(wire).await;
    let mut body = Vec::new();
    if headers.contains_key("transfer-encoding") {
        while let Some(chunk) = read_chunk(wire).await {
            body.extend(chunk);
        }
    } else if let Some(length) = headers.get("content-length") {
        body = vec![0; length.parse().unwrap()];
        wire.read_exact(&mut body).await.unwrap();
    }
    Answer {
        status,
        headers,
        body,
    }
}

async fn read_head(wire: &mut Wire) -> (u16, BTreeMap<String, String>) {
    let mut line = String::new();
    wire.read_line(&mut line).await.unwrap();
    let status = line
        .split(' ')
        .nth(1)
        .unwrap_or_else(|| panic!("no answer: {line:?}"));
    let status = status.parse().unwrap();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        wire.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            return (status, headers);
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
}

/// The next chunk; `None` at the proper end of the body.
async fn read_chunk(wire: &mut Wire) -> Option<Vec<u8>> {
    let mut line = String::new();
    wire.read_line(&mut line).await.unwrap();
    let length = usize::from_str_radix(line.trim_end(), 16).unwrap_or_else(|_| panic!("{line:?}"));
    let mut chunk = vec![0; length + 2];
    wire.read_exact(&mut chunk).await.unwrap();
    chunk.truncate(length);
    (length > 0).then_some(chunk)
}

/// A stream that is followed.
pub(crate) struct Sse {
    wire: Wire,
    _write: tokio::net::tcp::OwnedWriteHalf,
    pub(crate) headers: BTreeMap<String, String>,
    unread: String,
}

/// One block of a stream, up to its blank line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SseEvent {
    pub(crate) id: Option<String>,
    pub(crate) data: Option<Value>,
    pub(crate) comment: Option<String>,
    pub(crate) lines: Vec<String>,
}

impl Sse {
    /// Opens a stream; returns once its headers are there.
    pub(crate) async fn open(broker: &TestBroker, target: &str, headers: &[(&str, &str)]) -> Self {
        Self::open_at(broker.address(), target, headers).await
    }

    /// Likewise, of any broker.
    pub(crate) async fn open_at(
        address: SocketAddr,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Self {
        let mut request = Request::new("GET", target);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let tcp = TcpStream::connect(address).await.unwrap();
        let (read, mut write) = tcp.into_split();
        write.write_all(&request.encode()).await.unwrap();
        let mut wire = BufReader::new(read);
        let (status, headers) = soon(read_head(&mut wire)).await;
        assert_eq!(status, 200);
        Self {
            wire,
            _write: write,
            headers,
            unread: String::new(),
        }
    }

    /// The next block; `None` when the stream has properly ended.
    pub(crate) async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let event = parse_event(block);
                self.unread = rest.to_owned();
                return Some(event);
            }
            let chunk = soon(read_chunk(&mut self.wire)).await?;
            self.unread.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Reads on until `count` messages came; returns them and the last id that was seen.
    pub(crate) async fn messages(&mut self, count: usize) -> (Vec<Value>, Option<String>) {
        let (mut messages, mut last_id) = (Vec::new(), None);
        while messages.len() < count {
            let event = self.next().await.expect("the stream goes on");
            last_id = event.id.or(last_id);
            messages.extend(event.data);
        }
        (messages, last_id)
    }
}

fn parse_event(block: &str) -> SseEvent {
    let mut event = SseEvent::default();
    for line in block.split('\n') {
        event.lines.push(line.to_owned());
        if let Some(id) = line.strip_prefix("id: ") {
            event.id = Some(id.to_owned());
        } else if let Some(data) = line.strip_prefix("data: ") {
            event.data = Some(serde_json::from_str(data).unwrap());
        } else if let Some(comment) = line.strip_prefix(": ") {
            event.comment = Some(comment.to_owned());
        }
    }
    event
}
