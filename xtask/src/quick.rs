//! `cargo xtask quick`: the inner loop.

use crate::command_line::CommandLine;
use crate::steps::{Outcome, Steps};
use crate::test::has_nextest;
use crate::workspace::Workspace;
use crate::{manifests, python, tidy};
use clap::Args;

/// Formats, lints and runs the fast tests: under two minutes once things are built.
///
/// Leaves out tests whose name begins with `slow_` (profile `quick` in .config/nextest.toml): a
/// test that takes more than about two seconds is named so. Formatting is applied, not just
/// checked. Before a push run `cargo xtask test`, which leaves out nothing.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Quick {
    /// Only this package, for a still shorter loop (tidy still looks at everything).
    #[arg(short, long, value_name = "NAME")]
    package: Option<String>,
}

impl Quick {
    pub(crate) fn run(self, workspace: &Workspace) -> anyhow::Result<()> {
        let scope = match &self.package {
            Some(package) => vec!["-p", package],
            None => vec!["--workspace"],
        };
        let run = |command: CommandLine| command.run().map(|()| Outcome::Passed);
        let mut steps = Steps::default();

        steps.step("fmt", || {
            let everything = self.package.is_none();
            let whole: &[&str] = if everything { &["--all"] } else { &scope };
            run(CommandLine::parse("cargo fmt").args(whole))
        })?;
        steps.step("clippy", || {
            let clippy = CommandLine::parse("cargo clippy --all-targets").args(&scope);
            run(clippy.args(["--", "-D", "warnings"]))
        })?;
        steps.step("tidy", || tidy::step(workspace))?;
        steps.step("build", || {
            run(CommandLine::parse(
                "cargo build -p weir-broker -p weir-agent -p weir-ui -p weir-cli",
            ))
        })?;
        steps.step("python", || python::install(workspace))?;
        steps.step("schemas", || manifests::install_schemas(workspace))?;
        steps.step("tests", || run(fast_tests_command(&scope)))?;

        println!("\n{}", steps.summary());
        Ok(())
    }
}

fn fast_tests_command(scope: &[&str]) -> CommandLine {
    if has_nextest() {
        CommandLine::parse("cargo nextest run --profile quick --no-tests=pass").args(scope)
    } else {
        let tests = CommandLine::parse("cargo test --all-targets").args(scope);
        tests.args(["--", "--skip", "slow_"])
    }
}
