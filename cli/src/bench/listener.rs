//! The consumer of `weir bench e2e`: waits for messages in one of three ways and times them.

use super::arrivals::{Arrival, Arrivals};
use super::clients::{Client, Window};
use super::connection::{Connection, ErrorWord};
use super::consumer::ack;
use super::departures::Departures;
use super::endpoint::Endpoint;
use super::events::data_lines;
use super::leased::{messages_in, number_in, receipt_in};
use super::measured::Measured;
use super::request::{get_events, post_nothing};
use crate::failure::Failure;
use bytes::Bytes;
use clap::ValueEnum;
use serde::Serialize;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// For the last messages to arrive.
const GRACE: Duration = Duration::from_secs(3);
/// Receipts that wait for their acknowledgement; the consumer waits when there are more.
const ACK_QUEUE: usize = 1024;
/// Receipts in an acknowledgement.
const MAX_ACK: usize = 256;

/// How the consumer gets its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Via {
    /// Server-sent events of the topic; nothing is acknowledged.
    Stream,
    /// Leases of a group that wait for messages; all are acknowledged.
    Lease,
    /// Server-sent events of a group; all are acknowledged.
    GroupStream,
}

impl Via {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Lease => "lease",
            Self::GroupStream => "group-stream",
        }
    }
}

/// What consumer and publishers share.
pub(crate) struct Plan {
    pub(crate) messages: Endpoint,
    pub(crate) stream: Endpoint,
    pub(crate) group: Endpoint,
    pub(crate) via: Via,
    /// Most messages that the consumer holds, of a group.
    pub(crate) max_in_flight: u64,
    pub(crate) payload_bytes: usize,
    pub(crate) publishers: u64,
    pub(crate) departures: Departures,
    pub(crate) arrivals: Arrivals,
    pub(crate) window: Window,
}

/// Listens until every message has arrived or the last one is overdue, and acknowledges beside that.
///
/// # Errors
/// When the stream ended or the broker is gone.
pub(crate) async fn listen(plan: &Plan) -> Result<Measured, Failure> {
    let (acks, queue) = mpsc::channel(ACK_QUEUE);
    let (mut heard, mut acked) = tokio::try_join!(hear(plan, acks), acknowledge(plan, queue))?;
    // They were counted when they came.
    acked.messages = 0;
    heard.merge(&acked);
    Ok(heard)
}

async fn hear(plan: &Plan, acks: mpsc::Sender<Bytes>) -> Result<Measured, Failure> {
    let endpoint = match plan.via {
        Via::Stream => &plan.stream,
        Via::Lease | Via::GroupStream => &plan.group,
    };
    let mut consumer = Consumer {
        client: Client::new(endpoint),
        plan,
        acks,
    };
    tokio::select! {
        biased;
        () = plan.arrivals.complete() => {}
        () = sleep_until(plan.window.until + GRACE) => {}
        failure = consumer.listen() => return Err(failure),
    }
    Ok(consumer.client.measured)
}

/// Acknowledges what waits in the queue, all of it with one request.
async fn acknowledge(plan: &Plan, mut queue: mpsc::Receiver<Bytes>) -> Result<Measured, Failure> {
    let mut client = Client::new(&plan.group);
    let mut receipts = Vec::new();
    while queue.recv_many(&mut receipts, MAX_ACK).await > 0 {
        let texts = receipts.iter().map(|receipt| &receipt[..]);
        ack(&mut client, &plan.group, texts).await?;
        receipts.clear();
    }
    Ok(client.measured)
}

struct Consumer<'a> {
    plan: &'a Plan,
    client: Client<'a>,
    acks: mpsc::Sender<Bytes>,
}

impl Consumer<'_> {
    /// Ends only with a failure.
    async fn listen(&mut self) -> Failure {
        match self.plan.via {
            Via::Stream => self.follow("?from=earliest").await,
            Via::Lease => self.lease().await,
            Via::GroupStream => {
                let max_in_flight = self.plan.max_in_flight;
                // The topic is empty: this makes the group and leases nothing.
                let first = post_nothing(&self.plan.group, "/lease?max=1");
                self.client.call(&first).await;
                let stream = format!("/stream?max_in_flight={max_in_flight}&member=bench");
                self.follow(&stream).await
            }
        }
    }

    async fn lease(&mut self) -> Failure {
        let max = self.plan.max_in_flight;
        let request = post_nothing(&self.plan.group, &format!("/lease?max={max}&wait=1s"));
        while !self.client.gave_up() {
            if let Some(answer) = self.client.call(&request).await {
                let now = Instant::now();
                for message in messages_in(&answer.body) {
                    self.got(&answer.body, message, now).await;
                }
            }
        }
        self.client.failure("the consumer")
    }

    async fn follow(&mut self, part: &str) -> Failure {
        let ended = self.events(part).await.err();
        let word = ended.unwrap_or_default();
        Failure::Failed(format!("the stream of events ended: {word}"))
    }

    /// An endless loop: even what ends a stream in order is an error here.
    async fn events(&mut self, part: &str) -> Result<(), ErrorWord> {
        let endpoint = match self.plan.via {
            Via::Stream => &self.plan.stream,
            Via::Lease | Via::GroupStream => &self.plan.group,
        };
        let connection = Connection::open(endpoint).await?;
        let mut events = connection.follow(&get_events(endpoint, part)).await?;
        loop {
            let lines = events.next().await?;
            let now = Instant::now();
            for message in data_lines(&lines) {
                self.got(&lines, message, now).await;
            }
        }
    }

    /// A message, part of what was `received` at `now`. Its receipt goes first: with the last
    /// message this loop ends.
    async fn got(&mut self, received: &Bytes, message: &[u8], now: Instant) {
        if let Some(receipt) = receipt_in(message) {
            // Without a receiver the run has failed.
            let _gone = self.acks.send(received.slice_ref(receipt)).await;
        }
        let number = number_in(message);
        let measured = &mut self.client.measured;
        match (self.plan.arrivals.mark(number), number) {
            (Arrival::First, Some(number)) => {
                measured.answered(self.plan.departures.way_of(number, now), 1);
            }
            (Arrival::Foreign, _) => measured.failed("foreign_message".into()),
            _ => {}
        }
    }
}
