//! Reading from the log without holding up the async workers: the file system may block.

use crate::broker::BrokerError;
use crate::metrics;
use crate::topic::Partition;
use weir_commitlog::{
    Finding, PartitionReader, RawBatch, ReadBatch, ReadLimits, StorageError, StoredLine,
};
use weir_types::{Offset, Timestamp};

/// Records that were written a moment ago are in the page cache: to read them takes less than to hand
/// the work to another thread.
const RECENT_RECORDS: u64 = 1024;

/// See [`weir_commitlog::PartitionReader::read`]; damage is logged and counted here, once for all.
pub(crate) async fn read(
    partition: &Partition,
    from: Offset,
    limits: ReadLimits,
) -> Result<ReadBatch, BrokerError> {
    let read = move |reader: &PartitionReader| reader.read(from, limits);
    let batch = perform(partition, from, read).await?;
    batch.damage.iter().for_each(report);
    Ok(batch)
}

/// See [`weir_commitlog::PartitionReader::read_raw`].
pub(crate) async fn read_raw(
    partition: &Partition,
    from: Offset,
    limits: ReadLimits,
) -> Result<RawBatch, BrokerError> {
    let read = move |reader: &PartitionReader| reader.read_raw(from, limits);
    let batch = perform(partition, from, read).await?;
    batch.damage.iter().for_each(report);
    Ok(batch)
}

async fn perform<T: Send + 'static>(
    partition: &Partition,
    from: Offset,
    read: impl FnOnce(&PartitionReader) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, BrokerError> {
    let reader = partition.reader();
    if reader.high_watermark().since(from) <= RECENT_RECORDS {
        return Ok(read(reader)?);
    }
    let reader = reader.clone();
    Ok(tokio::task::spawn_blocking(move || read(&reader)).await??)
}

/// The offset of the first record that is not older than `time`.
pub(crate) async fn offset_at(
    partition: &Partition,
    time: Timestamp,
) -> Result<Offset, BrokerError> {
    let reader = partition.reader().clone();
    Ok(tokio::task::spawn_blocking(move || reader.offset_at(time)).await??)
}

/// A single record, whatever its size.
const ONE: ReadLimits = ReadLimits {
    max_records: 1,
    max_bytes: 1,
};

/// The record at `offset`; `None` if no readable one is there.
pub(crate) async fn record_at(
    partition: &Partition,
    offset: Offset,
) -> Result<Option<StoredLine>, BrokerError> {
    let batch = read(partition, offset, ONE).await?;
    Ok(batch.lines.into_iter().find(|line| line.offset == offset))
}

/// Records of which others lie between are read with these, if they are no more.
const NEARBY: u64 = 32;

/// The records at `offsets`, in order of offset, as many as fit into `max_bytes`, at least one; with
/// `None` where no readable one is there.
pub(crate) async fn records_at(
    partition: &Partition,
    mut offsets: Vec<Offset>,
    max_bytes: usize,
) -> Result<Vec<(Offset, Option<StoredLine>)>, BrokerError> {
    offsets.sort_unstable();
    let mut found = Vec::with_capacity(offsets.len());
    let mut left_bytes = max_bytes;
    let mut rest = &offsets[..];
    while let Some(&first) = rest.first()
        && (found.is_empty() || left_bytes > 0)
    {
        let last = last_nearby(rest);
        let limits = ReadLimits {
            max_records: usize::try_from(last.since(first) + 1).unwrap_or(usize::MAX),
            max_bytes: left_bytes,
        };
        let batch = read(partition, first, limits).await?;
        left_bytes -= left_bytes.min(batch.lines.iter().map(|line| line.bytes.len()).sum());
        let passed = rest.partition_point(|&offset| offset < batch.next_offset);
        let (asked, further) = rest.split_at(passed.max(1));
        let mut lines = batch.lines.into_iter().peekable();
        for &offset in asked {
            while lines.next_if(|line| line.offset < offset).is_some() {}
            found.push((offset, lines.next_if(|line| line.offset == offset)));
        }
        rest = further;
    }
    Ok(found)
}

/// The last of the offsets that are read together with the first.
fn last_nearby(offsets: &[Offset]) -> Offset {
    let pairs = offsets.iter().zip(&offsets[1..]);
    let together = pairs.take_while(|(one, next)| next.since(**one) <= NEARBY);
    offsets[together.count()]
}

/// When the record at `offset`, or the next one that exists, was stored.
pub(crate) async fn timestamp_at(partition: &Partition, offset: Offset) -> Option<Timestamp> {
    let batch = read(partition, offset, ONE).await.ok()?;
    batch.lines.first().map(|line| line.timestamp)
}

fn report(damage: &Finding) {
    tracing::error!(%damage, "a stored record is damaged and was passed over");
    metrics::damaged_records(1);
}
