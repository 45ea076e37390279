//! What the broker counts. Names begin with `weir_broker_`; handles are made once and kept, so that
//! counting costs an addition. Per batch, never per message.

mod gateway;
mod targets;

pub use gateway::render_gateway;
pub use targets::render_targets;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use metrics_exporter_prometheus::formatting::sanitize_label_value;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::fmt::Write;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use weir_commitlog::{Appended, CommitLogStats};
use weir_protocol::shapes::GroupInfo;
use weir_types::{GroupName, TopicName};

/// Prefix of every metric of this component.
pub const PREFIX: &str = "weir_broker_";

const DEAD_LETTER_FAILURES: &str = "weir_broker_dead_letter_failures_total";
const PUBLISHED: &str = "weir_broker_published_messages_total";
const PUBLISHED_BYTES: &str = "weir_broker_published_bytes_total";
const DUPLICATES: &str = "weir_broker_duplicate_messages_total";
const FORGOTTEN_IDS: &str = "weir_broker_forgotten_ids_total";
const FORGOTTEN_LEASES: &str = "weir_broker_forgotten_leases_total";
const DELIVERED: &str = "weir_broker_delivered_messages_total";
const ACKED: &str = "weir_broker_acked_messages_total";
const FETCHED: &str = "weir_broker_fetched_messages_total";
const COMMIT_SECONDS: &str = "weir_broker_commit_seconds";
const COMMITTED_OPERATIONS: &str = "weir_broker_committed_operations_total";
const COMMIT_FAILURES: &str = "weir_broker_commit_failures_total";
const DAMAGED: &str = "weir_broker_damaged_records_total";
const FINDINGS: &str = "weir_broker_recovery_findings_total";
const COMMIT_LOG_BYTES: &str = "weir_broker_commit_log_written_bytes_total";
const CHECKPOINTS: &str = "weir_broker_checkpoints_total";
const AVAILABLE_BYTES: &str = "weir_broker_disk_available_bytes";
const SCHEDULED: &str = "weir_broker_scheduled_messages";
const SCHEDULES_FIRED: &str = "weir_broker_schedule_fired_total";
const SCHEDULE_FAILURES: &str = "weir_broker_schedule_failures_total";
const CONNECTIONS: &str = "weir_broker_connections";

/// Upper bounds of the commit histogram, in seconds.
const COMMIT_BUCKETS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5,
];

/// Gives the metrics their help texts, in the recorder that is installed.
fn describe() {
    describe_counter!(
        DEAD_LETTER_FAILURES,
        "Attempts to move a message to its dead-letter topic that failed; they are repeated."
    );
    describe_counter!(
        PUBLISHED,
        "Messages published, acknowledged as durable; without duplicates."
    );
    describe_counter!(
        DUPLICATES,
        "Messages that were acknowledged but not stored: one with their id was there."
    );
    describe_counter!(
        FORGOTTEN_IDS,
        "Ids that were forgotten before the dedupe window was over: a partition had too many."
    );
    describe_counter!(
        FORGOTTEN_LEASES,
        "Deliveries to consumers that ack by id that were forgotten before the ack: too many were open."
    );
    describe_counter!(
        PUBLISHED_BYTES,
        "Bytes of payload of the published messages."
    );
    describe_counter!(
        DELIVERED,
        "Messages handed to consumers of a group, redeliveries included."
    );
    describe_counter!(ACKED, "Messages acknowledged by consumers of a group.");
    describe_counter!(
        FETCHED,
        "Messages returned by fetches and streams, without a group."
    );
    describe_histogram!(
        COMMIT_SECONDS,
        "Time that a commit round took, write and sync."
    );
    describe_counter!(
        COMMITTED_OPERATIONS,
        "Appends and journal entries made durable."
    );
    describe_counter!(
        COMMIT_FAILURES,
        "Commit rounds in which something could not be stored."
    );
    describe_counter!(
        DAMAGED,
        "Stored records found damaged while reading; they are never served."
    );
    describe_counter!(
        FINDINGS,
        "What opening the data directory found out of order, by kind."
    );
    describe_counter!(
        COMMIT_LOG_BYTES,
        "Bytes written to the commit log, padding included."
    );
    describe_counter!(
        CHECKPOINTS,
        "Times that the files behind a half of the commit log were synced."
    );
    describe_gauge!(SCHEDULED, "Messages that wait for their time of delivery.");
    describe_counter!(
        SCHEDULES_FIRED,
        "Scheduled messages that were delivered to their topics."
    );
    describe_counter!(
        SCHEDULE_FAILURES,
        "Attempts to deliver a scheduled message that failed; they are repeated."
    );
    describe_gauge!(CONNECTIONS, "Open client connections.");
    describe_gauge!(
        AVAILABLE_BYTES,
        "Bytes that may still be written where the data directory is."
    );
    // Alerts need the series before the first damage.
    counter!(DAMAGED).increment(0);
    counter!(FORGOTTEN_LEASES).increment(0);
    gauge!(SCHEDULED).set(0.0);
    counter!(SCHEDULES_FIRED).increment(0);
    counter!(SCHEDULE_FAILURES).increment(0);
}

/// Open connections.
pub fn connections() -> Gauge {
    gauge!(CONNECTIONS)
}

/// Bytes that may still be written where the data directory is.
pub(crate) fn available_bytes(bytes: u64) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float; 2^53 bytes are enough"
    )]
    gauge!(AVAILABLE_BYTES).set(bytes as f64);
}

/// Messages that wait for their time.
pub(crate) fn scheduled_messages(messages: u64) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float; 2^53 messages are enough"
    )]
    gauge!(SCHEDULED).set(messages as f64);
}

/// Scheduled messages that were delivered.
pub(crate) fn schedules_fired(messages: usize) {
    counter!(SCHEDULES_FIRED).increment(messages as u64);
}

/// Attempts to deliver that failed.
pub(crate) fn schedule_failures(attempts: usize) {
    counter!(SCHEDULE_FAILURES).increment(attempts as u64);
}

/// A lease was forgotten before it was acked by id.
pub(crate) fn forgotten_lease() {
    counter!(FORGOTTEN_LEASES).increment(1);
}

/// Something that opening the data directory found out of order.
pub(crate) fn finding(kind: &'static str) {
    counter!(FINDINGS, "kind" => kind).increment(1);
}

/// A message could not move to its dead-letter topic; it is tried again.
pub(crate) fn dead_letter_failure() {
    counter!(DEAD_LETTER_FAILURES).increment(1);
}

pub(crate) fn damaged_records(count: usize) {
    counter!(DAMAGED).increment(count as u64);
}

/// Handles of one topic.
pub(crate) struct TopicMetrics {
    published: Counter,
    published_bytes: Counter,
    duplicates: Counter,
    forgotten_ids: Counter,
    fetched: Counter,
}

impl std::fmt::Debug for TopicMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TopicMetrics")
    }
}

impl TopicMetrics {
    pub(crate) fn new(topic: &TopicName) -> Self {
        let topic = topic.to_string();
        Self {
            published: counter!(PUBLISHED, "topic" => topic.clone()),
            published_bytes: counter!(PUBLISHED_BYTES, "topic" => topic.clone()),
            duplicates: counter!(DUPLICATES, "topic" => topic.clone()),
            forgotten_ids: counter!(FORGOTTEN_IDS, "topic" => topic.clone()),
            fetched: counter!(FETCHED, "topic" => topic),
        }
    }

    /// `bytes` of payload were sent, those of duplicates included.
    pub(crate) fn published(&self, appended: &Appended, bytes: usize) {
        let stored_bytes = (bytes as u64).saturating_sub(appended.duplicate_bytes);
        self.published.increment(appended.count);
        self.published_bytes.increment(stored_bytes);
        self.duplicates.increment(appended.duplicates);
        self.forgotten_ids.increment(appended.forgotten_ids);
    }

    pub(crate) fn fetched(&self, messages: usize) {
        self.fetched.increment(messages as u64);
    }
}

/// Handles of one group.
pub(crate) struct GroupMetrics {
    delivered: Counter,
    acked: Counter,
}

impl GroupMetrics {
    pub(crate) fn new(topic: &TopicName, group: &GroupName) -> Self {
        let (topic, group) = (topic.to_string(), group.to_string());
        Self {
            delivered: counter!(DELIVERED, "topic" => topic.clone(), "group" => group.clone()),
            acked: counter!(ACKED, "topic" => topic, "group" => group),
        }
    }

    pub(crate) fn delivered(&self, messages: usize) {
        self.delivered.increment(messages as u64);
    }

    pub(crate) fn acked(&self, messages: u64) {
        self.acked.increment(messages);
    }
}

/// Renders what is known of groups from what they are at this moment: nothing of a deleted group
/// stays. Totals begin at 0 with each start of the broker.
#[must_use]
pub fn render_groups(groups: &[GroupInfo]) -> String {
    let mut page = String::new();
    for (name, kind, help, value) in GROUP_METRICS {
        let _infallible = write!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for group in groups {
            let (topic, name_of_group) = (&group.topic, sanitize_label_value(group.group.as_str()));
            let _infallible = writeln!(
                page,
                "{name}{{topic=\"{topic}\",group=\"{name_of_group}\"}} {}",
                value(group)
            );
        }
        page.push('\n');
    }
    page
}

/// Name, kind, help and value.
type GroupMetric = (
    &'static str,
    &'static str,
    &'static str,
    fn(&GroupInfo) -> String,
);

const GROUP_METRICS: [GroupMetric; 11] = [
    (
        "weir_broker_group_lag_records",
        "gauge",
        "Unfinished records of a group.",
        |group| group.lag_records.to_string(),
    ),
    (
        "weir_broker_group_lag_seconds",
        "gauge",
        "Age of a group's oldest unfinished record.",
        |group| group.lag_seconds.to_string(),
    ),
    (
        "weir_broker_group_in_flight_messages",
        "gauge",
        "Messages of a group under a lease.",
        |group| group.in_flight.to_string(),
    ),
    (
        "weir_broker_group_waiting_messages",
        "gauge",
        "Messages of a group that wait for a consumer or their next delivery.",
        |group| group.waiting.to_string(),
    ),
    (
        "weir_broker_group_held_back_messages",
        "gauge",
        "Messages of a group that wait behind an earlier one of their key.",
        |group| group.held_back.to_string(),
    ),
    (
        "weir_broker_group_moving_messages",
        "gauge",
        "Messages of a group on their way to the dead-letter topic.",
        |group| group.moving.to_string(),
    ),
    (
        "weir_broker_group_members",
        "gauge",
        "Consumers of a group that said who they are.",
        |group| group.members.len().to_string(),
    ),
    (
        "weir_broker_group_redelivered_messages_total",
        "counter",
        "Deliveries beyond a message's first.",
        |group| group.redelivered.to_string(),
    ),
    (
        "weir_broker_group_dead_lettered_messages_total",
        "counter",
        "Messages of a group that moved to the dead-letter topic.",
        |group| group.dead_lettered.to_string(),
    ),
    (
        "weir_broker_group_expired_messages_total",
        "counter",
        "Messages whose time to live was over before a group delivered them.",
        |group| group.expired.to_string(),
    ),
    (
        "weir_broker_group_lost_records_total",
        "counter",
        "Unfinished records that were trimmed, purged or damaged before a group came to them.",
        |group| group.lost_records.to_string(),
    ),
];

/// Renders what is counted. Cheap to clone.
#[derive(Clone)]
pub struct Exporter(PrometheusHandle);

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exporter")
    }
}

impl Exporter {
    /// Installs the process's recorder.
    ///
    /// # Errors
    /// There is one already.
    pub fn install() -> Result<Self, BuildError> {
        let histogram = Matcher::Full(COMMIT_SECONDS.to_owned());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(histogram, COMMIT_BUCKETS)?;
        let handle = builder.install_recorder()?;
        describe();
        Ok(Self(handle))
    }

    /// The recorder, for other components of the process.
    #[must_use]
    pub fn recorder(&self) -> PrometheusHandle {
        self.0.clone()
    }

    /// The page of this component: other components of the process have their own.
    #[must_use]
    pub fn render(&self) -> String {
        let own = |line: &&str| {
            let name = line
                .strip_prefix("# HELP ")
                .or_else(|| line.strip_prefix("# TYPE "));
            line.is_empty() || name.unwrap_or(line).starts_with(PREFIX)
        };
        self.0
            .render()
            .lines()
            .filter(own)
            .flat_map(|line| [line, "\n"])
            .collect()
    }

    /// Drains the histograms every few seconds until `stop`: without it they grow for ever.
    pub async fn keep_up(self, stop: CancellationToken) {
        let mut every = tokio::time::interval(Duration::from_secs(5));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = every.tick() => self.0.run_upkeep(),
            }
        }
    }
}

/// Handles of the committer.
pub(crate) struct CommitMetrics {
    seconds: Histogram,
    operations: Counter,
    failures: Counter,
    commit_log_bytes: Counter,
    checkpoints: Counter,
}

impl CommitMetrics {
    pub(crate) fn new() -> Self {
        Self {
            seconds: histogram!(COMMIT_SECONDS),
            operations: counter!(COMMITTED_OPERATIONS),
            failures: counter!(COMMIT_FAILURES),
            commit_log_bytes: counter!(COMMIT_LOG_BYTES),
            checkpoints: counter!(CHECKPOINTS),
        }
    }

    pub(crate) fn commit_log(&self, stats: CommitLogStats) {
        self.commit_log_bytes.absolute(stats.written_bytes);
        self.checkpoints.absolute(stats.checkpoints);
    }

    pub(crate) fn round(&self, operations: usize, took: Duration) {
        self.seconds.record(took);
        self.operations.increment(operations as u64);
    }

    pub(crate) fn failed(&self) {
        self.failures.increment(1);
    }
}
