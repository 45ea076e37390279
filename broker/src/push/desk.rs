//! The owner of what is registered, of its document, and of the tasks that push.
//!
//! One change at a time: it is decided on a copy, written, and only then true; so an answer comes
//! when the change is durable, and a failed write changes nothing. Readers look at the last state
//! that was made true, and wait for nobody.

use super::courier::Courier;
use super::dial::Dialer;
use super::dispatch::{Dispatcher, Roster};
use super::gate::Gate;
use super::options::PushOptions;
use super::registrations::{Place, Registration, Registrations};
use super::target::Target;
use super::worker::Worker;
use crate::broker::{Broker, BrokerError};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_commitlog::Document;
use weir_protocol::shapes::WorkerId;
use weir_service::clock::Clock;

/// What is registered, and the workers it makes.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) registrations: Registrations,
    pub(crate) workers: BTreeMap<WorkerId, Arc<Worker>>,
}

/// What it takes to reach targets.
#[derive(Debug)]
pub(crate) struct Ways {
    pub(crate) options: PushOptions,
    pub(crate) dialer: Arc<Dialer>,
    /// Closing the broker waits for these.
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Ways {
    pub(crate) fn courier(&self, target: &Target, concurrency: u32) -> Arc<Courier> {
        Arc::new(Courier::open(
            target.clone(),
            concurrency,
            self.dialer.clone(),
            &self.tasks,
            self.stop.clone(),
        ))
    }
}

/// What pushes, and for whom.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) ways: Ways,
    clock: Clock,
    draining: CancellationToken,
    document: Document,
    live: RwLock<Arc<Live>>,
    desk: Mutex<Desk>,
    /// The dispatchers alone: draining waits for them.
    dispatchers: TaskTracker,
}

/// What only a change looks at.
#[derive(Debug, Default)]
struct Desk {
    gates: BTreeMap<Target, Weak<Gate>>,
    rosters: BTreeMap<Place, RosterSender>,
}

/// Keeps a dispatcher; dropped, it ends when what is out has come back.
#[derive(Debug)]
pub(crate) struct RosterSender {
    roster: watch::Sender<Roster>,
    wake: Arc<Notify>,
}

impl RosterSender {
    fn set(&self, workers: Vec<Arc<Worker>>) {
        self.roster.send_if_modified(|roster| {
            let same = |(a, b): (&Arc<Worker>, &Arc<Worker>)| Arc::ptr_eq(a, b);
            if roster.len() == workers.len() && roster.iter().zip(&workers).all(same) {
                return false;
            }
            workers.iter().for_each(|w| w.gate.wake_also(&self.wake));
            *roster = workers.into();
            true
        });
    }
}

impl Push {
    /// Reads what is registered. Nothing is pushed before [`Push::resume`]. Blocks.
    pub(crate) fn open(
        ways: Ways,
        document: Document,
        clock: Clock,
        draining: CancellationToken,
    ) -> Result<Self, BrokerError> {
        let registrations: Registrations = document.read()?.unwrap_or_default();
        let mut desk = Desk::default();
        let live = desk.hire(&Live::default(), registrations, &ways);
        Ok(Self {
            ways,
            clock,
            draining,
            document,
            live: RwLock::new(Arc::new(live)),
            desk: Mutex::new(desk),
            dispatchers: TaskTracker::new(),
        })
    }

    /// What is registered now.
    pub(crate) fn live(&self) -> Arc<Live> {
        self.live
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Begins to push for whoever was registered before.
    pub(crate) async fn resume(&self, broker: &Broker) {
        let mut desk = self.desk.lock().await;
        self.deploy(&mut desk, broker);
    }

    /// Changes what is registered; returns when that is durable. Not cancel-safe: a task must see it
    /// through.
    pub(crate) async fn change<T>(
        &self,
        broker: &Broker,
        decide: impl FnOnce(&mut Registrations) -> Result<T, BrokerError>,
    ) -> Result<T, BrokerError> {
        let mut desk = self.desk.lock().await;
        let before = self.live();
        let mut after = before.registrations.clone();
        let answer = decide(&mut after)?;
        if after != before.registrations {
            self.write(after.clone()).await?;
            let live = desk.hire(&before, after, &self.ways);
            *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
            self.deploy(&mut desk, broker);
        }
        Ok(answer)
    }

    async fn write(&self, registrations: Registrations) -> Result<(), BrokerError> {
        let document = self.document.clone();
        let writing = tokio::task::spawn_blocking(move || document.write(&registrations));
        Ok(writing.await??)
    }

    /// Tells every group's dispatcher who its workers are; starts those that are missing and lets
    /// those end that have nobody left.
    fn deploy(&self, desk: &mut Desk, broker: &Broker) {
        let mut by_place: BTreeMap<Place, Vec<Arc<Worker>>> = BTreeMap::new();
        for worker in self.live().workers.values() {
            let place = worker.registration.place();
            by_place.entry(place).or_default().push(worker.clone());
        }
        desk.rosters.retain(|place, _| by_place.contains_key(place));
        for (place, workers) in by_place {
            let start = || self.start(place.clone(), false, broker);
            let roster = desk.rosters.entry(place.clone()).or_insert_with(start);
            roster.set(workers);
        }
    }

    /// Starts a group's dispatcher, without workers yet.
    fn start(&self, place: Place, makes_group: bool, broker: &Broker) -> RosterSender {
        let wake = Arc::new(Notify::new());
        let (sender, roster) = watch::channel(Roster::from([]));
        let dispatcher = Dispatcher {
            place,
            broker: broker.clone(),
            clock: self.clock.clone(),
            roster,
            wake: wake.clone(),
            makes_group,
            draining: self.draining.clone(),
            stop: self.ways.stop.clone(),
        };
        let dispatching = self.dispatchers.track_future(dispatcher.run());
        self.ways.tasks.spawn(dispatching);
        RosterSender {
            roster: sender,
            wake,
        }
    }

    /// Starts a dispatcher whose workers never change; the group is made if it does not exist.
    pub(crate) fn start_fixed(
        &self,
        place: Place,
        workers: Vec<Arc<Worker>>,
        broker: &Broker,
    ) -> RosterSender {
        let started = self.start(place, true, broker);
        started.set(workers);
        started
    }

    /// Waits until nothing is out any more, after the broker began to drain.
    pub(crate) async fn finished(&self) {
        self.dispatchers.close();
        self.dispatchers.wait().await;
    }
}

impl Desk {
    /// The workers of `registrations`: those of before, as far as they are the same.
    fn hire(&mut self, before: &Live, registrations: Registrations, ways: &Ways) -> Live {
        self.gates.retain(|_, gate| gate.strong_count() > 0);
        let mut workers = BTreeMap::new();
        for registered in registrations.workers() {
            let worker = match before.workers.get(&registered.id) {
                Some(same) if same.registration == *registered => same.clone(),
                Some(other) => Arc::new(other.altered(registered.clone())),
                None => Arc::new(self.new_worker(registered, ways)),
            };
            workers.insert(registered.id, worker);
        }
        Live {
            registrations,
            workers,
        }
    }

    fn new_worker(&mut self, registered: &Arc<Registration>, ways: &Ways) -> Worker {
        let Registration {
            target,
            concurrency,
            ..
        } = &**registered;
        let gate = self.gate(target, ways);
        let courier = ways.courier(target, *concurrency);
        Worker::new(registered.clone(), gate, courier)
    }

    /// One for each target.
    fn gate(&mut self, target: &Target, ways: &Ways) -> Arc<Gate> {
        if let Some(known) = self.gates.get(target).and_then(Weak::upgrade) {
            return known;
        }
        let gate = Arc::new(Gate::new(target.clone(), ways.options.breaker));
        self.gates.insert(target.clone(), Arc::downgrade(&gate));
        gate
    }
}
