//! `weir bench`: load generators that measure a running broker. A file for each kind of load.

mod broker_process;
mod connection;
mod histogram;
mod payload;
mod publish;
mod report;
mod worker;

use crate::failure::Failure;
use crate::output::Output;
use clap::{Args, Subcommand};

/// Measure a running broker.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  weir bench publish\n  weir bench publish --clients 64 --batch 100 --seconds 30"
)]
pub(crate) struct Bench {
    #[command(subcommand)]
    load: Load,
}

#[derive(Debug, Subcommand)]
enum Load {
    Publish(publish::Publish),
}

impl Bench {
    pub(crate) const fn threads(&self) -> usize {
        match &self.load {
            Load::Publish(publish) => publish.threads as usize,
        }
    }
}

pub(crate) async fn run(broker: &str, output: Output, bench: Bench) -> Result<(), Failure> {
    match bench.load {
        Load::Publish(publish) => publish::run(broker, output, publish).await,
    }
}
