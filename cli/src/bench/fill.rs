//! Fills a topic with numbered messages before they are read.

use super::payload::push_payload;
use super::replay::Filled;
use crate::failure::Failure;
use std::io::Write;
use std::num::NonZeroU64;
use std::ops::Range;
use std::time::Duration;
use tokio::time::timeout;
use weir_client::Client;
use weir_protocol::shapes::TopicInfo;
use weir_types::PartitionId;

const FILL_BATCH_BYTES: usize = 1024 * 1024;

/// What a topic is filled with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filling {
    pub(crate) messages: u64,
    pub(crate) payload_bytes: usize,
    /// No longer than this.
    pub(crate) limit: Duration,
}

impl Filling {
    /// Publishes partition after partition, so that offset and number of a message rise together.
    pub(crate) async fn by_partition(
        self,
        client: &Client,
        topic: &TopicInfo,
    ) -> Result<Vec<Filled>, Failure> {
        let work = async {
            let mut all_filled = Vec::new();
            for filled in self.share(topic.settings.partitions) {
                let numbers = filled.first_number..filled.first_number + filled.messages;
                let place = |_| format!("\"partition\":{}", filled.partition);
                self.publish(client, topic, numbers, place).await?;
                all_filled.push(filled);
            }
            Ok(all_filled)
        };
        self.in_time(work).await
    }

    /// Publishes with `keys` keys: message `n` has the key `n % keys`.
    pub(crate) async fn by_key(
        self,
        client: &Client,
        topic: &TopicInfo,
        keys: NonZeroU64,
    ) -> Result<(), Failure> {
        let key = |number| format!("\"key\":\"key-{}\"", number % keys);
        self.in_time(self.publish(client, topic, 0..self.messages, key))
            .await
    }

    /// What each partition gets.
    fn share(self, partitions: u32) -> impl Iterator<Item = Filled> {
        let count = u64::from(partitions);
        let mut first_number = 0;
        (0..partitions).map(move |partition| {
            let one_more = u64::from(u64::from(partition) < self.messages % count);
            let filled = Filled {
                partition: PartitionId(partition),
                messages: self.messages / count + one_more,
                first_number,
                payload_bytes: self.payload_bytes,
            };
            first_number += filled.messages;
            filled
        })
    }

    /// Publishes in batches; `place` gives the member that says where a message goes.
    async fn publish(
        self,
        client: &Client,
        topic: &TopicInfo,
        numbers: Range<u64>,
        place: impl Fn(u64) -> String,
    ) -> Result<(), Failure> {
        let lines = (FILL_BATCH_BYTES / self.payload_bytes).clamp(1, 1000) as u64;
        let mut first = numbers.start;
        while first < numbers.end {
            let end = numbers.end.min(first + lines);
            let mut body = Vec::with_capacity(FILL_BATCH_BYTES + 64 * 1024);
            for number in first..end {
                let _infallible = write!(body, "{{{},\"payload\":", place(number));
                push_payload(&mut body, number, self.payload_bytes);
                body.extend_from_slice(b"}\n");
            }
            client.publish_batch(&topic.topic, body.into()).await?;
            first = end;
        }
        Ok(())
    }

    async fn in_time<T>(
        self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let done = timeout(self.limit, work).await;
        done.map_err(|_| too_slow("filling the topic"))?
    }
}

pub(crate) fn too_slow(what: &str) -> Failure {
    Failure::Failed(format!("{what} took longer than --seconds"))
}
