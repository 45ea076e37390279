use serde::Serialize;
use weir_client::BreakerState;

/// Who messages are pushed to, and the partitioned queue.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Delivery {
    /// Registered workers.
    pub workers: Listing<WorkerRow>,
    /// Configured backends.
    pub backends: Listing<TargetRow>,
    /// `None` where the broker's gateway is closed.
    pub gateway: Option<GatewayRow>,
    /// What the broker did not tell; its rows are empty here.
    pub missing: Vec<Missing>,
}

/// Rows, those in trouble first; of very many only the first ones.
#[derive(Clone, Debug, Serialize)]
pub struct Listing<T> {
    /// What is shown.
    pub rows: Vec<T>,
    /// How many there are, shown or not.
    pub total: usize,
    /// How many of all have an open breaker.
    pub open: usize,
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            total: 0,
            open: 0,
        }
    }
}

/// A registration and its target.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerRow {
    /// The registration's number.
    pub id: u64,
    /// Whose messages it gets.
    pub topic: String,
    /// In the name of which group.
    pub group: String,
    /// The queue's number, if it registered for a queue.
    pub queue: Option<i32>,
    /// Messages it works on at one time.
    pub concurrency: u32,
    /// Whether it gets nothing new.
    pub paused: bool,
    /// Where it listens, and how it does.
    #[serde(flatten)]
    pub target: TargetRow,
}

/// A target, and how it does. Totals count since the broker started.
#[derive(Clone, Debug, Serialize)]
pub struct TargetRow {
    /// Its address.
    pub target: String,
    /// Its circuit breaker.
    pub breaker: BreakerRow,
    /// Messages it works on now.
    pub in_flight: u32,
    /// Messages it finished.
    pub delivered: u64,
    /// Deliveries that ended in another way.
    pub failed: u64,
    /// What became of the last of those.
    pub last_error: Option<String>,
}

/// A circuit breaker.
#[derive(Clone, Debug, Serialize)]
pub struct BreakerRow {
    /// What it lets through.
    pub state: BreakerState,
    /// When that began; `None` while it never changed.
    pub since: Option<u64>,
    /// While it is open: when it lets the next trial through.
    pub next_trial_at: Option<u64>,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// How often it opened, since the broker started.
    pub opened: u64,
}

/// The queue of the partitioned broker's clients.
#[derive(Clone, Debug, Serialize)]
pub struct GatewayRow {
    /// The topic behind it.
    pub topic: String,
    /// Who is subscribed.
    pub consumers: u64,
    /// Who pushed lately.
    pub producers: u64,
    /// Of the topic.
    pub partitions: u64,
    /// That share the work.
    pub brokers: u64,
    /// Not yet received.
    pub messages_in_queue: u64,
    /// Since the broker started.
    pub sent: u64,
    /// Since the broker started.
    pub received: u64,
}

/// A part that the broker did not tell of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// `workers`, `backends` or `gateway`.
    pub part: &'static str,
    /// Why not, for people.
    pub reason: String,
}
