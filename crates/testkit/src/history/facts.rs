//! A history by message: who published it, who was handed it, who settled it.

use super::event::{
    Call, Claim, Delivery, Life, Message, Op, Outcome, Position, Status, Verb, What,
};
use super::recorder::History;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use weir_types::{Offset, PartitionId, Timestamp};

/// When something was noted: its number in the history, which is exact, and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) number: usize,
    pub(super) at: Timestamp,
}

/// All that was done to publish one message.
#[derive(Clone, Debug)]
pub(super) struct Publication<'a> {
    pub(super) message: &'a Message,
    /// The message of the same batch and partition that goes before it.
    pub(super) behind: Option<&'a str>,
    /// The highest place in its partition that was acknowledged before it was first sent.
    pub(super) floor: Option<(Offset, &'a str)>,
    /// The answers that acknowledged it, with the offset if they told.
    pub(super) acknowledged: Vec<Option<Offset>>,
}

/// One delivery of a message.
#[derive(Clone, Debug)]
pub(super) struct Handing<'a> {
    pub(super) delivery: &'a Delivery,
    pub(super) client: &'a str,
    pub(super) life: Life,
    /// When it was asked for; of a stream, when it was opened.
    pub(super) sent: Moment,
    pub(super) seen: Moment,
    /// When the broker granted the lease, by its clock.
    pub(super) granted_at: Timestamp,
    pub(super) streamed: bool,
    /// The earliest time at which a disconnect may have ended the lease.
    pub(super) cut_at: Option<Timestamp>,
}

/// One receipt that was held up.
#[derive(Clone, Debug)]
pub(super) struct Settlement<'a> {
    pub(super) verb: Verb,
    pub(super) claim: &'a Claim,
    pub(super) life: Life,
    pub(super) sent: Moment,
    /// `None`: nobody knows whether it was carried out.
    pub(super) ended: Option<(Moment, Status)>,
}

impl Settlement<'_> {
    /// Whether this may have finished its message.
    pub(super) fn may_finish(&self) -> bool {
        self.verb == Verb::Ack && self.status().is_none_or(|status| status == Status::Acked)
    }

    pub(super) fn status(&self) -> Option<Status> {
        self.ended.map(|(_, status)| status)
    }
}

/// The whole history, by message. Everything in order of time.
#[derive(Debug, Default)]
pub(super) struct Facts<'a> {
    pub(super) publications: BTreeMap<&'a str, Publication<'a>>,
    pub(super) handings: BTreeMap<Position, Vec<Handing<'a>>>,
    pub(super) settlements: HashMap<Position, Vec<Settlement<'a>>>,
    pub(super) refusals: Vec<(&'a str, &'a str)>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let mut reader = Reader::default();
        for (number, event) in history.events().iter().enumerate() {
            let moment = Moment {
                number,
                at: event.at,
            };
            reader.take(moment, &event.what);
        }
        reader.finish()
    }

    pub(super) fn handings(&self, position: Position) -> &[Handing<'a>] {
        self.handings.get(&position).map_or(&[], Vec::as_slice)
    }

    pub(super) fn settlements(&self, position: Position) -> &[Settlement<'a>] {
        self.settlements.get(&position).map_or(&[], Vec::as_slice)
    }
}

/// A call on its way.
#[derive(Clone, Copy)]
struct Open<'a> {
    client: &'a str,
    life: Life,
    call: &'a Call,
    sent: Moment,
}

#[derive(Default)]
struct Reader<'a> {
    facts: Facts<'a>,
    open: HashMap<Op, Open<'a>>,
    highest: HashMap<PartitionId, (Offset, &'a str)>,
    /// What streams delivered, to be cut when they end.
    streams: HashMap<Op, Vec<(Position, usize)>>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, moment: Moment, what: &'a What) {
        match what {
            What::Invoked {
                op,
                client,
                life,
                call,
            } => {
                let open = Open {
                    client,
                    life: *life,
                    call,
                    sent: moment,
                };
                self.open.insert(*op, open);
                if let Call::Publish(messages) = call {
                    self.sent(messages);
                }
            }
            What::Delivered { op, delivery } => self.delivered(moment, *op, delivery),
            What::Completed { op, outcome } => self.completed(moment, *op, outcome),
            What::Started(_) | What::Killed(_) => {}
        }
    }

    fn sent(&mut self, messages: &'a [Message]) {
        let mut before: HashMap<PartitionId, &'a str> = HashMap::new();
        for message in messages {
            let behind = before.insert(message.partition, &message.id);
            let floor = self.highest.get(&message.partition).copied();
            let entry = self.facts.publications.entry(&message.id);
            entry.or_insert(Publication {
                message,
                behind,
                floor,
                acknowledged: Vec::new(),
            });
        }
    }

    fn delivered(&mut self, seen: Moment, op: Op, delivery: &'a Delivery) {
        let Some(&open) = self.open.get(&op) else {
            return;
        };
        let (visibility_timeout, streamed) = match open.call {
            Call::Lease { visibility_timeout } => (*visibility_timeout, false),
            Call::Stream { visibility_timeout } => (*visibility_timeout, true),
            Call::Publish(_) | Call::Settle { .. } => (Duration::ZERO, false),
        };
        let handings = self.facts.handings.entry(delivery.position).or_default();
        if streamed {
            let place = (delivery.position, handings.len());
            self.streams.entry(op).or_default().push(place);
        }
        handings.push(Handing {
            delivery,
            client: open.client,
            life: open.life,
            sent: open.sent,
            seen,
            granted_at: before(delivery.lease_expires_at, visibility_timeout),
            streamed,
            cut_at: None,
        });
    }

    fn completed(&mut self, ended: Moment, op: Op, outcome: &'a Outcome) {
        let Some(open) = self.open.remove(&op) else {
            return;
        };
        match (open.call, outcome) {
            (_, Outcome::Refused(text)) => self.facts.refusals.push((open.client, text)),
            (Call::Publish(messages), Outcome::Published(offsets)) => {
                self.acknowledged(messages, offsets);
            }
            (Call::Settle { .. }, Outcome::Settled(statuses)) => {
                self.settled(open, Some((ended, statuses)));
            }
            (Call::Settle { .. }, _) => self.settled(open, None),
            (Call::Stream { .. }, Outcome::Closed) => self.cut(op, Some(ended.at)),
            (Call::Stream { .. }, _) => self.cut(op, None),
            _ => {}
        }
    }

    fn acknowledged(&mut self, messages: &'a [Message], offsets: &[Option<Offset>]) {
        for (message, &offset) in messages.iter().zip(offsets) {
            if let Some(publication) = self.facts.publications.get_mut(message.id.as_str()) {
                publication.acknowledged.push(offset);
            }
            let Some(offset) = offset else { continue };
            let here = (offset, message.id.as_str());
            let highest = self.highest.entry(message.partition).or_insert(here);
            if highest.0 < offset {
                *highest = here;
            }
        }
    }

    fn settled(&mut self, open: Open<'a>, answer: Option<(Moment, &[Status])>) {
        let Call::Settle { verb, claims } = open.call else {
            return;
        };
        for (index, claim) in claims.iter().enumerate() {
            let status = |(ended, statuses): (Moment, &[Status])| {
                statuses.get(index).map(|&status| (ended, status))
            };
            let settlements = self.facts.settlements.entry(claim.position).or_default();
            settlements.push(Settlement {
                verb: *verb,
                claim,
                life: open.life,
                sent: open.sent,
                ended: answer.and_then(status),
            });
        }
    }

    /// A stream ended: closed by its client, which knows when; or broken, at any time after each
    /// message of it came.
    fn cut(&mut self, op: Op, closed_at: Option<Timestamp>) {
        for (position, index) in self.streams.remove(&op).unwrap_or_default() {
            let handings = self.facts.handings.get_mut(&position);
            if let Some(handing) = handings.and_then(|handings| handings.get_mut(index)) {
                handing.cut_at = closed_at.or(Some(handing.seen.at));
            }
        }
    }

    fn finish(mut self) -> Facts<'a> {
        let open: Vec<_> = self.open.values().copied().collect();
        for open in open {
            self.settled(open, None);
        }
        for settlements in self.facts.settlements.values_mut() {
            settlements.sort_by_key(|settlement| settlement.sent.number);
        }
        for handings in self.facts.handings.values_mut() {
            handings.sort_by_key(|h| (h.life, h.granted_at, h.delivery.attempt));
        }
        self.facts
    }
}

fn before(at: Timestamp, duration: Duration) -> Timestamp {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Timestamp(at.0.saturating_sub(millis))
}
