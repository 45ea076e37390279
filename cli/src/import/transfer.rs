//! Brings one lane to the broker: what is missing is published in order, then all of it is read back.

use super::plan::PlannedLane;
use super::source::{LaneReader, SourceMessage};
use super::stored::{Matched, compare};
use super::target::Target;
use crate::failure::Failure;
use crate::output::note;
use bytes::Bytes;
use serde_json::{Map, Value};
use std::time::{Duration, Instant};
use weir_client::{Backoff, ClientError};
use weir_types::PartitionId;

/// A batch of so many bytes is sent.
const FULL_BYTES: usize = 1024 * 1024;
/// Failed attempts without any progress between them, after which an import gives up: about half a minute.
const MAX_FAILURES: u32 = 8;
const NOTE_EVERY: Duration = Duration::from_secs(2);

/// What became of a lane.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Transferred {
    /// Messages that were there before.
    pub(super) already: u64,
    /// Messages that were published now.
    pub(super) imported: u64,
    /// Messages that were read back and are the source's.
    pub(super) verified: Matched,
    pub(super) importing: Duration,
    pub(super) verifying: Duration,
}

impl Target<'_> {
    /// Publishes what is missing of a lane. It may be ended at any place and begun again: each attempt
    /// first finds out what is there, so that it also does not matter what became of a batch whose answer
    /// was lost. One that is still on its way is known to the broker by its ids.
    pub(super) async fn import(
        &self,
        planned: &PlannedLane,
        done: &mut Transferred,
    ) -> Result<(), Failure> {
        let (begin, mut patience) = (Instant::now(), Patience::default());
        let (mut best, mut first) = (0, None);
        let result = loop {
            let mut attempt = Attempt::new(self, planned);
            let result = attempt.run().await;
            if first.is_none() {
                first = attempt.already;
            }
            let there = attempt.there;
            if there > best {
                (best, patience) = (there, Patience::default());
            }
            match result {
                Ok(()) => break Ok(()),
                Err(failure) => {
                    if let Err(failure) = patience.outlast(failure).await {
                        break Err(failure);
                    }
                }
            }
        };
        done.already = first.unwrap_or(0);
        done.imported = best.saturating_sub(done.already);
        done.importing = begin.elapsed();
        result
    }

    /// Reads everything back, beside the source.
    ///
    /// # Errors
    /// [`Failure::Failed`] names the first difference.
    pub(super) async fn verify(
        &self,
        planned: &PlannedLane,
        done: &mut Transferred,
    ) -> Result<(), Failure> {
        let (begin, mut patience) = (Instant::now(), Patience::default());
        while let Err(failure) = self.read_back(planned, done).await {
            patience.outlast(failure).await?;
        }
        done.verifying = begin.elapsed();
        Ok(())
    }

    async fn read_back(
        &self,
        planned: &PlannedLane,
        done: &mut Transferred,
    ) -> Result<(), Failure> {
        let lane = &planned.lane;
        let held = self.partition(&lane.topic, lane.partition).await?;
        let mut source = LaneReader::new(lane, self.options.max_payload_bytes);
        done.verified = compare(self.client, lane, &mut source, &held).await?;
        match source.next_message()? {
            None => Ok(()),
            Some(SourceMessage { place, .. }) => {
                let (topic, partition) = (&lane.topic, lane.partition);
                let what = format!("{topic}/{partition} lacks what the file has at {place}");
                Err(Failure::Failed(what))
            }
        }
    }
}

/// With a broker that is away, full or busy.
#[derive(Debug, Default)]
struct Patience {
    failures: u32,
}

impl Patience {
    /// Waits before the next attempt.
    ///
    /// # Errors
    /// `failure`, if it does not pass or came too often.
    async fn outlast(&mut self, failure: Failure) -> Result<(), Failure> {
        match failure {
            Failure::Broker(error) if error.is_retryable() && self.failures < MAX_FAILURES => {
                note(&format!("{error}; trying again"));
                let delay = Backoff::default().delay(self.failures, fastrand::f64());
                let hint = error.retry_after().unwrap_or_default();
                tokio::time::sleep(hint.max(delay)).await;
                self.failures += 1;
                Ok(())
            }
            failure => Err(failure),
        }
    }
}

/// One attempt to publish what is missing.
struct Attempt<'a> {
    target: &'a Target<'a>,
    planned: &'a PlannedLane,
    /// Found at the beginning.
    already: Option<u64>,
    /// Known to be stored.
    there: u64,
    noted: Instant,
}

impl<'a> Attempt<'a> {
    fn new(target: &'a Target<'a>, planned: &'a PlannedLane) -> Self {
        Self {
            target,
            planned,
            already: None,
            there: 0,
            noted: Instant::now(),
        }
    }

    async fn run(&mut self) -> Result<(), Failure> {
        let (target, lane) = (self.target, &self.planned.lane);
        let held = target.partition(&lane.topic, lane.partition).await?;
        let mut source = LaneReader::new(lane, target.options.max_payload_bytes);
        let matched = compare(target.client, lane, &mut source, &held).await?;
        self.already = Some(matched.messages);
        self.there = matched.messages;
        let mut batch = Batch::default();
        while let Some(message) = source.next_message()? {
            batch.push(&message, lane.partition);
            if batch.messages >= target.options.batch || batch.body.len() >= FULL_BYTES {
                self.send(&mut batch).await?;
            }
        }
        self.send(&mut batch).await
    }

    async fn send(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        if batch.messages == 0 {
            return Ok(());
        }
        let topic = &self.planned.lane.topic;
        let (messages, begin) = (batch.messages, batch.begin.take().unwrap_or_default());
        let sent = self.target.client.publish_batch(topic, batch.take()).await;
        let repeated = sent.map_err(|error| refusal(error, messages, &begin))?;
        let repeated = repeated.duplicates;
        if repeated > 0 {
            // Ours, from an attempt whose answer was lost; or else the verification will miss them.
            note(&format!(
                "the broker had {repeated} of the messages from {begin} on already"
            ));
        }
        self.there += messages as u64;
        self.tell();
        Ok(())
    }

    fn tell(&mut self) {
        if self.noted.elapsed() >= NOTE_EVERY {
            self.noted = Instant::now();
            let (there, of) = (self.there, self.planned.messages);
            let (topic, partition) = (&self.planned.lane.topic, self.planned.lane.partition);
            note(&format!("{topic}/{partition}: {there} of {of} messages"));
        }
    }
}

/// The plan was found good and others may have been stored: a failure, not merely bad input.
fn refusal(error: ClientError, messages: usize, begin: &str) -> Failure {
    match error.is_retryable() {
        true => error.into(),
        false => Failure::Failed(format!(
            "the broker refused {messages} messages from {begin} on: {error}; what came before them is there, \
             and this can be run again"
        )),
    }
}

/// The body of a batch.
#[derive(Debug, Default)]
struct Batch {
    body: Vec<u8>,
    messages: usize,
    /// Place of the first message.
    begin: Option<String>,
}

impl Batch {
    fn push(&mut self, message: &SourceMessage, partition: PartitionId) {
        self.body.extend_from_slice(b"{\"payload\":");
        self.body.extend_from_slice(message.kept.payload.as_bytes());
        let mut rest = Value::Object(members(message, partition)).to_string();
        rest.replace_range(..1, ",");
        self.body.extend_from_slice(rest.as_bytes());
        self.body.push(b'\n');
        self.messages += 1;
        self.begin.get_or_insert_with(|| message.place.to_string());
    }

    fn take(&mut self) -> Bytes {
        self.messages = 0;
        std::mem::take(&mut self.body).into()
    }
}

/// What accompanies a payload.
fn members(message: &SourceMessage, partition: PartitionId) -> Map<String, Value> {
    let (kept, mark) = (&message.kept, &message.mark);
    let mut members = Map::new();
    members.insert("id".into(), mark.id.as_str().into());
    members.insert("partition".into(), partition.0.into());
    if let Some(key) = &kept.key {
        members.insert("key".into(), key.as_str().into());
    }
    if let Some(reply_to) = &kept.reply_to {
        members.insert("reply_to".into(), reply_to.as_str().into());
    }
    let headers: Map<_, _> = message
        .headers()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    if !headers.is_empty() {
        members.insert("headers".into(), headers.into());
    }
    members
}
