//! What is known of workers and of the targets that messages are pushed to, as they are at this
//! moment: nothing of a target that nobody leads to any more stays.

use metrics_exporter_prometheus::formatting::sanitize_label_value;
use std::fmt::Write;
use weir_protocol::shapes::{BackendInfo, BreakerState, WorkerInfo};

/// Renders the number of workers, and one line a target for each metric. Totals begin at 0 with each
/// start of the broker.
#[must_use]
pub fn render_targets(workers: &[WorkerInfo], targets: &[BackendInfo]) -> String {
    let mut page = String::new();
    let paused = workers.iter().filter(|worker| worker.paused).count();
    let active = workers.len() - paused;
    let _infallible = write!(
        page,
        "# HELP {WORKERS} Registered workers.\n# TYPE {WORKERS} gauge\n\
         {WORKERS}{{state=\"active\"}} {active}\n{WORKERS}{{state=\"paused\"}} {paused}\n\n"
    );
    for (name, kind, help, value) in TARGET_METRICS {
        let _infallible = write!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for target in targets {
            let label = sanitize_label_value(&target.target);
            let _infallible = writeln!(page, "{name}{{target=\"{label}\"}} {}", value(target));
        }
        page.push('\n');
    }
    page
}

const WORKERS: &str = "weir_broker_push_workers";

/// Name, kind, help and value.
type TargetMetric = (
    &'static str,
    &'static str,
    &'static str,
    fn(&BackendInfo) -> u64,
);

const TARGET_METRICS: [TargetMetric; 6] = [
    (
        "weir_broker_push_in_flight_messages",
        "gauge",
        "Messages that a target works on.",
        |target| target.in_flight.into(),
    ),
    (
        "weir_broker_push_delivered_messages_total",
        "counter",
        "Messages that a target finished.",
        |target| target.delivered,
    ),
    (
        "weir_broker_push_failed_deliveries_total",
        "counter",
        "Deliveries to a target that ended in another way.",
        |target| target.failed,
    ),
    (
        "weir_broker_breaker_state",
        "gauge",
        "Circuit breaker of a target: 0 is CLOSED, 1 HALF_OPEN, 2 OPEN.",
        |target| match target.breaker.state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        },
    ),
    (
        "weir_broker_breaker_opened_total",
        "counter",
        "Times that the circuit breaker of a target opened.",
        |target| target.breaker.opened,
    ),
    (
        "weir_broker_breaker_consecutive_failures",
        "gauge",
        "Failures of a target since its last success.",
        |target| target.breaker.consecutive_failures.into(),
    ),
];
