//! One keep-alive connection, one request in flight.

use anyhow::{Context as _, Result, ensure};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::net::TcpStream;

pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

/// A request; `media_type` is that of its body, or with GET that of the answer.
pub struct Call<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub media_type: &'a str,
    pub body: Bytes,
}

impl Connection {
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let host = addr.to_string();
        Ok(Self { sender, host })
    }

    /// Sends and waits for the head of the answer, which must be a success.
    async fn start(&mut self, call: Call<'_>) -> Result<hyper::Response<Incoming>> {
        let header = if call.method == "GET" {
            ACCEPT
        } else {
            CONTENT_TYPE
        };
        let request = Request::builder()
            .method(Method::from_bytes(call.method.as_bytes())?)
            .uri(call.path)
            .header(HOST, &self.host)
            .header(header, call.media_type)
            .body(Full::new(call.body))?;
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }

    pub async fn call(&mut self, call: Call<'_>) -> Result<(HeaderMap, Bytes)> {
        let path = call.path.to_owned();
        let (head, body) = self.start(call).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let text = || String::from_utf8_lossy(&body);
        ensure!(
            head.status.is_success(),
            "{path}: {} {}",
            head.status,
            text()
        );
        Ok((head.headers, body))
    }

    pub async fn post(&mut self, path: &str, media_type: &str, body: Bytes) -> Result<()> {
        let method = "POST";
        self.call(Call {
            method,
            path,
            media_type,
            body,
        })
        .await?;
        Ok(())
    }

    /// Follows a stream of server-sent events.
    pub async fn events(mut self, path: &str) -> Result<Events> {
        let call = Call {
            method: "GET",
            path,
            media_type: "text/event-stream",
            body: Bytes::new(),
        };
        let response = self.start(call).await?;
        let status = response.status();
        ensure!(status.is_success(), "{path}: {status}");
        Ok(Events {
            body: response.into_body(),
            received: BytesMut::new(),
            _connection: self,
        })
    }
}

/// An event stream, and the end of what it sent so far: the start of a line.
pub struct Events {
    body: Incoming,
    received: BytesMut,
    _connection: Connection,
}

impl Events {
    /// Waits for more; returns whole lines.
    pub async fn next(&mut self) -> Result<Bytes> {
        loop {
            let frame = self.body.frame().await;
            let frame = frame.context("the event stream ended")??;
            let data = frame.data_ref().map_or(&[][..], |data| data);
            self.received.extend_from_slice(data);
            if let Some(end) = memchr::memrchr(b'\n', &self.received) {
                return Ok(self.received.split_to(end + 1).freeze());
            }
        }
    }
}
