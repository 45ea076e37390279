//! `weir schedule`: messages that are delivered later.

use crate::args::client;
use crate::failure::Failure;
use crate::output::Output;
use crate::table::{Align, render};
use clap::{ArgGroup, Args, Subcommand};
use std::time::Duration;
use weir_client::{Client, ScheduleOptions};
use weir_protocol::shapes::{Schedule as Waiting, Schedules};
use weir_protocol::{Deliver, parse_delay, parse_deliver_at};
use weir_types::{Timestamp, TopicName};

/// List messages that wait for their time; show, move or cancel one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir schedule list
  weir schedule list --topic orders --limit 10
  weir schedule show 6JkDpHbYtnVQbTlh9UH4Ag
  weir schedule move 6JkDpHbYtnVQbTlh9UH4Ag --delay 10m
  weir schedule cancel 6JkDpHbYtnVQbTlh9UH4Ag

A message waits if it was published with `delay` or `deliver_at`; the broker then answered with its
schedule id. What is due and still listed says why under PROBLEM; it is tried again by itself.")]
pub(crate) struct Schedule {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List waiting messages in order of delivery.
    #[command(after_help = "Examples:\n  weir schedule list --topic orders --output json")]
    List(List),
    /// Show one waiting message with its payload.
    #[command(after_help = "Examples:\n  weir schedule show 6JkDpHbYtnVQbTlh9UH4Ag")]
    Show(One),
    /// Deliver a waiting message at another time.
    #[command(
        after_help = "Examples:\n  weir schedule move 6JkDpHbYtnVQbTlh9UH4Ag --delay 0s\n  weir schedule move 6JkDpHbYtnVQbTlh9UH4Ag --at 2027-01-31T12:00:00Z"
    )]
    Move(Move),
    /// Cancel a waiting message: it is never delivered.
    #[command(after_help = "Examples:\n  weir schedule cancel 6JkDpHbYtnVQbTlh9UH4Ag")]
    Cancel(One),
}

#[derive(Debug, Args)]
struct List {
    /// Only those that go to this topic.
    #[arg(long, value_parser = TopicName::parse)]
    topic: Option<TopicName>,
    /// At most so many.
    #[arg(long, default_value = "100")]
    limit: usize,
}

#[derive(Debug, Args)]
struct One {
    /// As the publish was answered.
    schedule_id: String,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("when").required(true).args(["delay", "at"]))]
struct Move {
    /// As the publish was answered.
    schedule_id: String,
    /// So long from now, such as `10m`; `0s` is at once.
    #[arg(long, value_name = "DURATION", value_parser = parse_delay)]
    delay: Option<Duration>,
    /// At this time: RFC 3339, or milliseconds since the epoch.
    #[arg(long, value_name = "TIME", value_parser = parse_deliver_at)]
    at: Option<Timestamp>,
}

pub(crate) async fn run(broker: &str, output: Output, args: Schedule) -> Result<(), Failure> {
    let client = client(broker)?;
    match args.action {
        Action::List(args) => {
            let listed = list(&client, args).await?;
            output.show(&listed, || table(&listed.schedules))
        }
        Action::Show(one) => show(output, &client.schedule_of(&one.schedule_id).await?),
        Action::Move(args) => relocate(&client, output, &args).await,
        Action::Cancel(one) => cancel(&client, output, &one.schedule_id).await,
    }
}

/// Page by page, because the broker returns as much as it likes at a time.
async fn list(client: &Client, args: List) -> Result<Schedules, Failure> {
    let mut listed = Schedules::default();
    loop {
        let left = args.limit - listed.schedules.len();
        let options = ScheduleOptions {
            topic: args.topic.clone(),
            limit: Some(left.min(1000)),
            from: listed.next.take(),
        };
        let page = client.schedules(&options).await?;
        listed.schedules.extend(page.schedules);
        listed.next = page.next;
        if listed.next.is_none() || listed.schedules.len() >= args.limit {
            return Ok(listed);
        }
    }
}

fn table(waiting: &[Waiting]) -> String {
    let columns = [
        ("SCHEDULE", Align::Left),
        ("DELIVER AT", Align::Left),
        ("TOPIC", Align::Left),
        ("KEY", Align::Left),
        ("PROBLEM", Align::Left),
    ];
    let row = |one: &Waiting| {
        let key = one.key.as_ref().map_or("-", |key| key.as_str());
        vec![
            one.schedule_id.clone(),
            one.deliver_at.to_rfc3339(),
            one.topic.to_string(),
            key.to_owned(),
            one.problem.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    };
    render(&columns, &waiting.iter().map(row).collect::<Vec<_>>())
}

async fn relocate(client: &Client, output: Output, args: &Move) -> Result<(), Failure> {
    // One of the two is given: clap saw to it.
    let delay = Deliver::After(args.delay.unwrap_or_default());
    let deliver = args.at.map_or(delay, Deliver::At);
    show(
        output,
        &client.move_schedule(&args.schedule_id, deliver).await?,
    )
}

async fn cancel(client: &Client, output: Output, schedule_id: &str) -> Result<(), Failure> {
    client.cancel_schedule(schedule_id).await?;
    let cancelled = serde_json::json!({"schedule_id": schedule_id, "cancelled": true});
    output.show(&cancelled, || format!("cancelled {schedule_id}"))
}

fn show(output: Output, one: &Waiting) -> Result<(), Failure> {
    output.show(one, || describe(one))
}

fn describe(one: &Waiting) -> String {
    let mut lines = vec![
        format!("schedule    {}", one.schedule_id),
        format!("deliver at  {}", one.deliver_at.to_rfc3339()),
        format!("created at  {}", one.created_at.to_rfc3339()),
        format!("topic       {}", one.topic),
        format!("id          {}", one.id),
    ];
    lines.extend(
        one.key
            .as_ref()
            .map(|key| format!("key         {}", key.as_str())),
    );
    lines.extend(one.problem.as_ref().map(|p| format!("problem     {p}")));
    lines.push(format!("payload     {}", one.payload.get()));
    lines.join("\n")
}
