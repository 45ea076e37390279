//! The part of HTTP/1.1 that the report needs: requests one after the other on one connection, and
//! answers with a length.

use anyhow::{Context, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// For each read and write: a batch may wait for a slow disk.
const PATIENCE: Duration = Duration::from_secs(60);
const NDJSON: &str = "application/x-ndjson";

/// A connection that is kept alive.
pub(crate) struct Connection(BufReader<TcpStream>);

pub(crate) struct Answer {
    pub(crate) status: u16,
    body: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn get(&mut self, target: &str) -> anyhow::Result<Answer> {
        self.request("GET", target, "application/json", b"")
    }

    /// Creates a topic or changes its settings.
    pub(crate) fn put_topic(&mut self, topic: &str, settings: &Value) -> anyhow::Result<()> {
        let (target, body) = (format!("/v1/topics/{topic}"), settings.to_string());
        let answer = self.request("PUT", &target, "application/json", body.as_bytes())?;
        answer.success(&target).map(drop)
    }

    /// Posts a JSON document.
    pub(crate) fn post(&mut self, target: &str, body: &Value) -> anyhow::Result<Answer> {
        let answer = self.request(
            "POST",
            target,
            "application/json",
            body.to_string().as_bytes(),
        )?;
        answer.success(target)
    }

    /// Publishes a batch to one topic.
    pub(crate) fn publish(&mut self, topic: &str, lines: &[u8]) -> anyhow::Result<()> {
        let target = format!("/v1/topics/{topic}/messages");
        let answer = self.request("POST", &target, NDJSON, lines)?;
        answer.success(&target).map(drop)
    }

    /// Starts following a topic and leaves the connection alone once the answer has begun.
    pub(crate) fn follow(mut self, topic: &str) -> anyhow::Result<TcpStream> {
        let target = format!("/v1/topics/{topic}/stream");
        self.send("GET", &target, "text/event-stream", b"")?;
        let (status, _) = self.read_head()?;
        if status != 200 {
            bail!("GET {target} was answered with {status}");
        }
        Ok(self.0.into_inner())
    }

    fn request(
        &mut self,
        method: &str,
        target: &str,
        content_type: &str,
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        let answered = self
            .send(method, target, content_type, body)
            .and_then(|()| self.read_answer());
        answered.with_context(|| format!("{method} {target}"))
    }

    fn send(
        &mut self,
        method: &str,
        target: &str,
        content_type: &str,
        body: &[u8],
    ) -> anyhow::Result<()> {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        let stream = self.0.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        Ok(())
    }

    fn read_answer(&mut self) -> anyhow::Result<Answer> {
        let (status, length) = self.read_head()?;
        let mut body = vec![0; length.context("an answer without a length")?];
        self.0.read_exact(&mut body)?;
        Ok(Answer { status, body })
    }

    /// The status, and the length of the body if it is given.
    fn read_head(&mut self) -> anyhow::Result<(u16, Option<usize>)> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok());
        let status = status.with_context(|| format!("no status in {line:?}"))?;
        let mut length = None;
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                return Ok((status, length));
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().ok();
            }
        }
    }
}

impl Answer {
    /// The answer unless it refuses.
    pub(crate) fn success(self, target: &str) -> anyhow::Result<Self> {
        if !(200..300).contains(&self.status) {
            bail!("{target}: {} {}", self.status, self.text());
        }
        Ok(self)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| self.text())
    }
}
