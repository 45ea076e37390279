//! What the dependency graph may contain: `deny.toml`, judged by cargo-deny.

use crate::command_line::CommandLine;
use crate::steps::Outcome;
use crate::wait::wait_for;
use crate::workspace::Workspace;
use std::process::Stdio;
use std::time::Duration;

const CARGO_DENY: &str = "0.20.2";
const FETCH_LIMIT: Duration = Duration::from_secs(60);

/// cargo-deny, already installed or now under `target/tools`; `deny.toml` is written for 0.20.
///
/// # Errors
/// When the installation fails.
pub(crate) fn cargo_deny(workspace: &Workspace) -> anyhow::Result<CommandLine> {
    let own = workspace.target.join("tools/bin/cargo-deny");
    let own = CommandLine::new(workspace.relative(&own));
    for candidate in [CommandLine::parse("cargo deny"), own.clone()] {
        let version = candidate.clone().arg("--version").output();
        if version.is_some_and(|version| version.starts_with("cargo-deny 0.20.")) {
            return Ok(candidate);
        }
    }
    println!("cargo-deny {CARGO_DENY} is missing and is built once; that takes some minutes");
    let tools = workspace.target.join("tools");
    CommandLine::parse("cargo install cargo-deny --locked --version")
        .arg(CARGO_DENY)
        .arg("--root")
        .arg(workspace.relative(&tools))
        .run()?;
    Ok(own)
}

/// Licences, banned crates and sources; needs no network once the lock file's crates are here.
///
/// # Errors
/// When something in the graph is refused by `deny.toml`.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let deny = cargo_deny(workspace)?;
    CommandLine::parse("cargo fetch --locked --quiet").run()?;
    deny.args(["--offline", "check", "bans", "licenses", "sources"])
        .run()?;
    Ok(Outcome::Passed)
}

/// Known holes; skipped where the advisory database cannot be fetched.
///
/// # Errors
/// When an advisory concerns a crate in the graph.
pub(crate) fn check_advisories(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let deny = cargo_deny(workspace)?;
    if !fetch_database(&deny)? {
        let reason = "the advisory database cannot be fetched from here".to_owned();
        println!("{reason}; run `cargo deny check advisories` where there is a network");
        return Ok(Outcome::Skipped(reason));
    }
    deny.args(["check", "--disable-fetch", "advisories"])
        .run()?;
    Ok(Outcome::Passed)
}

fn fetch_database(deny: &CommandLine) -> anyhow::Result<bool> {
    let fetch = deny.clone().args(["fetch", "db"]);
    let fetch = fetch.env("GIT_TERMINAL_PROMPT", "0");
    println!("$ {fetch}");
    let mut fetching = fetch
        .command()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let ended = wait_for(FETCH_LIMIT, || fetching.try_wait().transpose());
    let Some(status) = ended.transpose()? else {
        // A network that swallows packets would hold us for minutes.
        fetching.kill()?;
        fetching.wait()?;
        return Ok(false);
    };
    Ok(status.success())
}
