//! `cargo xtask up`: from a checkout to a running Weir.

use crate::command_line::CommandLine;
use crate::web;
use crate::workspace::Workspace;
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// Builds the dashboard's page and release binaries, and runs Weir on this machine. Needs npm.
///
/// Listens on loopback, keeps its data in ./data at the root of the checkout, and prints what runs
/// where with `curl` lines to try. Ctrl-C stops it in order; the exit code is Weir's own.
///
/// Examples:
///   cargo xtask up
///   cargo xtask up --data-dir /tmp/weir
///   cargo xtask up -- --help            what `weir up` itself understands
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Up {
    /// Where the data lies, relative to the root of the checkout.
    #[arg(long, value_name = "DIR", default_value = "./data")]
    data_dir: PathBuf,
    /// Runs the unoptimised build: builds faster, runs slower.
    #[arg(long)]
    debug: bool,
    /// Passed on to `weir up`.
    #[arg(last = true, value_name = "WEIR UP ARGUMENTS")]
    weir_arguments: Vec<OsString>,
}

impl Up {
    pub(crate) fn run(self, workspace: &Workspace) -> anyhow::Result<()> {
        web::build(workspace)?;
        let build =
            CommandLine::parse("cargo build -p weir-cli -p weir-broker -p weir-agent -p weir-ui");
        let (build, profile) = if self.debug {
            (build, "debug")
        } else {
            (build.arg("--release"), "release")
        };
        build.run()?;

        let weir = workspace.target.join(profile).join("weir");
        let weir_up = CommandLine::new(workspace.relative(&weir))
            .arg("up")
            .arg("--data-dir")
            .arg(&self.data_dir)
            .args(&self.weir_arguments);
        // Becoming `weir` beats watching it: `cargo run` has become us in the same way, so the
        // terminal's Ctrl-C, a supervisor's SIGTERM and the exit code all are `weir`'s, without a
        // signal handler or a crate for one.
        Err(weir_up.become_it())
    }
}
