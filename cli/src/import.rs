//! `weir import`: brings the messages that an old broker has left in its files to Weir.
//!
//! The files are read, never written: first to make a plan and find every bad line, then to publish,
//! then to compare them with what the broker returns. Messages go through the broker's API, in batches,
//! with an explicit partition, so that success means the same as everywhere. Each says where it came
//! from (`place`), and so an import that was interrupted finds its end in the topic itself; there is no
//! file with progress. Memory is bounded: by one batch, one fetch, and the hashes of recent ids.

mod find;
mod format;
mod lines;
mod place;
mod plan;
mod recent_ids;
mod report;
mod source;
mod stored;
mod target;
mod transfer;

use crate::args::client;
use crate::failure::Failure;
use crate::output::{Output, note};
use clap::{Args, Subcommand, ValueEnum};
use plan::Plan;
use report::Report;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use target::Target;
use weir_types::limits::{DEFAULT_MAX_PAYLOAD_BYTES, MAX_BATCH_LINES, MAX_PARTITIONS};
use weir_types::{GroupName, TopicName};

/// Import the messages that another broker has left in its files.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir import minimq /var/lib/minimq/data --dry-run
  weir import minimq /var/lib/minimq/data
  weir import publish-consume ./broker_data --rename 'order created=order.created'
  weir import partitioned ./data --caught-up telemetry

1. Stop the old broker: what changes while it is read is refused.
2. Look at the plan, with --dry-run. Everything is read and checked; nothing is written.
3. Import. Every message is read back and compared with the files, and a table says so. Status 1
   means that something differs, or did not arrive.
4. Point the clients at Weir.

The files are opened for reading only. An import that was interrupted, even by kill -9, is run again
and goes on where it was: nothing is stored twice. Messages carry where they came from, in their id
or in the header `imported-from`. Their time is that of the import, and retention counts from there.")]
pub(crate) struct Import {
    #[command(subcommand)]
    old_broker: OldBroker,
}

#[derive(Debug, Subcommand)]
enum OldBroker {
    Minimq(Minimq),
    PublishConsume(PublishConsume),
    Partitioned(Partitioned),
}

/// From MiniMQ: DIR/TOPIC.log, a message a line.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir import minimq /var/lib/minimq/data --dry-run
  weir import minimq /var/lib/minimq/data --topic nodes --topic demo
  weir import minimq /var/lib/minimq/data --caught-up web-ui

Consumers begin at the first message, as after a restart of MiniMQ, which kept their places in
memory. A message with line breaks in it stands on several lines of its file, and becomes several.
A last line without a newline may have been cut off, and is a bad line.")]
struct Minimq {
    #[command(flatten)]
    common: Common,
    /// A consumer id that has seen everything already; may be repeated.
    #[arg(long, value_name = "CONSUMER", value_parser = GroupName::parse)]
    caught_up: Vec<GroupName>,
}

/// From the publish/consume broker: DIR/TOPIC.jsonl, and DIR/dead_letters.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir import publish-consume ./broker_data --dry-run
  weir import publish-consume ./broker_data
  weir import publish-consume ./broker_data --rename 'order created=order.created'

The files hold what was not consumed; it waits at /consume/<topic>, oldest first, under the ids
it had. Reported dead letters go to the topic `deadletter`, which /deadletter/list shows.")]
struct PublishConsume {
    #[command(flatten)]
    common: Common,
}

/// From the partitioned queue with consumer groups: DIR/TOPIC/partition-N.log.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir import partitioned ./data --dry-run
  weir import partitioned ./data --partitions events:8,orders:4 --caught-up telemetry
  weir import partitioned ./data --broker http://broker-1:5000 --only-owned

Each file goes into the partition of its number, under the ids it had; when a message was sent is in
the header `created-at`. The files hold all messages that ever came, consumed or not, and no acks:
groups begin at the first one, unless they are --caught-up.")]
struct Partitioned {
    #[command(flatten)]
    common: Common,
    /// How many partitions the topics had, as the old broker's TOPICS said; a topic has at least as many
    /// as there are files.
    #[arg(
        long,
        value_name = "TOPIC:N",
        env = "TOPICS",
        value_delimiter = ',',
        default_value = "events:8,orders:4,default:8",
        value_parser = topic_and_partitions
    )]
    partitions: Vec<(String, u32)>,
    /// With several brokers (BROKER_COUNT): only the partitions of the one that is named.
    #[arg(long)]
    only_owned: bool,
    /// A group that has seen everything already; may be repeated.
    #[arg(long, value_name = "GROUP", value_parser = GroupName::parse)]
    caught_up: Vec<GroupName>,
}

#[derive(Debug, Args)]
struct Common {
    /// The directory that the old broker wrote to.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Only this topic, as it was called; may be repeated.
    #[arg(long = "topic", value_name = "NAME")]
    topics: Vec<String>,
    /// Another name for a topic; may be repeated.
    #[arg(long = "rename", value_name = "OLD=NEW", value_parser = rename)]
    renames: Vec<(String, TopicName)>,
    /// Import also into topics that hold other messages, behind these.
    #[arg(long)]
    append: bool,
    /// Show what would be imported, and end.
    #[arg(long)]
    dry_run: bool,
    /// What to do when a line is no message: end before anything is written, or import the others.
    #[arg(long, value_enum, default_value = "stop")]
    on_bad_line: BadLines,
    /// Messages that are sent together.
    #[arg(
        long,
        value_name = "N",
        default_value = "1000",
        value_parser = clap::value_parser!(u32).range(1..=MAX_BATCH_LINES as i64)
    )]
    batch: u32,
    /// The broker's `max-payload-bytes`; a message that is larger is a bad line.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = DEFAULT_MAX_PAYLOAD_BYTES as u64,
        value_parser = clap::value_parser!(u64).range(1..=MAX_PAYLOAD_BYTES)
    )]
    max_payload_bytes: u64,
}

/// A batch has to hold it.
const MAX_PAYLOAD_BYTES: u64 = 8 * 1024 * 1024;

/// What to do when a line is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BadLines {
    /// End before anything is written.
    Stop,
    /// Import the others; it is told which lines were passed over.
    Skip,
}

/// Whose files they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Minimq,
    PublishConsume,
    Partitioned,
}

impl Dialect {
    /// As on the command line, and in the places that messages carry.
    const fn name(self) -> &'static str {
        match self {
            Self::Minimq => "minimq",
            Self::PublishConsume => "publish-consume",
            Self::Partitioned => "partitioned",
        }
    }
}

/// What was asked for.
#[derive(Debug)]
struct Options {
    dialect: Dialect,
    directory: PathBuf,
    topics: Vec<String>,
    renames: Vec<(String, TopicName)>,
    append: bool,
    dry_run: bool,
    on_bad_line: BadLines,
    batch: usize,
    max_payload_bytes: usize,
    /// Partitions that the old broker's topics had.
    partitions: BTreeMap<String, u32>,
    only_owned: bool,
    caught_up: Vec<GroupName>,
}

impl OldBroker {
    fn options(self) -> Options {
        match self {
            Self::Minimq(minimq) => Options {
                caught_up: minimq.caught_up,
                ..minimq.common.options(Dialect::Minimq)
            },
            Self::PublishConsume(queues) => queues.common.options(Dialect::PublishConsume),
            Self::Partitioned(partitioned) => Options {
                partitions: partitioned.partitions.into_iter().collect(),
                only_owned: partitioned.only_owned,
                caught_up: partitioned.caught_up,
                ..partitioned.common.options(Dialect::Partitioned)
            },
        }
    }
}

impl Common {
    fn options(self, dialect: Dialect) -> Options {
        Options {
            dialect,
            directory: self.directory,
            topics: self.topics,
            renames: self.renames,
            append: self.append,
            dry_run: self.dry_run,
            on_bad_line: self.on_bad_line,
            batch: self.batch as usize,
            max_payload_bytes: usize::try_from(self.max_payload_bytes).unwrap_or(usize::MAX),
            partitions: BTreeMap::new(),
            only_owned: false,
            caught_up: Vec::new(),
        }
    }
}

fn rename(text: &str) -> Result<(String, TopicName), String> {
    // The new name has no "=", the old one may.
    let (old, new) = text.rsplit_once('=').ok_or("expected OLD=NEW")?;
    let new = TopicName::parse(new).map_err(|e| e.to_string())?;
    Ok((old.to_owned(), new))
}

fn topic_and_partitions(text: &str) -> Result<(String, u32), String> {
    let form = || "expected <topic>:<partitions>, such as events:8".to_owned();
    let (topic, partitions) = text.rsplit_once(':').ok_or_else(form)?;
    let partitions: u32 = partitions.parse().map_err(|_| form())?;
    match (1..=MAX_PARTITIONS).contains(&partitions) {
        true => Ok((topic.to_owned(), partitions)),
        false => Err(format!("a topic has 1 to {MAX_PARTITIONS} partitions")),
    }
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Input(format!("cannot read {}: {error}", path.display()))
}

pub(crate) async fn run(broker: &str, output: Output, import: Import) -> Result<(), Failure> {
    let options = import.old_broker.options();
    let found = find::find(options.dialect, &options.directory)?;
    let mut plan = Plan::make(found, &options)?;
    plan.show(output)?;
    plan.refuse_bad_lines(options.on_bad_line)?;
    let client = client(broker)?;
    let target = Target {
        client: &client,
        options: &options,
    };
    target.survey(&plan).await?;
    if options.dry_run {
        note("this was a dry run: nothing was written");
        return Ok(());
    }
    target.open_topics(&plan).await?;
    if options.dialect == Dialect::Partitioned {
        target.keep_owned(&mut plan).await?;
    }
    let report = bring(&target, &plan).await?;
    report.show(output)?;
    report.check()?;
    for group in &options.caught_up {
        for topic in plan.topics() {
            let verified = report.verified(topic);
            target
                .catch_up(options.dialect, topic, group, &verified)
                .await?;
        }
    }
    Ok(())
}

/// Imports and verifies lane by lane. A difference in one does not keep the others.
async fn bring<'a>(target: &Target<'_>, plan: &'a Plan) -> Result<Report<'a>, Failure> {
    let mut report = Report::default();
    for planned in &plan.lanes {
        let mut done = transfer::Transferred::default();
        target.import(planned, &mut done).await?;
        let difference = match target.verify(planned, &mut done).await {
            Ok(()) => None,
            Err(Failure::Failed(difference)) => Some(difference),
            Err(failure) => return Err(failure),
        };
        report.add(planned, done, difference);
    }
    Ok(report)
}
