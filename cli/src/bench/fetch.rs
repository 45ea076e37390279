//! `weir bench fetch`: readers that replay a topic from its start, each of them all of it.

use super::clients::{self, Window};
use super::endpoint::Endpoint;
use super::fill::Filling;
use super::options::Common;
use super::reader::{Plan, read};
use super::replay::Filled;
use super::report::{Load, Report};
use super::topic::OwnTopic;
use crate::args::client;
use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use std::sync::Arc;
use std::time::Duration;
use weir_protocol::shapes::TopicInfo;
use weir_types::limits::{MAX_FETCH_BYTES, MAX_FETCH_RECORDS};

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
            let filling = Filling {
                messages: self.messages,
                payload_bytes: self.common.payload_bytes(),
                limit: Duration::from_secs(self.seconds),
            };
            let filled = filling.by_partition(&client, &topic).await?;
            let endpoint = Endpoint::messages_of(&client, broker, &topic.topic);
            self.measure(endpoint, topic, filled).await
        };
        let report = self.own_topic.used_by(&client, work).await?;
        output.show(&report, || report.text())
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
        let load = Load::Fetch {
            clients: self.clients,
            topic_messages: self.messages,
        };
        Ok(Report::new(load, &self.common, &topic, &run))
    }
}
