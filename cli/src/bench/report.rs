use super::broker_process::Usage;
use super::worker::Measured;
use crate::table::human_bytes;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a run was, and what it measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) load: &'static str,
    pub(crate) topic: String,
    pub(crate) durability: String,
    pub(crate) partitions: u32,
    pub(crate) clients: u64,
    pub(crate) payload_bytes: usize,
    pub(crate) batch: u64,
    pub(crate) seconds: f64,
    pub(crate) messages: u64,
    pub(crate) messages_per_second: f64,
    pub(crate) payload_megabytes_per_second: f64,
    pub(crate) latency_us: LatencyMicros,
    pub(crate) errors: BTreeMap<String, u64>,
    /// `None` when its process is not known.
    pub(crate) broker: Option<BrokerUse>,
}

/// Of requests, in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct LatencyMicros {
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

/// What the broker's process used during the measured part.
#[derive(Debug, Serialize)]
pub(crate) struct BrokerUse {
    pid: u32,
    cpu_seconds: f64,
    cpu_us_per_message: f64,
    rss_bytes: u64,
    peak_rss_bytes: u64,
}

#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

fn per(value: f64, by: f64) -> f64 {
    if by > 0.0 { value / by } else { 0.0 }
}

impl LatencyMicros {
    pub(crate) fn of(measured: &Measured) -> Self {
        let micros = |nanos: u64| float(nanos) / 1000.0;
        let latency = &measured.latency;
        Self {
            p50: micros(latency.quantile(500)),
            p99: micros(latency.quantile(990)),
            p999: micros(latency.quantile(999)),
            max: micros(latency.max()),
        }
    }
}

impl BrokerUse {
    pub(crate) fn between(pid: u32, before: Usage, after: Usage, messages: u64) -> Self {
        let cpu_seconds = after.cpu_seconds - before.cpu_seconds;
        Self {
            pid,
            cpu_seconds,
            cpu_us_per_message: per(cpu_seconds * 1e6, float(messages)),
            rss_bytes: after.rss_bytes,
            peak_rss_bytes: after.peak_rss_bytes,
        }
    }
}

impl Report {
    /// Takes over what was measured in `elapsed`.
    pub(crate) fn with(mut self, measured: &Measured, elapsed: Duration) -> Self {
        self.seconds = elapsed.as_secs_f64();
        self.messages = measured.messages;
        self.messages_per_second = per(float(self.messages), self.seconds);
        let bytes = self.messages_per_second * float(self.payload_bytes as u64);
        self.payload_megabytes_per_second = bytes / 1e6;
        self.latency_us = LatencyMicros::of(measured);
        self.errors.clone_from(&measured.errors);
        self
    }

    pub(crate) fn text(&self) -> String {
        let l = &self.latency_us;
        format!(
            "{load}: {clients} clients, {payload} B payload, batch {batch}, {partitions} partitions\n\
             {rate:.0} msg/s, {megabytes:.1} MB/s, durability {durability} \
             ({messages} messages in {seconds:.2} s)\n\
             latency  p50 {p50:.0} us, p99 {p99:.0} us, p99.9 {p999:.0} us, max {max:.0} us\n\
             errors   {errors}\n\
             broker   {broker}",
            load = self.load,
            clients = self.clients,
            payload = self.payload_bytes,
            batch = self.batch,
            partitions = self.partitions,
            rate = self.messages_per_second,
            megabytes = self.payload_megabytes_per_second,
            durability = self.durability,
            messages = self.messages,
            seconds = self.seconds,
            p50 = l.p50,
            p99 = l.p99,
            p999 = l.p999,
            max = l.max,
            errors = self.errors_text(),
            broker = self.broker_text(),
        )
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
        let Some(b) = &self.broker else {
            return "unknown (not on this machine, or not ours to see; try --pid)".into();
        };
        format!(
            "pid {}, {:.2} s CPU, {:.1} us/message, RSS {}, peak {}",
            b.pid,
            b.cpu_seconds,
            b.cpu_us_per_message,
            human_bytes(b.rss_bytes),
            human_bytes(b.peak_rss_bytes),
        )
    }
}
