//! What the page gets: the JSON of `/api`. Times are milliseconds since the Unix epoch; `null` is
//! not known, and in a chart a gap.

mod delivery;

pub use delivery::{BreakerRow, Delivery, GatewayRow, Listing, Missing, TargetRow, WorkerRow};
use serde::Serialize;

/// All nodes, in order of name.
#[derive(Clone, Debug, Serialize)]
pub struct Fleet {
    /// When this was.
    pub now: u64,
    /// How the connection to the broker is.
    pub broker: BrokerState,
    /// The nodes.
    pub nodes: Vec<NodeSummary>,
}

/// How the connection to the broker is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BrokerState {
    /// Whether the last call was answered.
    pub connected: bool,
    /// Where the broker is.
    pub url: String,
    /// Why the last call was not.
    pub error: Option<String>,
}

/// How long ago a node was heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Within three intervals, at least 15 s.
    Live,
    /// Within 5 minutes.
    Late,
    /// Longer ago.
    Gone,
}

/// One node on the fleet page.
#[derive(Clone, Debug, Serialize)]
pub struct NodeSummary {
    /// Its name.
    pub node: String,
    /// How long ago it was heard of.
    pub state: NodeState,
    /// When, on the broker's clock.
    pub last_seen: u64,
    /// Share of all cores' time.
    pub cpu_busy_ratio: Option<f64>,
    /// Share that is not available.
    pub memory_used_ratio: Option<f64>,
    /// All there is.
    pub memory_total_bytes: Option<u64>,
    /// Of the fullest filesystem.
    pub disk_used_ratio: Option<f64>,
    /// Where the fullest filesystem is mounted.
    pub disk_mountpoint: Option<String>,
    /// All outward interfaces together.
    pub network_receive_bytes_per_second: Option<f64>,
    /// All outward interfaces together.
    pub network_transmit_bytes_per_second: Option<f64>,
    /// Over 1 minute.
    pub load1: Option<f64>,
    /// Since boot.
    pub uptime_seconds: Option<f64>,
    /// CPUs.
    pub cores: Option<u64>,
    /// Name and version.
    pub os: Option<String>,
    /// The agent's.
    pub agent_version: Option<String>,
    /// Samples that never came, of those that this process could have seen.
    pub missed_samples: u64,
    /// Collectors that could not read what they need.
    pub failed_collectors: Vec<String>,
    /// What waits in the agent for the broker.
    pub buffered_bytes: Option<u64>,
    /// Samples that the agent gave up.
    pub dropped_samples: Option<u64>,
}

/// One node's page.
#[derive(Clone, Debug, Serialize)]
pub struct NodePage {
    /// When this was.
    pub now: u64,
    /// As on the fleet page.
    pub summary: NodeSummary,
    /// What the node is; `None` until it has said so.
    pub info: Option<NodeInfo>,
    /// Its filesystems.
    pub filesystems: Vec<FilesystemRow>,
    /// The last hour.
    pub charts: Vec<Chart>,
}

/// What a node is.
#[derive(Clone, Debug, Serialize)]
pub struct NodeInfo {
    /// System and version.
    pub kernel: String,
    /// Distribution and version.
    pub os: String,
    /// The processor's name.
    pub cpu_model: String,
    /// CPUs.
    pub cores: Option<u64>,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// The agent's.
    pub agent_version: String,
}

/// One filesystem.
#[derive(Clone, Debug, Serialize)]
pub struct FilesystemRow {
    /// Where it is mounted.
    pub mountpoint: String,
    /// What is mounted.
    pub device: String,
    /// Its type.
    pub fstype: String,
    /// Whole size.
    pub size_bytes: Option<u64>,
    /// Free for ordinary users.
    pub avail_bytes: Option<u64>,
    /// As `df` says it.
    pub used_ratio: Option<f64>,
}

/// What a chart's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// 0 to 1.
    Ratio,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// The load average.
    Load,
}

/// A chart with everything in it.
#[derive(Clone, Debug, Serialize)]
pub struct Chart {
    /// Names it; stable.
    pub id: &'static str,
    /// For people.
    pub title: &'static str,
    /// Of the values.
    pub unit: Unit,
    /// Whether the lines add up.
    pub stacked: bool,
    /// One for each row.
    pub time: Vec<u64>,
    /// As long as `time` each.
    pub lines: Vec<Line>,
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// What it shows.
    pub label: String,
    /// NaN, written as `null`, is a gap.
    pub values: Vec<f32>,
}

/// What came since the last points.
#[derive(Clone, Debug, Serialize)]
pub struct NodePoints {
    /// The node.
    pub node: String,
    /// Charts with new rows.
    pub charts: Vec<ChartPoints>,
    /// The lines are others now: fetch the node again.
    pub reset: bool,
}

/// A chart's new rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChartPoints {
    /// The chart's.
    pub id: &'static str,
    /// One for each row.
    pub time: Vec<u64>,
    /// For each line, in the chart's order.
    pub values: Vec<Vec<f32>>,
}

/// All topics, in order of name, and who is pushed to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TopicsPage {
    /// When the broker was asked.
    pub now: u64,
    /// The topics.
    pub topics: Vec<TopicRow>,
    /// Workers, backends, and the partitioned queue.
    pub delivery: Delivery,
}

/// One topic.
#[derive(Clone, Debug, Serialize)]
pub struct TopicRow {
    /// Its name.
    pub topic: String,
    /// How many.
    pub partitions: u64,
    /// Records it holds.
    pub records: u64,
    /// Bytes of its segments.
    pub bytes: u64,
    /// Since the broker was asked before.
    pub publish_per_second: Option<f64>,
    /// Growth of the segments since the broker was asked before.
    pub bytes_per_second: Option<f64>,
    /// Its groups.
    pub groups: Vec<GroupRow>,
}

/// One group of a topic.
#[derive(Clone, Debug, Serialize)]
pub struct GroupRow {
    /// Its name.
    pub group: String,
    /// Unfinished records.
    pub lag_records: u64,
    /// Age of the oldest.
    pub lag_seconds: f64,
    /// Messages under a lease.
    pub in_flight: u64,
    /// Deliveries beyond a message's first.
    pub redelivered: u64,
}
