use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use weir_client::{Client, ClientOptions};

/// What the server does with one request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Status, extra header lines each ending in CR LF, body.
    Whole(u16, &'static str, String),
    /// The pieces of an event stream; then the connection closes.
    Events(Vec<&'static str>),
    /// Nothing, ever.
    Silence,
    /// Half an answer, then the connection closes.
    Cut,
}

/// Answers requests in turn with what it was given; the last answer repeats.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let mut task = JoinSet::new();
        task.spawn(serve(listener, answers, Arc::clone(&requests)));
        Self {
            url,
            requests,
            _task: task,
        }
    }

    pub(crate) fn client(&self) -> Client {
        let options = ClientOptions {
            request_timeout: Duration::from_millis(300),
            ..ClientOptions::default()
        };
        Client::new(&self.url, options).unwrap()
    }

    /// Head and body of every request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The request line of every request so far, without the version.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |r: &String| r.lines().next().unwrap().replace(" HTTP/1.1", "");
        self.requests().iter().map(line).collect()
    }
}

async fn serve(listener: TcpListener, answers: Vec<Answer>, requests: Arc<Mutex<Vec<String>>>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let mut socket = BufReader::new(socket);
        while let Some(request) = read_request(&mut socket).await {
            let answer = {
                let mut requests = requests.lock().unwrap();
                requests.push(request);
                answers[(requests.len() - 1).min(answers.len() - 1)].clone()
            };
            if !give(&mut socket, answer).await {
                break;
            }
        }
    }
}

async fn read_request(socket: &mut BufReader<TcpStream>) -> Option<String> {
    let mut request = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        request.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    request.push_str(&String::from_utf8(body).unwrap());
    Some(request)
}

/// Whether the connection goes on.
async fn give(socket: &mut BufReader<TcpStream>, answer: Answer) -> bool {
    match answer {
        Answer::Whole(status, headers, body) => {
            let length = body.len();
            let text =
                format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}");
            socket.write_all(text.as_bytes()).await.is_ok()
        }
        Answer::Events(pieces) => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            for piece in [head].iter().chain(&pieces) {
                let _closed = socket.write_all(piece.as_bytes()).await;
                let _closed = socket.flush().await;
            }
            false
        }
        Answer::Silence => std::future::pending().await,
        Answer::Cut => {
            let _closed = socket
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{")
                .await;
            false
        }
    }
}
