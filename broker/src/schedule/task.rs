//! The owner of the waiting messages.

use super::client::{ScheduleRequest, Schedules};
use super::index::{Index, Known, Mark};
use super::log::Log;
use crate::broker::{Broker, BrokerError};
use crate::committer::Committer;
use crate::metrics;
use crate::topic::TopicCore;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_commitlog::FileSystem;
use weir_service::clock::Clock;
use weir_types::Offset;

/// The clock may be turned: never sleep longer on what it said.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// While nothing waits.
const IDLE_SLEEP: Duration = Duration::from_secs(3600);
/// Lines that arrive within this time are applied together: a transaction costs more than a line.
const GATHER: Duration = Duration::from_millis(20);
/// Bytes of lines after which the index is made durable.
const SYNC_BYTES: u64 = 1 << 20;
/// Pause after a failed turn, doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What the task needs to begin.
pub(crate) struct Start {
    /// Finds and creates the topics that messages go to.
    pub(crate) broker: Broker,
    pub(crate) log: Arc<TopicCore>,
    pub(crate) committer: Committer,
    pub(crate) clock: Clock,
    pub(crate) fs: Arc<dyn FileSystem>,
    pub(crate) index_path: PathBuf,
    /// Cancelled by the task when it has looked after what a crash interrupted.
    pub(crate) recovered: CancellationToken,
    pub(crate) stop: CancellationToken,
}

/// Owns the index and everything that happens to waiting messages after they were scheduled.
pub(super) struct Task {
    pub(super) broker: Broker,
    pub(super) log: Log,
    pub(super) committer: Committer,
    pub(super) clock: Clock,
    fs: Arc<dyn FileSystem>,
    index_path: PathBuf,
    /// Open, and made up to `applied`; `None` at first and after a failure.
    index: Option<Arc<Index>>,
    /// Whether the index is to be made anew, because it is in doubt.
    discard: bool,
    pub(super) applied: Offset,
    unsynced_bytes: u64,
    /// Of the index, up to `applied`.
    pub(super) known: Known,
    recovered: CancellationToken,
    pub(super) next_tidy: Instant,
    pause: Duration,
    /// When to go on after a failure.
    paused_until: Option<Instant>,
    stop: CancellationToken,
}

impl Start {
    /// The task and its handle. The caller spawns the task.
    pub(crate) fn task(self) -> (Schedules, impl Future<Output = ()>) {
        let (client, mailbox) = Schedules::new(self.log.clone());
        let task = Task {
            log: Log::new(self.log, self.committer.clone()),
            broker: self.broker,
            committer: self.committer,
            clock: self.clock,
            fs: self.fs,
            index_path: self.index_path,
            index: None,
            discard: false,
            applied: Offset::ZERO,
            unsynced_bytes: 0,
            known: Known::default(),
            recovered: self.recovered,
            next_tidy: Instant::now(),
            pause: FIRST_PAUSE,
            paused_until: None,
            stop: self.stop,
        };
        (client, task.run(mailbox))
    }
}

impl Task {
    async fn run(mut self, mut mailbox: mpsc::Receiver<ScheduleRequest>) {
        let (stop, mut appended) = (self.stop.clone(), self.log.appended());
        loop {
            appended.mark_unchanged();
            let wait = self.turn().await;
            tokio::select! {
                () = stop.cancelled() => break,
                Some(request) = mailbox.recv() => self.serve(request).await,
                _ = appended.changed(), if !wait.is_zero() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.close().await;
        // Close, then empty: a request that was just being sent when the mailbox was dropped would
        // stay in it, and its caller would wait for ever.
        mailbox.close();
        while mailbox.recv().await.is_some() {}
    }

    /// Does what is due; returns how long there is nothing to do.
    async fn turn(&mut self) -> Duration {
        if let Some(until) = self.paused_until {
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return left;
            }
            self.paused_until = None;
        }
        let turn = self.try_turn().await;
        self.recovered.cancel();
        match turn {
            Ok(wait) => {
                self.pause = FIRST_PAUSE;
                wait
            }
            Err(BrokerError::Draining) => LONGEST_SLEEP,
            Err(error) => self.pause_after(&error),
        }
    }

    fn pause_after(&mut self, error: &BrokerError) -> Duration {
        let pause = self.pause;
        tracing::error!(%error, ?pause, "scheduled messages are held up; they stay where they are");
        metrics::schedule_failures(1);
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        self.paused_until = Some(Instant::now() + pause);
        pause
    }

    async fn try_turn(&mut self) -> Result<Duration, BrokerError> {
        self.catch_up().await?;
        if !self.recovered.is_cancelled() {
            self.recover().await?;
        }
        if let Err(error) = self.tidy().await {
            tracing::warn!(%error, "the log of scheduled messages could not be tidied");
        }
        if self.is_due() && self.broker.can_deliver() {
            self.fire().await?;
        }
        Ok(self.wait())
    }

    fn is_due(&self) -> bool {
        self.known
            .next_due
            .is_some_and(|due| due <= self.clock.now())
    }

    fn wait(&self) -> Duration {
        match self.known.next_due {
            _ if !self.broker.can_deliver() => LONGEST_SLEEP,
            Some(due) => due.since(self.clock.now()).min(LONGEST_SLEEP),
            None => self.until_tidy().min(IDLE_SLEEP),
        }
    }

    /// Applies what the log holds and the index does not.
    pub(super) async fn catch_up(&mut self) -> Result<(), BrokerError> {
        self.open_index().await?;
        if self.applied == self.log.end() {
            return Ok(());
        }
        while self.applied < self.log.end() {
            let batch = self.log.read(self.applied).await?;
            if batch.next_offset <= self.applied {
                return Err(BrokerError::internal("a read of __schedule did not go on"));
            }
            self.unsynced_bytes += batch
                .lines
                .iter()
                .map(|line| line.bytes.len() as u64)
                .sum::<u64>();
            let mark = self.mark(batch.next_offset);
            let unknown = self
                .with_index(move |index| index.apply(&batch.lines, mark))
                .await?;
            if unknown > 0 {
                tracing::error!(
                    unknown,
                    "lines of __schedule say nothing known and were passed over"
                );
            }
            self.applied = mark.applied;
            if self.unsynced_bytes >= SYNC_BYTES {
                self.sync_index().await?;
            }
        }
        self.refresh().await
    }

    /// Asks the index again what is due next and what there is.
    pub(super) async fn refresh(&mut self) -> Result<(), BrokerError> {
        self.known = self.with_index(Index::known).await?;
        metrics::scheduled_messages(self.known.totals.messages);
        Ok(())
    }

    fn mark(&self, applied: Offset) -> Mark {
        Mark {
            incarnation: self.log.incarnation(),
            applied,
        }
    }

    /// Asks or changes the index, off the async workers. A failure closes it: it is opened anew and
    /// checked, and made anew if it is damaged.
    pub(super) async fn with_index<T: Send + 'static>(
        &mut self,
        ask: impl FnOnce(&Index) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, BrokerError> {
        let index = self.open_index().await?;
        let reason = match tokio::task::spawn_blocking(move || ask(&index)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => {
                self.discard = matches!(error, redb::Error::Corrupted(_));
                error.to_string()
            }
            Err(panicked) => {
                self.discard = true;
                panicked.to_string()
            }
        };
        self.index = None;
        Err(BrokerError::ScheduleIndex { reason })
    }

    async fn open_index(&mut self) -> Result<Arc<Index>, BrokerError> {
        if let Some(index) = &self.index {
            return Ok(index.clone());
        }
        let (fs, path, discard) = (self.fs.clone(), self.index_path.clone(), self.discard);
        let kept = (self.mark(self.log.start()), self.log.end());
        let open = move || {
            let usable = |mark: &Mark| {
                let (start, end) = kept;
                mark.incarnation == start.incarnation
                    && (start.applied..=end).contains(&mark.applied)
            };
            let (index, mark) = Index::open_or_begin(&*fs, &path, discard, usable)?;
            Ok((index.known()?, index, mark))
        };
        // Made anew if opening it panics, too.
        self.discard = true;
        let opened = tokio::task::spawn_blocking(open).await?;
        let failed = |error: redb::Error| BrokerError::ScheduleIndex {
            reason: error.to_string(),
        };
        let (known, index, mark) = opened.map_err(failed)?;
        self.discard = false;
        self.known = known;
        self.applied = mark.map_or(self.log.start(), |mark| mark.applied);
        let index = Arc::new(index);
        self.index = Some(index.clone());
        metrics::scheduled_messages(self.known.totals.messages);
        Ok(index)
    }

    pub(super) async fn sync_index(&mut self) -> Result<(), BrokerError> {
        if self.unsynced_bytes > 0 {
            self.with_index(Index::sync).await?;
            self.unsynced_bytes = 0;
        }
        Ok(())
    }

    /// The last lines are applied, so that the next start need not.
    async fn close(&mut self) {
        if let Err(error) = self.sync_index().await {
            tracing::warn!(%error, "the index of scheduled messages is made anew at the next start");
        }
        // Closing writes to the disk, too.
        let index = self.index.take();
        let _closed = tokio::task::spawn_blocking(move || drop(index)).await;
    }
}
