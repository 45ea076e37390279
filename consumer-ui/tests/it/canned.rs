//! A server with fixed answers, for what a broker rarely says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

type Answers = Arc<Mutex<BTreeMap<&'static str, (u16, String)>>>;

/// Answers each path as it was told last, any other with 404.
pub(crate) struct CannedBroker {
    address: SocketAddr,
    answers: Answers,
    _task: JoinSet<()>,
}

impl CannedBroker {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Answers::default();
        let mut task = JoinSet::new();
        task.spawn(accept(listener, answers.clone()));
        Self {
            address,
            answers,
            _task: task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn answer(&self, path: &'static str, status: u16, body: &impl ToString) {
        let answer = (status, body.to_string());
        self.answers.lock().unwrap().insert(path, answer);
    }
}

async fn accept(listener: TcpListener, answers: Answers) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        connections.spawn(serve(socket, answers.clone()));
    }
}

async fn serve(socket: TcpStream, answers: Answers) {
    let mut lines = BufReader::new(socket).lines();
    let mut path = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(target) = line.strip_prefix("GET ") {
            target
                .split([' ', '?'])
                .next()
                .unwrap()
                .clone_into(&mut path);
        }
        if !line.is_empty() {
            continue;
        }
        let known = answers.lock().unwrap().get(path.as_str()).cloned();
        let (status, body) = known.unwrap_or_else(|| (404, NOT_FOUND.to_owned()));
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
        let socket = lines.get_mut().get_mut();
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

const NOT_FOUND: &str = r#"{"error":{"code":"not_found","message":"there is no such address"}}"#;
