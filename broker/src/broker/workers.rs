//! Workers: registered, paused, resumed, removed; and the groups whose messages they get.

use super::{Broker, BrokerError};
use crate::group::GroupClosed;
use crate::push::{Place, Registration, Registrations, Source, Target};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;
use thiserror::Error;
use weir_protocol::shapes::{
    BackendInfo, GroupStart, NewWorker, QueueId, WorkerChange, WorkerId, WorkerInfo,
};
use weir_types::{
    DurationText, GroupName, GroupSettingsChange, MemberName, RetryBackoff, TopicName,
};

/// The group of workers that name none, and of every queue.
const GROUP: &str = "workers";
/// As whom workers' messages are leased, where members of a group are shown.
const MEMBER: &str = "push";
/// Of each breaker, where many are listed.
const LISTED_TRANSITIONS: usize = 1;
const CONCURRENCY: RangeInclusive<u32> = 1..=1000;
/// As for a topic's.
const VISIBILITY_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(12 * 3600);

/// Why a worker cannot be registered like that.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidWorker {
    /// Neither queue nor topic.
    #[error("say whose messages it gets: \"queue\", or \"topic\" and perhaps \"group\"")]
    NoPlace,
    /// A queue is a topic and a group already.
    #[error("\"queue\" excludes \"topic\" and \"group\"")]
    TwoPlaces,
    /// Outside 1 to 1,000.
    #[error(
        "concurrency is {concurrency}; allowed is {} to {}",
        CONCURRENCY.start(),
        CONCURRENCY.end()
    )]
    Concurrency {
        /// What was asked for.
        concurrency: u32,
    },
    /// Outside 1 ms to 12 h.
    #[error(
        "visibility_timeout is {given}; allowed is {} to {}",
        DurationText(*VISIBILITY_TIMEOUT.start()),
        DurationText(*VISIBILITY_TIMEOUT.end())
    )]
    VisibilityTimeout {
        /// What was asked for.
        given: DurationText,
    },
}

impl Broker {
    /// Registers a worker; returns when that is durable. Its topic and group are created if need be:
    /// the group then begins at the earliest record and waits longer before each further delivery of
    /// a message. Every call is a registration of its own, also of the same target.
    ///
    /// # Errors
    /// [`BrokerError::InvalidWorker`], [`BrokerError::InvalidTarget`], [`BrokerError::UnknownQueue`],
    /// [`BrokerError::UnknownTopic`] where topics are created explicitly,
    /// [`BrokerError::TooManyRegistrations`], or the storage engine's.
    pub async fn register_worker(&self, worker: NewWorker) -> Result<WorkerInfo, BrokerError> {
        self.check_serving()?;
        check(worker.concurrency, worker.visibility_timeout)?;
        let target = Target::parse(&worker.target)?;
        let push = &self.shared.push;
        target.check_allowed(&push.ways.options.allowed)?;
        let (queue, place) = self.place_of(&worker)?;
        push.live().registrations.check_room()?;
        self.open_pushed_group(&place).await?;
        let registration = Registration {
            // Chosen when it is its turn.
            id: WorkerId(0),
            topic: place.topic,
            group: place.group,
            queue,
            target,
            concurrency: worker.concurrency,
            visibility_timeout: worker.visibility_timeout,
            paused: false,
            registered_at: self.shared.clock.now(),
        };
        let id = self
            .change_registrations(move |all| all.add_worker(registration))
            .await?;
        let info = self.worker(id)?;
        let WorkerInfo {
            topic,
            group,
            target,
            ..
        } = &info;
        tracing::info!(worker = %id, %topic, %group, push_target = %target, "registered a worker");
        Ok(info)
    }

    /// Every registered worker, in order of registration; of what its breaker did only the newest, for
    /// there may be 10,000.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerInfo> {
        let now = self.shared.clock.now();
        let live = self.shared.push.live();
        let workers = live.workers.values();
        workers
            .map(|worker| worker.describe(now, LISTED_TRANSITIONS))
            .collect()
    }

    /// Every target that messages are pushed to, backends included, with what became of all that was
    /// sent there, in order of target.
    #[must_use]
    pub fn push_targets(&self) -> Vec<BackendInfo> {
        let now = self.shared.clock.now();
        let live = self.shared.push.live();
        let gates = live.workers.values().map(|worker| &worker.gate);
        let by_target: BTreeMap<_, _> = gates.map(|gate| (gate.target(), gate)).collect();
        let targets = by_target
            .values()
            .map(|gate| gate.describe_all(now, LISTED_TRANSITIONS));
        targets.chain(self.backends()).collect()
    }

    /// One worker, with all that is remembered of its breaker.
    ///
    /// # Errors
    /// [`BrokerError::UnknownWorker`].
    pub fn worker(&self, id: WorkerId) -> Result<WorkerInfo, BrokerError> {
        let live = self.shared.push.live();
        let worker = live.workers.get(&id);
        let worker = worker.ok_or(BrokerError::UnknownWorker { id })?;
        Ok(worker.describe(self.shared.clock.now(), usize::MAX))
    }

    /// Pauses or resumes a worker, or changes how much it works on at one time; returns when that is
    /// durable. What it works on already, it may finish.
    ///
    /// # Errors
    /// [`BrokerError::UnknownWorker`], [`BrokerError::InvalidWorker`], or the storage engine's.
    pub async fn alter_worker(
        &self,
        id: WorkerId,
        change: WorkerChange,
    ) -> Result<WorkerInfo, BrokerError> {
        self.check_serving()?;
        check(change.concurrency.unwrap_or(1), None)?;
        self.change_registrations(move |all| all.alter_worker(id, change))
            .await?;
        tracing::info!(worker = %id, ?change, "altered a worker");
        self.worker(id)
    }

    /// Removes a worker; returns when that is durable. What it works on, it may finish.
    ///
    /// # Errors
    /// [`BrokerError::UnknownWorker`], or the storage engine's.
    pub async fn remove_worker(&self, id: WorkerId) -> Result<(), BrokerError> {
        self.check_serving()?;
        let removed = self
            .change_registrations(move |all| all.remove_worker(id))
            .await?;
        let Registration { topic, target, .. } = &*removed;
        tracing::info!(worker = %id, %topic, push_target = %target, "removed a worker");
        Ok(())
    }

    /// The workers of a topic or a group that is deleted go with it. What cannot be written now is
    /// found again by whoever would push there.
    pub(super) async fn forget_workers_of(&self, topic: &TopicName, group: Option<&GroupName>) {
        let (topic, group) = (topic.clone(), group.cloned());
        let is_gone = move |worker: &Registration| {
            worker.topic == topic && group.as_ref().is_none_or(|group| worker.group == *group)
        };
        self.forget(is_gone).await;
    }

    /// Removes workers whose group was deleted.
    pub(crate) async fn forget_workers(&self, gone: Vec<WorkerId>) {
        self.forget(move |worker| gone.contains(&worker.id)).await;
    }

    async fn forget(&self, is_gone: impl Fn(&Registration) -> bool + Send + 'static) {
        match self
            .change_registrations(move |all| Ok(all.forget(is_gone)))
            .await
        {
            Ok(0) => {}
            Ok(workers) => tracing::info!(workers, "removed workers of what was deleted"),
            Err(error) => tracing::warn!(%error, "cannot remove workers of what was deleted"),
        }
    }

    /// Sees a change through, also when its caller goes away meanwhile.
    pub(super) async fn change_registrations<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Registrations) -> Result<T, BrokerError> + Send + 'static,
    ) -> Result<T, BrokerError> {
        let broker = self.clone();
        let change = async move { broker.shared.push.change(&broker, decide).await };
        self.shared.tasks.spawn(change).await?
    }

    fn place_of(&self, worker: &NewWorker) -> Result<(Option<QueueId>, Place), BrokerError> {
        match (&worker.queue, &worker.topic, &worker.group) {
            (Some(queue), None, None) => {
                let (id, topic) = self.queue(queue)?;
                Ok((Some(id), place_of_queue(topic)?))
            }
            (Some(_), _, _) => Err(InvalidWorker::TwoPlaces.into()),
            (None, None, _) => Err(InvalidWorker::NoPlace.into()),
            (None, Some(topic), group) => {
                let place = place_of_queue(topic.clone())?;
                let group = group.clone().unwrap_or(place.group);
                Ok((None, Place { group, ..place }))
            }
        }
    }

    /// Creates a topic and a group whose messages are pushed; one that exists stays as it is.
    pub(super) async fn open_pushed_group(&self, place: &Place) -> Result<(), BrokerError> {
        let topic = self.get_or_create(&place.topic).await?;
        let settings = GroupSettingsChange {
            retry_backoff: Some(retry_backoff()),
            ..GroupSettingsChange::default()
        };
        self.get_or_create_group(&topic, &place.group, GroupStart::Earliest, &settings)
            .await
            .map(drop)
    }

    /// Joins a group in order to push its messages.
    ///
    /// # Errors
    /// [`BrokerError::UnknownTopic`] and [`BrokerError::UnknownGroup`], unless it `makes` them; what
    /// joining may answer.
    pub(crate) async fn push_source(
        &self,
        place: &Place,
        makes: bool,
    ) -> Result<Source, BrokerError> {
        if makes {
            self.open_pushed_group(place).await?;
        }
        let topic = self.topic(&place.topic)?;
        let client = self.group(&place.topic, &place.group)?;
        let member = MemberName::parse(MEMBER).map_err(|e| BrokerError::internal(e.to_string()))?;
        let joined = client.join(Some(member)).await;
        let open = joined.map_err(|GroupClosed| self.closed(&place.topic, &place.group))??;
        Ok(Source {
            topic,
            client,
            open,
        })
    }

    /// Begins to push for whoever was registered before this start, and to the backends.
    pub(super) fn resume_pushing(&self) -> Result<(), BrokerError> {
        let group = group_of_backends()?;
        let push = &self.shared.push;
        self.shared.backends.deliver_topics(push, &group, self);
        let broker = self.clone();
        let resuming = async move { broker.shared.push.resume(&broker).await };
        self.shared.tasks.spawn(resuming);
        Ok(())
    }

    /// Waits, after [`Broker::drain`], until what was pushed has come back and is settled.
    pub async fn pushes_finished(&self) {
        self.shared.push.finished().await;
    }
}

fn group_of_backends() -> Result<GroupName, BrokerError> {
    GroupName::parse("backends").map_err(|e| BrokerError::internal(e.to_string()))
}

/// The topic of a queue's name, and its group.
pub(super) fn place_of_queue(topic: TopicName) -> Result<Place, BrokerError> {
    let group = GroupName::parse(GROUP).map_err(|e| BrokerError::internal(e.to_string()))?;
    Ok(Place { topic, group })
}

/// Of groups that are made for workers: a worker that fails once often does so again at once.
fn retry_backoff() -> RetryBackoff {
    RetryBackoff::Exponential {
        initial: DurationText(Duration::from_secs(1)),
        factor: 2.0,
        cap: DurationText(Duration::from_secs(60)),
        jitter: 0.2,
    }
}

fn check(concurrency: u32, visibility_timeout: Option<DurationText>) -> Result<(), InvalidWorker> {
    if !CONCURRENCY.contains(&concurrency) {
        return Err(InvalidWorker::Concurrency { concurrency });
    }
    match visibility_timeout {
        Some(given) if !VISIBILITY_TIMEOUT.contains(&given.0) => {
            Err(InvalidWorker::VisibilityTimeout { given })
        }
        _ => Ok(()),
    }
}
