//! Reading from the log without holding up the async workers: the file system may block.

use crate::broker::BrokerError;
use crate::metrics;
use crate::topic::Partition;
use weir_commitlog::{Finding, RawBatch, ReadBatch, ReadLimits};
use weir_types::{Offset, Timestamp};

/// See [`weir_commitlog::PartitionReader::read`]; damage is logged and counted here, once for all.
pub(crate) async fn read(
    partition: &Partition,
    from: Offset,
    limits: ReadLimits,
) -> Result<ReadBatch, BrokerError> {
    let reader = partition.reader().clone();
    let batch = tokio::task::spawn_blocking(move || reader.read(from, limits)).await??;
    batch.damage.iter().for_each(report);
    Ok(batch)
}

/// See [`weir_commitlog::PartitionReader::read_raw`].
pub(crate) async fn read_raw(
    partition: &Partition,
    from: Offset,
    limits: ReadLimits,
) -> Result<RawBatch, BrokerError> {
    let reader = partition.reader().clone();
    let batch = tokio::task::spawn_blocking(move || reader.read_raw(from, limits)).await??;
    batch.damage.iter().for_each(report);
    Ok(batch)
}

/// The offset of the first record that is not older than `time`.
pub(crate) async fn offset_at(
    partition: &Partition,
    time: Timestamp,
) -> Result<Offset, BrokerError> {
    let reader = partition.reader().clone();
    Ok(tokio::task::spawn_blocking(move || reader.offset_at(time)).await??)
}

/// When the record at `offset`, or the next one that exists, was stored.
pub(crate) async fn timestamp_at(partition: &Partition, offset: Offset) -> Option<Timestamp> {
    let one = ReadLimits {
        max_records: 1,
        max_bytes: 1,
    };
    let batch = read(partition, offset, one).await.ok()?;
    batch.lines.first().map(|line| line.timestamp)
}

fn report(damage: &Finding) {
    tracing::error!(%damage, "a stored record is damaged and was passed over");
    metrics::damaged_records(1);
}
