//! The log of waiting messages: appended to through ordinary commit rounds, read by offset.

use super::line::Line;
use crate::broker::BrokerError;
use crate::committer::Committer;
use crate::reads;
use crate::topic::{Partition, TopicCore};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use weir_commitlog::{Operation, ReadBatch, ReadLimits, StorageError, StoredLine};
use weir_types::{
    ByteCount, Durability, DurationText, Incarnation, MessageId, Offset, TopicName, TopicSettings,
};

/// Bytes of lines that are applied to the index at a time.
const READ_BYTES: usize = 1 << 20;
const READ_RECORDS: usize = 4096;

/// How the log is kept: small segments, because a segment stays as long as one message in it waits,
/// and no age, because what is no longer needed is told by the floor.
pub(crate) fn log_settings() -> TopicSettings {
    TopicSettings {
        partitions: 1,
        retention_age: DurationText(Duration::from_secs(1)),
        retention_bytes: ByteCount(u64::MAX),
        segment_bytes: ByteCount(4 << 20),
        durability: Durability::Fsync,
        ..TopicSettings::default()
    }
}

/// The log. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Log {
    core: Arc<TopicCore>,
    committer: Committer,
}

impl Log {
    pub(super) fn new(core: Arc<TopicCore>, committer: Committer) -> Self {
        Self { core, committer }
    }

    fn partition(&self) -> &Partition {
        &self.core.partitions()[0]
    }

    pub(super) fn incarnation(&self) -> Incarnation {
        self.core.incarnation()
    }

    /// A receiver that changes whenever lines were appended.
    pub(super) fn appended(&self) -> watch::Receiver<()> {
        self.core.appended()
    }

    /// The offset of the next line.
    pub(super) fn end(&self) -> Offset {
        self.partition().reader().high_watermark()
    }

    pub(super) fn start(&self) -> Offset {
        self.partition().reader().log_start_offset()
    }

    /// Bytes of all lines, waiting or not.
    pub(super) fn bytes(&self) -> u64 {
        self.partition().reader().bytes()
    }

    /// Appends lines; returns when they are durable.
    pub(super) async fn append(&self, lines: &[Line<'_>]) -> Result<(), BrokerError> {
        let id = || MessageId::from_bits(fastrand::u128(..));
        let records = lines.iter().map(|line| line.record(id()));
        let records = records
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| BrokerError::internal(e.to_string()))?;
        let operation = Operation::Append {
            partition: self.partition().key(),
            records,
        };
        let wake = [self.core.clone()].into();
        let ticket = self.committer.submit([operation].into(), wake).await;
        ticket.durable().await.map(drop)
    }

    /// Lines from an offset on; some at least, if there are any.
    pub(super) async fn read(&self, from: Offset) -> Result<ReadBatch, BrokerError> {
        let limits = ReadLimits {
            max_records: READ_RECORDS,
            max_bytes: READ_BYTES,
        };
        reads::read(self.partition(), from, limits).await
    }

    /// The lines at these offsets, up to `max_bytes` of them, at least one: as many as are returned,
    /// from the first on. `None` for one that cannot be read.
    pub(super) async fn read_each(
        &self,
        offsets: Vec<Offset>,
        max_bytes: usize,
    ) -> Result<Vec<Option<StoredLine>>, BrokerError> {
        let reader = self.partition().reader().clone();
        let one = ReadLimits {
            max_records: 1,
            max_bytes: 1,
        };
        let read = move || {
            let (mut lines, mut bytes) = (Vec::with_capacity(offsets.len()), 0);
            for offset in offsets {
                if bytes >= max_bytes {
                    break;
                }
                let batch = reader.read(offset, one)?;
                let line = batch.lines.into_iter().next();
                let line = line.filter(|line| line.offset == offset);
                bytes += line.as_ref().map_or(0, |line| line.bytes.len());
                lines.push(line);
            }
            Ok::<_, StorageError>(lines)
        };
        Ok(tokio::task::spawn_blocking(read).await??)
    }

    /// Removes sealed segments that lie before `floor`.
    pub(super) async fn trim(&self, floor: Offset) -> Result<(), BrokerError> {
        let name = TopicName::schedule_log();
        let trimmed = self.committer.maintain_topic(name, vec![floor]).await?;
        if trimmed.records > 0 {
            let lines = trimmed.records;
            tracing::debug!(lines, "trimmed the log of scheduled messages");
        }
        Ok(())
    }
}
