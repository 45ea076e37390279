//! `peerbench`: one load generator, several message brokers, the same scenarios.
//!
//! `peerbench run` measures one scenario once and appends one JSON line to `--out`;
//! `peerbench report` turns those lines into tables of medians and ranges.

mod cli;
mod drivers;
mod payload;
mod procstat;
mod report;
mod scenario;

use anyhow::Result;
use clap::Parser;
use cli::{Cli, Command, RunArgs, SystemName};
use drivers::System;

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Report { files } => report::print(&files),
        Command::Run(args) => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(run(*args)),
    }
}

async fn run(args: RunArgs) -> Result<()> {
    match args.system {
        SystemName::Nats => measure(drivers::nats::Nats::new(&args), args).await,
        SystemName::Redis => measure(drivers::redis::Redis::new(&args), args).await,
        SystemName::Rabbit => measure(drivers::rabbit::Rabbit::new(&args), args).await,
        SystemName::Minimq => measure(drivers::http::Http::minimq(&args), args).await,
        SystemName::Http => measure(drivers::http::Http::new(&args), args).await,
        #[cfg(feature = "iggy")]
        SystemName::Iggy => measure(drivers::iggy::Iggy::new(&args), args).await,
    }
}

async fn measure<S: System>(system: S, args: RunArgs) -> Result<()> {
    let outcome = scenario::run(system, &args).await?;
    report::append(&args, &outcome)
}
