//! A worker that messages are pushed to, as its dispatcher sees it.

use super::courier::Courier;
use super::gate::{Gate, Pass, Room};
use super::registrations::Registration;
use super::tally::Tally;
use std::sync::Arc;
use std::time::Duration;
use weir_protocol::shapes::WorkerInfo;
use weir_service::telemetry::LogLimiter;
use weir_types::Timestamp;

/// A worker's failures are logged this often at most.
const FAILURE_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A registered worker with what leads to it. A change of the registration makes another of the
/// same way and counts.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) registration: Arc<Registration>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) courier: Arc<Courier>,
    pub(crate) failures: Arc<LogLimiter>,
    tally: Arc<Tally>,
}

impl Worker {
    pub(crate) fn new(
        registration: Arc<Registration>,
        gate: Arc<Gate>,
        courier: Arc<Courier>,
    ) -> Self {
        Self {
            registration,
            gate,
            courier,
            failures: Arc::new(LogLimiter::new(FAILURE_LOG_INTERVAL)),
            tally: Arc::default(),
        }
    }

    /// The same worker after its registration was altered.
    pub(crate) fn altered(&self, registration: Arc<Registration>) -> Self {
        self.courier.set_concurrency(registration.concurrency);
        Self {
            registration,
            gate: self.gate.clone(),
            courier: self.courier.clone(),
            failures: self.failures.clone(),
            tally: self.tally.clone(),
        }
    }

    /// How many messages it takes now.
    pub(crate) fn free_slots(&self, now: Timestamp) -> u32 {
        let Registration {
            paused,
            concurrency,
            ..
        } = *self.registration;
        match paused {
            true => 0,
            false => free_slots(concurrency, self.tally.in_flight(), self.gate.room(now)),
        }
    }

    /// Begins a delivery, if it takes one now.
    pub(crate) fn admit(&self, now: Timestamp) -> Option<Pass> {
        match self.free_slots(now) {
            0 => None,
            _ => self.gate.admit(Some(&self.tally), now),
        }
    }

    /// With at most so many `transitions` of its breaker.
    pub(crate) fn describe(&self, now: Timestamp, transitions: usize) -> WorkerInfo {
        let registered = &self.registration;
        WorkerInfo {
            id: registered.id,
            topic: registered.topic.clone(),
            group: registered.group.clone(),
            queue: registered.queue,
            target: registered.target.to_string(),
            concurrency: registered.concurrency,
            visibility_timeout: registered.visibility_timeout,
            paused: registered.paused,
            registered_at: registered.registered_at,
            breaker: self.gate.describe(now, transitions),
            in_flight: self.tally.in_flight(),
            delivered: self.tally.delivered(),
            failed: self.tally.failed(),
            last_error: self.tally.last_error(),
        }
    }
}

/// How many more messages go to one that may work on `concurrency`.
fn free_slots(concurrency: u32, in_flight: u32, room: Room) -> u32 {
    let free = concurrency.saturating_sub(in_flight);
    match room {
        Room::Unlimited => free,
        Room::Trial => free.min(1),
        Room::Nothing => 0,
    }
}

/// Whose turn it is: one worker after the other, passing over those that take nothing.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    next: usize,
}

impl Turns {
    /// The first that `takes` something, from the one after the last on.
    pub(crate) fn next<'a, W, T>(
        &mut self,
        workers: &'a [W],
        takes: impl Fn(&W) -> Option<T>,
    ) -> Option<(&'a W, T)> {
        let count = workers.len();
        let in_turn = (0..count).map(|step| (self.next + step) % count);
        let mut found = in_turn.filter_map(|at| Some((at, takes(&workers[at])?)));
        let (at, taken) = found.next()?;
        self.next = at + 1;
        Some((&workers[at], taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_what_concurrency_and_breaker_leave() {
        for (concurrency, in_flight, room, free) in [
            (1, 0, Room::Unlimited, 1),
            (1, 1, Room::Unlimited, 0),
            (8, 3, Room::Unlimited, 5),
            (8, 3, Room::Trial, 1),
            (8, 8, Room::Trial, 0),
            (8, 0, Room::Nothing, 0),
            (2, 5, Room::Unlimited, 0),
        ] {
            assert_eq!(
                free_slots(concurrency, in_flight, room),
                free,
                "{concurrency} {in_flight} {room:?}"
            );
        }
    }

    /// Who gets messages when each worker takes so many.
    fn dealt(mut slots: Vec<u32>, messages: usize) -> Vec<usize> {
        let mut turns = Turns::default();
        let workers: Vec<usize> = (0..slots.len()).collect();
        let mut dealt = Vec::new();
        for _ in 0..messages {
            let takes = |&worker: &usize| (slots[worker] > 0).then_some(());
            let Some((&worker, ())) = turns.next(&workers, takes) else {
                break;
            };
            slots[worker] -= 1;
            dealt.push(worker);
        }
        dealt
    }

    #[test]
    fn messages_go_round() {
        assert_eq!(dealt(vec![9, 9, 9], 7), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(dealt(vec![9, 0, 9], 4), [0, 2, 0, 2], "one is down");
        assert_eq!(dealt(vec![1, 5, 2], 9), [0, 1, 2, 1, 2, 1, 1, 1]);
        assert_eq!(dealt(vec![0, 0], 1), [0; 0]);
        assert_eq!(dealt(vec![], 1), [0; 0]);
    }

    #[test]
    fn a_turn_survives_workers_that_leave() {
        let mut turns = Turns::default();
        let all = |_: &u8| Some(());
        for expected in [1, 2, 3] {
            let next = turns.next(&[1, 2, 3], all).map(|(worker, ())| *worker);
            assert_eq!(next, Some(expected));
        }
        let next = turns.next(&[2], all).map(|(worker, ())| *worker);
        assert_eq!(next, Some(2));
    }
}
