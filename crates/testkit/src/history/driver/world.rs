//! What all clients of one history share.

use super::plan::Plan;
use crate::history::event::Life;
use crate::history::recorder::Recorder;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

pub(super) const TOPIC: &str = "orders";
pub(super) const GROUP: &str = "kitchen";
pub(super) const PARTITIONS: u32 = 3;

/// Producers rest while so many messages are unfinished: the end must not take longer than the rest.
const MOST_UNFINISHED: i64 = 400;
const REST: Duration = Duration::from_millis(10);

/// A broker that can be reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) life: Life,
    pub(super) address: SocketAddr,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) recorder: Recorder,
    target: watch::Sender<Option<Target>>,
    /// Nobody begins anything new.
    ending: watch::Sender<bool>,
    unfinished: AtomicI64,
}

impl World {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            recorder: Recorder::default(),
            target: watch::Sender::new(None),
            ending: watch::Sender::new(false),
            unfinished: AtomicI64::new(0),
        }
    }

    /// The broker, as soon as there is one.
    pub(super) async fn target(&self) -> Target {
        let mut target = self.target.subscribe();
        let reachable = target.wait_for(Option::is_some).await;
        reachable.ok().and_then(|target| *target).expect("a broker")
    }

    pub(super) fn set_target(&self, target: Option<Target>) {
        self.target.send_replace(target);
    }

    pub(super) fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    pub(super) fn set_ending(&self) {
        self.ending.send_replace(true);
    }

    /// Once nobody shall begin anything new.
    pub(super) async fn ended(&self) {
        let mut ending = self.ending.subscribe();
        let _ = ending.wait_for(|ending| *ending).await;
    }

    /// Waits until there is not too much to do.
    pub(super) async fn room(&self) {
        while self.unfinished.load(Ordering::Relaxed) > MOST_UNFINISHED && !self.is_ending() {
            sleep(REST).await;
        }
    }

    pub(super) fn published(&self, messages: usize) {
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.unfinished.fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn finished(&self, messages: usize) {
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.unfinished.fetch_sub(messages, Ordering::Relaxed);
    }

    /// What the group itself says; what was counted between is close, but not exact.
    pub(super) fn set_unfinished(&self, messages: u64) {
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.unfinished.store(messages, Ordering::Relaxed);
    }
}
