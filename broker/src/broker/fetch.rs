//! Reading by offset, without any group: fetch and streams.

use super::{Broker, BrokerError};
use crate::reads;
use crate::topic::{Partition, Topic};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_commitlog::{Gap, RawBatch, ReadLimits, StoredLine};
use weir_protocol::Cursor;
use weir_types::{Offset, PartitionId, Timestamp, TopicName};

/// Where reading begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the oldest record of each partition.
    Earliest,
    /// After the newest record of each partition.
    Latest,
    /// At an offset; only with an explicit partition.
    Offset(Offset),
    /// At the first record that is not older than this.
    Time(Timestamp),
    /// Where an earlier read ended. Partitions that it does not name begin at the earliest.
    Cursor(Cursor),
}

/// What to read.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// One partition, or all.
    pub partition: Option<PartitionId>,
    /// Where to begin.
    pub from: ReadFrom,
    /// Messages returned at most.
    pub max_records: usize,
    /// Bytes of messages returned at most; the first one is returned whatever its size.
    pub max_bytes: usize,
}

/// Offsets that a read passed over, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchedGap {
    /// Its partition.
    pub partition: PartitionId,
    /// Which offsets, and why.
    pub gap: Gap,
}

/// A record and where it lies.
#[derive(Clone, Debug)]
pub struct FetchedLine {
    /// Its partition.
    pub partition: PartitionId,
    /// The stored line.
    pub line: StoredLine,
}

/// What a fetch returns.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The topic, as it is called.
    pub topic: TopicName,
    /// What was read.
    pub read: Fragment,
    /// Where to read on.
    pub next: Cursor,
}

/// Some records, and what lay between them.
#[derive(Clone, Debug, Default)]
pub struct Fragment {
    /// In order within each partition.
    pub lines: Vec<FetchedLine>,
    /// In order within each partition.
    pub gaps: Vec<FetchedGap>,
}

impl Fragment {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.gaps.is_empty()
    }
}

/// Follows one topic; see [`StreamReader::next`].
#[derive(Debug)]
pub struct StreamReader {
    topic: Arc<Topic>,
    partitions: Vec<Partition>,
    next: BTreeMap<PartitionId, Offset>,
    limits: ReadLimits,
    appended: watch::Receiver<()>,
    draining: CancellationToken,
}

impl Broker {
    /// Reads without a group. Waits up to `wait` for a first message; then the answer may be empty.
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`] and its like, a stale cursor, or the storage engine's.
    pub async fn fetch(
        &self,
        topic: &TopicName,
        request: &FetchRequest,
        wait: Duration,
    ) -> Result<Fetched, BrokerError> {
        let mut reader = self.stream(topic, request).await?;
        let read = reader.next(wait).await?.unwrap_or_default();
        Ok(Fetched {
            topic: reader.topic().clone(),
            read,
            next: reader.cursor(),
        })
    }

    /// Like [`Broker::fetch`], but with the lines of one partition as they are stored; of the first
    /// one if the request names none.
    ///
    /// # Errors
    /// Like [`Broker::fetch`].
    pub async fn fetch_stored(
        &self,
        topic: &TopicName,
        request: &FetchRequest,
        wait: Duration,
    ) -> Result<(RawBatch, Cursor), BrokerError> {
        let mut reader = self.stream(topic, request).await?;
        let batch = reader.next_stored(wait).await?;
        Ok((batch, reader.cursor()))
    }

    /// Opens a reader that follows a topic.
    ///
    /// # Errors
    /// Like [`Broker::fetch`].
    pub async fn stream(
        &self,
        topic: &TopicName,
        request: &FetchRequest,
    ) -> Result<StreamReader, BrokerError> {
        let topic = self.topic(topic)?;
        topic.core().used(self.shared.clock.now());
        let partitions = chosen_partitions(&topic, request.partition)?;
        let next = begin(&topic, &partitions, request).await?;
        Ok(StreamReader {
            appended: topic.core().appended(),
            draining: self.shared.draining.clone(),
            limits: ReadLimits {
                max_records: request.max_records,
                max_bytes: request.max_bytes,
            },
            partitions,
            next,
            topic,
        })
    }
}

fn chosen_partitions(
    topic: &Topic,
    partition: Option<PartitionId>,
) -> Result<Vec<Partition>, BrokerError> {
    let all = topic.core().partitions();
    let Some(partition) = partition else {
        return Ok(all.to_vec());
    };
    let unknown = || BrokerError::UnknownPartition {
        topic: topic.core().name().clone(),
        partition,
        partitions: topic.core().settings().partitions,
    };
    all.get(partition.0 as usize)
        .map(|one| vec![one.clone()])
        .ok_or_else(unknown)
}

/// Where a group goes on in each partition: not before the oldest record, and not beyond the end.
pub(super) async fn places(
    topic: &Topic,
    partition: Option<PartitionId>,
    from: &ReadFrom,
) -> Result<Vec<(PartitionId, Offset)>, BrokerError> {
    let partitions = chosen_partitions(topic, partition)?;
    let request = FetchRequest {
        partition,
        from: from.clone(),
        max_records: 0,
        max_bytes: 0,
    };
    let next = begin(topic, &partitions, &request).await?;
    for partition in &partitions {
        let end = partition.reader().high_watermark();
        if next.get(&partition.id()).is_some_and(|next| *next > end) {
            return Err(BrokerError::BeyondEnd {
                partition: partition.id(),
                end,
            });
        }
    }
    let oldest = |id: PartitionId| {
        let partition = partitions.iter().find(|partition| partition.id() == id);
        partition.map_or(Offset::ZERO, |partition| {
            partition.reader().log_start_offset()
        })
    };
    Ok(next
        .into_iter()
        .map(|(id, offset)| (id, offset.max(oldest(id))))
        .collect())
}

async fn begin(
    topic: &Topic,
    partitions: &[Partition],
    request: &FetchRequest,
) -> Result<BTreeMap<PartitionId, Offset>, BrokerError> {
    check_begin(topic, request)?;
    let mut next = BTreeMap::new();
    for partition in partitions {
        let reader = partition.reader();
        let offset = match &request.from {
            ReadFrom::Earliest => reader.log_start_offset(),
            ReadFrom::Latest => reader.high_watermark(),
            ReadFrom::Offset(offset) => *offset,
            ReadFrom::Time(time) => reads::offset_at(partition, *time).await?,
            ReadFrom::Cursor(cursor) => match cursor.next.get(&partition.id()) {
                Some(offset) => *offset,
                None => reader.log_start_offset(),
            },
        };
        next.insert(partition.id(), offset);
    }
    Ok(next)
}

/// Whether the request says a place that this topic has.
fn check_begin(topic: &Topic, request: &FetchRequest) -> Result<(), BrokerError> {
    match &request.from {
        ReadFrom::Offset(_) if request.partition.is_none() => {
            Err(BrokerError::OffsetWithoutPartition)
        }
        ReadFrom::Cursor(cursor) if cursor.incarnation != topic.core().incarnation() => {
            Err(BrokerError::StaleCursor {
                topic: topic.core().name().clone(),
            })
        }
        _ => Ok(()),
    }
}

/// Why a reader that had nothing to return goes on.
enum Waited {
    Appended,
    TimedOut,
    /// The topic was deleted or the broker drains.
    Ended,
}

impl StreamReader {
    /// The topic that is read.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        self.topic.core().name()
    }

    /// Where reading goes on after everything that was returned.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor {
            incarnation: self.topic.core().incarnation(),
            next: self.next.clone(),
        }
    }

    /// The next messages. Empty when `wait` ran out; `None` when the topic was deleted or the
    /// broker drains, after everything that is there was returned. Cancel-safe: what was not
    /// returned is returned by the next call.
    ///
    /// # Errors
    /// The storage engine's.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<Fragment>, BrokerError> {
        let until = Instant::now() + wait;
        loop {
            self.appended.mark_unchanged();
            let read = self.read_all().await?;
            if !read.is_empty() {
                self.topic.core().metrics().fetched(read.lines.len());
                return Ok(Some(read));
            }
            match self.wait(until).await {
                Waited::Ended => return Ok(None),
                Waited::TimedOut => return Ok(Some(Fragment::default())),
                Waited::Appended => {}
            }
        }
    }

    async fn wait(&mut self, until: Instant) -> Waited {
        tokio::select! {
            () = self.topic.closed().cancelled() => Waited::Ended,
            () = self.draining.cancelled() => Waited::Ended,
            () = tokio::time::sleep_until(until) => Waited::TimedOut,
            _ = self.appended.changed() => Waited::Appended,
        }
    }

    /// The next lines of the first partition, as they are stored. Empty when `wait` ran out, the
    /// topic was deleted or the broker drains.
    async fn next_stored(&mut self, wait: Duration) -> Result<RawBatch, BrokerError> {
        let partition = self.partitions[0].clone();
        let until = Instant::now() + wait;
        loop {
            self.appended.mark_unchanged();
            let from = self.next.get(&partition.id()).copied().unwrap_or_default();
            let batch = reads::read_raw(&partition, from, self.limits).await?;
            if batch.next_offset > from {
                self.next.insert(partition.id(), batch.next_offset);
                self.topic.core().metrics().fetched(batch.records);
                return Ok(batch);
            }
            match self.wait(until).await {
                Waited::Ended | Waited::TimedOut => return Ok(batch),
                Waited::Appended => {}
            }
        }
    }

    /// Reads what is there, sharing the limits fairly between the partitions.
    async fn read_all(&mut self) -> Result<Fragment, BrokerError> {
        let mut read = Fragment::default();
        let lines = &mut read.lines;
        let mut next = self.next.clone();
        let mut left = self.limits;
        for (index, partition) in self.in_turn().enumerate() {
            let share = share(left, self.partitions.len() - index);
            let from = next.get(&partition.id()).copied().unwrap_or_default();
            let pending = from < partition.reader().high_watermark();
            if !pending || left.max_records == 0 || (left.max_bytes == 0 && !lines.is_empty()) {
                continue;
            }
            let batch = reads::read(partition, from, share).await?;
            let first_bytes = batch.lines.first().map_or(0, |line| line.bytes.len());
            if !lines.is_empty() && first_bytes > left.max_bytes {
                continue;
            }
            next.insert(partition.id(), batch.next_offset);
            read.gaps
                .extend(batch.gaps.into_iter().map(|gap| FetchedGap {
                    partition: partition.id(),
                    gap,
                }));
            for line in batch.lines {
                left.max_records -= 1;
                left.max_bytes = left.max_bytes.saturating_sub(line.bytes.len());
                lines.push(FetchedLine {
                    partition: partition.id(),
                    line,
                });
            }
        }
        self.next = next;
        Ok(read)
    }

    /// The partitions, from another one on each time something was read: where the limits are
    /// smaller than what waits, all get their turn, over separate fetches too.
    fn in_turn(&self) -> impl Iterator<Item = &Partition> {
        let read = self.next.values().map(|offset| u128::from(offset.0));
        let turn = read.sum::<u128>() % self.partitions.len() as u128;
        let (before, from) = self.partitions.split_at(usize::try_from(turn).unwrap_or(0));
        from.iter().chain(before)
    }

    /// Whether the broker stops: then the client reads on elsewhere, or later, from its cursor.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }
}

/// What the next of `partitions` partitions may use of what is left.
fn share(left: ReadLimits, partitions: usize) -> ReadLimits {
    ReadLimits {
        max_records: left.max_records.div_ceil(partitions),
        max_bytes: left.max_bytes.div_ceil(partitions),
    }
}
