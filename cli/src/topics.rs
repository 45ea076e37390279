//! `weir topics`: list, create, show, alter, delete, purge.

mod describe;

use crate::args::{client, duration, retry_backoff};
use crate::confirm::{Consent, confirm};
use crate::failure::Failure;
use crate::output::Output;
use crate::table::{Align, human_bytes, render};
use clap::{Args, Subcommand};
use describe::describe;
use weir_client::{Client, ClientError};
use weir_protocol::ErrorCode;
use weir_protocol::shapes::TopicInfo;
use weir_types::{
    ByteCount, Durability, DurationText, RetryBackoff, TopicName, TopicSettingsChange,
};

/// List topics; or create, show, alter, delete or purge one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir topics
  weir topics create orders --partitions 4 --retention-age 30d
  weir topics alter orders --durability interval=10ms
  weir topics delete orders --yes

LAG is that of the group that is furthest behind.")]
pub(crate) struct Topics {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a topic.
    #[command(
        after_help = "Examples:\n  weir topics create orders --partitions 4\n  weir topics create logs --retention-bytes 1GiB --durability os"
    )]
    Create(Settings),
    /// Show one topic with its settings and partitions.
    #[command(after_help = "Examples:\n  weir topics show orders --output json")]
    Show(One),
    /// Change settings of a topic; what is not named stays.
    #[command(after_help = "Examples:\n  weir topics alter orders --retention-age 30d")]
    Alter(Settings),
    /// Delete a topic with all its records and groups.
    #[command(after_help = "Examples:\n  weir topics delete orders --yes")]
    Delete(Sure),
    /// Remove all records of a topic; the topic and its groups stay.
    #[command(after_help = "Examples:\n  weir topics purge orders --yes")]
    Purge(Sure),
}

#[derive(Debug, Args)]
struct One {
    #[arg(value_parser = TopicName::parse)]
    topic: TopicName,
}

#[derive(Debug, Args)]
struct Sure {
    #[arg(value_parser = TopicName::parse)]
    topic: TopicName,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, Args)]
struct Settings {
    #[arg(value_parser = TopicName::parse)]
    topic: TopicName,
    /// Number of partitions, fixed once created.
    #[arg(long)]
    partitions: Option<u32>,
    /// Trim records older than this.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    retention_age: Option<DurationText>,
    /// Trim the oldest records of a partition above this size.
    #[arg(long, value_name = "BYTES", value_parser = byte_count)]
    retention_bytes: Option<ByteCount>,
    /// Begin a new segment at this size.
    #[arg(long, value_name = "BYTES", value_parser = byte_count)]
    segment_bytes: Option<ByteCount>,
    /// Begin a new segment at this age.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    segment_age: Option<DurationText>,
    /// When a publish counts as done: `fsync`, `interval=10ms` or `os`.
    #[arg(long)]
    durability: Option<Durability>,
    /// How long a lease lasts.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    visibility_timeout: Option<DurationText>,
    /// A message leased this often, and not finished, becomes a dead letter; a group may have its own.
    #[arg(long, value_name = "N")]
    max_deliveries: Option<u32>,
    /// Waits between deliveries: `["1s","1m"]`, or `{"initial":"1s","cap":"10m"}`; a group may have
    /// its own.
    #[arg(long, value_name = "JSON", value_parser = retry_backoff)]
    retry_backoff: Option<RetryBackoff>,
    /// Do not store a message again whose id was stored this short ago; 0s stores all.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    dedupe_window: Option<DurationText>,
    /// Delete the topic when nobody has published to it or read from it for this long.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expires_after: Option<DurationText>,
}

fn byte_count(text: &str) -> Result<ByteCount, String> {
    let parsed = text.parse::<bytesize::ByteSize>();
    let refused = |_| "expected a number of bytes such as 67108864 or 64MiB".to_owned();
    parsed.map(|size| ByteCount(size.as_u64())).map_err(refused)
}

impl Settings {
    fn change(&self) -> TopicSettingsChange {
        TopicSettingsChange {
            partitions: self.partitions,
            retention_age: self.retention_age,
            retention_bytes: self.retention_bytes,
            segment_bytes: self.segment_bytes,
            segment_age: self.segment_age,
            durability: self.durability,
            visibility_timeout: self.visibility_timeout,
            max_deliveries: self.max_deliveries,
            retry_backoff: self.retry_backoff.clone(),
            dedupe_window: self.dedupe_window,
            expires_after: self.expires_after,
        }
    }
}

pub(crate) async fn run(broker: &str, output: Output, args: Topics) -> Result<(), Failure> {
    let client = client(broker)?;
    match args.action {
        None => list(&client, output).await,
        Some(Action::Show(one)) => show(output, &client.topic(&one.topic).await?),
        Some(Action::Create(settings)) => create(&client, output, &settings).await,
        Some(Action::Alter(settings)) => alter(&client, output, &settings).await,
        Some(Action::Delete(sure)) => delete(&client, output, &sure).await,
        Some(Action::Purge(sure)) => purge(&client, output, &sure).await,
    }
}

async fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let listed = client.topics().await?;
    if output == Output::Json {
        return output.show(&listed, String::new);
    }
    let mut rows = Vec::with_capacity(listed.topics.len());
    for topic in &listed.topics {
        rows.push(row(topic, lag_records(client, topic).await?));
    }
    output.show(&(), || {
        let columns = [
            ("TOPIC", Align::Left),
            ("PARTITIONS", Align::Right),
            ("RECORDS", Align::Right),
            ("SIZE", Align::Right),
            ("GROUPS", Align::Right),
            ("LAG", Align::Right),
        ];
        render(&columns, &rows)
    })
}

/// Of the group furthest behind; `None` without groups, or when the topic vanished meanwhile.
async fn lag_records(client: &Client, topic: &TopicInfo) -> Result<Option<u64>, Failure> {
    if topic.groups.is_empty() {
        return Ok(None);
    }
    match client.groups(&topic.topic).await {
        Ok(listed) => Ok(listed.groups.iter().map(|g| g.lag_records).max()),
        Err(error) if error.code() == Some(ErrorCode::UnknownTopic) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn row(topic: &TopicInfo, lag_records: Option<u64>) -> Vec<String> {
    vec![
        topic.topic.to_string(),
        topic.settings.partitions.to_string(),
        topic.records.to_string(),
        human_bytes(topic.bytes),
        topic.groups.len().to_string(),
        lag_records.map_or_else(|| "-".to_owned(), |lag| lag.to_string()),
    ]
}

async fn create(client: &Client, output: Output, settings: &Settings) -> Result<(), Failure> {
    let topic = &settings.topic;
    match client.topic(topic).await {
        Ok(_) => Err(ClientError::Refused {
            status: ErrorCode::Conflict.http_status(),
            code: ErrorCode::Conflict,
            message: format!("the topic {topic:?} exists; change it with `weir topics alter`"),
            retry_after: None,
        }
        .into()),
        Err(error) if error.code() == Some(ErrorCode::UnknownTopic) => {
            show(output, &client.put_topic(topic, &settings.change()).await?)
        }
        Err(error) => Err(error.into()),
    }
}

async fn alter(client: &Client, output: Output, settings: &Settings) -> Result<(), Failure> {
    // Putting a topic that is missing would create it.
    client.topic(&settings.topic).await?;
    let change = settings.change();
    show(output, &client.put_topic(&settings.topic, &change).await?)
}

async fn delete(client: &Client, output: Output, sure: &Sure) -> Result<(), Failure> {
    let topic = &sure.topic;
    let question = format!("Delete {topic} with all its records?");
    confirm(&question, Consent::of(sure.yes))?;
    client.delete_topic(topic).await?;
    let deleted = serde_json::json!({"topic": topic, "deleted": true});
    output.show(&deleted, || format!("deleted {topic}"))
}

async fn purge(client: &Client, output: Output, sure: &Sure) -> Result<(), Failure> {
    let topic = &sure.topic;
    let question = format!("Remove all records of {topic}?");
    confirm(&question, Consent::of(sure.yes))?;
    let purged = client.purge_topic(topic).await?;
    output.show(&purged, || {
        format!("removed {} records from {topic}", purged.records)
    })
}

fn show(output: Output, topic: &TopicInfo) -> Result<(), Failure> {
    output.show(topic, || describe(topic))
}
