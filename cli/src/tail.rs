//! `weir tail`: read a topic without any group, now or for ever.

use crate::args::client;
use crate::failure::Failure;
use crate::output::{Output, note, print_line};
use clap::Args;
use weir_client::{Backoff, Client, FetchOptions, Followed, ReadFrom};
use weir_types::{PartitionId, TopicName};

/// Print a topic's messages as they come, without taking them from anyone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir tail orders
  weir tail orders --from earliest --no-follow --output json | jq .payload
  weir tail orders --from 2026-11-21T08:00:00Z
  weir tail orders --partition 0 --from 42

Prints payloads, or with --output json whole message objects. Reconnects where it was when the
broker goes away; Ctrl-C ends it.")]
pub(crate) struct Tail {
    #[arg(value_parser = TopicName::parse)]
    topic: TopicName,
    /// `earliest`, `latest`, an RFC 3339 time, a cursor, or with --partition an offset.
    #[arg(long, default_value = "latest")]
    from: ReadFrom,
    /// Only this partition.
    #[arg(long)]
    partition: Option<u32>,
    /// Stop at the end of what is there.
    #[arg(long)]
    no_follow: bool,
}

pub(crate) async fn run(broker: &str, output: Output, args: Tail) -> Result<(), Failure> {
    let client = client(broker)?;
    if args.no_follow {
        read_to_end(&client, output, args).await
    } else {
        follow(&client, output, args).await
    }
}

async fn follow(client: &Client, output: Output, args: Tail) -> Result<(), Failure> {
    let partition = args.partition.map(PartitionId);
    let backoff = Backoff::default();
    let mut follow = client.follow(args.topic, args.from, partition, backoff, fastrand::f64);
    loop {
        match follow.next().await? {
            Followed::Message(m) => print_line(output.pick(&m.json, m.message.payload.get()))?,
            Followed::Interrupted { error, delay } => {
                let why = error.map_or("the broker ended the stream".into(), |e| e.to_string());
                note(&format!("{why}; again in {:.1} s", delay.as_secs_f64()));
            }
        }
    }
}

async fn read_to_end(client: &Client, output: Output, args: Tail) -> Result<(), Failure> {
    let mut options = FetchOptions {
        partition: args.partition.map(PartitionId),
        from: args.from,
        ..FetchOptions::default()
    };
    loop {
        let (messages, next) = client.fetch_verbatim(&args.topic, &options).await?;
        if messages.is_empty() {
            return Ok(());
        }
        for m in &messages {
            print_line(output.pick(m.json.get(), m.message.payload.get()))?;
        }
        options.from = ReadFrom::At(next);
    }
}
