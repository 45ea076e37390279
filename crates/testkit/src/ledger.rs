//! What clients sent and were told, and whether what is found afterwards agrees with it.
//!
//! The rules, each with a test that breaks it:
//!
//! - an acknowledged message is in the log once, at its acknowledged offset, as it was sent;
//! - one that was not acknowledged is there at most once; what was never sent is not there;
//! - offsets rise, and in one partition the messages of one producer stand in the order of sending;
//! - a group holds a message once at a time, never gets one again that it acked, gets every other
//!   one again, and a nack that was answered is not forgotten.

mod group;
mod violation;

pub use violation::{Violation, Violations};

use group::GroupHistory;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use weir_types::{GroupName, MessageId, Offset, PartitionId, TopicName};

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The topic.
    pub topic: TopicName,
    /// Its partition.
    pub partition: PartitionId,
    /// The offset there.
    pub offset: Offset,
}

impl Place {
    /// A place from its parts.
    #[must_use]
    pub fn new(topic: &TopicName, partition: PartitionId, offset: Offset) -> Self {
        Self {
            topic: topic.clone(),
            partition,
            offset,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.topic, self.partition, self.offset)
    }
}

/// A record as it was found, on the disk or over the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub place: Place,
    /// Its id.
    pub id: MessageId,
    /// Its payload's JSON.
    pub payload: String,
}

/// A message that a producer is about to send. A producer sends one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Who sends it.
    pub producer: u32,
    /// Its number among the producer's, from 0, without gaps.
    pub number: u64,
    /// The topic.
    pub topic: TopicName,
    /// The partition, which is given explicitly.
    pub partition: PartitionId,
    /// Its payload's JSON.
    pub payload: String,
}

impl Sent {
    /// The id that it is published with.
    #[must_use]
    pub fn id(&self) -> MessageId {
        MessageId::parse(&format!("{}-{}", self.producer, self.number)).expect("a short id")
    }
}

/// What clients sent and what they were told.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    sent: HashMap<MessageId, Entry>,
    groups: BTreeMap<GroupName, GroupHistory>,
    acknowledged: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    sent: Sent,
    acknowledged: Option<Offset>,
}

impl Ledger {
    /// Notes a message; call it before the message is sent.
    ///
    /// # Panics
    /// It was noted before.
    pub fn sent(&mut self, sent: Sent) {
        let entry = Entry {
            sent,
            acknowledged: None,
        };
        let before = self.sent.insert(entry.sent.id(), entry);
        assert!(before.is_none(), "noted twice: {before:?}");
    }

    /// Notes that the broker acknowledged a message, at this offset.
    ///
    /// # Panics
    /// It was never noted as sent.
    pub fn acknowledged(&mut self, id: &MessageId, offset: Offset) {
        let entry = self.sent.get_mut(id).expect("sent before");
        entry.acknowledged = Some(offset);
        self.acknowledged += 1;
    }

    /// How many messages were acknowledged.
    #[must_use]
    pub fn acknowledged_count(&self) -> usize {
        self.acknowledged
    }

    /// Compares all that is in the logs, partition by partition in their order, with what was sent.
    #[must_use]
    pub fn check_log(&self, log: &[Found]) -> Violations {
        let mut check = LogCheck::default();
        for found in log {
            check.take(self.sent.get(&found.id), found);
        }
        for (id, entry) in &self.sent {
            if let Some(offset) = entry.acknowledged
                && !check.seen.contains_key(id)
            {
                let place = Place::new(&entry.sent.topic, entry.sent.partition, offset);
                check.violations.push(Violation::Lost {
                    id: id.clone(),
                    place,
                });
            }
        }
        Violations(check.violations)
    }

    /// Notes that the broker ended: all leases did.
    pub fn restarted(&mut self) {
        self.groups.values_mut().for_each(GroupHistory::restarted);
    }

    /// Notes a delivery to a member of a group.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn delivered(
        &mut self,
        group: &GroupName,
        found: &Found,
        attempt: u32,
    ) -> Result<(), Violation> {
        self.check_delivered(found)?;
        self.group(group).delivered(group, &found.place, attempt)
    }

    /// Notes an ack; call it before the ack is sent.
    pub fn ack_sent(&mut self, group: &GroupName, place: &Place) {
        self.group(group).ack_sent(place);
    }

    /// Notes that the broker answered an ack with success.
    pub fn acked(&mut self, group: &GroupName, place: &Place) {
        self.group(group).acked(place);
    }

    /// Notes a nack; call it before the nack is sent.
    pub fn nack_sent(&mut self, group: &GroupName, place: &Place) {
        self.group(group).nack_sent(place);
    }

    /// Notes that the broker answered the nack of this attempt with success.
    pub fn nacked(&mut self, group: &GroupName, place: &Place, attempt: u32) {
        self.group(group).nacked(place, attempt);
    }

    /// How many messages the group was told it finished.
    #[must_use]
    pub fn acked_count(&self, group: &GroupName) -> usize {
        self.groups.get(group).map_or(0, GroupHistory::acked_count)
    }

    /// After everything that could be leased since the last restart was leased: whether each record
    /// of `topic` was either acked or delivered again.
    #[must_use]
    pub fn check_drained(&self, group: &GroupName, topic: &TopicName, log: &[Found]) -> Violations {
        let of_topic = log.iter().filter(|found| found.place.topic == *topic);
        let open = of_topic.filter(|found| {
            let history = self.groups.get(group);
            history.is_none_or(|history| history.awaits_delivery(&found.place))
        });
        let violation = |found: &Found| Violation::NotDelivered {
            group: group.clone(),
            place: found.place.clone(),
        };
        Violations(open.map(violation).collect())
    }

    fn check_delivered(&self, found: &Found) -> Result<(), Violation> {
        let mut check = LogCheck::default();
        check.take(self.sent.get(&found.id), found);
        check.violations.pop().map_or(Ok(()), Err)
    }

    fn group(&mut self, group: &GroupName) -> &mut GroupHistory {
        self.groups.entry(group.clone()).or_default()
    }
}

/// One pass over the logs.
#[derive(Default)]
struct LogCheck<'a> {
    seen: HashMap<&'a MessageId, &'a Place>,
    last_offset: HashMap<(&'a TopicName, PartitionId), Offset>,
    last_number: HashMap<(&'a TopicName, PartitionId, u32), &'a Sent>,
    violations: Vec<Violation>,
}

impl<'a> LogCheck<'a> {
    fn take(&mut self, entry: Option<&'a Entry>, found: &'a Found) {
        let Found { place, id, .. } = found;
        self.check_offset(place);
        let Some(entry) = entry else {
            let (id, place) = (id.clone(), place.clone());
            return self.violations.push(Violation::Alien { id, place });
        };
        if let Some(first) = self.seen.insert(id, place) {
            return self.violations.push(Violation::Duplicated {
                id: id.clone(),
                first: first.clone(),
                second: place.clone(),
            });
        }
        self.check_place(entry, found);
        if entry.sent.payload != found.payload {
            self.violations.push(Violation::Altered {
                id: id.clone(),
                place: place.clone(),
                sent: entry.sent.payload.clone(),
                found: found.payload.clone(),
            });
        }
        self.check_order(&entry.sent, place);
    }

    fn check_offset(&mut self, place: &'a Place) {
        let partition = (&place.topic, place.partition);
        let last = self.last_offset.insert(partition, place.offset);
        if let Some(after) = last.filter(|last| *last >= place.offset) {
            let place = place.clone();
            self.violations
                .push(Violation::OffsetNotRising { place, after });
        }
    }

    fn check_place(&mut self, entry: &Entry, found: &Found) {
        let offset = entry.acknowledged.unwrap_or(found.place.offset);
        let expected = Place::new(&entry.sent.topic, entry.sent.partition, offset);
        if expected != found.place {
            self.violations.push(Violation::Moved {
                id: found.id.clone(),
                expected,
                found: found.place.clone(),
            });
        }
    }

    fn check_order(&mut self, sent: &'a Sent, place: &'a Place) {
        let line = (&place.topic, place.partition, sent.producer);
        let last = self.last_number.insert(line, sent);
        if let Some(last) = last.filter(|last| last.number > sent.number) {
            self.violations.push(Violation::Reordered {
                id: sent.id(),
                place: place.clone(),
                behind: last.id(),
            });
        }
    }
}

#[cfg(test)]
mod tests;
