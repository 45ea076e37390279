//! The view's owner: one task with the fold, and the client that everybody else holds.
//!
//! What comes from the broker enters through a bounded queue, so that a long replay slows the
//! streams down instead of filling the memory. The fleet and the topics are rendered once for all
//! pages and passed on as the newest state: a slow page skips, it never queues.

mod task;

use crate::fold::shapes::{Fleet, NodePage, NodePoints, TopicsPage};
use crate::fold::{DeliveryReading, Place, TopicReading};
use crate::sample::Sample;
use bytes::Bytes;
use task::ViewTask;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use weir_service::clock::Clock;

const TOLD: usize = 1_024;
const ASKED: usize = 64;

/// What the owner is told.
#[derive(Debug)]
pub(crate) enum Told {
    Sample {
        sample: Sample,
        stored: u64,
    },
    /// A sample too old for anything but this.
    Seen {
        node: String,
        stored: u64,
    },
    Broker(Result<BrokerReading, String>),
}

/// What the broker said when it was asked.
#[derive(Debug)]
pub(crate) struct BrokerReading {
    pub(crate) topics: Vec<TopicReading>,
    pub(crate) delivery: DeliveryReading,
}

#[derive(Debug)]
enum Asked {
    Fleet(oneshot::Sender<Fleet>),
    Topics(oneshot::Sender<TopicsPage>),
    Node(String, oneshot::Sender<Option<NodePage>>),
    Watch(String, oneshot::Sender<NodeWatch>),
    Points(String, Place, oneshot::Sender<(Option<NodePoints>, Place)>),
    Hosts(Option<String>, oneshot::Sender<Option<String>>),
    Names(oneshot::Sender<Vec<String>>),
}

/// The owner is gone: the process stops.
#[derive(Clone, Copy, Debug, Error)]
#[error("the dashboard is stopping")]
pub(crate) struct Stopping;

/// Signals new samples of a node.
#[derive(Debug)]
pub(crate) struct NodeWatch {
    pub(crate) changed: watch::Receiver<()>,
    /// After everything there was when the watch began.
    pub(crate) place: Place,
}

/// Asks and tells the view's owner. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ViewClient {
    told: mpsc::Sender<Told>,
    asked: mpsc::Sender<Asked>,
    /// The fleet as JSON, renewed every second.
    pub(crate) fleet: watch::Receiver<Bytes>,
    /// The topics as JSON, renewed when the broker was asked.
    pub(crate) topics: watch::Receiver<Bytes>,
}

/// A view without nodes: its client, and its life until `stop`.
pub(crate) fn open(
    broker_url: &str,
    clock: Clock,
    stop: CancellationToken,
) -> (ViewClient, impl Future<Output = ()> + Send + 'static) {
    let (told, telling) = mpsc::channel(TOLD);
    let (asked, asking) = mpsc::channel(ASKED);
    let (task, fleet, topics) = ViewTask::new(broker_url, clock);
    let client = ViewClient {
        told,
        asked,
        fleet,
        topics,
    };
    (client, task.run(telling, asking, stop))
}

impl ViewClient {
    /// Waits while the owner is behind.
    pub(crate) async fn tell(&self, told: Told) -> Result<(), Stopping> {
        self.told.send(told).await.map_err(|_| Stopping)
    }

    pub(crate) async fn fleet(&self) -> Result<Fleet, Stopping> {
        self.ask(Asked::Fleet).await
    }

    pub(crate) async fn topics(&self) -> Result<TopicsPage, Stopping> {
        self.ask(Asked::Topics).await
    }

    pub(crate) async fn node(&self, node: String) -> Result<Option<NodePage>, Stopping> {
        self.ask(|reply| Asked::Node(node, reply)).await
    }

    pub(crate) async fn watch(&self, node: String) -> Result<NodeWatch, Stopping> {
        self.ask(|reply| Asked::Watch(node, reply)).await
    }

    /// What came after `place`, and the place after that.
    pub(crate) async fn points(
        &self,
        node: String,
        place: Place,
    ) -> Result<(Option<NodePoints>, Place), Stopping> {
        self.ask(|reply| Asked::Points(node, place, reply)).await
    }

    /// The hosts' metrics for Prometheus, of all nodes or of one; `None` if that is not known.
    pub(crate) async fn hosts(&self, node: Option<String>) -> Result<Option<String>, Stopping> {
        self.ask(|reply| Asked::Hosts(node, reply)).await
    }

    /// Every node that is known.
    pub(crate) async fn names(&self) -> Result<Vec<String>, Stopping> {
        self.ask(Asked::Names).await
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Asked,
    ) -> Result<T, Stopping> {
        let (reply, answer) = oneshot::channel();
        let asked = self.asked.send(question(reply)).await;
        asked.map_err(|_| Stopping)?;
        answer.await.map_err(|_| Stopping)
    }
}
