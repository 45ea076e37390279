//! Which partitions are this broker's, where several share the work of one queue by number.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use weir_types::{PartitionId, TopicName};

/// What a data directory remembers of its place: other partitions' messages would be stranded in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptOwnership {
    pub(crate) index: u32,
    pub(crate) count: u32,
}

impl From<&Ownership> for KeptOwnership {
    fn from(ownership: &Ownership) -> Self {
        Self {
            index: ownership.index,
            count: ownership.count,
        }
    }
}

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

    /// This broker's among `partitions` partitions, in order.
    pub fn owned_of(&self, partitions: u32) -> impl Iterator<Item = PartitionId> + use<> {
        let step = usize::try_from(self.count).unwrap_or(usize::MAX).max(1);
        (self.index..partitions).step_by(step).map(PartitionId)
    }

    /// Address of the broker that has a partition, if addresses are known.
    #[must_use]
    pub fn peer(&self, partition: PartitionId) -> Option<&str> {
        let owner = usize::try_from(self.owner(partition)).ok()?;
        self.peers.get(owner).map(String::as_str)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn second_of_three() -> Ownership {
        Ownership {
            index: 1,
            count: 3,
            peers: ["a", "b", "c"]
                .map(|host| format!("http://{host}:1"))
                .into(),
        }
    }

    #[test]
    fn partitions_go_round_the_brokers() {
        let ownership = second_of_three();
        let owned: Vec<_> = ownership.owned_of(8).map(|p| p.0).collect();
        assert_eq!(owned, [1, 4, 7]);
        for partition in (0..8).map(PartitionId) {
            let owns = owned.contains(&partition.0);
            assert_eq!(ownership.owns(partition), owns, "{partition}");
        }
        assert_eq!(ownership.owned_of(1).count(), 0);
        assert_eq!(Ownership::default().owned_of(3).count(), 3);
    }

    #[test]
    fn the_owner_has_an_address_where_addresses_are_known() {
        assert_eq!(second_of_three().peer(PartitionId(5)), Some("http://c:1"));
        assert_eq!(Ownership::default().peer(PartitionId(5)), None);
    }
}
