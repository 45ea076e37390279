use crate::{Backoff, Client, ClientError, MessageStream, ReadFrom, Streamed, StreamedMessage};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use weir_protocol::shapes::Gap;
use weir_types::{Offset, PartitionId, TopicName};

/// What following a topic brings.
#[derive(Clone, Debug)]
pub enum Followed {
    /// The next message.
    Message(StreamedMessage),
    /// Offsets that no readable record has; reading goes on behind them.
    Gap(Gap),
    /// The connection is gone; the next call waits for `delay` and then reconnects.
    Interrupted {
        /// Why; `None` when the broker ended the stream.
        error: Option<ClientError>,
        /// How long the next call waits.
        delay: Duration,
    },
}

/// A stream that reconnects where it broke, as often as needed.
///
/// Each message comes once, in the order of its partition: what the broker repeats because its last
/// cursor is older than the last message is passed over.
#[derive(Debug)]
pub struct Follow<J> {
    client: Client,
    topic: TopicName,
    partition: Option<PartitionId>,
    from: ReadFrom,
    backoff: Backoff,
    jitter: J,
    stream: Option<MessageStream>,
    /// Connections lost since the last message.
    failures: u32,
    reconnect_at: Option<Instant>,
    /// Next offset of each partition that delivered; at most one a partition.
    delivered: BTreeMap<PartitionId, Offset>,
}

impl Client {
    /// Follows a topic, or one partition of it, beginning at `from`. Connects on the first
    /// [`Follow::next`]. `jitter` gives values in `0.0..1.0`, see [`Backoff::delay`].
    pub fn follow<J: FnMut() -> f64>(
        &self,
        topic: TopicName,
        from: ReadFrom,
        partition: Option<PartitionId>,
        backoff: Backoff,
        jitter: J,
    ) -> Follow<J> {
        Follow {
            client: self.clone(),
            topic,
            partition,
            from,
            backoff,
            jitter,
            stream: None,
            failures: 0,
            reconnect_at: None,
            delivered: BTreeMap::new(),
        }
    }
}

impl<J: FnMut() -> f64> Follow<J> {
    /// The next message or interruption. Cancel-safe.
    ///
    /// # Errors
    /// [`ClientError`] that waiting does not cure, such as an unknown topic or a stale cursor.
    pub async fn next(&mut self) -> Result<Followed, ClientError> {
        loop {
            match self.next_of_connection().await {
                Ok(Some(Streamed::Message(streamed))) => {
                    let message = &streamed.message;
                    let end = message.offset.next();
                    if self.is_new(message.partition, end, streamed.cursor.clone()) {
                        return Ok(Followed::Message(streamed));
                    }
                }
                Ok(Some(Streamed::Gap { gap, cursor })) => {
                    if self.is_new(gap.partition, gap.until_offset, cursor) {
                        return Ok(Followed::Gap(gap));
                    }
                }
                Ok(None) => return Ok(self.interrupted(None)),
                Err(error) if error.is_retryable() => return Ok(self.interrupted(Some(error))),
                Err(error) => return Err(error),
            }
        }
    }

    /// The cursor to resume from, once the broker gave one.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        match &self.from {
            ReadFrom::At(cursor) => Some(cursor),
            _ => None,
        }
    }

    async fn next_of_connection(&mut self) -> Result<Option<Streamed>, ClientError> {
        if self.stream.is_none() {
            self.connect().await?;
        }
        match &mut self.stream {
            Some(stream) => stream.next().await,
            None => Ok(None),
        }
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        if let Some(at) = self.reconnect_at {
            tokio::time::sleep_until(at).await;
            self.reconnect_at = None;
        }
        let opening = self.client.stream(&self.topic, &self.from, self.partition);
        self.stream = Some(opening.await?);
        Ok(())
    }

    /// Notes what ends before `end`; false if it was delivered before.
    fn is_new(&mut self, partition: PartitionId, end: Offset, cursor: Option<String>) -> bool {
        self.resume_from(cursor);
        let delivered = self.delivered.entry(partition).or_default();
        let new = end > *delivered;
        if new {
            *delivered = end;
            self.failures = 0;
        }
        new
    }

    fn resume_from(&mut self, cursor: Option<String>) {
        if let Some(cursor) = cursor {
            self.from = ReadFrom::At(cursor);
        }
    }

    fn interrupted(&mut self, error: Option<ClientError>) -> Followed {
        let stream = self.stream.take();
        let hint = stream
            .as_ref()
            .and_then(MessageStream::reconnect_after)
            .or_else(|| error.as_ref()?.retry_after());
        // It may have come without a message: a quiet stream from `latest` must not skip what is
        // published while it is disconnected.
        let cursor = stream.as_ref().and_then(MessageStream::cursor);
        self.resume_from(cursor.map(str::to_owned));
        let delay = self.delay(hint);
        self.reconnect_at = Some(Instant::now() + delay);
        Followed::Interrupted { error, delay }
    }

    /// The broker's hint is a lower bound, so that backing off still ends a stampede.
    fn delay(&mut self, hint: Option<Duration>) -> Duration {
        let jitter = (self.jitter)();
        let own = self.backoff.delay(self.failures, jitter);
        self.failures = self.failures.saturating_add(1);
        match hint {
            Some(hint) => hint.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 2.0).max(own),
            None => own,
        }
    }
}
