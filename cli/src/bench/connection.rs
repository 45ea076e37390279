//! HTTP/1.1 as far as the generator needs it: requests are bytes that were prepared, answers have a
//! `Content-Length`, or are streams. With hyper and a request built each time the generator took three times the CPU in
//! user space, on the cores that the broker needs.

use super::endpoint::Endpoint;
use super::events::Events;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Why a request does not count, as a word for the report.
pub(crate) type ErrorWord = String;

const MAX_HEAD_BYTES: usize = 64 * 1024;
const READ_BYTES: usize = 4 * 1024;

/// One keep-alive connection.
pub(crate) struct Connection {
    socket: TcpStream,
    /// Not used up yet.
    pub(crate) received: BytesMut,
}

/// The two things of an answer's head that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    body: Body,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Bytes(usize),
    Chunks,
}

/// Reads a code that this version need not know.
#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorCodeOnly,
}

#[derive(Deserialize)]
struct ErrorCodeOnly {
    code: String,
}

impl Connection {
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Self, ErrorWord> {
        let refused = |_| "cannot_connect".to_owned();
        let socket = TcpStream::connect(endpoint.address())
            .await
            .map_err(refused)?;
        socket.set_nodelay(true).map_err(refused)?;
        Ok(Self {
            socket,
            received: BytesMut::new(),
        })
    }

    /// Sends a request and reads the whole answer: the body of a success, or the word of a refusal.
    ///
    /// The outer error leaves the connection in no known state.
    pub(crate) async fn exchange(
        &mut self,
        request: &[u8],
    ) -> Result<Result<Bytes, ErrorWord>, ErrorWord> {
        let sent = self.socket.write_all(request).await;
        sent.map_err(|_| lost())?;
        let head = self.read_head().await?;
        let Body::Bytes(bytes) = head.body else {
            return Err(not_understood());
        };
        while self.received.len() < bytes {
            self.read(bytes - self.received.len()).await?;
        }
        let body = self.received.split_to(bytes).freeze();
        Ok(match head.status {
            200..=299 => Ok(body),
            status => Err(refusal(status, &body)),
        })
    }

    /// Sends a request whose answer has no end.
    pub(crate) async fn follow(mut self, request: &[u8]) -> Result<Events, ErrorWord> {
        let sent = self.socket.write_all(request).await;
        sent.map_err(|_| lost())?;
        match self.read_head().await? {
            Head {
                status: 200,
                body: Body::Chunks,
            } => Ok(Events::new(self)),
            Head { status, .. } => Err(refusal(status, &[])),
        }
    }

    async fn read_head(&mut self) -> Result<Head, ErrorWord> {
        loop {
            let end = self.received.windows(4).position(|w| w == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.received.split_to(end + 4);
                return Head::parse(&head).ok_or_else(not_understood);
            }
            if self.received.len() > MAX_HEAD_BYTES {
                return Err(not_understood());
            }
            self.read_some().await?;
        }
    }

    /// Adds to what is received.
    pub(crate) async fn read_some(&mut self) -> Result<(), ErrorWord> {
        self.read(READ_BYTES).await
    }

    async fn read(&mut self, bytes: usize) -> Result<(), ErrorWord> {
        self.received.reserve(bytes);
        match self.socket.read_buf(&mut self.received).await {
            Ok(1..) => Ok(()),
            Ok(0) | Err(_) => Err(lost()),
        }
    }
}

impl Head {
    fn parse(head: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?;
        let body = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            match (name.to_ascii_lowercase().as_str(), value.trim()) {
                ("content-length", bytes) => Some(Body::Bytes(bytes.parse().ok()?)),
                ("transfer-encoding", "chunked") => Some(Body::Chunks),
                _ => None,
            }
        })?;
        Some(Self {
            status: status.parse().ok()?,
            body,
        })
    }
}

pub(crate) fn lost() -> ErrorWord {
    "connection_lost".to_owned()
}

pub(crate) fn not_understood() -> ErrorWord {
    "not_understood".to_owned()
}

fn refusal(status: u16, body: &[u8]) -> ErrorWord {
    let answer = serde_json::from_slice::<ErrorAnswer>(body);
    answer.map_or_else(|_| format!("http_{status}"), |a| a.error.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_status_and_where_the_body_ends() {
        let head = b"HTTP/1.1 201 Created\r\nx: y\r\nCONTENT-Length: 12\r\ndate: now\r\n\r\n";
        let expected = Head {
            status: 201,
            body: Body::Bytes(12),
        };
        assert_eq!(Head::parse(head), Some(expected));
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(Head::parse(head).unwrap().body, Body::Chunks);
    }

    #[test]
    fn what_is_not_understood_is_not_guessed() {
        for head in [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            "HTTP/1.1 2\r\ncontent-length: 1\r\n\r\n",
            "SSH-2.0-x\r\ncontent-length: 1\r\n\r\n",
        ] {
            assert_eq!(Head::parse(head.as_bytes()), None, "{head}");
        }
    }

    #[test]
    fn a_refusal_is_named_by_its_code() {
        let body = br#"{"error":{"code":"overloaded","message":"m"}}"#;
        assert_eq!(refusal(503, body), "overloaded");
        assert_eq!(refusal(502, b"<html>"), "http_502");
    }
}
