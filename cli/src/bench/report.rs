use super::arrivals::Delivery;
use super::clients::{BrokerRun, Run};
use super::consumer::Pipeline;
use super::histogram::Histogram;
use super::listener::Via;
use super::options::Common;
use crate::failure::Failure;
use crate::table::human_bytes;
use serde::Serialize;
use std::collections::BTreeMap;
use weir_protocol::shapes::TopicInfo;

/// What a run was.
#[derive(Debug, Serialize)]
#[serde(tag = "load", rename_all = "kebab-case")]
pub(crate) enum Load {
    Publish {
        clients: u64,
        batch: u64,
    },
    PublishBatch {
        clients: u64,
        batch: u64,
    },
    Fetch {
        clients: u64,
        /// What the topic holds and each client reads.
        topic_messages: u64,
    },
    Consume {
        consumers: u64,
        /// Most messages in a lease.
        lease: u64,
        pipeline: Pipeline,
        keys: u64,
    },
    #[serde(rename = "e2e")]
    EndToEnd {
        /// Messages a second that were due.
        rate: u64,
        publishers: u64,
        via: Via,
    },
}

/// What a run was, and what it measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    load: Load,
    payload_bytes: usize,
    topic: String,
    durability: String,
    partitions: u32,
    seconds: f64,
    /// By all clients together.
    pub(crate) messages: u64,
    requests: u64,
    messages_per_second: f64,
    payload_megabytes_per_second: f64,
    latency_us: LatencyMicros,
    /// `None` when nothing was acknowledged by consumers.
    #[serde(skip_serializing_if = "Option::is_none")]
    ack_latency_us: Option<LatencyMicros>,
    /// `None` when there was no group.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<Delivery>,
    errors: BTreeMap<String, u64>,
    generator_cpu_seconds: f64,
    generator_cpu_us_per_message: f64,
    /// `None` when its process is not known.
    broker: Option<BrokerUse>,
}

/// Of requests, in microseconds.
#[derive(Debug, Serialize)]
struct LatencyMicros {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

/// What the broker's process used during the measured part.
#[derive(Debug, Serialize)]
struct BrokerUse {
    pid: u32,
    cpu_seconds: f64,
    cpu_us_per_message: f64,
    rss_bytes: u64,
    /// Since the process began.
    peak_rss_bytes: u64,
    /// `None` when we may not know.
    disk_write_bytes: Option<u64>,
    disk_write_bytes_per_message: Option<f64>,
}

#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
const fn float(count: u64) -> f64 {
    count as f64
}

fn per(value: f64, by: f64) -> f64 {
    if by > 0.0 { value / by } else { 0.0 }
}

impl Load {
    /// What the report's latency is of, in seven letters.
    const fn latency_of(&self) -> &'static str {
        match self {
            Self::Consume { .. } => "leases ",
            Self::Publish { .. }
            | Self::PublishBatch { .. }
            | Self::Fetch { .. }
            | Self::EndToEnd { .. } => "latency",
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Publish { clients, .. } => format!("publish: {clients} clients"),
            Self::PublishBatch { clients, batch } => {
                format!("publish-batch: {clients} clients, batch {batch}")
            }
            Self::Fetch {
                clients,
                topic_messages,
            } => format!(
                "fetch: {clients} clients, {topic_messages} messages each, all of them checked"
            ),
            Self::EndToEnd {
                rate,
                publishers,
                via,
            } => format!(
                "e2e: {publishers} publishers, {rate} msg/s due, via {}",
                via.name()
            ),
            Self::Consume {
                consumers,
                lease,
                pipeline,
                keys,
            } => {
                let pipeline = pipeline.name();
                format!(
                    "consume: {consumers} consumers, lease {lease}, pipeline {pipeline}, {keys} keys"
                )
            }
        }
    }
}

impl LatencyMicros {
    fn of(latency: &Histogram) -> Self {
        let micros = |nanos: u64| float(nanos) / 1000.0;
        Self {
            p50: micros(latency.quantile(500)),
            p90: micros(latency.quantile(900)),
            p99: micros(latency.quantile(990)),
            p999: micros(latency.quantile(999)),
            max: micros(latency.max()),
        }
    }
}

impl LatencyMicros {
    fn text(&self) -> String {
        let Self {
            p50,
            p90,
            p99,
            p999,
            max,
        } = self;
        format!(
            "p50 {p50:.0} us, p90 {p90:.0} us, p99 {p99:.0} us, p99.9 {p999:.0} us, max {max:.0} us"
        )
    }
}

impl BrokerUse {
    fn of(run: &BrokerRun, messages: u64) -> Self {
        let BrokerRun { pid, before, after } = run;
        let cpu_seconds = after.cpu_seconds - before.cpu_seconds;
        let written = after.disk_write_bytes.zip(before.disk_write_bytes);
        let written = written.map(|(after, before)| after.saturating_sub(before));
        Self {
            pid: *pid,
            cpu_seconds,
            cpu_us_per_message: per(cpu_seconds * 1e6, float(messages)),
            rss_bytes: after.rss_bytes,
            peak_rss_bytes: after.peak_rss_bytes,
            disk_write_bytes: written,
            disk_write_bytes_per_message: written.map(|w| per(float(w), float(messages))),
        }
    }

    fn text(&self) -> String {
        let written = match (self.disk_write_bytes, self.disk_write_bytes_per_message) {
            (Some(bytes), Some(each)) => format!("{}, {each:.0} B/message", human_bytes(bytes)),
            _ => "unknown (the process is not ours to see)".into(),
        };
        format!(
            "pid {}, {:.2} s CPU, {:.2} us/message, RSS {}, peak {}\nwritten    {written}",
            self.pid,
            self.cpu_seconds,
            self.cpu_us_per_message,
            human_bytes(self.rss_bytes),
            human_bytes(self.peak_rss_bytes),
        )
    }
}

impl Report {
    pub(crate) fn new(load: Load, common: &Common, topic: &TopicInfo, run: &Run) -> Self {
        let measured = &run.measured;
        let seconds = run.elapsed.as_secs_f64();
        let messages = float(measured.messages);
        let messages_per_second = per(messages, seconds);
        Self {
            topic: topic.topic.to_string(),
            durability: topic.settings.durability.to_string(),
            partitions: topic.settings.partitions,
            seconds,
            messages: measured.messages,
            requests: measured.requests,
            messages_per_second,
            payload_megabytes_per_second: messages_per_second * f64::from(common.payload_bytes)
                / 1e6,
            latency_us: LatencyMicros::of(&measured.latency),
            ack_latency_us: (!measured.ack_latency.is_empty())
                .then(|| LatencyMicros::of(&measured.ack_latency)),
            delivery: None,
            errors: measured.errors.clone(),
            generator_cpu_seconds: run.generator_cpu_seconds,
            generator_cpu_us_per_message: per(run.generator_cpu_seconds * 1e6, messages),
            broker: run
                .broker
                .as_ref()
                .map(|b| BrokerUse::of(b, measured.messages)),
            payload_bytes: common.payload_bytes(),
            load,
        }
    }

    pub(crate) fn with_delivery(self, delivery: Delivery) -> Self {
        Self {
            delivery: Some(delivery),
            ..self
        }
    }

    /// # Errors
    /// When a message did not arrive.
    pub(crate) fn all_delivered(&self) -> Result<(), Failure> {
        match &self.delivery {
            Some(delivery) if delivery.missing > 0 => Err(Failure::Failed(format!(
                "{} of {} messages did not arrive in time",
                delivery.missing, delivery.expected
            ))),
            _ => Ok(()),
        }
    }

    pub(crate) fn text(&self) -> String {
        format!(
            "{load}, {payload_bytes} B payload, {partitions} partitions\n\
             {rate:.0} msg/s, {megabytes:.1} MB/s, durability {durability} \
             ({messages} messages in {seconds:.2} s)\n\
             {latency_of}    {latency}\n\
             {consumed}\
             errors     {errors}\n\
             generator  {generator:.2} s CPU, {generator_each:.2} us/message\n\
             broker     {broker}",
            load = self.load.text(),
            payload_bytes = self.payload_bytes,
            partitions = self.partitions,
            rate = self.messages_per_second,
            megabytes = self.payload_megabytes_per_second,
            durability = self.durability,
            messages = self.messages,
            seconds = self.seconds,
            latency_of = self.load.latency_of(),
            latency = self.latency_us.text(),
            consumed = self.consumed_text(),
            errors = self.errors_text(),
            generator = self.generator_cpu_seconds,
            generator_each = self.generator_cpu_us_per_message,
            broker = self.broker_text(),
        )
    }

    /// The lines about acknowledgements and what arrived, if there are any.
    fn consumed_text(&self) -> String {
        let acks = self.ack_latency_us.as_ref();
        let acks = acks.map(|acks| format!("acks       {}\n", acks.text()));
        let delivery = self.delivery.as_ref();
        let delivery = delivery.map(|delivery| format!("delivery   {}\n", delivery.text()));
        acks.into_iter().chain(delivery).collect()
    }

    fn errors_text(&self) -> String {
        if self.errors.is_empty() {
            return "none".into();
        }
        let words = self
            .errors
            .iter()
            .map(|(word, count)| format!("{count} {word}"));
        words.collect::<Vec<_>>().join(", ")
    }

    fn broker_text(&self) -> String {
        self.broker.as_ref().map_or_else(
            || "unknown (not on this machine, or not ours to see; try --pid)".into(),
            BrokerUse::text,
        )
    }
}
