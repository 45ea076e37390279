//! One connection to a worker, and everything that is out on it.

use super::answer;
use crate::push::target::Target;
use crate::push::task::Outcome;
use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

/// Longest answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
const READ_BYTES: usize = 1024;

/// A delivery on its way to the connection. Dropped unsent: nothing of it was sent.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) receipt: String,
    pub(super) line: Bytes,
    pub(super) is_sent: Arc<AtomicBool>,
    pub(super) outcome: oneshot::Sender<Outcome>,
}

/// Owns what is out; ends with the connection, or when nobody can send any more.
#[derive(Debug)]
pub(super) struct Connection {
    target: Target,
    queue: mpsc::Receiver<Parcel>,
    /// By receipt, whose answers are waited for; some may have given up.
    out: HashMap<String, oneshot::Sender<Outcome>>,
    /// What is left of the line that is being written.
    writing: Bytes,
    /// What was read of answers that are not complete.
    input: BytesMut,
    /// Answers that nobody waited for.
    ignored: u64,
}

impl Connection {
    pub(super) fn new(target: Target, queue: mpsc::Receiver<Parcel>) -> Self {
        Self {
            target,
            queue,
            out: HashMap::new(),
            writing: Bytes::new(),
            input: BytesMut::new(),
            ignored: 0,
        }
    }

    pub(super) async fn run(mut self, mut stream: TcpStream) {
        let reason = self.serve(&mut stream).await;
        tracing::debug!(push_target = %self.target, out = self.out.len(), reason, "connection ended");
        for (_, outcome) in self.out.drain() {
            let _gave_up = outcome.send(Outcome::failed(reason.clone()));
        }
    }

    /// Returns why it ended.
    async fn serve(&mut self, stream: &mut TcpStream) -> String {
        let (mut reader, mut writer) = stream.split();
        loop {
            self.input.reserve(READ_BYTES);
            tokio::select! {
                read = reader.read_buf(&mut self.input) => match read {
                    Ok(0) => return self.closed(),
                    Ok(_) => if let Err(wrong) = self.take_answers() {
                        return format!("{wrong}; connection closed");
                    },
                    Err(error) => return format!("connection broken: {error}"),
                },
                written = writer.write(&self.writing), if !self.writing.is_empty() => match written {
                    Ok(bytes) => self.writing.advance(bytes),
                    Err(error) => return format!("connection broken: {error}"),
                },
                parcel = self.queue.recv(), if self.writing.is_empty() => match parcel {
                    Some(parcel) => self.take(parcel),
                    None => return "no longer needed".to_owned(),
                },
            }
        }
    }

    fn take(&mut self, parcel: Parcel) {
        if parcel.outcome.is_closed() {
            return;
        }
        parcel.is_sent.store(true, Ordering::Release);
        self.writing = parcel.line;
        // What was given up is swept out before the map grows, so that a worker that never answers
        // fills no memory.
        if self.out.len() == self.out.capacity() {
            self.out.retain(|_, outcome| !outcome.is_closed());
        }
        self.out.insert(parcel.receipt, parcel.outcome);
    }

    fn take_answers(&mut self) -> Result<(), String> {
        while let Some(end) = memchr(b'\n', &self.input) {
            let line = self.input.split_to(end + 1);
            self.take_answer(line.trim_ascii())?;
        }
        match self.input.len() > MAX_ANSWER_BYTES {
            true => Err(format!(
                "the worker sent an answer of more than {MAX_ANSWER_BYTES} bytes"
            )),
            false => Ok(()),
        }
    }

    fn take_answer(&mut self, line: &[u8]) -> Result<(), String> {
        if line.is_empty() {
            return Ok(());
        }
        let (receipt, outcome) = answer::read(line)?;
        let waiting = self.out.remove(&receipt);
        let told = waiting.is_some_and(|waiting| waiting.send(outcome).is_ok());
        if !told {
            self.ignore(&receipt);
        }
        Ok(())
    }

    /// A late answer, or one to a delivery that never was: logged rarely, and harmless.
    fn ignore(&mut self, receipt: &str) {
        self.ignored += 1;
        if self.ignored.is_power_of_two() {
            let receipt: String = receipt.chars().take(40).collect();
            let (target, ignored) = (&self.target, self.ignored);
            tracing::warn!(push_target = %target, ignored, receipt, "answer to nothing that is out; ignored");
        }
    }

    /// The worker closed the connection; its last answer may lack the newline.
    fn closed(&mut self) -> String {
        let rest = self.input.split();
        match self.take_answer(rest.trim_ascii()) {
            Ok(()) => "connection closed".to_owned(),
            Err(wrong) => format!("{wrong}; connection closed"),
        }
    }
}
