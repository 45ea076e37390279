//! `weir`: the command line.
//!
//! Each subcommand is a module with its arguments and a `run`; all of them talk to a broker through
//! `weir-client` and report through `Output` and `Failure`, so that text, JSON and exit codes are
//! the same everywhere. Absent on purpose: knowledge of the wire or the disk.

mod args;
mod bench;
mod check;
mod confirm;
mod consume;
mod dead_letters;
mod failure;
mod groups;
mod import;
mod output;
mod produce;
mod schedule;
mod table;
mod tail;
mod topics;
mod up;
mod workers;

use args::{Cli, Command};
use clap::Parser;
use failure::{Failure, Status};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return explain(&error).into(),
    };
    let output = cli.output;
    match start(cli) {
        Ok(()) => Status::Done.into(),
        Err(failure) => output.report(&failure).into(),
    }
}

/// Help and version count as done, everything else as wrong usage.
fn explain(error: &clap::Error) -> Status {
    let _closed = error.print();
    if error.use_stderr() {
        Status::Usage
    } else {
        Status::Done
    }
}

fn start(cli: Cli) -> Result<(), Failure> {
    if let Command::Up(up) = &cli.command {
        return up::up(up);
    }
    let mut runtime = match cli.command.threads() {
        1 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    };
    let runtime = runtime.enable_all().build().map_err(Failure::System)?;
    let result = runtime.block_on(run(cli));
    // A read of standard input cannot be cancelled; waiting for it would hang.
    runtime.shutdown_background();
    result
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let output = cli.output;
    let broker = &cli.broker;
    match cli.command {
        Command::Up(up) => up::up(&up),
        Command::Produce(produce) => produce::run(broker, output, produce).await,
        Command::Consume(consume) => consume::run(broker, output, &consume).await,
        Command::Tail(tail) => tail::run(broker, output, tail).await,
        Command::Topics(topics) => topics::run(broker, output, topics).await,
        Command::Groups(groups) => groups::run(broker, output, groups).await,
        Command::DeadLetters(letters) => dead_letters::run(broker, output, letters).await,
        Command::Schedule(schedule) => schedule::run(broker, output, schedule).await,
        Command::Workers(workers) => workers::run(broker, output, workers).await,
        Command::Check(check) => check::run(broker, output, check).await,
        Command::Import(import) => import::run(broker, output, import).await,
        Command::Bench(bench) => bench::run(broker, output, bench).await,
    }
}
