//! The broker as a process: what its users, its operator and its disk see.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests state their expectations bluntly"
)]

mod backends;
mod bad_input;
mod consuming;
mod crash;
mod dead_letters;
mod dedupe;
mod delivery;
mod failing_disk;
mod full_disk;
mod gaps;
mod gateway;
mod group_stream;
mod groups;
mod grpc;
mod history;
mod http_fetch;
mod http_publish;
mod http_stream;
mod key_order;
mod limits;
mod load;
mod members;
mod metrics;
mod minimq;
mod parallel_curl;
mod partitioned;
mod partitioned_load;
mod partitioned_peers;
mod publish_consume;
mod push_load;
mod push_workers;
mod python;
mod reported_letters;
mod request_reply;
mod rolling_restart;
mod schedule_crashes;
mod schedules;
mod seek;
mod shutdown;
mod slow_clients;
mod startup;
mod status;
mod storage_costs;
mod support;
mod synced_first;
mod topic_expiry;
mod topics;
mod upgrade;
mod workers;

/// A broker to start, on a data directory of its own.
fn broker() -> weir_testkit::BrokerSetup {
    weir_testkit::BrokerSetup::new(env!("CARGO_BIN_EXE_weir-broker"))
}
