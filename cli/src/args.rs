use crate::output::Output;
use crate::{bench, consume, groups, produce, schedule, tail, topics, up};
use clap::{Parser, Subcommand};
use weir_client::{Client, ClientOptions};
use weir_types::DurationText;

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
    Schedule(schedule::Schedule),
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
            "weir groups t",
            "weir schedule list --topic t --limit 5",
            "weir schedule show i",
            "weir schedule move i --delay 10m",
            "weir schedule move i --at 2027-01-31T12:00:00Z",
            "weir schedule cancel i",
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
            "weir bench publish --clients 0",
            "weir topics create t --retention-bytes many",
            "weir tail t --output yaml",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
