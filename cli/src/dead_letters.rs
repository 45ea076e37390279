//! `weir dead-letters`: messages that a group could not finish, looked at and moved back.

mod describe;
mod redrive;

use crate::args::client;
use crate::failure::Failure;
use crate::output::{Output, note};
use clap::{Args, Subcommand};
use describe::{describe, table};
use weir_client::{Client, DeadLetterOptions};
use weir_protocol::shapes;
use weir_types::{GroupName, MessageId, TopicName};

/// Look at the messages that groups could not finish, and move them back.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir dead-letters list orders
  weir dead-letters show orders billing/orders/0/42
  weir dead-letters redrive orders --group billing --all

A message that was delivered max_deliveries times, and not finished, becomes a dead letter: it moves
from TOPIC to the topic TOPIC.dead-letter, where it stays until that topic's retention removes it.")]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the dead letters of a topic that were not moved back.
    #[command(after_help = "\
Examples:
  weir dead-letters list orders
  weir dead-letters list orders --group billing --limit 1000
  weir dead-letters list orders --output json | jq -r '.dead_letters[].id'")]
    List(List),
    /// Show one dead letter: where it came from, why it is here, and its payload.
    #[command(after_help = "\
Examples:
  weir dead-letters show orders billing/orders/0/42
  weir dead-letters show orders billing/orders/0/42 --output json | jq .payload")]
    Show(Show),
    Redrive(redrive::Redrive),
}

#[derive(Debug, Args)]
struct List {
    /// The topic that they were published to.
    #[arg(value_parser = TopicName::parse)]
    topic: TopicName,
    /// Only those of this group.
    #[arg(long, value_parser = GroupName::parse)]
    group: Option<GroupName>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Where to go on: the `next` of the list before.
    #[arg(long, value_name = "CURSOR")]
    from: Option<String>,
}

#[derive(Debug, Args)]
struct Show {
    /// The topic that it was published to.
    #[arg(value_parser = TopicName::parse)]
    topic: TopicName,
    /// As `list` shows it: GROUP/TOPIC/PARTITION/OFFSET.
    #[arg(value_parser = MessageId::parse)]
    id: MessageId,
}

pub(crate) async fn run(broker: &str, output: Output, args: DeadLetters) -> Result<(), Failure> {
    let client = client(broker)?;
    match args.action {
        Action::List(list) => run_list(&client, output, list).await,
        Action::Show(show) => {
            let letter = client.dead_letter(&show.topic, &show.id).await?;
            output.show(&letter, || describe(&letter))
        }
        Action::Redrive(redrive) => redrive::run(&client, output, redrive).await,
    }
}

async fn run_list(client: &Client, output: Output, args: List) -> Result<(), Failure> {
    let listed = list(client, args).await?;
    output.show(&listed, || table(&listed.dead_letters))?;
    if let (Output::Text, Some(next)) = (output, &listed.next) {
        note(&format!("there may be more: --from {next}"));
    }
    Ok(())
}

/// As many as were asked for, over as many pages as it takes: what was moved back and what other
/// groups have fills pages too.
async fn list(client: &Client, args: List) -> Result<shapes::DeadLetters, Failure> {
    const PAGE: usize = 1000;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut dead_letters = Vec::new();
    let mut options = DeadLetterOptions {
        group: args.group,
        limit: None,
        from: args.from,
    };
    loop {
        options.limit = Some(PAGE.min(limit - dead_letters.len()));
        let mut page = client.dead_letters(&args.topic, &options).await?;
        dead_letters.append(&mut page.dead_letters);
        if page.next.is_none() || dead_letters.len() >= limit {
            return Ok(shapes::DeadLetters {
                dead_letters,
                next: page.next,
            });
        }
        options.from = page.next;
    }
}
