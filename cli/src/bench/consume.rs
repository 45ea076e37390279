//! `weir bench consume`: a backlog drained through one consumer group.

use super::arrivals::Arrivals;
use super::clients::{self, Window};
use super::consumer::{Pipeline, Plan, consume};
use super::endpoint::Endpoint;
use super::fill::Filling;
use super::options::Common;
use super::report::{Load, Report};
use super::request::post_nothing;
use super::topic::OwnTopic;
use crate::args::client;
use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;
use weir_client::Client;
use weir_protocol::shapes::TopicInfo;
use weir_types::limits::{MAX_FETCH_BYTES, MAX_FETCH_RECORDS};

/// For all consumers to get going.
const START_UP: Duration = Duration::from_millis(100);

/// Fill a topic, then drain it through one consumer group that acknowledges each message.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir bench consume
  weir bench consume --consumers 4 --keys 1000
  weir bench consume --lease 16 --pipeline off --output json

Each consumer leases up to --lease messages with one request, and acknowledges all of them with one
request; an acknowledgement that was answered is on disk. As good clients do, a consumer asks for the
next messages while the acknowledgement is on its way on a second connection, so it holds two leases
at most; with --pipeline off it waits for the answer first.

The rate is that of acknowledged messages, from the first lease to the last ack, by all consumers
together; filling does not count. Every message is checked by its number: one that did not arrive
fails the run, one that came twice is counted. With --keys the messages have that many keys in turn,
and those that came before an earlier one of their key are counted too. Latency is that of a lease
that brought messages, and of an ack. Makes a topic of its own and deletes it, unless --keep.")]
pub(crate) struct Consume {
    /// Consumers of the group.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    consumers: u64,
    /// Messages to fill the topic with.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    messages: u64,
    /// Most messages in a lease, and in an ack.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=MAX_FETCH_RECORDS as u64))]
    lease: u64,
    /// Whether the next lease goes out while the ack is on its way.
    #[arg(long, value_enum, default_value = "on")]
    pipeline: Pipeline,
    /// Keys of the messages; 0 for messages without one.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
    keys: u64,
    /// Longest time for filling, and again for consuming.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    #[command(flatten)]
    own_topic: OwnTopic,
    #[command(flatten)]
    pub(super) common: Common,
}

impl Consume {
    pub(super) async fn run(self, broker: &str, output: Output) -> Result<(), Failure> {
        let client = client(broker)?;
        let work = |topic: TopicInfo| async {
            self.fill(&client, &topic).await?;
            let endpoint = Endpoint::group_of(&client, broker, &topic.topic);
            self.measure(endpoint, topic).await
        };
        let report = self.own_topic.used_by(&client, work).await?;
        output.show(&report, || report.text())?;
        report.all_delivered()
    }

    async fn fill(&self, client: &Client, topic: &TopicInfo) -> Result<(), Failure> {
        let filling = Filling {
            messages: self.messages,
            payload_bytes: self.common.payload_bytes(),
            limit: Duration::from_secs(self.seconds),
        };
        match NonZeroU64::new(self.keys) {
            Some(keys) => filling.by_key(client, topic, keys).await,
            None => filling.by_partition(client, topic).await.map(|_| ()),
        }
    }

    async fn measure(&self, endpoint: Endpoint, topic: TopicInfo) -> Result<Report, Failure> {
        let window = Window::after(START_UP, Duration::from_secs(self.seconds));
        let authority = endpoint.authority.clone();
        let lease = format!(
            "/lease?max={}&max_bytes={MAX_FETCH_BYTES}&wait=1s",
            self.lease
        );
        let plan = Arc::new(Plan {
            lease: post_nothing(&endpoint, &lease),
            endpoint,
            pipeline: self.pipeline,
            arrivals: Arrivals::new(self.messages, NonZeroU64::new(self.keys)),
            window,
        });
        let consumers = (0..self.consumers).map(|_| {
            let plan = Arc::clone(&plan);
            async move { consume(&plan).await }
        });
        let run = clients::run(&authority, self.common.pid, window, consumers).await?;
        let load = Load::Consume {
            consumers: self.consumers,
            lease: self.lease,
            pipeline: self.pipeline,
            keys: self.keys,
        };
        let report = Report::new(load, &self.common, &topic, &run);
        Ok(report.with_delivery(plan.arrivals.delivery()))
    }
}
