//! Acks by a message's id, for clients that know no receipts.
//!
//! What a stream delivered to such a client is remembered: which lease an id means in its group and
//! partition. The memory belongs to the process and is bounded; what it forgets, or a restart makes it
//! forget, is delivered again when its lease is over.

use super::{Broker, BrokerError, LeasedMessage, ReceiptAction};
use crate::metrics;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use weir_commitlog::RecordHead;
use weir_protocol::Receipt;
use weir_protocol::shapes::ReceiptStatus;
use weir_types::{GroupName, MessageId, PartitionId, TopicName};

/// Leases that the broker remembers.
const MAX_REMEMBERED: usize = 100_000;

impl Broker {
    /// Acks the newest delivery of a message by a stream with [`super::AckedBy::Id`]; `true` when that
    /// is durable. `false` if none is known, or another consumer holds the message meanwhile.
    ///
    /// # Errors
    /// The storage engine's: then nothing is known to be durable.
    pub async fn ack_by_id(
        &self,
        topic: &TopicName,
        group: &GroupName,
        partition: PartitionId,
        id: MessageId,
    ) -> Result<bool, BrokerError> {
        let delivery = Delivery {
            consumers: Arc::new((topic.clone(), group.clone())),
            partition,
            id,
        };
        let Some(receipt) = self.shared.remembered.lock().lease_of(&delivery) else {
            return Ok(false);
        };
        let receipts = [receipt.encode()];
        let receipts = receipts.iter().map(String::as_str);
        match self
            .settle(topic, group, receipts, ReceiptAction::Ack)
            .await
        {
            Ok(statuses) if statuses == [ReceiptStatus::Acked] => {
                self.shared.remembered.lock().forget(&delivery, receipt);
                Ok(true)
            }
            Ok(_) | Err(BrokerError::UnknownTopic { .. } | BrokerError::UnknownGroup { .. }) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Remembers what is delivered, before it is.
    pub(super) fn remember(
        &self,
        topic: &TopicName,
        group: &GroupName,
        messages: &[LeasedMessage],
    ) {
        let consumers = Arc::new((topic.clone(), group.clone()));
        let mut remembered = self.shared.remembered.lock();
        for message in messages {
            // Whatever is stored has an id; it was checked when it came.
            let head = RecordHead::of(&message.line.bytes);
            let Some(id) = head.and_then(|head| serde_json::from_slice(head.id).ok()) else {
                continue;
            };
            let delivery = Delivery {
                consumers: consumers.clone(),
                partition: message.receipt.partition,
                id,
            };
            remembered.remember(delivery, message.receipt);
        }
    }
}

/// What an ack names: ids are told apart within a group's partition.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Delivery {
    consumers: Arc<(TopicName, GroupName)>,
    partition: PartitionId,
    id: MessageId,
}

/// The leases of all groups that may be acked by id.
#[derive(Debug, Default)]
pub(super) struct RememberedLeases(Mutex<Leases>);

impl RememberedLeases {
    fn lock(&self) -> std::sync::MutexGuard<'_, Leases> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By what acks name, and in order of delivery.
#[derive(Debug, Default)]
struct Leases {
    by_delivery: HashMap<Arc<Delivery>, Remembered>,
    by_age: BTreeMap<u64, Arc<Delivery>>,
    next_age: u64,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    receipt: Receipt,
    age: u64,
}

impl Leases {
    fn lease_of(&self, delivery: &Delivery) -> Option<Receipt> {
        self.by_delivery.get(delivery).map(|lease| lease.receipt)
    }

    /// In place of an earlier lease of the message.
    fn remember(&mut self, delivery: Delivery, receipt: Receipt) {
        self.remove(&delivery);
        if self.by_delivery.len() >= MAX_REMEMBERED {
            self.forget_oldest();
        }
        let (age, delivery) = (self.next_age, Arc::new(delivery));
        self.next_age += 1;
        self.by_age.insert(age, delivery.clone());
        self.by_delivery
            .insert(delivery, Remembered { receipt, age });
    }

    /// Unless a newer lease took its place.
    fn forget(&mut self, delivery: &Delivery, receipt: Receipt) {
        if self.lease_of(delivery) == Some(receipt) {
            self.remove(delivery);
        }
    }

    fn remove(&mut self, delivery: &Delivery) {
        if let Some(lease) = self.by_delivery.remove(delivery) {
            self.by_age.remove(&lease.age);
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, oldest)) = self.by_age.pop_first() {
            self.by_delivery.remove(&oldest);
            metrics::forgotten_lease();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::{BrokerStart, Incarnation, Offset};

    fn delivery(id: u128) -> Delivery {
        let topic = TopicName::parse("t").unwrap();
        let group = GroupName::parse("g").unwrap();
        Delivery {
            consumers: Arc::new((topic, group)),
            partition: PartitionId(0),
            id: MessageId::from_bits(id),
        }
    }

    fn receipt(offset: u64, delivery_attempt: u32) -> Receipt {
        Receipt {
            incarnation: Incarnation(1),
            partition: PartitionId(0),
            offset: Offset(offset),
            delivery_attempt,
            broker_start: BrokerStart(1),
        }
    }

    #[test]
    fn a_newer_delivery_takes_the_place_of_an_earlier_one() {
        let mut leases = Leases::default();
        leases.remember(delivery(7), receipt(0, 1));
        leases.remember(delivery(7), receipt(0, 2));
        assert_eq!(leases.lease_of(&delivery(7)), Some(receipt(0, 2)));
        leases.forget(&delivery(7), receipt(0, 1));
        assert_eq!(leases.lease_of(&delivery(7)), Some(receipt(0, 2)));
        leases.forget(&delivery(7), receipt(0, 2));
        assert_eq!(leases.lease_of(&delivery(7)), None);
        assert!(leases.by_age.is_empty());
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_are_too_many() {
        let mut leases = Leases::default();
        let bound = MAX_REMEMBERED as u64;
        for n in 0..bound {
            leases.remember(delivery(n.into()), receipt(n, 1));
        }
        leases.remember(delivery(0), receipt(0, 2));
        leases.remember(delivery(bound.into()), receipt(bound, 1));
        assert_eq!(leases.lease_of(&delivery(0)), Some(receipt(0, 2)));
        assert_eq!(leases.lease_of(&delivery(1)), None);
        assert_eq!(leases.lease_of(&delivery(2)), Some(receipt(2, 1)));
        assert_eq!(leases.by_delivery.len(), MAX_REMEMBERED);
        assert_eq!(leases.by_age.len(), MAX_REMEMBERED);
    }
}
