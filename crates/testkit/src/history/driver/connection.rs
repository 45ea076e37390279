//! HTTP as plain as it gets, so that a client can leave whenever it likes and nothing is repeated or
//! put right behind its back.

use serde_json::Value;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// A request as a client means it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    method: &'static str,
    target: String,
    content_type: &'static str,
    body: String,
}

/// A connection that is kept alive as long as it works.
#[derive(Debug)]
pub(super) struct Connection(BufReader<TcpStream>);

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    body: Vec<u8>,
}

struct Head {
    status: u16,
    /// `None`: the body comes in chunks.
    length: Option<usize>,
}

impl Request {
    pub(super) fn new(method: &'static str, target: String) -> Self {
        Self {
            method,
            target,
            content_type: "application/json",
            body: String::new(),
        }
    }

    pub(super) fn json(self, body: &Value) -> Self {
        let body = body.to_string();
        Self { body, ..self }
    }

    pub(super) fn text(self, content_type: &'static str, body: String) -> Self {
        Self {
            content_type,
            body,
            ..self
        }
    }

    fn encode(&self) -> String {
        let Self {
            method,
            target,
            content_type,
            body,
        } = self;
        let length = body.len();
        format!(
            "{method} {target} HTTP/1.1\r\nhost: weir\r\ncontent-type: {content_type}\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
    }
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(super) async fn send(&mut self, request: &Request) -> Result<()> {
        self.0.write_all(request.encode().as_bytes()).await
    }

    pub(super) async fn answer(&mut self) -> Result<Answer> {
        self.slow_answer(Duration::ZERO).await
    }

    /// Takes its time between the head and the body.
    pub(super) async fn slow_answer(&mut self, pause: Duration) -> Result<Answer> {
        let head = self.head().await?;
        sleep(pause).await;
        let mut body = Vec::new();
        match head.length {
            Some(length) => {
                body.resize(length, 0);
                self.0.read_exact(&mut body).await?;
            }
            None => {
                while let Some(chunk) = self.chunk().await? {
                    body.extend(chunk);
                }
            }
        }
        Ok(Answer {
            status: head.status,
            body,
        })
    }

    /// Begins to read a stream; an answer that is none is read to its end.
    pub(super) async fn begin_stream(&mut self) -> Result<std::result::Result<(), Answer>> {
        let head = self.head().await?;
        if head.status == 200 && head.length.is_none() {
            return Ok(Ok(()));
        }
        let mut body = vec![0; head.length.unwrap_or(0)];
        self.0.read_exact(&mut body).await?;
        Ok(Err(Answer {
            status: head.status,
            body,
        }))
    }

    /// The next part of a body that comes in chunks; `None` at its proper end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let line = self.line().await?;
        let length = usize::from_str_radix(&line, 16).map_err(|_| strange(&line))?;
        let mut chunk = vec![0; length + 2];
        self.0.read_exact(&mut chunk).await?;
        chunk.truncate(length);
        Ok((length > 0).then_some(chunk))
    }

    async fn head(&mut self) -> Result<Head> {
        let line = self.line().await?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| strange(&line))?;
        let mut length = Some(0);
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            if line.is_empty() {
                return Ok(Head { status, length });
            }
            match line.split_once(": ") {
                Some(("content-length", value)) => length = value.parse().ok(),
                Some(("transfer-encoding", _)) => length = None,
                _ => {}
            }
        }
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        if !line.ends_with('\n') {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the broker is about to stop.
    pub(super) fn is_draining(&self) -> bool {
        self.status == 503 && self.text().contains("\"draining\"")
    }

    pub(super) fn text(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        format!("{} {body}", self.status)
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        let malformed = |e: serde_json::Error| Error::other(format!("{e} in {}", self.text()));
        serde_json::from_slice(&self.body).map_err(malformed)
    }
}

fn strange(line: &str) -> Error {
    Error::other(format!("{line:?} is no HTTP"))
}
