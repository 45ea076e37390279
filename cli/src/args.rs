use crate::output::Output;
use crate::{
    bench, check, consume, dead_letters, groups, import, produce, schedule, tail, topics, up,
    workers,
};
use clap::{Parser, Subcommand, ValueEnum};
use weir_client::{Client, ClientOptions};
use weir_protocol::shapes::GroupStart;
use weir_types::{DurationText, RetryBackoff};

/// The command line of Weir, a durable message broker.
#[derive(Debug, Parser)]
#[command(version, after_help = crate::failure::STATUS_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    /// Address of the broker.
    #[arg(
        long,
        global = true,
        env = "WEIR_BROKER",
        value_name = "URL",
        default_value = "http://127.0.0.1:5000"
    )]
    pub(crate) broker: String,

    /// Text for people, or JSON for programs (one object a line; errors on standard error).
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub(crate) output: Output,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(up::Up),
    Produce(produce::Produce),
    Consume(consume::Consume),
    Tail(tail::Tail),
    Topics(topics::Topics),
    Groups(groups::Groups),
    DeadLetters(dead_letters::DeadLetters),
    Schedule(schedule::Schedule),
    Workers(workers::Workers),
    Check(check::Check),
    Import(import::Import),
    Bench(bench::Bench),
}

impl Command {
    /// Threads that the command's runtime needs.
    pub(crate) const fn threads(&self) -> usize {
        match self {
            Self::Bench(bench) => bench.threads(),
            _ => 1,
        }
    }
}

/// A client of the broker at `url`.
pub(crate) fn client(url: &str) -> Result<Client, weir_client::ClientError> {
    Client::new(url, ClientOptions::default())
}

pub(crate) fn duration(text: &str) -> Result<DurationText, String> {
    text.parse::<DurationText>().map_err(|e| e.to_string())
}

/// As in the API, so that there is one way to write it.
pub(crate) fn retry_backoff(text: &str) -> Result<RetryBackoff, String> {
    serde_json::from_str(text).map_err(|_| {
        "expected JSON: a list of delays such as [\"1s\",\"1m\"], or \
         {\"initial\":\"1s\",\"factor\":2,\"cap\":\"10m\",\"jitter\":0.2}"
            .to_owned()
    })
}

/// Where a new group begins.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Start {
    /// At the oldest message.
    Earliest,
    /// After the newest message.
    Latest,
}

impl From<Start> for GroupStart {
    fn from(start: Start) -> Self {
        match start {
            Start::Earliest => Self::Earliest,
            Start::Latest => Self::Latest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            for sub in command.get_subcommands().filter(|c| c.get_name() != "help") {
                let help = sub.get_after_help().map(ToString::to_string);
                assert!(
                    help.unwrap_or_default().contains("weir "),
                    "{}",
                    sub.get_name()
                );
                check(sub);
            }
        }
        check(&Cli::command());
    }

    #[test]
    fn commands_of_the_readme_are_understood() {
        for line in [
            "weir up",
            "weir produce t {\"a\":1} --key k --header a=b",
            "weir produce t -",
            "weir produce t -1 --partition 0",
            "weir consume t --group g --max 5 --wait 30s --from latest",
            "weir tail t --from earliest --no-follow --output json",
            "weir topics",
            "weir topics create t --partitions 4 --durability interval=10ms",
            "weir --broker http://h:1 topics delete t --yes",
            "weir consume t --group g --member m --stream",
            "weir groups t",
            "weir groups list t",
            "weir groups show t g --output json",
            "weir groups create t g --start latest --ordering partition --max-deliveries 5",
            "weir groups alter t g --retry-backoff [\"1s\",\"1m\"] --expires-after 1day",
            "weir groups seek t g --to earliest",
            "weir groups seek t g --to 2026-11-21T08:00:00Z --partition 1",
            "weir groups seek t g --partition 0 --offset 42",
            "weir groups delete t g --yes",
            "weir dead-letters list t --group g --limit 5",
            "weir dead-letters show t g/t/0/42",
            "weir dead-letters redrive t --group g --id g/t/0/42 --id g/t/0/43",
            "weir dead-letters redrive t --group g --key k --reason boom",
            "weir dead-letters redrive t --group g --all",
            "weir schedule list --topic t --limit 5",
            "weir schedule show i",
            "weir schedule move i --delay 10m",
            "weir schedule move i --at 2027-01-31T12:00:00Z",
            "weir schedule cancel i",
            "weir check",
            "weir check --ui http://h:8080 --node n --timeout 2m --topic t",
            "weir import minimq d --topic a --topic b --rename a=c --dry-run",
            "weir import publish-consume d --on-bad-line skip --append",
            "weir import partitioned d --partitions a:8,b:2 --only-owned --caught-up g --batch 10",
            "weir bench publish --clients 2 --payload-bytes 100 --seconds 1",
        ] {
            let parsed = Cli::try_parse_from(line.split(' '));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn nonsense_is_wrong_usage() {
        for line in [
            "weir",
            "weir produce ../x 1",
            "weir produce __x 1",
            "weir produce t 1 --header noequals",
            "weir consume t",
            "weir schedule move i",
            "weir schedule move i --delay 1s --at 5",
            "weir consume t --group g --wait soon",
            "weir consume t --group g --stream --max 3",
            "weir groups",
            "weir groups t show",
            "weir groups create t",
            "weir groups create t g --ordering keys",
            "weir groups create t g --retry-backoff soon",
            "weir groups seek t g",
            "weir groups seek t g --offset 3",
            "weir groups seek t g --to earliest --partition 0 --offset 3",
            "weir dead-letters",
            "weir dead-letters redrive t --all",
            "weir dead-letters redrive t --group g",
            "weir dead-letters redrive t --group g --all --key k",
            "weir check --node n",
            "weir check --timeout soon",
            "weir import",
            "weir import minimq",
            "weir import minimq d --rename a=b/c",
            "weir import minimq d --only-owned",
            "weir import publish-consume d --caught-up g",
            "weir import partitioned d --partitions a:0",
            "weir import partitioned d --batch 0",
            "weir bench publish --clients 0",
            "weir topics create t --retention-bytes many",
            "weir tail t --output yaml",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
