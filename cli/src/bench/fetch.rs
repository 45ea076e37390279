//! `weir bench fetch`: readers that replay a topic from its start, each of them all of it.

use super::clients::{self, Window};
use super::endpoint::Endpoint;
use super::options::Common;
use super::payload::push_payload;
use super::reader::{Plan, read};
use super::replay::Filled;
use super::report::{Load, Report};
use super::topic::OwnTopic;
use crate::args::client;
use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use weir_protocol::shapes::TopicInfo;
use weir_types::PartitionId;
use weir_types::limits::{MAX_FETCH_BYTES, MAX_FETCH_RECORDS};

const FILL_BATCH_BYTES: usize = 1024 * 1024;
/// For all readers to get going.
const START_UP: Duration = Duration::from_millis(100);

/// Fill a topic, then read it from the start without a group, every reader all of it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir bench fetch
  weir bench fetch --clients 4 --messages 1000000 --payload-bytes 1024
  weir bench fetch --partitions 4 --max-bytes 65536 --output json

Each reader has one connection and one request in flight, and gets the lines as they are stored.
Rates count what all readers got together; filling does not count. Every message is checked: a
reader that does not get each of them exactly once and in order fails the run. Makes a topic of its
own and deletes it, unless --keep. What was just written is read from memory (the page cache), not
from disk.")]
pub(crate) struct Fetch {
    /// Readers, each with a connection.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    clients: u64,
    /// Messages to fill the topic with.
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    messages: u64,
    /// Most messages in an answer.
    #[arg(long, default_value_t = MAX_FETCH_RECORDS as u64, value_parser = clap::value_parser!(u64).range(1..=MAX_FETCH_RECORDS as u64))]
    limit: u64,
    /// Most bytes in an answer.
    #[arg(long, default_value_t = 1024 * 1024, value_parser = clap::value_parser!(u64).range(1..=MAX_FETCH_BYTES as u64))]
    max_bytes: u64,
    /// Longest time for filling, and again for reading.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    #[command(flatten)]
    own_topic: OwnTopic,
    #[command(flatten)]
    pub(super) common: Common,
}

impl Fetch {
    pub(super) async fn run(self, broker: &str, output: Output) -> Result<(), Failure> {
        let client = client(broker)?;
        let work = |topic: TopicInfo| async {
            let filled = timeout(
                Duration::from_secs(self.seconds),
                self.fill(&client, &topic),
            );
            let filled = filled.await.map_err(|_| too_slow("filling the topic"))??;
            let endpoint = Endpoint::messages_of(&client, broker, &topic.topic);
            self.measure(endpoint, topic, filled).await
        };
        let report = self.own_topic.used_by(&client, work).await?;
        output.show(&report, || report.text())
    }

    /// Publishes partition after partition, so that offset and number of a message rise together.
    async fn fill(
        &self,
        client: &weir_client::Client,
        topic: &TopicInfo,
    ) -> Result<Vec<Filled>, Failure> {
        let partitions = u64::from(topic.settings.partitions);
        let mut first_number = 0;
        let mut all_filled = Vec::new();
        for partition in 0..topic.settings.partitions {
            let one_more = u64::from(u64::from(partition) < self.messages % partitions);
            let filled = Filled {
                partition: PartitionId(partition),
                messages: self.messages / partitions + one_more,
                first_number,
                payload_bytes: self.common.payload_bytes(),
            };
            for batch in batches(filled) {
                client.publish_batch(&topic.topic, batch.into()).await?;
            }
            first_number += filled.messages;
            all_filled.push(filled);
        }
        Ok(all_filled)
    }

    async fn measure(
        &self,
        endpoint: Endpoint,
        topic: TopicInfo,
        filled: Vec<Filled>,
    ) -> Result<Report, Failure> {
        let window = Window::after(START_UP, Duration::from_secs(self.seconds));
        let authority = endpoint.authority.clone();
        let plan = Arc::new(Plan {
            endpoint,
            filled,
            page: format!("limit={}&max_bytes={}", self.limit, self.max_bytes),
            window,
        });
        let readers = (0..self.clients).map(|_| {
            let plan = Arc::clone(&plan);
            async move { read(&plan).await }
        });
        let run = clients::run(&authority, self.common.pid, window, readers).await?;
        let load = Load {
            load: "fetch",
            clients: self.clients,
            payload_bytes: self.common.payload_bytes(),
            batch: None,
            topic_messages: Some(self.messages),
        };
        Ok(Report::new(load, &topic, &run))
    }
}

/// The NDJSON bodies that fill a partition.
fn batches(filled: Filled) -> impl Iterator<Item = Vec<u8>> {
    let lines = (FILL_BATCH_BYTES / filled.payload_bytes).clamp(1, 1000);
    let numbers = filled.first_number..filled.first_number + filled.messages;
    numbers.clone().step_by(lines).map(move |first| {
        let mut body = Vec::with_capacity(lines * (filled.payload_bytes + 32));
        for number in first..numbers.end.min(first + lines as u64) {
            let _infallible = write!(body, "{{\"partition\":{},\"payload\":", filled.partition);
            push_payload(&mut body, number, filled.payload_bytes);
            body.extend_from_slice(b"}\n");
        }
        body
    })
}

pub(super) fn too_slow(what: &str) -> Failure {
    Failure::Failed(format!("{what} took longer than --seconds"))
}
