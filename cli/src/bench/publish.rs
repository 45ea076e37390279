//! `weir bench publish` and `publish-batch`: clients that publish as fast as they are answered.

use super::clients::{self, Window};
use super::endpoint::Endpoint;
use super::options::Common;
use super::publisher::{Plan, publish};
use super::report::{Load, Report};
use super::request::Form;
use super::topic::{OwnTopic, until_interrupted};
use crate::args::client;
use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use weir_protocol::shapes::TopicInfo;
use weir_types::TopicName;
use weir_types::limits::{MAX_BATCH_BYTES, MAX_BATCH_LINES};

/// Publish a message a request, as fast as the broker answers.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir bench publish
  weir bench publish --clients 64 --payload-bytes 1024 --seconds 30 --output json
  weir bench publish --clients 1 --messages 10000 --durability os

Each client has one connection and one request in flight, and sends the next when it is answered
(closed loop). Runs until --seconds or --messages, whichever comes first, after --warmup seconds
that do not count. Makes a topic of its own and deletes it, unless --topic or --keep. The broker's
CPU, memory and disk writes are known when it runs on this machine; its peak memory is that since
it started.")]
pub(crate) struct Publish {
    /// Connections.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    clients: u64,
    #[command(flatten)]
    bounds: Bounds,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Publish in batches: a line a message, one request and one acknowledgement for all of them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir bench publish-batch
  weir bench publish-batch --clients 4 --batch 256 --partitions 4
  weir bench publish-batch --messages 1000000 --durability os --output json

Latency is that of the whole batch. All else is as in `weir bench publish`.")]
pub(crate) struct PublishBatch {
    /// Connections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    clients: u64,
    /// Messages in a request.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=MAX_BATCH_LINES as u64))]
    batch: u64,
    #[command(flatten)]
    bounds: Bounds,
    #[command(flatten)]
    pub(super) common: Common,
}

/// How long to publish, and where to.
#[derive(Debug, Args)]
struct Bounds {
    /// Longest measured time.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Time before measuring.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=3_600))]
    warmup: u64,
    /// Most messages to measure.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    messages: Option<u64>,
    /// Use this topic as it is, and keep it.
    #[arg(long, value_parser = TopicName::parse, conflicts_with_all = ["partitions", "durability", "keep"])]
    topic: Option<TopicName>,
    #[command(flatten)]
    own_topic: OwnTopic,
}

/// What the two commands have in common.
struct Publishing {
    form: Form,
    clients: u64,
    batch: u64,
    bounds: Bounds,
    common: Common,
}

impl Publish {
    pub(super) async fn run(self, broker: &str, output: Output) -> Result<(), Failure> {
        let publishing = Publishing {
            form: Form::Single,
            clients: self.clients,
            batch: 1,
            bounds: self.bounds,
            common: self.common,
        };
        publishing.run(broker, output).await
    }
}

impl PublishBatch {
    pub(super) async fn run(self, broker: &str, output: Output) -> Result<(), Failure> {
        let publishing = Publishing {
            form: Form::Batch,
            clients: self.clients,
            batch: self.batch,
            bounds: self.bounds,
            common: self.common,
        };
        let message_bytes = Form::Batch.bytes_per_message(publishing.common.payload_bytes());
        let batch_bytes = self.batch.saturating_mul(message_bytes as u64);
        if batch_bytes > MAX_BATCH_BYTES as u64 {
            let message = format!(
                "a batch of {batch_bytes} bytes; a broker takes at most {MAX_BATCH_BYTES}: \
                 lower --batch or --payload-bytes"
            );
            return Err(Failure::Usage(message));
        }
        publishing.run(broker, output).await
    }
}

impl Publishing {
    async fn run(self, broker: &str, output: Output) -> Result<(), Failure> {
        let client = client(broker)?;
        let measure = |topic: TopicInfo| async {
            let endpoint = Endpoint::messages_of(&client, broker, &topic.topic);
            self.measure(endpoint, topic).await
        };
        let report = match &self.bounds.topic {
            Some(topic) => until_interrupted(measure(client.topic(topic).await?)).await?,
            None => self.bounds.own_topic.used_by(&client, measure).await?,
        };
        output.show(&report, || report.text())?;
        if report.messages == 0 {
            return Err(Failure::Failed("no publish succeeded".into()));
        }
        Ok(())
    }

    async fn measure(&self, endpoint: Endpoint, topic: TopicInfo) -> Result<Report, Failure> {
        let seconds = Duration::from_secs;
        let window = Window::after(seconds(self.bounds.warmup), seconds(self.bounds.seconds));
        let authority = endpoint.authority.clone();
        let plan = Arc::new(Plan {
            endpoint,
            form: self.form,
            payload_bytes: self.common.payload_bytes(),
            batch: self.batch,
            window,
            remaining: AtomicU64::new(self.bounds.messages.unwrap_or(u64::MAX)),
            next_number: AtomicU64::new(0),
        });
        let clients = (0..self.clients).map(|_| {
            let plan = Arc::clone(&plan);
            async move { Ok(publish(&plan).await) }
        });
        let run = clients::run(&authority, self.common.pid, window, clients).await?;
        let load = match self.form {
            Form::Single => Load::Publish {
                clients: self.clients,
                batch: 1,
            },
            Form::Batch => Load::PublishBatch {
                clients: self.clients,
                batch: self.batch,
            },
        };
        Ok(Report::new(load, &self.common, &topic, &run))
    }
}
