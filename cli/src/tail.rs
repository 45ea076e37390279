//! `weir tail`: read a topic without any group, now or for ever.

use crate::args::client;
use crate::failure::Failure;
use crate::output::{Output, note, print_line};
use clap::Args;
use weir_client::{Backoff, Client, FetchOptions, Followed, ReadFrom};
use weir_protocol::shapes::{Gap, GapReason};
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
            Followed::Gap(gap) => note_gap(&gap),
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
        let fetched = client.fetch_verbatim(&args.topic, &options).await?;
        if fetched.messages.is_empty() && fetched.gaps.is_empty() {
            return Ok(());
        }
        fetched.gaps.iter().for_each(note_gap);
        for m in &fetched.messages {
            print_line(output.pick(m.json.get(), m.message.payload.get()))?;
        }
        options.from = ReadFrom::At(fetched.next);
    }
}

fn note_gap(gap: &Gap) {
    let why = match gap.reason {
        GapReason::Trimmed => "were removed by retention or a purge",
        GapReason::Damaged => "are damaged on the broker's disk",
        GapReason::Missing => "are missing",
    };
    let (partition, from, until) = (gap.partition, gap.from_offset, gap.until_offset);
    note(&format!(
        "partition {partition}: offsets {from} to {} {why}",
        until.0.saturating_sub(1)
    ));
}
