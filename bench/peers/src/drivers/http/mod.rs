//! Any broker that speaks HTTP/1.1, described by path and body templates; MiniMQ is a preset.
//!
//! One keep-alive connection per publisher or consumer, and one for a consumer's acknowledgements; one
//! request in flight on each.

mod connection;

use super::outstanding::Outstanding;
use super::{Consumer, Publisher, System};
use crate::cli::{HttpArgs, RunArgs};
use crate::payload::{self, Stamp};
use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use connection::{Call, Connection, Events};
use memchr::{memchr, memmem};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

const JSON: &str = "application/json";

pub struct Http {
    addr: SocketAddr,
    args: HttpArgs,
}

impl Http {
    pub fn new(args: &RunArgs) -> Self {
        let unique = std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |time| time.as_millis());
        let topic = format!("bench-{unique}");
        let mut http = args.http.clone();
        for template in [
            &mut http.create_path,
            &mut http.batch_path,
            &mut http.ack_path,
            &mut http.sse_path,
            &mut http.group_path,
            &mut http.fetch_path,
            &mut http.delete_path,
        ] {
            let named = |text: String| {
                text.replace("{{topic}}", &topic)
                    .replace("{{max}}", &args.take.to_string())
            };
            *template = template.take().map(named);
        }
        for template in [
            &mut http.create_body,
            &mut http.publish_path,
            &mut http.publish_body,
            &mut http.batch_item,
            &mut http.consume_path,
            &mut http.consume_body,
            &mut http.ack_body,
        ] {
            *template = template
                .replace("{{topic}}", &topic)
                .replace("{{max}}", &args.take.to_string());
        }
        Self {
            addr: args.addr,
            args: http,
        }
    }

    /// MiniMQ: a message is a string; a cursor moves on by itself, so there is no ack. A topic
    /// must hold a message before it can be read, hence the first one.
    pub fn minimq(args: &RunArgs) -> Self {
        let mut args = args.clone();
        args.http.create_path = Some("/produce".into());
        args.http.create_body = r#"{"topic":"{{topic}}","message":"first"}"#.into();
        args.http.publish_path = "/produce".into();
        args.http.publish_body = r#"{"topic":"{{topic}}","message":{{payload_str}}}"#.into();
        args.http.consume_method = "GET".into();
        args.http.consume_path = "/consume?topic={{topic}}&consumer_id=g".into();
        args.http.consume_body = String::new();
        args.http.ack_path = None;
        Self::new(&args)
    }
}

impl Http {
    async fn create(&self, method: &str, path: Option<&str>, body: &str) -> Result<()> {
        let Some(path) = path else {
            return Ok(());
        };
        let call = Call {
            method,
            path,
            media_type: JSON,
            body: body.to_owned().into(),
        };
        let created = Connection::open(self.addr).await?.call(call).await;
        created.with_context(|| format!("creating {path}"))?;
        Ok(())
    }
}

impl System for Http {
    type Publisher = HttpPublisher;
    type Consumer = HttpConsumer;
    type Reader = HttpReader;

    async fn reset(&mut self) -> Result<()> {
        let HttpArgs {
            create_method,
            create_path,
            create_body,
            group_path,
            ..
        } = &self.args;
        self.create(create_method, create_path.as_deref(), create_body)
            .await?;
        self.create("PUT", group_path.as_deref(), "").await
    }

    async fn publisher(&self) -> Result<HttpPublisher> {
        Ok(HttpPublisher {
            connection: Connection::open(self.addr).await?,
            args: self.args.clone(),
        })
    }

    async fn consumer(&self, number: usize) -> Result<HttpConsumer> {
        let mut args = self.args.clone();
        let number = number.to_string();
        for template in [
            &mut args.consume_path,
            &mut args.consume_body,
            &mut args.ack_body,
        ] {
            *template = template.replace("{{consumer}}", &number);
        }
        for template in [&mut args.ack_path, &mut args.sse_path] {
            let numbered = |path: String| path.replace("{{consumer}}", &number);
            *template = template.take().map(numbered);
        }
        let events = match &args.sse_path {
            Some(path) => Some(Connection::open(self.addr).await?.events(path).await?),
            None => None,
        };
        Ok(HttpConsumer {
            connection: Connection::open(self.addr).await?,
            events,
            taken: Bytes::new(),
            acking: Arc::new(Mutex::new(Connection::open(self.addr).await?)),
            acks: Outstanding::default(),
            args: Arc::new(args),
        })
    }

    async fn reader(&self, _number: usize) -> Result<HttpReader> {
        let path = self
            .args
            .fetch_path
            .clone()
            .context("this system has no --fetch-path")?;
        Ok(HttpReader {
            connection: Connection::open(self.addr).await?,
            path,
            accept: self.args.fetch_accept.clone(),
            next_header: self.args.fetch_next_header.clone(),
            next: self.args.fetch_first.clone(),
        })
    }

    async fn clear(&mut self) -> Result<()> {
        if let Some(path) = &self.args.delete_path {
            let call = Call {
                method: "DELETE",
                path,
                media_type: JSON,
                body: Bytes::new(),
            };
            Connection::open(self.addr).await?.call(call).await?;
        }
        Ok(())
    }
}

pub struct HttpPublisher {
    connection: Connection,
    args: HttpArgs,
}

impl Publisher for HttpPublisher {
    async fn send(&mut self, payload: Bytes) -> Result<()> {
        let body = if self.args.publish_body == "{{payload}}" {
            payload
        } else {
            let mut body = Vec::with_capacity(2 * payload.len());
            fill(&self.args.publish_body, &payload, &mut body)?;
            body.into()
        };
        self.connection
            .post(&self.args.publish_path, JSON, body)
            .await
    }

    async fn send_batch(&mut self, payloads: Vec<Bytes>) -> Result<()> {
        let Some(path) = &self.args.batch_path else {
            bail!("this system has no batch endpoint")
        };
        let mut body = Vec::with_capacity(payloads.iter().map(|p| p.len() + 64).sum());
        body.extend_from_slice(self.args.batch_open.as_bytes());
        for (index, payload) in payloads.iter().enumerate() {
            if index > 0 {
                body.extend_from_slice(self.args.batch_separator.as_bytes());
            }
            fill(&self.args.batch_item, payload, &mut body)?;
        }
        body.extend_from_slice(self.args.batch_close.as_bytes());
        let media_type = &self.args.batch_content_type;
        self.connection.post(path, media_type, body.into()).await
    }
}

fn fill(template: &str, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
    if let Some((head, tail)) = template.split_once("{{payload}}") {
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(payload);
        out.extend_from_slice(tail.as_bytes());
    } else if let Some((head, tail)) = template.split_once("{{payload_str}}") {
        out.extend_from_slice(head.as_bytes());
        serde_json::to_writer(&mut *out, std::str::from_utf8(payload)?)?;
        out.extend_from_slice(tail.as_bytes());
    } else {
        bail!("no {{{{payload}}}} or {{{{payload_str}}}} in {template:?}");
    }
    Ok(())
}

pub struct HttpConsumer {
    connection: Connection,
    args: Arc<HttpArgs>,
    events: Option<Events>,
    /// The answer, or the events, with what is to be acknowledged.
    taken: Bytes,
    acking: Arc<Mutex<Connection>>,
    acks: Outstanding,
}

impl Consumer for HttpConsumer {
    async fn take(&mut self, _max: usize, out: &mut Vec<Stamp>) -> Result<()> {
        self.taken = match &mut self.events {
            Some(events) => events.next().await?,
            None => self.ask().await?,
        };
        let before = out.len();
        payload::scan(&self.taken, out);
        if out.len() == before && self.events.is_none() {
            tokio::time::sleep(Duration::from_millis(self.args.poll_ms)).await;
        }
        Ok(())
    }

    async fn ack(&mut self) -> Result<()> {
        let taken = std::mem::take(&mut self.taken);
        if self.args.ack_path.is_none() {
            return Ok(());
        }
        let (texts, count) = texts_of(&self.args.ack_member, &taken);
        if count == 0 {
            return Ok(());
        }
        let (args, acking) = (self.args.clone(), self.acking.clone());
        let ack = async move { acknowledge(&args, &mut *acking.lock().await, &texts, count).await };
        self.acks.start(ack).await
    }

    async fn settle(&mut self) -> Result<()> {
        self.acks.settle().await
    }
}

impl HttpConsumer {
    async fn ask(&mut self) -> Result<Bytes> {
        let args = &self.args;
        let call = Call {
            method: &args.consume_method,
            path: &args.consume_path,
            media_type: JSON,
            body: args.consume_body.clone().into(),
        };
        let (_, answer) = self.connection.call(call).await?;
        Ok(answer)
    }
}

async fn acknowledge(
    args: &HttpArgs,
    connection: &mut Connection,
    texts: &str,
    count: usize,
) -> Result<()> {
    let call = Call {
        method: &args.ack_method,
        path: args.ack_path.as_deref().unwrap_or_default(),
        media_type: JSON,
        body: args.ack_body.replace("{{ack}}", texts).into(),
    };
    let (_, answer) = connection.call(call).await?;
    if let Some(done) = &args.ack_done {
        let acked = memmem::find_iter(&answer, done).count();
        ensure!(acked == count, "{acked} of {count} were acknowledged");
    }
    Ok(())
}

/// The texts of all members of that name as a JSON array, and how many there are.
fn texts_of(member: &str, answer: &[u8]) -> (String, usize) {
    let before = format!("\"{member}\":\"");
    let mut texts = String::from("[");
    let mut count = 0;
    for at in memmem::find_iter(answer, &before) {
        let rest = &answer[at + before.len()..];
        let end = memchr(b'"', rest).unwrap_or(rest.len());
        let comma = if count > 0 { "," } else { "" };
        texts += comma;
        texts += "\"";
        texts += &String::from_utf8_lossy(&rest[..end]);
        texts += "\"";
        count += 1;
    }
    texts += "]";
    (texts, count)
}

pub struct HttpReader {
    connection: Connection,
    path: String,
    accept: String,
    next_header: String,
    next: String,
}

impl Consumer for HttpReader {
    async fn take(&mut self, _max: usize, out: &mut Vec<Stamp>) -> Result<()> {
        let call = Call {
            method: "GET",
            path: &self.path.replace("{{next}}", &self.next),
            media_type: &self.accept,
            body: Bytes::new(),
        };
        let (headers, answer) = self.connection.call(call).await?;
        payload::scan(&answer, out);
        let next = headers
            .get(&self.next_header)
            .context("no --fetch-next-header")?;
        self.next = next.to_str()?.to_owned();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acknowledges_is_found_in_each_message() {
        let answer = br#"{"messages":[{"receipt":"a","payload":1},{"receipt":"b-_"}]}"#;
        let expected = (r#"["a","b-_"]"#.to_owned(), 2);
        assert_eq!(texts_of("receipt", answer), expected);
        assert_eq!(texts_of("none", answer), ("[]".to_owned(), 0));
    }
}
