//! What reads the broker: one stream for each of the agents' topics, and a look at all topics and at
//! who is pushed to (`delivery`) now and then. All of it goes on for ever: a broker that is away, a topic that does not exist yet and
//! a message that is no sample are waited for, counted and passed over.

mod delivery;

use crate::fold::shapes::GroupRow;
use crate::fold::{TopicReading, WINDOW_MS};
use crate::metrics::FollowMetrics;
use crate::sample::{HostTopic, Sample};
use crate::view::{BrokerReading, Stopping, Told, ViewClient};
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use weir_client::{Backoff, Client, ClientError, Followed, ReadFrom, StreamedMessage};
use weir_service::clock::Clock;
use weir_service::telemetry::LogLimiter;
use weir_types::TopicName;

const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(200),
    cap: Duration::from_secs(5),
};
const TOPICS_EVERY: Duration = Duration::from_secs(2);
/// Topics whose groups are asked for at a time.
const MAX_TOPICS_WITH_GROUPS: usize = 200;
const LOG_EVERY: Duration = Duration::from_secs(30);
/// Samples stored earlier than the charts' window and this are not even parsed.
const SLACK_MS: u64 = 5 * 60 * 1_000;

/// What every follower needs.
#[derive(Clone)]
pub(crate) struct Follower {
    pub(crate) client: Client,
    pub(crate) view: ViewClient,
    pub(crate) clock: Clock,
    pub(crate) metrics: FollowMetrics,
}

impl Follower {
    /// Follows one topic from its beginning until `stop`.
    pub(crate) async fn follow(self, topic: HostTopic, stop: CancellationToken) {
        let _stopping = stop.run_until_cancelled(self.follow_for_ever(topic)).await;
    }

    async fn follow_for_ever(self, topic: HostTopic) -> Result<(), Stopping> {
        let Ok(name) = TopicName::parse(topic.name()) else {
            return Ok(());
        };
        let log = LogLimiter::new(LOG_EVERY);
        let mut failures = 0;
        loop {
            // What was read before is recognised by its sequence number.
            let mut stream = self.client.follow(
                name.clone(),
                ReadFrom::Earliest,
                None,
                BACKOFF,
                fastrand::f64,
            );
            let error = loop {
                match stream.next().await {
                    Ok(Followed::Message(message)) => {
                        failures = 0;
                        self.read(topic, &message, &log).await?;
                    }
                    // The chart shows the gap; the broker's log says why.
                    Ok(Followed::Gap(gap)) => {
                        tracing::warn!(topic = topic.name(), ?gap, "samples are missing");
                    }
                    Ok(Followed::Interrupted { error, .. }) => {
                        self.metrics.interruptions.increment(1);
                        tracing::debug!(topic = topic.name(), ?error, "the stream was interrupted");
                    }
                    Err(error) => break error,
                }
            };
            // No topic yet, another topic of that name, or something else than a broker.
            tracing::debug!(topic = topic.name(), %error, "the topic cannot be followed yet");
            tokio::time::sleep(BACKOFF.delay(failures, fastrand::f64())).await;
            failures = failures.saturating_add(1);
        }
    }

    async fn read(
        &self,
        topic: HostTopic,
        streamed: &StreamedMessage,
        log: &LogLimiter,
    ) -> Result<(), Stopping> {
        let message = &streamed.message;
        let stored = message.timestamp.0;
        self.metrics.samples.increment(1);
        let age = self.clock.now().0.saturating_sub(stored);
        if topic != HostTopic::Info && age > WINDOW_MS + SLACK_MS {
            return match &message.key {
                Some(node) => {
                    let node = node.as_str().to_owned();
                    self.view.tell(Told::Seen { node, stored }).await
                }
                None => Ok(()),
            };
        }
        match Sample::parse(topic, message.payload.get()) {
            Ok(sample) => {
                self.metrics.cut.increment(sample.cut as u64);
                self.view.tell(Told::Sample { sample, stored }).await
            }
            Err(error) => {
                self.metrics.bad_samples.increment(1);
                if let Some(suppressed) = log.admit(Instant::now()) {
                    let offset = message.offset.0;
                    tracing::warn!(topic = topic.name(), offset, %error, suppressed, "a message is no sample");
                }
                Ok(())
            }
        }
    }

    /// Asks for the broker's topics, groups and workers every two seconds until `stop`.
    pub(crate) async fn watch_topics(self, stop: CancellationToken) {
        let mut every = tokio::time::interval(TOPICS_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watching = async {
            loop {
                every.tick().await;
                let reading = self.read_broker().await;
                self.metrics.broker_up.set(f64::from(reading.is_ok()));
                let reading = reading.map_err(|error| error.to_string());
                if self.view.tell(Told::Broker(reading)).await.is_err() {
                    return;
                }
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    /// Without topics there is no broker; the rest may be missing.
    async fn read_broker(&self) -> Result<BrokerReading, ClientError> {
        let topics = self.read_topics().await?;
        let delivery = self.read_delivery().await;
        Ok(BrokerReading { topics, delivery })
    }

    async fn read_topics(&self) -> Result<Vec<TopicReading>, ClientError> {
        let mut with_groups = 0;
        let mut readings = Vec::new();
        for info in self.client.topics().await?.topics {
            let mut groups = Vec::new();
            if !info.groups.is_empty() && with_groups < MAX_TOPICS_WITH_GROUPS {
                with_groups += 1;
                groups = self.read_groups(&info.topic).await?;
            }
            readings.push(TopicReading {
                incarnation: format!("{:?}", info.incarnation),
                partitions: info.partitions.len() as u64,
                records: info.records,
                bytes: info.bytes,
                published: info.partitions.iter().map(|one| one.high_watermark.0).sum(),
                topic: info.topic.to_string(),
                groups,
            });
        }
        Ok(readings)
    }

    async fn read_groups(&self, topic: &TopicName) -> Result<Vec<GroupRow>, ClientError> {
        let groups = match self.client.groups(topic).await {
            Ok(groups) => groups.groups,
            // Deleted since the topics were listed.
            Err(ClientError::Refused { status: 404, .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let row = groups.into_iter().map(|group| GroupRow {
            group: group.group.to_string(),
            lag_records: group.lag_records,
            lag_seconds: group.lag_seconds,
            in_flight: group.in_flight,
            redelivered: group.redelivered,
        });
        Ok(row.collect())
    }
}
