//! The backends that the operator named: a call goes to one after the other, each behind its breaker.

use super::courier::Courier;
use super::desk::{Push, RosterSender, Ways};
use super::gate::{Gate, Pass, Room};
use super::registrations::{Place, Registration};
use super::target::{InvalidTarget, Target};
use super::task::Outcome;
use super::worker::{Turns, Worker};
use crate::broker::{Broker, BrokerError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use weir_protocol::shapes::{BackendAnswer, BackendInfo, WorkerId};
use weir_types::{GroupName, Timestamp, TopicName};

/// Messages that a backend works on at one time, of each topic that is delivered to the backends.
const CONCURRENCY: u32 = 8;
/// How long one call of a backend may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Every backend, and the topics that are delivered to them.
#[derive(Debug)]
pub(crate) struct Backends {
    all: Vec<Backend>,
    topics: Vec<TopicName>,
    /// Whose turn the next call is.
    turns: Mutex<Turns>,
    /// Keeps the dispatchers of the topics.
    dispatching: OnceCell<Vec<RosterSender>>,
}

#[derive(Debug)]
struct Backend {
    gate: Arc<Gate>,
    courier: Arc<Courier>,
}

impl Backends {
    /// # Errors
    /// A backend that is no `host:port`, or lies where the operator does not allow.
    pub(crate) fn new(ways: &Ways) -> Result<Self, InvalidTarget> {
        let options = &ways.options;
        let mut all: Vec<Backend> = Vec::new();
        for address in &options.backends {
            let target = Target::backend(address)?;
            target.check_allowed(&options.allowed)?;
            if all.iter().any(|known| *known.gate.target() == target) {
                continue;
            }
            let courier = ways.courier(&target, CONCURRENCY);
            let gate = Arc::new(Gate::new(target, options.breaker));
            all.push(Backend { gate, courier });
        }
        Ok(Self {
            all,
            topics: options.backend_topics.clone(),
            turns: Mutex::default(),
            dispatching: OnceCell::new(),
        })
    }

    pub(crate) fn topics(&self) -> &[TopicName] {
        &self.topics
    }

    /// In the order of the settings.
    pub(crate) fn describe(&self, now: Timestamp) -> Vec<BackendInfo> {
        let gates = self.all.iter().map(|backend| &backend.gate);
        gates
            .map(|gate| gate.describe_all(now, usize::MAX))
            .collect()
    }

    /// Begins to deliver the topics, in the name of `group`.
    pub(crate) fn deliver_topics(&self, push: &Push, group: &GroupName, broker: &Broker) {
        if self.all.is_empty() {
            return;
        }
        let start = |topic: &TopicName| {
            let place = Place {
                topic: topic.clone(),
                group: group.clone(),
            };
            let workers = self.workers(&place);
            push.start_fixed(place, workers, broker)
        };
        // A broker begins once.
        let _first = self
            .dispatching
            .set(self.topics.iter().map(start).collect());
    }

    fn workers(&self, place: &Place) -> Vec<Arc<Worker>> {
        let worker = |(id, backend): (u64, &Backend)| {
            let registration = Registration {
                id: WorkerId(id),
                topic: place.topic.clone(),
                group: place.group.clone(),
                queue: None,
                target: backend.gate.target().clone(),
                concurrency: CONCURRENCY,
                visibility_timeout: None,
                paused: false,
                registered_at: Timestamp(0),
            };
            let (gate, courier) = (backend.gate.clone(), backend.courier.clone());
            Arc::new(Worker::new(Arc::new(registration), gate, courier))
        };
        (1..).zip(&self.all).map(worker).collect()
    }

    /// Sends a message to the first backend, in turn, that accepts it; asks each once at most.
    ///
    /// # Errors
    /// [`BrokerError::NoBackend`] says why each did not.
    pub(crate) async fn send(
        &self,
        topic: &TopicName,
        payload: &str,
        reply_to: Option<&TopicName>,
        now: impl Fn() -> Timestamp,
    ) -> Result<BackendAnswer, BrokerError> {
        let mut reasons: Vec<(&Target, String)> = Vec::new();
        while let Some((backend, pass)) = self.next(now(), &reasons) {
            let target = backend.gate.target();
            match backend.call(pass, topic, payload, reply_to, &now).await {
                Ok(message_id) => {
                    let target = target.to_string();
                    return Ok(BackendAnswer { target, message_id });
                }
                Err(reason) => reasons.push((target, reason)),
            }
        }
        let reasons = self.all.iter().map(|backend| {
            let target = backend.gate.target();
            match reasons.iter().find(|(asked, _)| *asked == target) {
                Some((_, reason)) => format!("{target}: {reason}"),
                None => format!("{target}: {}", backend.why_not(now())),
            }
        });
        Err(BrokerError::NoBackend {
            reasons: reasons.collect(),
        })
    }

    /// The next that takes a call now, but for those that were asked already.
    fn next(&self, now: Timestamp, asked: &[(&Target, String)]) -> Option<(&Backend, Pass)> {
        let takes = |backend: &Backend| {
            let target = backend.gate.target();
            match asked.iter().any(|(asked, _)| *asked == target) {
                true => None,
                false => backend.gate.admit(None, now),
            }
        };
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.next(&self.all, takes)
    }
}

impl Backend {
    async fn call(
        &self,
        pass: Pass,
        topic: &TopicName,
        payload: &str,
        reply_to: Option<&TopicName>,
        now: impl Fn() -> Timestamp,
    ) -> Result<String, String> {
        let payload = payload.to_owned();
        let called = self
            .courier
            .send_to_backend(topic, payload, reply_to, CALL_TIMEOUT);
        match called.await {
            Ok(message_id) => {
                pass.ended(&Outcome::Done, now());
                Ok(message_id)
            }
            Err(outcome) => {
                pass.ended(&outcome, now());
                let reason = super::tally::reason(&outcome).unwrap_or("no answer");
                Err(reason.to_owned())
            }
        }
    }

    fn why_not(&self, now: Timestamp) -> &'static str {
        match self.gate.room(now) {
            Room::Trial => "it was busy with a trial",
            Room::Unlimited => "it is just coming back",
            Room::Nothing => {
                "left alone: its circuit breaker is open, or it was not reached just now"
            }
        }
    }
}
