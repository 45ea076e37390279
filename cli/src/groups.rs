//! `weir groups`: who reads a topic and how far behind; groups created, changed, moved, deleted.

mod describe;

use crate::args::{Start, client, duration, retry_backoff};
use crate::confirm::{Consent, confirm};
use crate::failure::Failure;
use crate::output::Output;
use crate::table::{Align, render};
use clap::{Args, Subcommand, ValueEnum};
use describe::describe;
use weir_client::{Client, ClientError};
use weir_protocol::ErrorCode;
use weir_protocol::shapes::{GroupInfo, GroupRequest, SeekRequest};
use weir_types::{
    DurationText, GroupName, GroupOrdering, Offset, PartitionId, RetryBackoff, TopicName,
};

/// List the groups of a topic; or create, show, alter, move or delete one.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  weir groups orders
  weir groups show orders billing
  weir groups create orders billing --max-deliveries 5 --retry-backoff '[\"1s\",\"1m\"]'
  weir groups seek orders billing --to 2026-11-21T08:00:00Z

A topic that is named like a command: weir groups list show"
)]
pub(crate) struct Groups {
    /// List the groups of this topic.
    #[arg(value_parser = TopicName::parse, required = true)]
    topic: Option<TopicName>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the groups of a topic with their lag.
    #[command(after_help = "\
Examples:
  weir groups list orders
  weir groups list orders --output json

LAG counts unfinished messages, AGE is that of the oldest one. IN FLIGHT are leased, WAITING are due
or wait for their next delivery, HELD BACK wait behind an earlier message of their key. REDELIVERED,
DEAD LETTERS and LOST count since the broker started.")]
    List(OfTopic),
    /// Show one group with its settings, members and partitions.
    #[command(after_help = "\
Examples:
  weir groups show orders billing
  weir groups show orders billing --output json

COMMITTED is the offset below which all is finished. READING is `stopped` while so many messages are
in flight or held back that nothing further is read until some are finished.")]
    Show(One),
    /// Create a group, and its topic if need be.
    #[command(after_help = "\
Examples:
  weir groups create orders billing
  weir groups create orders audit --start latest --ordering none
  weir groups create orders billing --max-deliveries 5 --retry-backoff '[\"1s\",\"10s\",\"1m\"]'
  weir groups create orders preview --expires-after 1day

Consuming creates a group too, from the oldest message and with the topic's settings.")]
    Create(New),
    /// Change settings of a group; what is not named stays.
    #[command(after_help = "\
Examples:
  weir groups alter orders billing --max-deliveries 5
  weir groups alter orders billing --retry-backoff '{\"initial\":\"1s\",\"cap\":\"10m\",\"jitter\":0.2}'")]
    Alter(Changed),
    /// Go on from another place; what is leased there now is void.
    #[command(after_help = "\
Examples:
  weir groups seek orders billing --to earliest
  weir groups seek orders billing --to 2026-11-21T08:00:00Z
  weir groups seek orders billing --to latest --partition 2
  weir groups seek orders billing --partition 0 --offset 42

Which messages behind that place were finished before is forgotten: they are delivered again.")]
    Seek(Move),
    /// Delete a group and its place in the topic.
    #[command(after_help = "Examples:\n  weir groups delete orders billing --yes")]
    Delete(Sure),
}

#[derive(Debug, Args)]
struct OfTopic {
    #[arg(value_parser = TopicName::parse)]
    topic: TopicName,
}

#[derive(Debug, Args)]
struct One {
    #[arg(value_parser = TopicName::parse)]
    topic: TopicName,
    #[arg(value_parser = GroupName::parse)]
    group: GroupName,
}

#[derive(Debug, Args)]
struct New {
    #[command(flatten)]
    one: One,
    /// Where it begins; at the oldest message unless told.
    #[arg(long, value_enum)]
    start: Option<Start>,
    /// Which messages wait for which; fixed once created. `key` unless told.
    #[arg(long, value_enum)]
    ordering: Option<Ordering>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct Changed {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    settings: Settings,
}

/// What may be chosen at any time; the topic's unless told.
#[derive(Debug, Args)]
struct Settings {
    /// A message leased this often, and not finished, becomes a dead letter.
    #[arg(long, value_name = "N")]
    max_deliveries: Option<u32>,
    /// Waits between deliveries: `["1s","1m"]`, or `{"initial":"1s","cap":"10m"}`.
    #[arg(long, value_name = "JSON", value_parser = retry_backoff)]
    retry_backoff: Option<RetryBackoff>,
    /// Delete the group when nobody has used it for so long.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expires_after: Option<DurationText>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ordering {
    /// None waits for another.
    None,
    /// A message with a key waits for the earlier ones with that key.
    Key,
    /// A partition's messages go to one member at a time, in order.
    Partition,
}

#[derive(Debug, Args)]
struct Move {
    #[command(flatten)]
    one: One,
    /// `earliest`, `latest`, an RFC 3339 time, or a cursor.
    #[arg(long, value_name = "PLACE", required_unless_present = "offset")]
    to: Option<String>,
    /// Only in this partition.
    #[arg(long)]
    partition: Option<u32>,
    /// The next offset to deliver, in --partition.
    #[arg(long, conflicts_with = "to", requires = "partition")]
    offset: Option<u64>,
}

#[derive(Debug, Args)]
struct Sure {
    #[command(flatten)]
    one: One,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

impl From<Ordering> for GroupOrdering {
    fn from(ordering: Ordering) -> Self {
        match ordering {
            Ordering::None => Self::None,
            Ordering::Key => Self::Key,
            Ordering::Partition => Self::Partition,
        }
    }
}

impl Settings {
    fn request(self) -> GroupRequest {
        GroupRequest {
            max_deliveries: self.max_deliveries,
            retry_backoff: self.retry_backoff,
            expires_after: self.expires_after,
            ..GroupRequest::default()
        }
    }
}

pub(crate) async fn run(broker: &str, output: Output, args: Groups) -> Result<(), Failure> {
    let client = client(broker)?;
    match (args.action, args.topic) {
        (None, Some(topic)) => list(&client, output, &topic).await,
        // The parser asks for one of both.
        (None, None) => Err(Failure::Usage("a topic is missing".into())),
        (Some(Action::List(listed)), _) => list(&client, output, &listed.topic).await,
        (Some(Action::Show(one)), _) => show(output, &client.group(&one.topic, &one.group).await?),
        (Some(Action::Create(new)), _) => create(&client, output, new).await,
        (Some(Action::Alter(changed)), _) => alter(&client, output, changed).await,
        (Some(Action::Seek(to)), _) => seek(&client, output, to).await,
        (Some(Action::Delete(sure)), _) => delete(&client, output, &sure).await,
    }
}

async fn list(client: &Client, output: Output, topic: &TopicName) -> Result<(), Failure> {
    let listed = client.groups(topic).await?;
    output.show(&listed, || table(&listed.groups))
}

fn table(groups: &[GroupInfo]) -> String {
    let columns = [
        ("GROUP", Align::Left),
        ("LAG", Align::Right),
        ("AGE", Align::Right),
        ("IN FLIGHT", Align::Right),
        ("WAITING", Align::Right),
        ("HELD BACK", Align::Right),
        ("REDELIVERED", Align::Right),
        ("DEAD LETTERS", Align::Right),
        ("LOST", Align::Right),
    ];
    let row = |g: &GroupInfo| {
        vec![
            g.group.to_string(),
            g.lag_records.to_string(),
            format!("{:.1}s", g.lag_seconds),
            g.in_flight.to_string(),
            g.waiting.to_string(),
            g.held_back.to_string(),
            g.redelivered.to_string(),
            g.dead_lettered.to_string(),
            g.lost_records.to_string(),
        ]
    };
    render(&columns, &groups.iter().map(row).collect::<Vec<_>>())
}

async fn create(client: &Client, output: Output, new: New) -> Result<(), Failure> {
    let One { topic, group } = new.one;
    match client.group(&topic, &group).await {
        Ok(_) => Err(exists(&group).into()),
        Err(error) if is_missing(&error) => {
            let request = GroupRequest {
                start: new.start.map(Into::into),
                ordering: new.ordering.map(Into::into),
                ..new.settings.request()
            };
            show(output, &client.put_group(&topic, &group, request).await?)
        }
        Err(error) => Err(error.into()),
    }
}

fn is_missing(error: &ClientError) -> bool {
    let missing = [ErrorCode::UnknownGroup, ErrorCode::UnknownTopic];
    error.code().is_some_and(|code| missing.contains(&code))
}

fn exists(group: &GroupName) -> ClientError {
    ClientError::Refused {
        status: ErrorCode::Conflict.http_status(),
        code: ErrorCode::Conflict,
        message: format!(
            "the group {group:?} exists; change it with `weir groups alter`, \
             move it with `weir groups seek`"
        ),
        retry_after: None,
    }
}

async fn alter(client: &Client, output: Output, changed: Changed) -> Result<(), Failure> {
    let One { topic, group } = changed.one;
    // Putting a group that is missing would create it.
    client.group(&topic, &group).await?;
    let request = changed.settings.request();
    show(output, &client.put_group(&topic, &group, request).await?)
}

async fn seek(client: &Client, output: Output, to: Move) -> Result<(), Failure> {
    let request = SeekRequest {
        to: to.to,
        partition: to.partition.map(PartitionId),
        offset: to.offset.map(Offset),
    };
    let info = client.seek(&to.one.topic, &to.one.group, &request).await?;
    output.show(&info, || {
        let (group, topic, lag) = (&info.group, &info.topic, info.lag_records);
        format!("moved {group}: {lag} records of {topic} to go")
    })
}

async fn delete(client: &Client, output: Output, sure: &Sure) -> Result<(), Failure> {
    let One { topic, group } = &sure.one;
    let question = format!("Delete the group {group} and its place in {topic}?");
    confirm(&question, Consent::of(sure.yes))?;
    client.delete_group(topic, group).await?;
    let deleted = serde_json::json!({"topic": topic, "group": group, "deleted": true});
    output.show(&deleted, || format!("deleted {group}"))
}

fn show(output: Output, group: &GroupInfo) -> Result<(), Failure> {
    output.show(group, || describe(group))
}
