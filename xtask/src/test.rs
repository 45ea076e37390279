//! `cargo xtask test`: everything CI runs, in CI's order.

use crate::command_line::CommandLine;
use crate::steps::{Outcome, Steps};
use crate::web::{self, REQUIRE_ASSETS};
use crate::workspace::Workspace;
use crate::{debian, dependencies, manifests, python, tidy};
use clap::Args;

/// Runs everything CI runs; `.ci/run` is this command.
///
/// In this order, stopping at the first failure with the command that repeats it:
///
///   packages    Debian packages the tests need; installed where we may, else the command is shown
///   python      Python packages the tests need, into target/tools/python
///   schemas     schemas that the chart's custom resources are judged by, from npm
///   web         the dashboard's page: built, and its own tests
///   fmt         cargo fmt --check
///   clippy      no warnings, all targets
///   tidy        the rules of this repository, see `cargo xtask tidy --help`
///   build       the binaries, which the tests start as real processes
///   images      the agent's image: its static binary runs alone, as root only; the others in CI's workflows
///   doc tests   examples in the documentation
///   tests       cargo nextest run, or cargo test where nextest is missing
///   docs        cargo doc, no warnings
///   deny        licences, banned crates, sources; cargo-deny is built into target/tools if missing
///   advisories  known holes in dependencies; skipped where the database cannot be fetched
///
/// For the inner loop there is `cargo xtask quick`.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Test {}

impl Test {
    pub(crate) fn run(self, workspace: &Workspace) -> anyhow::Result<()> {
        let Self {} = self;
        let (variable, required) = REQUIRE_ASSETS;
        let run = |command: CommandLine| {
            command
                .env(variable, required)
                .run()
                .map(|()| Outcome::Passed)
        };
        let cargo = |line: &str| run(CommandLine::parse(line));
        let mut steps = Steps::default();

        steps.step("packages", || debian::ensure(debian::FOR_TESTS))?;
        steps.step("python", || python::install(workspace))?;
        steps.step("schemas", || manifests::install_schemas(workspace))?;
        steps.step("web", || web::build(workspace).and_then(|_| web::test()))?;
        steps.step("fmt", || cargo("cargo fmt --all --check"))?;
        steps.step("clippy", || {
            cargo("cargo clippy --workspace --all-targets --locked -- -D warnings")
        })?;
        steps.step("tidy", || tidy::step(workspace))?;
        steps.step("build", || {
            cargo("cargo build --locked -p weir-broker -p weir-agent -p weir-ui -p weir-cli")
        })?;
        // Beside the broker that was just built. One image stands for all: the others take minutes each.
        steps.step("images", || {
            cargo("cargo --locked xtask images --image weir-agent --check --prebuilt-page")
        })?;
        // Before the tests, so that the last closing line of a test runner is that of the tests.
        steps.step("doc tests", || {
            cargo("cargo test --doc --workspace --locked")
        })?;
        steps.step("tests", || run(tests_command()))?;
        steps.step("docs", || {
            let doc = CommandLine::parse("cargo doc --no-deps --workspace --locked");
            run(doc.env("RUSTDOCFLAGS", "-D warnings"))
        })?;
        steps.step("deny", || dependencies::check(workspace))?;
        steps.step("advisories", || dependencies::check_advisories(workspace))?;

        println!("\n{}", steps.summary());
        Ok(())
    }
}

fn tests_command() -> CommandLine {
    if has_nextest() {
        CommandLine::parse("cargo nextest run --workspace --locked")
    } else {
        CommandLine::parse("cargo test --workspace --all-targets --locked")
    }
}

pub(crate) fn has_nextest() -> bool {
    CommandLine::parse("cargo nextest --version").succeeds()
}
