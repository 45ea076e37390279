//! `weir consume`: lease, print, flush, and only then acknowledge.

mod pushed;

use crate::args::{Start, client, duration};
use crate::failure::Failure;
use crate::output::{Output, note, print_line};
use clap::Args;
use std::time::Duration;
use tokio::time::Instant;
use weir_client::{Client, LeaseOptions, Verbatim};
use weir_protocol::shapes::{GroupRequest, LeasedMessage, ReceiptStatus};
use weir_types::limits::MAX_WAIT_SECONDS;
use weir_types::{DurationText, GroupName, MemberName, TopicName};

/// Messages taken at one time: few enough to be printed well before their leases end.
const LEASE_MESSAGES: usize = 100;
const LONGEST_WAIT: Duration = Duration::from_secs(MAX_WAIT_SECONDS / 2);

/// Take messages for a group: print each payload on a line, then acknowledge it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir consume orders --group billing
  weir consume orders --group billing --max 1 --wait 30s
  weir consume orders --group billing --follow | ./worker
  weir consume orders --group audit --from latest --output json
  weir consume orders --group billing --member till-1 --stream

Ends with status 0 after --max messages, or when none came within --wait. A message is acknowledged
after it was written out; when the pipe breaks or Ctrl-C comes before, it goes back to the group.")]
pub(crate) struct Consume {
    #[arg(value_parser = TopicName::parse)]
    topic: TopicName,
    /// The group whose place in the topic is used and moved.
    #[arg(long, value_parser = GroupName::parse)]
    group: GroupName,
    /// Stop after so many messages.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// Stop when no message came for so long.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    wait: DurationText,
    /// Do not stop for want of messages.
    #[arg(long, conflicts_with = "wait")]
    follow: bool,
    /// Where the group begins if it does not exist yet.
    #[arg(long, value_enum)]
    from: Option<Start>,
    /// Who consumes; needed where the group's order is by partition.
    #[arg(long, value_name = "NAME", value_parser = MemberName::parse)]
    member: Option<MemberName>,
    /// Have the broker push messages over an open stream, and do not stop for want of them.
    #[arg(long, conflicts_with_all = ["max", "wait", "follow", "no_ack"])]
    stream: bool,
    /// Leave the messages leased: they come back to the group when their leases end.
    #[arg(long)]
    no_ack: bool,
}

pub(crate) async fn run(broker: &str, output: Output, args: &Consume) -> Result<(), Failure> {
    let client = client(broker)?;
    if let Some(start) = args.from {
        let request = GroupRequest {
            start: Some(start.into()),
            ..GroupRequest::default()
        };
        client.put_group(&args.topic, &args.group, request).await?;
    }
    let consumer = Consumer {
        client,
        args,
        output,
    };
    match args.stream {
        true => consumer.run_pushed().await,
        false => consumer.run().await,
    }
}

struct Consumer<'a> {
    client: Client,
    args: &'a Consume,
    output: Output,
}

/// How far a leased batch got.
enum Printed {
    All,
    Interrupted {
        printed: usize,
    },
    /// A broken pipe may have swallowed lines that were written before.
    Failed(Failure),
}

impl Consumer<'_> {
    async fn run(&self) -> Result<(), Failure> {
        let mut remaining = self.args.max.unwrap_or(u64::MAX);
        let mut quiet_since = Instant::now();
        let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
        while remaining > 0 {
            let Some(wait) = self.next_wait(quiet_since) else {
                break;
            };
            let leased = tokio::select! {
                biased;
                _ = &mut interrupt => break,
                leased = self.lease(remaining, wait) => leased?,
            };
            if leased.is_empty() {
                // Nothing came: with no wait left, that was the last look.
                if wait.is_zero() {
                    break;
                }
                continue;
            }
            remaining -= leased.len() as u64;
            let printed = self.print(&leased, interrupt.as_mut()).await;
            if !self.settle(leased, printed).await? {
                break;
            }
            quiet_since = Instant::now();
        }
        Ok(())
    }

    /// How long the next lease may wait; `None` when it is time to stop.
    fn next_wait(&self, quiet_since: Instant) -> Option<Duration> {
        let wait = self.args.wait.0;
        if self.args.follow {
            return Some(LONGEST_WAIT);
        }
        let left = wait.saturating_sub(quiet_since.elapsed());
        (wait.is_zero() || !left.is_zero()).then(|| left.min(LONGEST_WAIT))
    }

    async fn lease(
        &self,
        remaining: u64,
        wait: Duration,
    ) -> Result<Vec<Verbatim<LeasedMessage>>, Failure> {
        let max = usize::try_from(remaining).map_or(LEASE_MESSAGES, |r| r.min(LEASE_MESSAGES));
        let options = LeaseOptions {
            max: Some(max),
            wait: Some(wait),
            member: self.args.member.clone(),
            ..LeaseOptions::default()
        };
        let (topic, group) = (&self.args.topic, &self.args.group);
        Ok(self.client.lease_verbatim(topic, group, &options).await?)
    }

    /// Prints message by message, so that an interrupt is known to lie between two of them.
    async fn print(
        &self,
        leased: &[Verbatim<LeasedMessage>],
        mut interrupt: std::pin::Pin<&mut impl Future<Output = std::io::Result<()>>>,
    ) -> Printed {
        for (printed, Verbatim { message, json }) in leased.iter().enumerate() {
            tokio::select! {
                biased;
                _ = &mut interrupt => return Printed::Interrupted { printed },
                () = tokio::task::yield_now() => {}
            }
            let line = self.output.pick(json.get(), message.payload.get());
            if let Err(failure) = print_line(line) {
                return Printed::Failed(failure);
            }
        }
        Printed::All
    }

    /// Acknowledges what was printed and gives back the rest. Whether to go on.
    async fn settle(
        &self,
        leased: Vec<Verbatim<LeasedMessage>>,
        printed: Printed,
    ) -> Result<bool, Failure> {
        let count = match &printed {
            Printed::All => leased.len(),
            Printed::Interrupted { printed } => *printed,
            Printed::Failed(_) => 0,
        };
        let mut receipts: Vec<_> = leased.into_iter().map(|l| l.message.receipt).collect();
        let unprinted = receipts.split_off(count);
        let acked = self.ack(receipts).await;
        let nacked = self.give_back(unprinted).await;
        match printed {
            Printed::Failed(failure) => Err(failure),
            Printed::Interrupted { .. } => acked.and(nacked).map(|()| false),
            Printed::All => acked.map(|()| true),
        }
    }

    async fn ack(&self, receipts: Vec<String>) -> Result<(), Failure> {
        if self.args.no_ack || receipts.is_empty() {
            return Ok(());
        }
        let (topic, group) = (&self.args.topic, &self.args.group);
        let results = self.client.ack(topic, group, receipts).await?.results;
        let late = results.iter().filter(|r| r.status != ReceiptStatus::Acked);
        match late.count() {
            0 => {}
            late => note(&format!(
                "{late} messages were printed too late and come again"
            )),
        }
        Ok(())
    }

    async fn give_back(&self, receipts: Vec<String>) -> Result<(), Failure> {
        if receipts.is_empty() {
            return Ok(());
        }
        let (topic, group) = (&self.args.topic, &self.args.group);
        self.client.nack(topic, group, receipts, None, None).await?;
        Ok(())
    }
}
