//! Command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Parser)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Measure one scenario once.
    Run(Box<RunArgs>),
    /// Print medians and ranges of the lines earlier runs wrote.
    Report { files: Vec<PathBuf> },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SystemName {
    Nats,
    Redis,
    Rabbit,
    Minimq,
    Http,
    #[cfg(feature = "iggy")]
    Iggy,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Each publisher keeps one message in flight and waits for its durable ack.
    Publish,
    /// Each publisher keeps `--batch` messages in flight.
    PublishBatch,
    /// Drain a backlog of `--messages` through a group of consumers that ack.
    Consume,
    /// Each consumer reads a topic of `--messages` from its start, outside any group.
    Fetch,
    /// A steady `--rate`, timed from the send to the arrival at a live consumer.
    E2e,
}

impl Scenario {
    pub fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::PublishBatch => "publish-batch",
            Self::Consume => "consume",
            Self::Fetch => "fetch",
            Self::E2e => "e2e",
        }
    }
}

#[derive(Args, Clone)]
pub struct RunArgs {
    #[arg(long, value_enum)]
    pub system: SystemName,
    #[arg(long, value_enum)]
    pub scenario: Scenario,
    /// Name of this configuration in the report, such as `redis-always`.
    #[arg(long)]
    pub label: String,
    /// Host and port of the broker. Only loopback is accepted.
    #[arg(long)]
    pub addr: std::net::SocketAddr,
    /// Process of the broker, read in /proc for CPU, memory and disk writes. Repeatable.
    #[arg(long = "pid")]
    pub pids: Vec<u32>,
    /// File to append the result to, as one JSON line.
    #[arg(long)]
    pub out: Option<PathBuf>,

    #[arg(long, default_value_t = 1)]
    pub publishers: usize,
    #[arg(long, default_value_t = 1)]
    pub consumers: usize,
    /// Messages per batch (publish-batch and backlogs).
    #[arg(long, default_value_t = 256)]
    pub batch: usize,
    /// Most messages a consumer takes and acks at once.
    #[arg(long, default_value_t = 256)]
    pub take: usize,
    /// Backlog of consume and fetch; upper bound of the publish scenarios.
    #[arg(long, default_value_t = 5_000_000)]
    pub messages: u64,
    /// Bytes of one payload, a JSON object.
    #[arg(long, default_value_t = 200)]
    pub size: usize,
    /// Measured time; upper bound of consume and fetch.
    #[arg(long, default_value_t = 4.0)]
    pub seconds: f64,
    /// Time before the measured window of the publish scenarios.
    #[arg(long, default_value_t = 0.5)]
    pub warmup: f64,
    /// Messages per second of e2e.
    #[arg(long, default_value_t = 1000)]
    pub rate: u64,

    /// RabbitMQ: `classic` or `quorum`.
    #[arg(long, default_value = "classic")]
    pub queue_type: String,
    /// Iggy: partitions of the topic.
    #[arg(long, default_value_t = 1)]
    pub partitions: u32,

    #[command(flatten)]
    pub http: HttpArgs,
}

/// How the generic HTTP driver speaks. `{{topic}}` stands for a name that is new in each
/// run, `{{payload}}` for the JSON object, `{{payload_str}}` for it as a JSON string,
/// `{{max}}` for `--take`, `{{consumer}}` for the consumer's number, `{{ack}}` for the JSON array of
/// what `--ack-member` found in the last answer.
#[derive(Args, Clone)]
pub struct HttpArgs {
    /// PUT or POST once before the run, to create the topic. None by default.
    #[arg(long)]
    pub create_path: Option<String>,
    #[arg(long, default_value = "POST")]
    pub create_method: String,
    #[arg(long, default_value = "")]
    pub create_body: String,
    #[arg(long, default_value = "/publish")]
    pub publish_path: String,
    #[arg(long, default_value = "{{payload}}")]
    pub publish_body: String,
    /// Endpoint that takes many messages in one body. None by default.
    #[arg(long)]
    pub batch_path: Option<String>,
    #[arg(long, default_value = "application/x-ndjson")]
    pub batch_content_type: String,
    #[arg(long, default_value = "")]
    pub batch_open: String,
    #[arg(long, default_value = "{{payload}}")]
    pub batch_item: String,
    #[arg(long, default_value = "\n")]
    pub batch_separator: String,
    #[arg(long, default_value = "")]
    pub batch_close: String,
    #[arg(long, default_value = "GET")]
    pub consume_method: String,
    #[arg(long, default_value = "/consume?topic={{topic}}&max={{max}}")]
    pub consume_path: String,
    #[arg(long, default_value = "")]
    pub consume_body: String,
    /// GET it to read without a group. `{{next}}` is `--fetch-first`, then the header
    /// `--fetch-next-header` of the last answer. None by default.
    #[arg(long)]
    pub fetch_path: Option<String>,
    #[arg(long, default_value = "application/x-ndjson")]
    pub fetch_accept: String,
    #[arg(long, default_value = "earliest")]
    pub fetch_first: String,
    #[arg(long, default_value = "weir-next")]
    pub fetch_next_header: String,
    /// DELETE it after the run, to free the space. None by default.
    #[arg(long)]
    pub delete_path: Option<String>,
    /// PUT it once before the run, to create the group. None by default.
    #[arg(long)]
    pub group_path: Option<String>,
    /// Member of each message whose text acknowledges it, one without escapes. It is found by
    /// scanning, because the generator shares the processors with the broker.
    #[arg(long, default_value = "receipt")]
    pub ack_member: String,
    /// Send acknowledgements there, on a connection of their own: the next messages are asked for
    /// while one is on its way. None by default.
    #[arg(long)]
    pub ack_path: Option<String>,
    /// What an answer must hold as often as messages were acknowledged.
    #[arg(long)]
    pub ack_done: Option<String>,
    #[arg(long, default_value = "POST")]
    pub ack_method: String,
    #[arg(long, default_value = "")]
    pub ack_body: String,
    /// Consume from this server-sent event stream instead.
    #[arg(long)]
    pub sse_path: Option<String>,
    /// Pause after an empty answer, for brokers without long polling.
    #[arg(long, default_value_t = 1)]
    pub poll_ms: u64,
}
