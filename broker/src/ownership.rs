//! Which partitions are this broker's, where several share the work of one queue by number.

use std::collections::BTreeMap;
use weir_types::{PartitionId, TopicName};

/// This broker's place among several, for clients that name partitions: each has the partitions whose
/// number modulo `count` is its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// Which one this is, from 0.
    pub index: u32,
    /// How many there are, at least 1.
    pub count: u32,
    /// Addresses of all brokers, `http://host:port`, in order of index; empty if nothing is forwarded.
    pub peers: Vec<String>,
}

impl Default for Ownership {
    fn default() -> Self {
        Self {
            index: 0,
            count: 1,
            peers: Vec::new(),
        }
    }
}

impl Ownership {
    /// Which broker has a partition.
    #[must_use]
    pub fn owner(&self, partition: PartitionId) -> u32 {
        partition.0 % self.count
    }

    /// Whether this broker has a partition.
    #[must_use]
    pub fn owns(&self, partition: PartitionId) -> bool {
        self.owner(partition) == self.index
    }
}

/// Topics that the dialects create on first use, and their partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialectTopics {
    /// Of the partitioned queue with consumer groups.
    pub partitioned: BTreeMap<TopicName, u32>,
    /// Behind the gateway of the partitioned broker with a coordinator; `None` closes it.
    pub gateway: Option<(TopicName, u32)>,
}
