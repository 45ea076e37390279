//! Moving dead letters back, step by step.

use crate::failure::Failure;
use crate::output::{Output, note};
use clap::Args;
use std::pin::Pin;
use weir_client::Client;
use weir_protocol::ErrorCode;
use weir_protocol::shapes::{RedriveRequest, Redriven};
use weir_types::{GroupName, Key, MessageId, TopicName};

/// Move dead letters of a group back to their topic, for that group alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir dead-letters redrive orders --group billing --all
  weir dead-letters redrive orders --group billing --id billing/orders/0/42
  weir dead-letters redrive orders --group billing --reason timeout --key table-4

They are delivered behind what is in the topic already, with their attempts counted anew. Several
conditions must all be met. It can be interrupted and run again: what was moved stays moved.")]
pub(super) struct Redrive {
    /// The topic that they were published to.
    #[arg(value_parser = TopicName::parse)]
    topic: TopicName,
    /// The group that could not finish them.
    #[arg(long, value_parser = GroupName::parse)]
    group: GroupName,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Which {
    /// The one with this id; may be given several times.
    #[arg(long, value_parser = MessageId::parse)]
    id: Vec<MessageId>,
    /// Those with this key.
    #[arg(long, value_parser = Key::parse)]
    key: Option<Key>,
    /// Those whose reason contains this.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// All of the group.
    #[arg(long, conflicts_with_all = ["id", "key", "reason"])]
    all: bool,
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    redriven: usize,
    examined: usize,
}

/// How a step ended.
enum Step {
    Answered(Redriven),
    /// The user wants no further one.
    Last(Redriven),
}

pub(super) async fn run(client: &Client, output: Output, args: Redrive) -> Result<(), Failure> {
    let mut done = Done::default();
    let result = redrive(client, output, &args, &mut done).await;
    let Done { redriven, examined } = done;
    let (topic, group) = (&args.topic, &args.group);
    let text = || format!("moved {redriven} dead letters back to {topic}, for {group}");
    if result.is_err() && redriven > 0 && output == Output::Text {
        note(&text());
    }
    result?;
    let summary = serde_json::json!({
        "topic": topic, "group": group, "redriven": redriven, "examined": examined,
    });
    output.show(&summary, text)
}

/// Looks at all dead letters that were there when it began. Those that come meanwhile, perhaps because
/// what was moved back failed again, are left for the next time: else it might never end.
async fn redrive(
    client: &Client,
    output: Output,
    args: &Redrive,
    done: &mut Done,
) -> Result<(), Failure> {
    let there = records(client, &args.topic).await?;
    let mut request = args.which.request();
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let step = step(client, args, &request, interrupt.as_mut()).await?;
        let (Step::Answered(redriven) | Step::Last(redriven)) = &step;
        done.redriven += redriven.redriven;
        done.examined += redriven.examined;
        let Some(next) = redriven.next.clone() else {
            return Ok(());
        };
        if args.which.is_found(done.redriven) {
            return Ok(());
        }
        if let Step::Last(_) = step {
            let why = "interrupted; run it again to go on";
            return Err(Failure::Failed(why.into()));
        }
        if done.examined as u64 >= there {
            note("dead letters came meanwhile; run it again to move those too");
            return Ok(());
        }
        if output == Output::Text {
            let Done { redriven, examined } = done;
            note(&format!(
                "{redriven} moved, {examined} of {there} looked at"
            ));
        }
        request.from = Some(next);
    }
}

/// Does one step. It is not left in the middle: it might be done without being remembered.
async fn step(
    client: &Client,
    args: &Redrive,
    request: &RedriveRequest,
    interrupt: Pin<&mut impl Future<Output = std::io::Result<()>>>,
) -> Result<Step, Failure> {
    let mut step = std::pin::pin!(client.redrive(&args.topic, &args.group, request));
    tokio::select! {
        biased;
        redriven = &mut step => Ok(Step::Answered(redriven?)),
        _ = interrupt => Ok(Step::Last(step.await?)),
    }
}

/// Records of the dead-letter topic; 0 if there is none.
async fn records(client: &Client, topic: &TopicName) -> Result<u64, Failure> {
    let name = TopicName::parse_derived(&format!("{topic}.dead-letter"));
    let name = name.map_err(|error| Failure::Usage(error.to_string()))?;
    match client.topic(&name).await {
        Ok(info) => Ok(info.records),
        Err(error) if error.code() == Some(ErrorCode::UnknownTopic) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

impl Which {
    fn request(&self) -> RedriveRequest {
        RedriveRequest {
            ids: (!self.id.is_empty()).then(|| self.id.clone()),
            reason: self.reason.clone(),
            key: self.key.clone(),
            ..RedriveRequest::default()
        }
    }

    /// Whether all that were named are among so many.
    fn is_found(&self, redriven: usize) -> bool {
        !self.id.is_empty() && redriven >= self.id.len()
    }
}
