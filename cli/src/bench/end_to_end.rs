//! `weir bench e2e`: how long a message takes from a publisher to a consumer that waits for it.

use super::arrivals::Arrivals;
use super::clients::{self, Client, Window};
use super::departures::Departures;
use super::endpoint::Endpoint;
use super::listener::{Plan, Via, listen};
use super::measured::Measured;
use super::options::Common;
use super::report::{Load, Report};
use super::request::{Form, PublishRequest};
use super::topic::OwnTopic;
use crate::args::client;
use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use weir_client::Client as Broker;
use weir_protocol::shapes::TopicInfo;
use weir_types::limits::MAX_FETCH_RECORDS;

/// For consumer and publishers to connect.
const START_UP: Duration = Duration::from_millis(300);

/// Publish at a steady rate, and time each message from its sending to a waiting consumer.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weir bench e2e
  weir bench e2e --via lease --rate 5000
  weir bench e2e --via group-stream --seconds 60 --output json

Publishers send in turn, a message a request, so that a slow acknowledgement holds up none of the
others. One consumer listens: to the topic's stream, to a group by leases that wait (lease), or to the
stream of a group (group-stream); for a group it acknowledges on a second connection while it goes on
listening. Latency is the time from the sending of a message until its consumer has it; a message that
was sent more than 2 ms late is timed from when it was due, so a broker that holds up publishers
cannot hide it. A message that did not arrive within 3 s after the last one was due fails the run.
Makes a topic of its own and deletes it, unless --keep.")]
pub(crate) struct EndToEnd {
    /// Messages a second.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// How long to publish.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How the consumer listens.
    #[arg(long, value_enum, default_value = "stream")]
    via: Via,
    /// Most messages that the consumer of a group holds at a time.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=MAX_FETCH_RECORDS as u64))]
    max_in_flight: u64,
    /// Connections that publish.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    publishers: u64,
    #[command(flatten)]
    own_topic: OwnTopic,
    #[command(flatten)]
    pub(super) common: Common,
}

impl EndToEnd {
    pub(super) async fn run(self, broker: &str, output: Output) -> Result<(), Failure> {
        let client = client(broker)?;
        let work = |topic: TopicInfo| async { self.measure(&client, broker, topic).await };
        let report = self.own_topic.used_by(&client, work).await?;
        output.show(&report, || report.text())?;
        report.all_delivered()
    }

    async fn measure(
        &self,
        client: &Broker,
        broker: &str,
        topic: TopicInfo,
    ) -> Result<Report, Failure> {
        let window = Window::after(START_UP, Duration::from_secs(self.seconds));
        let messages = self.rate * self.seconds;
        let plan = Arc::new(Plan {
            messages: Endpoint::messages_of(client, broker, &topic.topic),
            stream: Endpoint::stream_of(client, broker, &topic.topic),
            group: Endpoint::group_of(client, broker, &topic.topic),
            via: self.via,
            max_in_flight: self.max_in_flight,
            payload_bytes: self.common.payload_bytes(),
            publishers: self.publishers,
            departures: Departures::new(window.from, self.rate, messages),
            arrivals: Arrivals::new(messages, None),
            window,
        });
        // The consumer and, numbered from 0, the publishers.
        let roles = std::iter::once(None).chain((0..self.publishers).map(Some));
        let all = roles.map(|publisher| {
            let plan = Arc::clone(&plan);
            async move {
                match publisher {
                    None => listen(&plan).await,
                    Some(publisher) => Ok(publish(&plan, publisher).await),
                }
            }
        });
        let run = clients::run(client.authority(), self.common.pid, window, all).await?;
        let load = Load::EndToEnd {
            rate: self.rate,
            publishers: self.publishers,
            via: self.via,
        };
        let report = Report::new(load, &self.common, &topic, &run);
        Ok(report.with_delivery(plan.arrivals.delivery()))
    }
}

/// Sends every `publishers`-th message when it is due. One that is refused is not sent again.
async fn publish(plan: &Plan, publisher: u64) -> Measured {
    let mut client = Client::new(&plan.messages);
    client.connect().await;
    let mut request = PublishRequest::new(&plan.messages, Form::Single, plan.payload_bytes, 1);
    let mut number = publisher;
    while number < plan.departures.messages() && !client.gave_up() {
        sleep_until(plan.departures.due(number)).await;
        plan.departures.leaves(number, Instant::now());
        client.call(request.numbered_from(number)).await;
        number += plan.publishers;
    }
    client.measured
}
