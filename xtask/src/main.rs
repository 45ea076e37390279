//! Weir's development tasks: `cargo xtask <task>`.
//!
//! One file per task; every task says what it runs before it runs it, so that each line can be
//! repeated by hand. Nothing here is part of the product, and no other crate depends on it.

#[cfg(test)]
mod ci_definitions;
mod command_line;
mod debian;
mod dependencies;
mod footprint;
mod images;
mod manifests;
mod measured;
mod process;
mod python;
mod quick;
mod release;
mod rfc3339;
mod sizing;
mod slow_readers;
mod steps;
mod storage;
mod test;
mod tidy;
mod up;
mod wait;
mod web;
mod workspace;

use crate::workspace::Workspace;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Weir's development tasks.
///
/// First time here?  `cargo xtask up` builds and runs Weir on this machine.
/// While coding:     `cargo xtask quick` formats, lints and runs the fast tests.
/// Before a push:    `cargo xtask test` is exactly what CI runs.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Up(up::Up),
    Test(test::Test),
    Quick(quick::Quick),
    Tidy(tidy::Tidy),
    Footprint(footprint::Footprint),
    SlowReaders(slow_readers::SlowReaders),
    Sizing(sizing::Sizing),
    Storage(storage::Storage),
    Web(web::Web),
    Images(images::Images),
    Python(python::Python),
    Manifests(manifests::Manifests),
    Release(release::Release),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    std::env::set_current_dir(&workspace.root)?;
    match task {
        Task::Up(up) => up.run(&workspace),
        Task::Test(test) => test.run(&workspace),
        Task::Quick(quick) => quick.run(&workspace),
        Task::Tidy(tidy) => tidy.run(&workspace),
        Task::Footprint(footprint) => footprint.run(&workspace),
        Task::SlowReaders(slow_readers) => slow_readers.run(&workspace),
        Task::Sizing(sizing) => sizing.run(&workspace),
        Task::Storage(storage) => storage.run(&workspace),
        Task::Web(web) => web.run(&workspace),
        Task::Images(images) => images.run(&workspace),
        Task::Python(python) => python.run(&workspace),
        Task::Manifests(manifests) => manifests.run(&workspace),
        Task::Release(release) => release.run(&workspace),
    }
}
