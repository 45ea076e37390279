use super::steps::{Passed, Step, Steps, Trouble};
use crate::failure::Failure;
use bytes::Bytes;
use std::time::Duration;
use weir_client::{Client, ClientError, LeaseOptions, PublishOptions};
use weir_protocol::shapes::{
    GroupRequest, GroupStart, LeasedMessage, Published, ReceiptStatus, TopicInfo,
};
use weir_types::{DurationText, GroupName, MessageId, TopicName, TopicSettingsChange};

const READY: Step = Step {
    name: "ready",
    advice: "whether the broker runs and this is its address; its log",
};
const GROUP: Step = Step {
    name: "group",
    advice: "whether the topic is there (`weir topics`), the broker's log, its setting max-topics",
};
const PUBLISH: Step = Step {
    name: "publish",
    advice: "the broker's log, its free disk space (min-free-bytes) and its /ready",
};
const LEASE: Step = Step {
    name: "lease",
    advice: "the broker's log, and `weir groups` of the topic",
};
const ACK: Step = Step {
    name: "ack",
    advice: "the broker's log and its free disk space",
};
const LAG: Step = Step {
    name: "lag",
    advice: "`weir groups` of the topic",
};
const CLEAN_UP: Step = Step {
    name: "clean up",
    advice: "`weir groups` of the topic: what is left there expires in ten minutes",
};

/// The topic that checks make for themselves.
pub(super) const OWN_TOPIC: &str = "weir.check";

/// Idle for so long, the checks' topic goes, and the group of a check that was killed.
const EXPIRY: DurationText = DurationText(Duration::from_secs(600));
const LEASE_WAIT: Duration = Duration::from_secs(1);
const LEASE_MESSAGES: usize = 100;

/// One message into a topic and out of it again, in a group of its own.
pub(super) struct RoundTrip {
    client: Client,
    topic: TopicName,
    group: GroupName,
    id: MessageId,
}

impl RoundTrip {
    pub(super) fn new(client: Client, topic: TopicName) -> Result<Self, Failure> {
        let group = format!("check-{:016x}", fastrand::u64(..));
        Ok(Self {
            client,
            topic,
            group: GroupName::parse(&group).map_err(|e| Failure::Failed(e.to_string()))?,
            id: MessageId::from_bits(fastrand::u128(..)),
        })
    }

    pub(super) async fn run(&self, steps: &Steps) -> Result<(), Failure> {
        let ready = steps.until_it_works(async || self.ready().await);
        steps.run(READY, ready).await?;
        steps.run(GROUP, steps.once(self.open())).await?;
        let done = self.there_and_back(steps).await;
        let cleaned = steps.run(CLEAN_UP, self.close()).await;
        // Why the message did not come through matters more than what stays behind.
        done.and(cleaned)
    }

    async fn there_and_back(&self, steps: &Steps) -> Result<(), Failure> {
        let published = steps.run(PUBLISH, steps.once(self.publish())).await?;
        let lease = steps.until_it_works(async || self.lease(&published).await);
        let receipt = steps.run(LEASE, lease).await?;
        steps.run(ACK, steps.once(self.ack(receipt))).await?;
        let lag = steps.until_it_works(async || self.lag(&published).await);
        steps.run(LAG, lag).await
    }

    async fn ready(&self) -> Result<Passed<()>, Trouble> {
        let ready = self.client.ready().await;
        let ready = ready.map_err(|error| Trouble::new(&error, error.to_string()))?;
        let (broker, version) = (self.client.authority(), ready.version);
        Ok(Passed::new(
            (),
            format!("the broker at {broker}, version {version}"),
        ))
    }

    /// Makes the group before the message: it starts at the end and meets no older ones.
    async fn open(&self) -> Result<Passed<()>, ClientError> {
        self.find_topic().await?;
        let request = GroupRequest {
            start: Some(GroupStart::Latest),
            expires_after: Some(EXPIRY),
            ..GroupRequest::default()
        };
        let (topic, group) = (&self.topic, &self.group);
        self.client.put_group(topic, group, request).await?;
        Ok(Passed::new((), format!("{group} on the topic {topic}")))
    }

    /// The checks' own topic expires, because deleting it could hit another check. Any other must be
    /// there: one made here would expire under those who begin to use it.
    async fn find_topic(&self) -> Result<TopicInfo, ClientError> {
        if self.topic.as_str() != OWN_TOPIC {
            return self.client.topic(&self.topic).await;
        }
        let change = TopicSettingsChange {
            expires_after: Some(EXPIRY),
            ..TopicSettingsChange::default()
        };
        self.client.put_topic(&self.topic, &change).await
    }

    async fn publish(&self) -> Result<Passed<Published>, ClientError> {
        let options = PublishOptions {
            id: Some(self.id.clone()),
            ..PublishOptions::default()
        };
        let payload = Bytes::from(self.payload());
        let published = self.client.publish(&self.topic, payload, &options).await?;
        let (partition, offset) = (published.partition, published.offset);
        let detail = format!("{}/{partition}@{offset} is durable", self.topic);
        Ok(Passed::new(published, detail))
    }

    fn payload(&self) -> String {
        serde_json::json!({"weir_check": self.id}).to_string()
    }

    /// The receipt of our message.
    async fn lease(&self, published: &Published) -> Result<Passed<String>, Trouble> {
        loop {
            let messages = self.lease_some().await.map_err(|error| lasting(&error))?;
            if messages.is_empty() {
                return Err(Trouble::Passing("the message does not come".to_owned()));
            }
            let ours = self.finish_others(messages).await;
            if let Some(ours) = ours.map_err(|error| lasting(&error))? {
                let same = self.compare(&ours, published);
                same.map_err(Trouble::Lasting)?;
                let detail = "what came is what was sent".to_owned();
                return Ok(Passed::new(ours.receipt, detail));
            }
        }
    }

    async fn lease_some(&self) -> Result<Vec<LeasedMessage>, ClientError> {
        let options = LeaseOptions {
            max: Some(LEASE_MESSAGES),
            wait: Some(LEASE_WAIT),
            ..LeaseOptions::default()
        };
        let leased = self
            .client
            .lease(&self.topic, &self.group, &options)
            .await?;
        Ok(leased.messages)
    }

    /// Acks what others published meanwhile; our message is what is left.
    async fn finish_others(
        &self,
        mut messages: Vec<LeasedMessage>,
    ) -> Result<Option<LeasedMessage>, ClientError> {
        let ours = messages.iter().position(|message| message.id == self.id);
        let ours = ours.map(|place| messages.swap_remove(place));
        let others: Vec<_> = messages.into_iter().map(|m| m.receipt).collect();
        if !others.is_empty() {
            self.client.ack(&self.topic, &self.group, others).await?;
        }
        Ok(ours)
    }

    fn compare(&self, came: &LeasedMessage, published: &Published) -> Result<(), String> {
        let came_from = (came.partition, came.offset);
        let went_to = (published.partition, published.offset);
        if came_from != went_to {
            return Err(format!(
                "it was stored at {went_to:?} and comes from {came_from:?}"
            ));
        }
        let (sent, payload) = (self.payload(), came.payload.get());
        match payload == sent {
            true => Ok(()),
            false => Err(format!("{sent} was sent and {payload} came")),
        }
    }

    async fn ack(&self, receipt: String) -> Result<Passed<()>, String> {
        let acked = self
            .client
            .ack(&self.topic, &self.group, vec![receipt])
            .await;
        let results = acked.map_err(|error| error.to_string())?.results;
        match results.first().map(|result| result.status) {
            Some(ReceiptStatus::Acked) => Ok(Passed::new((), "durable".to_owned())),
            status => Err(format!("the broker answers {status:?}")),
        }
    }

    /// Others may publish to the topic meanwhile, so that only what lies before our message counts.
    async fn lag(&self, published: &Published) -> Result<Passed<()>, Trouble> {
        let group = self.client.group(&self.topic, &self.group).await;
        let group = group.map_err(|error| lasting(&error))?;
        let mut partitions = group.partitions.iter();
        let ours = partitions.find(|one| one.partition == published.partition);
        match ours.is_some_and(|one| one.committed_offset > published.offset) {
            true => Ok(Passed::new((), format!("{} unfinished", group.lag_records))),
            false => Err(Trouble::Passing(format!(
                "{} messages are unfinished after the ack",
                group.lag_records
            ))),
        }
    }

    async fn close(&self) -> Result<Passed<()>, String> {
        let deleted = self.client.delete_group(&self.topic, &self.group).await;
        deleted.map_err(|error| error.to_string())?;
        Ok(Passed::new((), "group deleted".to_owned()))
    }
}

fn lasting(error: &ClientError) -> Trouble {
    Trouble::Lasting(error.to_string())
}
