use super::{Place, Violation};
use std::collections::HashMap;
use weir_types::GroupName;

/// What a group knows about its messages. Leases are taken to outlast a start of the broker: tests
/// ask for long ones.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupHistory {
    messages: HashMap<Place, MessageHistory>,
}

#[derive(Clone, Copy, Debug, Default)]
struct MessageHistory {
    state: State,
    /// Every answered nack counts as an attempt.
    least_attempt: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Waits for a delivery.
    #[default]
    Open,
    /// A member holds it.
    Leased,
    /// A member acked it and waits for the answer.
    AckSent,
    /// The broker ended before it answered: the ack counts or does not.
    Unknown,
    /// The broker said so.
    Acked,
}

impl GroupHistory {
    pub(super) fn restarted(&mut self) {
        for message in self.messages.values_mut() {
            message.state = match message.state {
                State::Leased => State::Open,
                State::AckSent => State::Unknown,
                kept => kept,
            };
        }
    }

    pub(super) fn delivered(
        &mut self,
        group: &GroupName,
        place: &Place,
        attempt: u32,
    ) -> Result<(), Violation> {
        let message = self.message(place);
        let (group, place) = (group.clone(), place.clone());
        match message.state {
            State::Acked => return Err(Violation::DeliveredAfterAck { group, place }),
            State::Leased | State::AckSent => return Err(Violation::HeldTwice { group, place }),
            State::Open | State::Unknown => message.state = State::Leased,
        }
        let least = message.least_attempt;
        if attempt < least {
            return Err(Violation::NackForgotten {
                group,
                place,
                attempt,
                least,
            });
        }
        Ok(())
    }

    pub(super) fn ack_sent(&mut self, place: &Place) {
        self.message(place).state = State::AckSent;
    }

    pub(super) fn acked(&mut self, place: &Place) {
        self.message(place).state = State::Acked;
    }

    /// From here on another member may get it, before the nack is answered.
    pub(super) fn nack_sent(&mut self, place: &Place) {
        self.message(place).state = State::Open;
    }

    pub(super) fn nacked(&mut self, place: &Place, attempt: u32) {
        let message = self.message(place);
        message.least_attempt = message.least_attempt.max(attempt + 1);
    }

    pub(super) fn acked_count(&self) -> usize {
        let messages = self.messages.values();
        messages.filter(|m| m.state == State::Acked).count()
    }

    pub(super) fn awaits_delivery(&self, place: &Place) -> bool {
        let message = self.messages.get(place);
        message.is_none_or(|message| message.state == State::Open)
    }

    fn message(&mut self, place: &Place) -> &mut MessageHistory {
        self.messages.entry(place.clone()).or_default()
    }
}
