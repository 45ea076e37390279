use crate::failure::Failure;
use clap::Args;
use std::future::Future;
use weir_client::Client;
use weir_protocol::shapes::TopicInfo;
use weir_types::{Durability, TopicName, TopicSettingsChange};

/// The topic that is made for a run.
#[derive(Debug, Args)]
pub(crate) struct OwnTopic {
    /// Partitions of the topic to be made.
    #[arg(long, default_value_t = 1)]
    partitions: u32,
    /// Durability of the topic to be made.
    #[arg(long, default_value = "fsync")]
    durability: Durability,
    /// Keep the topic that was made.
    #[arg(long)]
    keep: bool,
}

impl OwnTopic {
    /// Makes the topic, does `work` with it, and deletes it: also when the work failed or was
    /// interrupted with Ctrl-C, which drops it.
    pub(crate) async fn used_by<T, W>(
        &self,
        client: &Client,
        work: impl FnOnce(TopicInfo) -> W,
    ) -> Result<T, Failure>
    where
        W: Future<Output = Result<T, Failure>>,
    {
        let topic = self.create(client).await?;
        let name = topic.topic.clone();
        let done = until_interrupted(work(topic)).await;
        if self.keep {
            return done;
        }
        let deleted = client.delete_topic(&name).await;
        // Why the work failed matters more than a topic that stays behind.
        let done = done?;
        deleted?;
        Ok(done)
    }

    async fn create(&self, client: &Client) -> Result<TopicInfo, Failure> {
        let name = format!("bench-{:08x}", fastrand::u32(..));
        let topic = TopicName::parse(&name).map_err(|e| Failure::Failed(e.to_string()))?;
        let change = TopicSettingsChange {
            partitions: Some(self.partitions),
            durability: Some(self.durability),
            ..TopicSettingsChange::default()
        };
        Ok(client.put_topic(&topic, &change).await?)
    }
}

/// Does `work`, or fails with Ctrl-C.
pub(crate) async fn until_interrupted<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err(Failure::Failed("interrupted before the end".into())),
    }
}
