//! `weir bench publish`: clients that publish as fast as they are answered.

use super::broker_process::{self, Usage};
use super::connection::Target;
use super::payload::MIN_PAYLOAD_BYTES;
use super::report::{BrokerUse, LatencyMicros, Report};
use super::worker::{self, Measured, Plan};
use crate::args::client;
use crate::failure::Failure;
use crate::output::{Output, note};
use clap::Args;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use weir_client::Client;
use weir_protocol::shapes::TopicInfo;
use weir_types::limits::{DEFAULT_MAX_PAYLOAD_BYTES, MAX_BATCH_LINES};
use weir_types::{Durability, TopicName, TopicSettingsChange};

const PAYLOAD_BYTES: std::ops::RangeInclusive<i64> =
    MIN_PAYLOAD_BYTES as i64..=DEFAULT_MAX_PAYLOAD_BYTES as i64;

/// Publish as fast as the broker answers, and report speed, latency and what the broker used.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir bench publish
  weir bench publish --clients 64 --payload-bytes 200 --seconds 30 --output json
  weir bench publish --batch 100 --messages 1000000 --durability os

Each client has one connection and one request in flight, and sends the next when it is answered
(closed loop). Runs until --seconds or --messages, whichever comes first, after --warmup seconds
that do not count. Makes a topic of its own and deletes it, unless --topic or --keep. The broker's
CPU and memory are known when it runs on this machine.")]
pub(crate) struct Publish {
    /// Connections.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    clients: u64,
    /// Size of each payload.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(PAYLOAD_BYTES))]
    payload_bytes: u32,
    /// Messages in a request.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MAX_BATCH_LINES as u64))]
    batch: u64,
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
    #[arg(long, value_parser = TopicName::parse, conflicts_with_all = ["partitions", "durability"])]
    topic: Option<TopicName>,
    /// Partitions of the topic to be made.
    #[arg(long, default_value_t = 1)]
    partitions: u32,
    /// Durability of the topic to be made.
    #[arg(long, default_value = "fsync")]
    durability: Durability,
    /// Keep the topic that was made.
    #[arg(long)]
    keep: bool,
    /// The broker's process, if it cannot be found by its port.
    #[arg(long)]
    pid: Option<u32>,
    /// Threads of the load generator.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) threads: u16,
}

pub(crate) async fn run(broker: &str, output: Output, args: Publish) -> Result<(), Failure> {
    let client = client(broker)?;
    let topic = prepare_topic(&client, &args).await?;
    let report = tokio::select! {
        report = measure(broker, &client, &args, &topic) => Some(report),
        _ = tokio::signal::ctrl_c() => None,
    };
    if args.topic.is_none() && !args.keep {
        client.delete_topic(&topic.topic).await?;
    }
    let Some(report) = report else {
        return Err(Failure::Failed("interrupted before the end".into()));
    };
    let report = report?;
    output.show(&report, || report.text())?;
    if report.messages == 0 {
        return Err(Failure::Failed("no publish succeeded".into()));
    }
    Ok(())
}

async fn prepare_topic(client: &Client, args: &Publish) -> Result<TopicInfo, Failure> {
    if let Some(topic) = &args.topic {
        return Ok(client.topic(topic).await?);
    }
    let name = format!("bench-{:08x}", fastrand::u32(..));
    let topic = TopicName::parse(&name).map_err(|e| Failure::Failed(e.to_string()))?;
    let change = TopicSettingsChange {
        partitions: Some(args.partitions),
        durability: Some(args.durability),
        ..TopicSettingsChange::default()
    };
    Ok(client.put_topic(&topic, &change).await?)
}

async fn measure(
    broker: &str,
    client: &Client,
    args: &Publish,
    topic: &TopicInfo,
) -> Result<Report, Failure> {
    let authority = client.authority();
    let pid = args.pid.or_else(|| broker_process::find(authority));
    let plan = Arc::new(plan(broker, authority, args, topic));
    // Dropped with this future, on Ctrl-C, it ends the clients.
    let mut clients = JoinSet::new();
    for _ in 0..args.clients {
        let plan = Arc::clone(&plan);
        clients.spawn(async move { worker::run(&plan).await });
    }
    sleep_until(plan.measure_from).await;
    let before = pid.and_then(broker_process::usage);
    let mut measured = Measured::new();
    while let Some(one) = clients.join_next().await {
        measured.merge(&one.map_err(|e| Failure::Failed(e.to_string()))?);
    }
    let ended = measured.last_answer.unwrap_or(plan.stop_at);
    let report = blank(args, topic).with(&measured, ended.duration_since(plan.measure_from));
    let broker = broker_use(pid, before, measured.messages);
    Ok(Report { broker, ..report })
}

fn broker_use(pid: Option<u32>, before: Option<Usage>, messages: u64) -> Option<BrokerUse> {
    let pid = pid?;
    let after = broker_process::usage(pid);
    if after.is_none() {
        note(&format!("the broker's process {pid} cannot be read"));
    }
    Some(BrokerUse::between(pid, before?, after?, messages))
}

fn plan(broker: &str, authority: &str, args: &Publish, topic: &TopicInfo) -> Plan {
    let prefix = broker.parse::<http::Uri>().map(|uri| uri.path().to_owned());
    let prefix = prefix.unwrap_or_default();
    let measure_from = Instant::now() + Duration::from_secs(args.warmup);
    Plan {
        target: Target {
            authority: authority.to_owned(),
            path: format!(
                "{}/v1/topics/{}/messages",
                prefix.trim_end_matches('/'),
                topic.topic
            ),
            batched: args.batch > 1,
        },
        payload_bytes: args.payload_bytes as usize,
        batch: args.batch,
        measure_from,
        stop_at: measure_from + Duration::from_secs(args.seconds),
        remaining: AtomicU64::new(args.messages.unwrap_or(u64::MAX)),
        next_number: AtomicU64::new(0),
    }
}

fn blank(args: &Publish, topic: &TopicInfo) -> Report {
    Report {
        load: "publish",
        topic: topic.topic.to_string(),
        durability: topic.settings.durability.to_string(),
        partitions: topic.settings.partitions,
        clients: args.clients,
        payload_bytes: args.payload_bytes as usize,
        batch: args.batch,
        seconds: 0.0,
        messages: 0,
        messages_per_second: 0.0,
        payload_megabytes_per_second: 0.0,
        latency_us: LatencyMicros::of(&Measured::new()),
        errors: BTreeMap::new(),
        broker: None,
    }
}
