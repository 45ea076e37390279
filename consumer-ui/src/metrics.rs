//! What this process counts of itself. Names begin with `weir_ui_`; handles are made once and kept.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Prefix of every metric of this component.
pub const PREFIX: &str = "weir_ui_";

const SAMPLES: &str = "weir_ui_samples_total";
const BAD_SAMPLES: &str = "weir_ui_bad_samples_total";
const DUPLICATES: &str = "weir_ui_duplicate_samples_total";
const MISSED: &str = "weir_ui_missed_samples_total";
const OUT_OF_ORDER: &str = "weir_ui_out_of_order_samples_total";
const CUT: &str = "weir_ui_cut_values_total";
const REFUSED_LINES: &str = "weir_ui_refused_chart_lines_total";
const REFUSED_NODES: &str = "weir_ui_refused_node_samples_total";
const NODES: &str = "weir_ui_nodes";
const CHART_LINES: &str = "weir_ui_chart_lines";
const BROKER_UP: &str = "weir_ui_broker_up";
const INTERRUPTIONS: &str = "weir_ui_stream_interruptions_total";
const CONNECTIONS: &str = "weir_ui_connections";

/// Gives the metrics their help texts, in the recorder that is installed.
fn describe() {
    describe_counter!(SAMPLES, "Samples read from the agents' topics.");
    describe_counter!(
        BAD_SAMPLES,
        "Messages on the agents' topics that are no samples."
    );
    describe_counter!(DUPLICATES, "Samples that were here before.");
    describe_counter!(
        MISSED,
        "Samples that were left out, by their sequence numbers."
    );
    describe_counter!(OUT_OF_ORDER, "Samples that came after newer ones.");
    describe_counter!(CUT, "List entries of samples beyond the allowed number.");
    describe_counter!(
        REFUSED_LINES,
        "Chart values for whose line there was no room."
    );
    describe_counter!(
        REFUSED_NODES,
        "Samples of nodes for which there was no room."
    );
    describe_gauge!(NODES, "Nodes that are known.");
    describe_gauge!(CHART_LINES, "Lines kept of all charts.");
    describe_gauge!(
        BROKER_UP,
        "Whether the broker answered when it was last asked."
    );
    describe_counter!(
        INTERRUPTIONS,
        "Streams from the broker that ended or failed."
    );
    describe_gauge!(CONNECTIONS, "Open client connections.");
}

/// Open connections.
pub(crate) fn connections() -> Gauge {
    gauge!(CONNECTIONS)
}

/// Handles of what follows the broker.
#[derive(Clone)]
pub(crate) struct FollowMetrics {
    pub(crate) samples: Counter,
    pub(crate) bad_samples: Counter,
    pub(crate) cut: Counter,
    pub(crate) interruptions: Counter,
    pub(crate) broker_up: Gauge,
}

impl FollowMetrics {
    pub(crate) fn new() -> Self {
        Self {
            samples: counter!(SAMPLES),
            bad_samples: counter!(BAD_SAMPLES),
            cut: counter!(CUT),
            interruptions: counter!(INTERRUPTIONS),
            broker_up: gauge!(BROKER_UP),
        }
    }
}

/// Handles of the view's owner.
pub(crate) struct ViewMetrics {
    pub(crate) duplicates: Counter,
    pub(crate) missed: Counter,
    pub(crate) out_of_order: Counter,
    pub(crate) refused_lines: Counter,
    pub(crate) refused_nodes: Counter,
    pub(crate) nodes: Gauge,
    pub(crate) chart_lines: Gauge,
}

impl ViewMetrics {
    pub(crate) fn new() -> Self {
        Self {
            duplicates: counter!(DUPLICATES),
            missed: counter!(MISSED),
            out_of_order: counter!(OUT_OF_ORDER),
            refused_lines: counter!(REFUSED_LINES),
            refused_nodes: counter!(REFUSED_NODES),
            nodes: gauge!(NODES),
            chart_lines: gauge!(CHART_LINES),
        }
    }
}

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
        Ok(Self::sharing(PrometheusBuilder::new().install_recorder()?))
    }

    /// Shares the recorder that another component of the process installed.
    #[must_use]
    pub fn sharing(recorder: PrometheusHandle) -> Self {
        describe();
        Self(recorder)
    }

    /// The lines of this component: other components of the process have their own page.
    #[must_use]
    pub fn render(&self) -> String {
        let own = |line: &&str| {
            let name = line
                .strip_prefix("# HELP ")
                .or_else(|| line.strip_prefix("# TYPE "));
            name.unwrap_or(line).starts_with(PREFIX)
        };
        self.0
            .render()
            .lines()
            .filter(own)
            .flat_map(|line| [line, "\n"])
            .collect()
    }

    /// Drains the recorder's buffers every few seconds until `stop`.
    pub(crate) async fn keep_up(self, stop: CancellationToken) {
        let mut every = tokio::time::interval(Duration::from_secs(5));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = every.tick() => self.0.run_upkeep(),
            }
        }
    }
}
