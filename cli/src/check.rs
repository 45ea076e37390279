//! `weir check`: whether an installation works, from a message's way in to the figures of a host.
//!
//! It looks at the installation as its users do, through the native API and `/metrics`, and leaves
//! nothing behind for long.

mod node;
mod round_trip;
mod steps;

use crate::args::duration;
use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use node::NodeWatch;
use round_trip::{OWN_TOPIC, RoundTrip};
use std::time::Duration;
use steps::Steps;
use weir_client::{Client, ClientError, ClientOptions};
use weir_types::{DurationText, TopicName};

/// Check that an installation works: a message goes in and comes out, and hosts are seen.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir check
  weir check --broker http://weir-broker:5000 --ui http://weir-ui:8080
  weir check --ui http://127.0.0.1:8080 --node db-1 --timeout 2m
  weir check --output json

Publishes a message, leases it in a group of its own, compares what came with what was sent,
acknowledges it and sees that nothing is left unfinished. With --ui it then waits until the /metrics
of weir-ui has current figures of a node: agent, broker and dashboard work together.

Prints a line for each step: ok or failed, the step, how long it took, what was found. The first
step that fails ends the check with status 1, and standard error says why and where to look. A
broker or a dashboard that is not there yet is tried again until --timeout is over. The group is
deleted at the end; the topic weir.check expires when no check has used it for ten minutes.")]
pub(crate) struct Check {
    /// Address of weir-ui: wait until it has figures of a node.
    #[arg(long, value_name = "URL")]
    ui: Option<String>,
    /// Wait for this node; any will do unless told.
    #[arg(long, value_name = "NAME", requires = "ui")]
    node: Option<String>,
    /// How long the whole check may take.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    timeout: DurationText,
    /// Where the message goes. Another than the checks' own must exist; its groups get the message, too.
    #[arg(long, default_value = OWN_TOPIC, value_parser = TopicName::parse)]
    topic: TopicName,
}

pub(crate) async fn run(broker: &str, output: Output, args: Check) -> Result<(), Failure> {
    let steps = Steps::new(output, args.timeout.0);
    let client = |url: &str| impatient_client(url, args.timeout.0);
    let round_trip = RoundTrip::new(client(broker)?, args.topic)?;
    let ui = args.ui.as_deref().map(client).transpose()?;
    round_trip.run(&steps).await?;
    match ui {
        Some(ui) => NodeWatch::new(ui, args.node).run(&steps).await,
        None => Ok(()),
    }
}

/// No single call may outlast the check.
fn impatient_client(url: &str, limit: Duration) -> Result<Client, ClientError> {
    let usual = ClientOptions::default();
    let options = ClientOptions {
        request_timeout: usual.request_timeout.min(limit),
        ..usual
    };
    Client::new(url, options)
}
