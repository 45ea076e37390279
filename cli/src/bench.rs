//! `weir bench`: load generators that measure a running broker. A file for each kind of load.
//!
//! Every load is a number of clients, each with one connection and one request in flight, run by
//! [`clients`] within a window of time, and told by the same [`report`]. The generator shares the
//! machine with the broker, so it is lean (requests are prepared, HTTP is written by hand) and
//! says what it used itself.

mod arrivals;
mod broker_process;
mod clients;
mod connection;
mod consume;
mod consumer;
mod departures;
mod end_to_end;
mod endpoint;
mod events;
mod fetch;
mod fill;
mod histogram;
mod leased;
mod listener;
mod measured;
mod options;
mod payload;
mod publish;
mod publisher;
mod reader;
mod replay;
mod report;
mod request;
mod topic;
mod usage;

use crate::failure::Failure;
use crate::output::Output;
use clap::{Args, Subcommand};

/// Measure a running broker.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir bench publish
  weir bench publish --clients 64 --durability interval=100ms
  weir bench publish-batch --clients 4 --batch 256
  weir bench fetch --clients 4
  weir bench consume --consumers 4
  weir bench e2e --via lease

Broker and generator share the machine if both run on it: a rate is what the two do together. CPU
per message depends on that far less, so compare it first.")]
pub(crate) struct Bench {
    #[command(subcommand)]
    load: Load,
}

#[derive(Debug, Subcommand)]
enum Load {
    Publish(publish::Publish),
    PublishBatch(publish::PublishBatch),
    Fetch(fetch::Fetch),
    Consume(consume::Consume),
    #[command(name = "e2e")]
    EndToEnd(end_to_end::EndToEnd),
}

impl Bench {
    pub(crate) const fn threads(&self) -> usize {
        let common = match &self.load {
            Load::Publish(publish) => &publish.common,
            Load::PublishBatch(publish) => &publish.common,
            Load::Fetch(fetch) => &fetch.common,
            Load::Consume(consume) => &consume.common,
            Load::EndToEnd(end_to_end) => &end_to_end.common,
        };
        common.threads as usize
    }
}

pub(crate) async fn run(broker: &str, output: Output, bench: Bench) -> Result<(), Failure> {
    match bench.load {
        Load::Publish(publish) => publish.run(broker, output).await,
        Load::PublishBatch(publish) => publish.run(broker, output).await,
        Load::Fetch(fetch) => fetch.run(broker, output).await,
        Load::Consume(consume) => consume.run(broker, output).await,
        Load::EndToEnd(end_to_end) => end_to_end.run(broker, output).await,
    }
}
