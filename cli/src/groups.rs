//! `weir groups`: who reads a topic, and how far behind.

use crate::args::client;
use crate::failure::Failure;
use crate::output::Output;
use crate::table::{Align, render};
use clap::Args;
use weir_protocol::shapes::GroupInfo;
use weir_types::TopicName;

/// List the groups of a topic with their lag.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir groups orders
  weir groups orders --output json

LAG counts unfinished records, AGE is that of the oldest one, IN FLIGHT counts leased messages.")]
pub(crate) struct Groups {
    #[arg(value_parser = TopicName::parse)]
    topic: TopicName,
}

pub(crate) async fn run(broker: &str, output: Output, args: &Groups) -> Result<(), Failure> {
    let listed = client(broker)?.groups(&args.topic).await?;
    output.show(&listed, || table(&listed.groups))
}

fn table(groups: &[GroupInfo]) -> String {
    let columns = [
        ("GROUP", Align::Left),
        ("LAG", Align::Right),
        ("AGE", Align::Right),
        ("IN FLIGHT", Align::Right),
        ("REDELIVERED", Align::Right),
        ("LOST", Align::Right),
    ];
    let row = |g: &GroupInfo| {
        vec![
            g.group.to_string(),
            g.lag_records.to_string(),
            format!("{:.1}s", g.lag_seconds),
            g.in_flight.to_string(),
            g.redelivered.to_string(),
            g.lost_records.to_string(),
        ]
    };
    render(&columns, &groups.iter().map(row).collect::<Vec<_>>())
}
