use crate::ClientError;
use crate::address::Address;
use crate::sse::{Event, Parser};
use crate::transport::{Call, Transport, refused};
use http::header::{ACCEPT, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use std::sync::Arc;
use std::time::Duration;
use weir_protocol::ErrorBody;

/// One live connection over which the broker sends events.
#[derive(Debug)]
pub(crate) struct Events {
    transport: Arc<Transport>,
    body: Incoming,
    parser: Parser,
}

/// A request for events.
pub(crate) fn events_call(address: Address) -> Call {
    let accept = HeaderValue::from_static("text/event-stream");
    Call::get(address).header(ACCEPT, accept)
}

impl Events {
    /// Connects.
    pub(crate) async fn open(transport: &Arc<Transport>, call: Call) -> Result<Self, ClientError> {
        Ok(Self {
            body: transport.open(call).await?,
            parser: Parser::new(transport.options.max_response_bytes),
            transport: Arc::clone(transport),
        })
    }

    /// The next event; `None` when the broker ended the stream. An event that reports an error is
    /// that error. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            match self.parser.next_event() {
                Some(event) if event.kind == "error" => return Err(broker_error(&event.data)),
                Some(event) => return Ok(Some(event)),
                None => {}
            }
            let Some(chunk) = self.next_chunk().await? else {
                return Ok(None);
            };
            self.parser.push(&chunk).map_err(|_| {
                let limit = self.transport.options.max_response_bytes;
                malformed(format!("an event has more than {limit} bytes"))
            })?;
        }
    }

    /// How long the broker wants clients to wait before they reconnect, if it said.
    pub(crate) const fn reconnect_after(&self) -> Option<Duration> {
        self.parser.retry()
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        let frame = match self.transport.options.stream_idle_timeout {
            None => self.body.frame().await,
            Some(limit) => {
                let frame = tokio::time::timeout(limit, self.body.frame()).await;
                frame.map_err(|_| ClientError::TimedOut {
                    broker: self.transport.authority().to_owned(),
                    after: limit,
                })?
            }
        };
        match frame {
            None => Ok(None),
            Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
            Some(Err(error)) => Err(self.transport.broken(&error)),
        }
    }
}

/// An error in the middle of a stream, where no status can carry it any more.
fn broker_error(data: &[u8]) -> ClientError {
    match serde_json::from_slice(data) {
        Ok(ErrorBody { error }) => {
            refused(error.code.http_status(), error.code, error.message, None)
        }
        Err(error) => malformed(error.to_string()),
    }
}

/// Something that no broker of this version sends.
pub(crate) fn malformed(reason: String) -> ClientError {
    ClientError::Malformed {
        status: 200,
        reason,
    }
}
