//! Any broker that speaks HTTP/1.1, described by path and body templates; MiniMQ is a preset.
//!
//! One keep-alive connection per publisher or consumer, one request in flight on each.

mod connection;

use super::{Consumer, Publisher, System};
use crate::cli::{HttpArgs, RunArgs};
use crate::payload::{self, Stamp};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use connection::{Call, Connection, Events};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

const JSON: &str = "application/json";

pub struct Http {
    addr: SocketAddr,
    args: HttpArgs,
    topic: String,
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
            &mut http.fetch_path,
            &mut http.delete_path,
        ] {
            let named = |text: String| text.replace("{{topic}}", &topic);
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
            topic,
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

impl System for Http {
    type Publisher = HttpPublisher;
    type Consumer = HttpConsumer;
    type Reader = HttpReader;

    async fn reset(&mut self) -> Result<()> {
        if let Some(path) = &self.args.create_path {
            let mut connection = Connection::open(self.addr).await?;
            let call = Call {
                method: &self.args.create_method,
                path,
                media_type: JSON,
                body: self.args.create_body.clone().into(),
            };
            let created = connection.call(call).await;
            created.with_context(|| format!("creating topic {}", self.topic))?;
        }
        Ok(())
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
        args.ack_path = args
            .ack_path
            .map(|path| path.replace("{{consumer}}", &number));
        let events = match &args.sse_path {
            Some(path) => Some(Connection::open(self.addr).await?.events(path).await?),
            None => None,
        };
        let connection = Connection::open(self.addr).await?;
        Ok(HttpConsumer {
            connection,
            args,
            events,
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
    args: HttpArgs,
    events: Option<Events>,
}

impl HttpConsumer {
    async fn acknowledge(&mut self, answer: &Bytes) -> Result<()> {
        let args = &self.args;
        let Some(path) = &args.ack_path else {
            return Ok(());
        };
        let ack = match &args.ack_pointer {
            Some(pointer) => found_at(pointer, answer)?,
            None => String::new(),
        };
        let call = Call {
            method: &args.ack_method,
            path: &path.replace("{{ack}}", &ack),
            media_type: JSON,
            body: args.ack_body.replace("{{ack}}", &ack).into(),
        };
        self.connection.call(call).await?;
        Ok(())
    }
}

impl Consumer for HttpConsumer {
    async fn take(&mut self, _max: usize, out: &mut Vec<Stamp>) -> Result<()> {
        if let Some(events) = &mut self.events {
            return events.take(out).await;
        }
        let args = &self.args;
        let call = Call {
            method: &args.consume_method,
            path: &args.consume_path,
            media_type: JSON,
            body: args.consume_body.clone().into(),
        };
        let (_, answer) = self.connection.call(call).await?;
        let before = out.len();
        payload::scan(&answer, out);
        if out.len() == before {
            tokio::time::sleep(Duration::from_millis(args.poll_ms)).await;
            return Ok(());
        }
        self.acknowledge(&answer).await
    }
}

/// The value at a JSON pointer as text. A `*` in it stands for all items of an array.
fn found_at(pointer: &str, answer: &[u8]) -> Result<String> {
    let answer: Value = serde_json::from_slice(answer)?;
    let found = match pointer.split_once("/*") {
        None => answer.pointer(pointer).cloned(),
        Some((array, rest)) => answer
            .pointer(array)
            .and_then(Value::as_array)
            .and_then(|items| {
                items
                    .iter()
                    .map(|item| item.pointer(rest).cloned())
                    .collect()
            }),
    };
    let found = found.context("nothing at --ack-pointer")?;
    Ok(found
        .as_str()
        .map_or_else(|| found.to_string(), str::to_owned))
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
    fn a_pointer_finds_one_value_or_all_of_an_array() {
        let answer = br#"{"next":"n","all":[{"receipt":"a"},{"receipt":"b"}]}"#;
        assert_eq!(found_at("/next", answer).unwrap(), "n");
        assert_eq!(found_at("/all/*/receipt", answer).unwrap(), r#"["a","b"]"#);
        assert!(found_at("/none", answer).is_err());
    }
}
