use serde::{Deserialize, Serialize};
use weir_types::TopicName;

/// What goes on at the gateway of the partitioned broker's clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStats {
    /// The topic behind it.
    pub topic: TopicName,
    /// Who subscribed and was heard in the last 60 s.
    pub consumers: usize,
    /// Who pushed in the last 60 s.
    pub producers: usize,
    /// Of the topic.
    pub partitions: u32,
    /// That share the work.
    pub brokers: u32,
    /// Not yet received.
    pub messages_in_queue: u64,
    /// Messages pushed since the broker's start.
    pub sent: u64,
    /// Messages that consumers got since the broker's start.
    pub received: u64,
}
