//! Consumers that wait for a first message, served in the order of their arrival.

use super::super::client::{Consumer, LeaseRequest};
use super::super::delivery::{Delivered, Leased};
use super::super::handing_over::{HandedOver, Unclaimed};
use super::GroupTask;
use crate::broker::BrokerError;
use std::collections::VecDeque;
use tokio::sync::oneshot;
use tokio::time::Instant;
use weir_types::{GroupOrdering, MemberName};

/// Consumers that may wait for messages at one time; beyond, they are answered at once.
const MAX_WAITERS: usize = 4096;

type Reply = oneshot::Sender<HandedOver>;

struct Waiter {
    request: LeaseRequest,
    until: Instant,
    reply: Reply,
}

impl Waiter {
    fn give_up(self, unclaimed: &Unclaimed) {
        let nothing = HandedOver::new(Ok(Leased::default()), unclaimed);
        let _gone = self.reply.send(nothing);
    }
}

/// Everyone who waits.
#[derive(Default)]
pub(super) struct Waiters(VecDeque<Waiter>);

impl Waiters {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the next wait runs out.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.0.iter().map(|waiter| waiter.until).min()
    }

    /// Those who said who they are, and are still there.
    pub(super) fn members(&self) -> impl Iterator<Item = &MemberName> {
        let there = self.0.iter().filter(|waiter| !waiter.reply.is_closed());
        there.filter_map(|waiter| match &waiter.request.consumer {
            Consumer::Member(name) => Some(name),
            Consumer::Anonymous | Consumer::Passing | Consumer::Stream { .. } => None,
        })
    }

    /// Answers everyone, with nothing.
    pub(super) fn give_up(&mut self, unclaimed: &Unclaimed) {
        let waiters = self.0.drain(..);
        waiters.for_each(|waiter| waiter.give_up(unclaimed));
    }
}

impl GroupTask {
    pub(super) async fn lease_or_wait(&mut self, request: LeaseRequest, reply: Reply) {
        self.expire_leases().await;
        let result = self.lease(&request).await;
        let is_empty = matches!(&result, Ok(leased) if leased.messages.is_empty());
        // Who does not want to wait gets what is there, and for that all must have been looked at.
        let waits = is_empty
            && (self.behind || !request.wait.is_zero())
            && !self.draining.is_cancelled()
            && self.waiters.0.len() < MAX_WAITERS;
        if waits {
            self.waiters.0.push_back(Waiter {
                until: Instant::now() + request.wait,
                request,
                reply,
            });
        } else {
            self.hand_over(result, reply);
        }
    }

    /// Serves waiting consumers, and ends the waits that ran out.
    pub(super) async fn serve_waiters(&mut self) {
        let mut waiting = VecDeque::with_capacity(self.waiters.0.len());
        let mut nothing_left = false;
        while let Some(waiter) = self.waiters.0.pop_front() {
            if waiter.reply.is_closed() {
                continue;
            }
            let takes_any = self.takes_any(&waiter.request);
            if !(nothing_left && takes_any) {
                let result = self.lease(&waiter.request).await;
                if !matches!(&result, Ok(leased) if leased.messages.is_empty()) {
                    self.hand_over(result, waiter.reply);
                    continue;
                }
                nothing_left |= takes_any;
            }
            match waiter.until <= Instant::now() && !self.behind {
                true => waiter.give_up(&self.unclaimed),
                false => waiting.push_back(waiter),
            }
        }
        self.waiters.0 = waiting;
    }

    /// Whether a consumer would take whatever there is, so that if it gets nothing, nobody does.
    fn takes_any(&self, request: &LeaseRequest) -> bool {
        let is_stream = matches!(request.consumer, Consumer::Stream { .. });
        !is_stream && request.partition.is_none() && self.rules.ordering != GroupOrdering::Partition
    }

    /// Gives the consumer its messages. What it does not take, goes back: see `handing_over`.
    fn hand_over(&mut self, result: Result<Leased, BrokerError>, reply: Reply) {
        let delivered = result.as_ref().map_or(0, |leased| leased.messages.len());
        if reply.send(HandedOver::new(result, &self.unclaimed)).is_ok() {
            self.metrics.delivered(delivered);
        }
    }

    pub(super) fn release(&mut self, message: &Delivered) {
        let now = self.clock.now();
        let partition = &mut self.partitions[message.receipt.partition.0 as usize];
        // After a seek it is another message that has this offset in hand.
        if partition.incarnation == message.receipt.incarnation {
            partition.state.release(message.line.offset, now);
        }
    }
}
