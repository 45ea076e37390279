use super::{Asked, NodeWatch, Told};
use crate::exporter;
use crate::fold::shapes::BrokerState;
use crate::fold::{Applied, Arrival, Place, TopicsView, View};
use crate::metrics::ViewMetrics;
use crate::sample::Sample;
use bytes::Bytes;
use serde::Serialize;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use weir_service::clock::Clock;

const FLEET_EVERY: Duration = Duration::from_secs(1);

pub(super) struct ViewTask {
    view: View,
    topics: TopicsView,
    broker: BrokerState,
    clock: Clock,
    metrics: ViewMetrics,
    fleet_json: watch::Sender<Bytes>,
    topics_json: watch::Sender<Bytes>,
    /// Nodes that pages look at.
    watched: HashMap<String, watch::Sender<()>>,
}

impl ViewTask {
    pub(super) fn new(
        broker_url: &str,
        clock: Clock,
    ) -> (Self, watch::Receiver<Bytes>, watch::Receiver<Bytes>) {
        let broker = BrokerState {
            connected: false,
            url: broker_url.to_owned(),
            error: None,
        };
        let topics = TopicsView::default();
        let view = View::default();
        let (fleet_json, fleet) = watch::channel(json(&view.fleet(&broker, clock.now().0)));
        let (topics_json, topics_reader) = watch::channel(json(topics.page()));
        let task = Self {
            view,
            topics,
            broker,
            clock,
            metrics: ViewMetrics::new(),
            fleet_json,
            topics_json,
            watched: HashMap::new(),
        };
        (task, fleet, topics_reader)
    }

    pub(super) async fn run(
        mut self,
        mut telling: mpsc::Receiver<Told>,
        mut asking: mpsc::Receiver<Asked>,
        stop: CancellationToken,
    ) {
        let mut tick = tokio::time::interval(FLEET_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(asked) = asking.recv() => self.answer(asked),
                Some(told) = telling.recv() => self.take(told),
                _ = tick.tick() => self.tick(),
            }
        }
    }

    fn take(&mut self, told: Told) {
        let now = self.clock.now().0;
        match told {
            Told::Sample { sample, stored } => self.apply(sample, stored, now),
            Told::Seen { node, stored } => self.view.seen(&node, stored, now),
            Told::Broker(Ok(reading)) => {
                self.set_broker(None);
                self.topics.apply(reading.topics, reading.delivery, now);
                self.topics_json.send_replace(json(self.topics.page()));
            }
            Told::Broker(Err(error)) => self.set_broker(Some(error)),
        }
    }

    fn apply(&mut self, sample: Sample, stored: u64, now: u64) {
        let watched = self.watched.get(&sample.node).cloned();
        match self.view.apply(sample, stored, now) {
            Applied::NoRoom => self.metrics.refused_nodes.increment(1),
            Applied::Taken {
                arrival,
                refused_lines,
            } => {
                self.metrics.refused_lines.increment(refused_lines as u64);
                match arrival {
                    Arrival::First => {}
                    Arrival::Next { missed } => self.metrics.missed.increment(missed),
                    Arrival::OutOfOrder => self.metrics.out_of_order.increment(1),
                    Arrival::Duplicate => self.metrics.duplicates.increment(1),
                }
            }
        }
        if let Some(watched) = watched {
            watched.send_replace(());
        }
    }

    /// A change of state is shown at once, not at the next tick.
    fn set_broker(&mut self, error: Option<String>) {
        let connected = error.is_none();
        let changed = connected != self.broker.connected || error != self.broker.error;
        (self.broker.connected, self.broker.error) = (connected, error);
        if changed {
            self.publish_fleet();
        }
    }

    fn tick(&mut self) {
        self.view.prune(self.clock.now().0);
        self.watched
            .retain(|_, watched| watched.receiver_count() > 0);
        self.metrics.nodes.set(self.view.nodes().count() as f64);
        self.metrics.chart_lines.set(self.view.line_count() as f64);
        self.publish_fleet();
    }

    fn publish_fleet(&mut self) {
        let fleet = self.view.fleet(&self.broker, self.clock.now().0);
        self.fleet_json.send_replace(json(&fleet));
    }

    /// Whoever asked may be gone; then nobody misses the answer.
    fn answer(&mut self, asked: Asked) {
        let now = self.clock.now().0;
        match asked {
            Asked::Fleet(reply) => drop(reply.send(self.view.fleet(&self.broker, now))),
            Asked::Topics(reply) => drop(reply.send(self.topics.page().clone())),
            Asked::Node(node, reply) => drop(reply.send(self.view.page(&node, now))),
            Asked::Watch(node, reply) => drop(reply.send(self.watch(node))),
            Asked::Points(node, mut place, reply) => {
                let points = self.view.points_since(&node, &mut place);
                drop(reply.send((points, place)));
            }
            Asked::Hosts(None, reply) => {
                drop(reply.send(Some(exporter::page(self.view.nodes(), now))));
            }
            Asked::Hosts(Some(node), reply) => {
                let node = self.view.get(&node);
                drop(reply.send(node.map(|node| exporter::page([node], now))));
            }
            Asked::Names(reply) => {
                let names = self.view.nodes().map(|node| node.name().to_owned());
                drop(reply.send(names.collect()));
            }
        }
    }

    fn watch(&mut self, node: String) -> NodeWatch {
        let place = self
            .view
            .get(&node)
            .map_or_else(Place::default, |node| node.end());
        let watched = self.watched.entry(node);
        let watched = watched.or_insert_with(|| watch::channel(()).0);
        NodeWatch {
            changed: watched.subscribe(),
            place,
        }
    }
}

/// The shapes serialise without fail: their only maps and numbers are JSON's.
fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}
