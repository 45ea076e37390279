//! Workers of tests: they listen, and hand each task to the test, which says what to answer.

use crate::support::{TestBroker, soon};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Tasks that wait for the test.
const TASKS: usize = 1024;

/// A port on loopback at which nobody answers yet.
pub(crate) struct Port(TcpSocket);

impl Port {
    pub(crate) fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn listen(self) -> TcpListener {
        self.0.listen(128).unwrap()
    }
}

/// Listens where somebody listened before.
pub(crate) fn listen_again(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(128).unwrap()
}

/// Serves every connection until it is dropped.
fn accept_all<T, F>(
    listener: TcpListener,
    tasks: mpsc::Sender<T>,
    serve: fn(TcpStream, mpsc::Sender<T>) -> F,
) -> JoinSet<()>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(serve(stream, tasks.clone()));
        }
    });
    serving
}

/// A worker that reads newline-delimited JSON. Dropped, it is gone with its connections.
pub(crate) struct TcpWorker {
    address: SocketAddr,
    tasks: mpsc::Receiver<TcpTask>,
    _serving: JoinSet<()>,
}

/// A task, and the connection it came over.
pub(crate) struct TcpTask {
    pub(crate) message: Value,
    answers: mpsc::Sender<String>,
}

impl TcpWorker {
    pub(crate) async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let (sender, tasks) = mpsc::channel(TASKS);
        let serving = accept_all(listener, sender, serve_tcp);
        Self {
            address,
            tasks,
            _serving: serving,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn target(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// The next task.
    pub(crate) async fn next(&mut self) -> TcpTask {
        soon(self.tasks.recv()).await.expect("the worker listens")
    }

    /// The next task, however long that takes.
    pub(crate) async fn next_ever(&mut self) -> TcpTask {
        self.tasks.recv().await.expect("the worker listens")
    }

    /// The next so many, none of which is answered meanwhile.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<TcpTask> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.next().await);
        }
        taken
    }

    /// Whether no task waits at this moment.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.tasks.try_recv().is_err()
    }
}

async fn serve_tcp(stream: TcpStream, tasks: mpsc::Sender<TcpTask>) {
    let (read, mut write) = stream.into_split();
    let (answers, mut to_send) = mpsc::channel::<String>(TASKS);
    let mut lines = BufReader::new(read).lines();
    let reading = async {
        while let Ok(Some(line)) = lines.next_line().await {
            let task = TcpTask {
                message: serde_json::from_str(&line).unwrap(),
                answers: answers.clone(),
            };
            if tasks.send(task).await.is_err() {
                return;
            }
        }
    };
    let writing = async {
        while let Some(answer) = to_send.recv().await {
            if write.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}

impl TcpTask {
    pub(crate) fn payload(&self) -> &Value {
        &self.message["payload"]
    }

    pub(crate) fn attempt(&self) -> u64 {
        self.message["delivery_attempt"].as_u64().unwrap()
    }

    pub(crate) async fn ack(self) {
        let receipt = self.message["receipt"].clone();
        self.answer(json!({"ack": receipt})).await;
    }

    /// Gives it back, with whatever else the answer says.
    pub(crate) async fn nack(self, more: Value) {
        let mut answer = json!({"nack": self.message["receipt"]});
        let fields = answer.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        self.answer(answer).await;
    }

    async fn answer(self, answer: Value) {
        // The broker may have hung up.
        let _gone = self.answers.send(format!("{answer}\n")).await;
    }
}

/// A worker that is reached by POST. Dropped, it is gone with its connections.
pub(crate) struct HttpWorker {
    address: SocketAddr,
    tasks: mpsc::Receiver<HttpTask>,
    _serving: JoinSet<()>,
}

/// A request that waits for its answer.
pub(crate) struct HttpTask {
    pub(crate) head: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    answer: oneshot::Sender<String>,
}

impl HttpWorker {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, tasks) = mpsc::channel(TASKS);
        let serving = accept_all(listener, sender, serve_http);
        Self {
            address,
            tasks,
            _serving: serving,
        }
    }

    pub(crate) fn target(&self) -> String {
        format!("http://{}/tasks?kind=test", self.address)
    }

    pub(crate) async fn next(&mut self) -> HttpTask {
        soon(self.tasks.recv()).await.expect("the worker listens")
    }

    /// The next request, however long that takes.
    pub(crate) async fn next_ever(&mut self) -> HttpTask {
        self.tasks.recv().await.expect("the worker listens")
    }
}

impl HttpTask {
    /// Answers with a status and further headers, each with its line end.
    pub(crate) fn answer(self, status: u16, headers: &str, body: &str) {
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status} Said So\r\n{headers}content-length: {length}\r\n\r\n{body}");
        // The broker may have hung up.
        let _gone = self.answer.send(answer);
    }
}

async fn serve_http(stream: TcpStream, tasks: mpsc::Sender<HttpTask>) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    while let Some((head, headers)) = read_head(&mut read).await {
        let length = headers.get("content-length");
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        read.read_exact(&mut body).await.unwrap();
        let (answer, answered) = oneshot::channel();
        let task = HttpTask {
            head,
            headers,
            body,
            answer,
        };
        if tasks.send(task).await.is_err() {
            return;
        }
        let Ok(answer) = answered.await else {
            return;
        };
        if write.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_head(
    read: &mut BufReader<OwnedReadHalf>,
) -> Option<(String, BTreeMap<String, String>)> {
    let mut head = String::new();
    if read.read_line(&mut head).await.ok()? == 0 {
        return None;
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        read.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            return Some((head.trim_end().to_owned(), headers));
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
}

/// Registers a worker; the registration.
pub(crate) async fn register(broker: &TestBroker, worker: Value) -> Value {
    let answer = broker.post("/v1/workers", worker.to_string()).await;
    answer.expect(201).json()
}

/// What is known of a registered worker.
pub(crate) async fn worker(broker: &TestBroker, id: &Value) -> Value {
    broker
        .get(&format!("/v1/workers/{id}"))
        .await
        .expect(200)
        .json()
}

/// Waits until a registered worker looks like that.
pub(crate) async fn worker_when(
    broker: &TestBroker,
    id: &Value,
    mut is_so: impl FnMut(&Value) -> bool,
) -> Value {
    weir_testkit::eventually("a worker that looks so", async || {
        let worker = worker(broker, id).await;
        is_so(&worker).then_some(worker)
    })
    .await
}

/// Waits until a group looks like that.
pub(crate) async fn group_when(
    broker: &TestBroker,
    topic: &str,
    group: &str,
    mut is_so: impl FnMut(&Value) -> bool,
) -> Value {
    weir_testkit::eventually("a group that looks so", async || {
        let group = broker.group(topic, group).await;
        is_so(&group).then_some(group)
    })
    .await
}
