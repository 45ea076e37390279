//! `weir workers`: who messages are pushed to.

use crate::args::{client, duration};
use crate::failure::Failure;
use crate::output::Output;
use crate::table::{Align, render};
use clap::{ArgGroup, Args, Subcommand};
use weir_client::Client;
use weir_protocol::shapes::{
    BreakerInfo, NewWorker, QueueRef, WorkerChange, WorkerId, WorkerInfo, Workers as Listed,
};
use weir_types::{DurationText, GroupName, TopicName};

/// List, add, remove, pause and resume workers that messages are pushed to.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir workers
  weir workers add --topic orders --target http://127.0.0.1:8000/orders --concurrency 4
  weir workers add --queue emails --target tcp://10.0.0.7:9000
  weir workers show 3
  weir workers pause 3
  weir workers remove 3

The broker delivers each message to one of the workers of its topic and group, in turn. A target
that failed several times in a row is left alone for a while (BREAKER is OPEN), then tried once
(HALF_OPEN); the messages go to the others.")]
pub(crate) struct Workers {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List workers in order of registration.
    #[command(
        after_help = "Examples:\n  weir workers list\n  weir workers list --topic orders --output json"
    )]
    List(List),
    /// Show one worker, and what its circuit breaker did.
    #[command(after_help = "Examples:\n  weir workers show 3")]
    Show(One),
    /// Register a worker; it may start to listen later.
    #[command(after_help = "\
Examples:
  weir workers add --topic orders --target http://127.0.0.1:8000/orders
  weir workers add --queue emails --target tcp://10.0.0.7:9000 --concurrency 8

A target is tcp://host:port (a line of JSON for each message), http(s)://host:port/path (a POST),
or grpc://host:port (the service broker.Broker). Each registration works on its own messages: add
the same target twice, and it gets twice as many at one time.")]
    Add(Add),
    /// Remove a worker; what it works on, it may finish.
    #[command(after_help = "Examples:\n  weir workers remove 3")]
    Remove(One),
    /// Deliver nothing new to a worker.
    #[command(after_help = "Examples:\n  weir workers pause 3")]
    Pause(One),
    /// Deliver to a paused worker again.
    #[command(after_help = "Examples:\n  weir workers resume 3")]
    Resume(One),
}

#[derive(Debug, Default, Args)]
struct List {
    /// Only those of this topic.
    #[arg(long, value_parser = TopicName::parse)]
    topic: Option<TopicName>,
}

#[derive(Debug, Args)]
struct One {
    /// As it is listed.
    #[arg(value_name = "WORKER", value_parser = worker_id)]
    id: WorkerId,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").required(true).args(["topic", "queue"]))]
struct Add {
    /// Push this topic's messages.
    #[arg(long, value_parser = TopicName::parse)]
    topic: Option<TopicName>,
    /// In the name of this group; `workers` unless given.
    #[arg(long, value_parser = GroupName::parse, conflicts_with = "queue")]
    group: Option<GroupName>,
    /// Push this queue's tasks: its number, or its name.
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Where the worker listens.
    #[arg(long, value_name = "URL")]
    target: String,
    /// Messages that it works on at one time.
    #[arg(long, value_name = "N", default_value = "1")]
    concurrency: u32,
    /// How long it may work on one; the topic's unless given.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    visibility_timeout: Option<DurationText>,
}

fn worker_id(text: &str) -> Result<WorkerId, String> {
    let id = text.parse().map(WorkerId);
    id.map_err(|_| "expected a worker's number, as `weir workers` lists it".to_owned())
}

pub(crate) async fn run(broker: &str, output: Output, args: Workers) -> Result<(), Failure> {
    let client = client(broker)?;
    let pause = |paused| WorkerChange {
        paused: Some(paused),
        ..WorkerChange::default()
    };
    match args.action.unwrap_or(Action::List(List::default())) {
        Action::List(list) => {
            let listed = client.workers(list.topic.as_ref()).await?;
            output.show(&listed, || table(&listed))
        }
        Action::Show(one) => show(output, &client.worker(one.id).await?),
        Action::Add(add) => show(output, &client.register_worker(&add.worker()).await?),
        Action::Remove(one) => remove(&client, output, one.id).await,
        Action::Pause(one) => show(output, &client.alter_worker(one.id, pause(true)).await?),
        Action::Resume(one) => show(output, &client.alter_worker(one.id, pause(false)).await?),
    }
}

impl Add {
    fn worker(self) -> NewWorker {
        NewWorker {
            queue: self.queue.as_deref().map(QueueRef::of_text),
            topic: self.topic,
            group: self.group,
            target: self.target,
            concurrency: self.concurrency,
            visibility_timeout: self.visibility_timeout,
        }
    }
}

async fn remove(client: &Client, output: Output, id: WorkerId) -> Result<(), Failure> {
    client.remove_worker(id).await?;
    let removed = serde_json::json!({"id": id, "removed": true});
    output.show(&removed, || format!("removed worker {id}"))
}

fn table(listed: &Listed) -> String {
    let columns = [
        ("WORKER", Align::Right),
        ("TOPIC", Align::Left),
        ("GROUP", Align::Left),
        ("TARGET", Align::Left),
        ("BREAKER", Align::Left),
        ("IN FLIGHT", Align::Right),
        ("DELIVERED", Align::Right),
        ("FAILED", Align::Right),
    ];
    let row = |worker: &WorkerInfo| {
        vec![
            worker.id.to_string(),
            worker.topic.to_string(),
            worker.group.to_string(),
            worker.target.clone(),
            state(worker),
            format!("{}/{}", worker.in_flight, worker.concurrency),
            worker.delivered.to_string(),
            worker.failed.to_string(),
        ]
    };
    render(
        &columns,
        &listed.workers.iter().map(row).collect::<Vec<_>>(),
    )
}

fn state(worker: &WorkerInfo) -> String {
    let breaker = worker.breaker.state.as_str();
    match worker.paused {
        true => format!("{breaker}, paused"),
        false => breaker.to_owned(),
    }
}

fn show(output: Output, worker: &WorkerInfo) -> Result<(), Failure> {
    output.show(worker, || describe(worker))
}

fn describe(worker: &WorkerInfo) -> String {
    let timeout = worker.visibility_timeout;
    let mut lines = vec![
        format!("worker              {}", worker.id),
        format!("topic               {}", worker.topic),
        format!("group               {}", worker.group),
    ];
    lines.extend(
        worker
            .queue
            .map(|queue| format!("queue               {queue}")),
    );
    lines.extend([
        format!("target              {}", worker.target),
        format!("registered at       {}", worker.registered_at.to_rfc3339()),
        format!(
            "paused              {}",
            if worker.paused { "yes" } else { "no" }
        ),
        format!(
            "in flight           {} of {}",
            worker.in_flight, worker.concurrency
        ),
        format!(
            "visibility timeout  {}",
            timeout.map_or_else(|| "the topic's".to_owned(), |timeout| timeout.to_string())
        ),
        format!("delivered           {}", worker.delivered),
        format!("failed              {}", worker.failed),
    ]);
    lines.extend(
        worker
            .last_error
            .as_ref()
            .map(|error| format!("last error          {error}")),
    );
    lines.extend(breaker(&worker.breaker));
    lines.join("\n")
}

fn breaker(breaker: &BreakerInfo) -> Vec<String> {
    let failures = breaker.consecutive_failures;
    let mut lines = vec![format!(
        "breaker             {}; failures in a row: {failures}; opened: {}",
        breaker.state.as_str(),
        breaker.opened
    )];
    let next = breaker
        .next_trial_at
        .map(|at| format!("next trial          {}", at.to_rfc3339()));
    lines.extend(next);
    let transitions = breaker.transitions.iter().map(|change| {
        let (from, to) = (change.from.as_str(), change.to.as_str());
        format!(
            "  {}  {from} -> {to}: {}",
            change.at.to_rfc3339(),
            change.reason
        )
    });
    lines.extend(transitions);
    lines
}
