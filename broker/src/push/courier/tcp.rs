//! Workers that read newline-delimited JSON from one kept connection.
//!
//! A delivery is a line `{"receipt","id","queue","topic","key","payload","delivery_attempt",
//! "visibility_timeout"}`; `queue` and `key` stand only where there are any, and a payload that is
//! bytes in base64 has `"encoding":"base64"` beside it. An answer is a line as `answer` reads it.
//! Deliveries are pipelined, answers come in any order. A worker that answers nonsense loses its
//! connection, and everything that is out on it has failed.

mod answer;
mod connection;

use self::connection::{Connection, Parcel};
use super::Route;
use super::deadline::Deadline;
use super::kept::Kept;
use crate::push::dial::DialError;
use crate::push::task::{Outcome, Task, is_base64};
use bytes::Bytes;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, oneshot};
use weir_commitlog::RecordHead;
use weir_types::DurationText;

/// Deliveries that wait until those before them are written.
const QUEUED: usize = 16;

#[derive(Debug)]
pub(super) struct TcpCourier {
    route: Route,
    connection: Kept<mpsc::Sender<Parcel>>,
}

impl TcpCourier {
    pub(super) fn new(route: Route) -> Self {
        Self {
            route,
            connection: Kept::new(),
        }
    }

    pub(super) async fn deliver(
        &self,
        task: &Task,
        deadline: Deadline,
    ) -> Result<Outcome, Outcome> {
        let line = Bytes::from(line(task, &task.head()?));
        // A connection may end while the line waits for its turn; then it goes over another one.
        for _ in 0..2 {
            if let Some(outcome) = self.try_once(task, line.clone(), deadline).await? {
                return Ok(outcome);
            }
        }
        let target = &self.route.target;
        Err(Outcome::unreachable(format!(
            "{target} closed the connection before anything was sent"
        )))
    }

    /// `None`: the connection ended before anything was sent.
    async fn try_once(
        &self,
        task: &Task,
        line: Bytes,
        deadline: Deadline,
    ) -> Result<Option<Outcome>, Outcome> {
        let connection = deadline.connecting(self.connection()).await?;
        let (outcome, decided) = oneshot::channel();
        let is_sent = Arc::new(AtomicBool::new(false));
        let parcel = Parcel {
            receipt: task.message.receipt.encode(),
            line,
            is_sent: Arc::clone(&is_sent),
            outcome,
        };
        let exchange = async {
            connection.send(parcel).await.ok()?;
            decided.await.ok()
        };
        match deadline.answering(exchange).await {
            Err(_) if !is_sent.load(Ordering::Acquire) => Err(Outcome::unreachable(
                "nothing was sent: the worker does not read what was sent before",
            )),
            answered => answered,
        }
    }

    async fn connection(&self) -> Result<mpsc::Sender<Parcel>, DialError> {
        let is_open = |connection: &mpsc::Sender<Parcel>| !connection.is_closed();
        let connected = self.connection.get(&self.route, is_open, || {
            let route = self.route.clone();
            async move { connect(route).await }
        });
        connected.await
    }
}

async fn connect(route: Route) -> Result<mpsc::Sender<Parcel>, DialError> {
    let (host, port) = (route.target.host(), route.target.port());
    let stream = route.dialer.connect(&host, port).await?;
    let (parcels, queue) = mpsc::channel(QUEUED);
    route.spawn(Connection::new(route.target.clone(), queue).run(stream));
    Ok(parcels)
}

/// A delivery as the worker gets it.
fn line(task: &Task, head: &RecordHead<'_>) -> Vec<u8> {
    let mut line = Vec::with_capacity(task.message.line.bytes.len() + 200);
    let receipt = &task.message.receipt;
    line.extend_from_slice(b"{\"receipt\":\"");
    receipt.encode_to(&mut line);
    line.extend_from_slice(b"\",\"id\":");
    line.extend_from_slice(head.id);
    if let Some(queue) = task.queue {
        let _infallible = write!(line, ",\"queue\":{queue}");
    }
    let _infallible = write!(line, ",\"topic\":\"{}\"", task.topic);
    if let Some(key) = head.key {
        line.extend_from_slice(b",\"key\":");
        line.extend_from_slice(key);
    }
    line.extend_from_slice(b",\"payload\":");
    line.extend_from_slice(head.payload);
    if is_base64(head) {
        line.extend_from_slice(b",\"encoding\":\"base64\"");
    }
    let _infallible = writeln!(
        line,
        ",\"delivery_attempt\":{},\"visibility_timeout\":\"{}\"}}",
        receipt.delivery_attempt,
        DurationText(task.timeout)
    );
    line
}

#[cfg(test)]
mod tests;
