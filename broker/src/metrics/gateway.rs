//! The gateway's numbers, as they are at this moment.

use std::fmt::Write;
use weir_protocol::shapes::GatewayStats;

/// Renders what goes on at the gateway.
#[must_use]
pub fn render_gateway(stats: &GatewayStats) -> String {
    let metrics = [
        (
            "weir_broker_gateway_consumers",
            "gauge",
            "Consumers of the gateway that were heard in the last 60 s.",
            stats.consumers as u64,
        ),
        (
            "weir_broker_gateway_producers",
            "gauge",
            "Clients of the gateway that pushed in the last 60 s.",
            stats.producers as u64,
        ),
        (
            "weir_broker_gateway_partitions",
            "gauge",
            "Partitions of the gateway's topic.",
            stats.partitions.into(),
        ),
        (
            "weir_broker_gateway_brokers",
            "gauge",
            "Brokers that share the work.",
            stats.brokers.into(),
        ),
        (
            "weir_broker_gateway_queue_messages",
            "gauge",
            "Messages at the gateway that no consumer has received.",
            stats.messages_in_queue,
        ),
        (
            "weir_broker_gateway_sent_messages_total",
            "counter",
            "Messages pushed through the gateway.",
            stats.sent,
        ),
        (
            "weir_broker_gateway_received_messages_total",
            "counter",
            "Messages that consumers of the gateway received.",
            stats.received,
        ),
    ];
    let mut page = String::new();
    for (name, kind, help, value) in metrics {
        let _infallible = write!(
            page,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n"
        );
    }
    page
}
