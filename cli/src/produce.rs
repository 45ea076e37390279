//! `weir produce`: one message from the command line, or one a line from standard input.

mod line_batch;
mod line_reader;

use crate::args::client;
use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use line_batch::{LineBatch, LineOptions};
use line_reader::LineReader;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::io::BufReader;
use weir_client::{Client, PublishOptions};
use weir_protocol::Payload;
use weir_protocol::shapes::{BatchPart, BatchPublished};
use weir_types::{Headers, Key, MessageId, PartitionId, TopicName};

/// A pause this long in the input sends what is there.
const PAUSE: Duration = Duration::from_millis(50);

/// Publish messages: JSON from the command line or, one value a line, from standard input.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir produce orders '{\"id\":1,\"total\":9.5}'
  weir produce orders '{\"id\":1}' --key customer-7 --id order-1
  weir produce notes 'Hello' --text --header source=cli
  jq -c '.[]' orders.json | weir produce orders
  tail -f app.log | weir produce logs --text

Prints topic/partition@offset and id. Lines are sent in batches of at most 1,000 lines or 1 MiB, and
whenever the input pauses for 50 ms. A line that is refused stops the command with its number; the
batches before it are stored.")]
pub(crate) struct Produce {
    #[arg(value_parser = TopicName::parse)]
    topic: TopicName,
    /// One JSON value; `-` or nothing reads one a line from standard input.
    #[arg(allow_negative_numbers = true)]
    payload: Option<String>,
    /// Chooses the partition and the order.
    #[arg(long, value_parser = Key::parse)]
    key: Option<Key>,
    /// The message's id: repeating it is safe.
    #[arg(long, value_parser = MessageId::parse)]
    id: Option<MessageId>,
    /// An explicit partition.
    #[arg(long)]
    partition: Option<u32>,
    /// Travels with the message; may be repeated.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The message, or each line, is plain text and becomes a JSON string.
    #[arg(long)]
    text: bool,
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

pub(crate) async fn run(broker: &str, output: Output, args: Produce) -> Result<(), Failure> {
    let client = client(broker)?;
    let headers: BTreeMap<_, _> = args.headers.iter().cloned().collect();
    let headers = Headers::new(headers).map_err(|e| Failure::Usage(e.to_string()))?;
    match args.payload.as_deref() {
        None if std::io::stdin().is_terminal() => Err(Failure::Usage(
            "nothing to publish: give a JSON value, or pipe lines into standard input".into(),
        )),
        None | Some("-") => lines(&client, output, args, headers).await,
        Some(payload) => one(&client, output, &args, payload, headers).await,
    }
}

async fn one(
    client: &Client,
    output: Output,
    args: &Produce,
    payload: &str,
    headers: Headers,
) -> Result<(), Failure> {
    let payload = if args.text {
        Payload::from_text(payload).into_bytes()
    } else {
        payload.to_owned().into()
    };
    let options = PublishOptions {
        key: args.key.clone(),
        id: args.id.clone(),
        partition: args.partition.map(PartitionId),
        headers,
        reply_to: None,
    };
    let p = client.publish(&args.topic, payload, &options).await?;
    output.show(&p, || {
        format!("{}/{}@{} {}", p.topic, p.partition, p.offset, p.id)
    })
}

async fn lines(
    client: &Client,
    output: Output,
    args: Produce,
    headers: Headers,
) -> Result<(), Failure> {
    if args.id.is_some() {
        let why = "--id names one message; lines from standard input would all be duplicates";
        return Err(Failure::Usage(why.into()));
    }
    let mut batch = LineBatch::new(LineOptions {
        text: args.text,
        key: args.key,
        partition: args.partition,
        headers,
    });
    let mut input = LineReader::new(BufReader::new(tokio::io::stdin()));
    loop {
        let pause = if batch.is_empty() {
            Duration::MAX
        } else {
            PAUSE
        };
        let step = match tokio::time::timeout(pause, input.next()).await {
            Ok(Ok(Some(line))) => batch.push(line).map(|()| batch.is_full()),
            Ok(Ok(None)) => break,
            Ok(Err(error)) => Err(Failure::Read(error)),
            Err(_pause) => Ok(true),
        };
        // What came before a bad line was good: it is sent before the line is refused.
        if !matches!(step, Ok(false)) {
            send(client, output, &args.topic, &mut batch).await?;
        }
        step?;
    }
    send(client, output, &args.topic, &mut batch).await
}

async fn send(
    client: &Client,
    output: Output,
    topic: &TopicName,
    batch: &mut LineBatch,
) -> Result<(), Failure> {
    if batch.is_empty() {
        return Ok(());
    }
    let published = client.publish_batch(topic, batch.take()).await?;
    output.show(&published, || describe(&published))
}

fn describe(published: &BatchPublished) -> String {
    let part = |p: &BatchPart| {
        let (topic, partition, count) = (&p.topic, p.partition, p.count);
        format!(
            "{topic}/{partition}@{}-{} {count}",
            p.first_offset, p.last_offset
        )
    };
    let parts: Vec<_> = published.partitions.iter().map(part).collect();
    parts.join("\n")
}
