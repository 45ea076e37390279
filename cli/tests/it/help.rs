//! docs/command-line.md is what `--help` says.

use crate::support::{WEIR, printed, root};
use std::fmt::Write;
use std::process::Command;

const HEAD: &str = "\
# The command line

`weir` talks to a broker at `http://127.0.0.1:5000` unless `--broker` or `WEIR_BROKER` says otherwise.
With `--output json` it prints JSON, and errors as the broker's error object on standard error.

This page is made from `--help`: `UPDATE_DOCS=1 cargo test -p weir-cli --test it help`.
";

const COMMANDS: [&str; 46] = [
    "",
    "up",
    "produce",
    "consume",
    "tail",
    "topics",
    "topics create",
    "topics show",
    "topics alter",
    "topics delete",
    "topics purge",
    "groups",
    "groups list",
    "groups show",
    "groups create",
    "groups alter",
    "groups seek",
    "groups delete",
    "dead-letters",
    "dead-letters list",
    "dead-letters show",
    "dead-letters redrive",
    "schedule",
    "schedule list",
    "schedule show",
    "schedule move",
    "schedule cancel",
    "workers",
    "workers list",
    "workers show",
    "workers add",
    "workers remove",
    "workers pause",
    "workers resume",
    "check",
    "import",
    "import minimq",
    "import publish-consume",
    "import partitioned",
    "bench",
    "bench publish",
    "bench publish-batch",
    "bench fetch",
    "bench consume",
    "bench e2e",
    "help",
];

fn help(command: &str) -> String {
    let words = command.split_whitespace().filter(|word| *word != "help");
    let output = Command::new(WEIR)
        .args(words)
        .arg("--help")
        .env_remove("WEIR_BROKER")
        .env_remove("TOPICS")
        .output();
    printed(&output.unwrap())
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for command in COMMANDS.iter().filter(|command| **command != "help") {
        let text: Vec<String> = help(command)
            .lines()
            .map(|l| l.trim_end().to_owned())
            .collect();
        write!(
            page,
            "\n## weir {command}\n\n```\n{}\n```\n",
            text.join("\n").trim_end()
        )
        .unwrap();
    }
    page.replace("## weir \n", "## weir\n")
}

#[test]
fn the_page_says_what_help_says() {
    let path = root().join("docs/command-line.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/command-line.md is old; it says how to renew it"
    );
}

#[test]
fn every_command_of_the_help_has_its_section() {
    let listed = help("");
    let commands = listed
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("Options:")
        .next()
        .unwrap();
    for line in commands
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
    {
        let name = line.split_whitespace().next().unwrap();
        assert!(
            COMMANDS.contains(&name),
            "{name} is missing in this test's list"
        );
    }
}
