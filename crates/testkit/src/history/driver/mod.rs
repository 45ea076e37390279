//! Makes a history: a broker that is killed or replaced again and again under clients that stay.

mod caller;
mod connection;
mod consumer;
mod findings;
mod lived;
mod plan;
mod producer;
mod world;

pub use lived::{Lived, Volume};
pub use plan::{Ending, Features, Plan};

use super::event::{Life, What};
use crate::{BrokerProcess, BrokerSetup};
use caller::Caller;
use connection::Request;
use consumer::Consumer;
use fastrand::Rng;
use producer::Producer;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use world::{GROUP, PARTITIONS, TOPIC, Target, World};

const PRODUCERS: u32 = 3;
const CONSUMERS: u32 = 4;
/// Of the consumers, if there are streams.
const STREAMING: u32 = 2;
/// Between a start and the next kill, in milliseconds.
const LIFETIME_MILLIS: std::ops::Range<u64> = 50..700;
/// Between preStop and SIGTERM.
const DRAINED_FOR: Duration = Duration::from_millis(100);
/// Small, so that segments roll.
const SEGMENT_BYTES: u64 = 64 * 1024;
/// By then everything can be finished, whatever was left leased or delayed.
const DRAINED_WITHIN: Duration = Duration::from_secs(60);

/// Lives through `plan` on a new data directory of `setup`: producers and consumers work while the
/// broker ends and is started; then everything is finished, the broker ends once more, and what is
/// stored is read.
///
/// # Panics
/// The broker does not start, or does not let itself be set up.
pub async fn live(setup: &BrokerSetup, plan: &Plan) -> Lived {
    let mut rng = Rng::with_seed(plan.seed);
    let world = Arc::new(World::new(plan));
    let mut driver = Driver {
        setup,
        operator: Caller::new(&world, "operator".to_owned()),
        drainer: Consumer::new(&world, "drainer".to_owned(), false, rng.fork()),
        world,
        life: Life(0),
    };
    let mut broker = driver.start().await;
    driver.create_topic_and_group().await;
    let mut clients = driver.clients(&mut rng);
    for _ in 0..plan.kills {
        driver.learn_backlog().await;
        sleep(Duration::from_millis(rng.u64(LIFETIME_MILLIS))).await;
        driver.end_life(broker).await;
        broker = driver.start_after_trouble(&mut rng).await;
    }
    driver.world.set_ending();
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client that does not panic");
    }
    driver.drain().await;
    // The last acks are as durable as all others: nothing may come back.
    driver.end_life(broker).await;
    let _broker = driver.start().await;
    driver.drain().await;
    let found = findings::read(&mut driver.operator).await;
    Lived {
        plan: plan.clone(),
        history: driver.world.recorder.take(),
        found,
    }
}

struct Driver<'a> {
    setup: &'a BrokerSetup,
    world: Arc<World>,
    /// Asks what is no part of the history.
    operator: Caller,
    drainer: Consumer,
    life: Life,
}

impl Driver<'_> {
    async fn start(&mut self) -> BrokerProcess {
        let broker = self.setup.start().await;
        self.life = Life(self.life.0 + 1);
        self.world.recorder.noted(What::Started(self.life));
        self.world.set_target(Some(Target {
            life: self.life,
            address: broker.http_address(),
        }));
        broker
    }

    /// Now and then the start itself is interrupted.
    async fn start_after_trouble(&mut self, rng: &mut Rng) -> BrokerProcess {
        if self.world.plan.ending == Ending::Killed && rng.u32(..6) == 0 {
            let starting = self.setup.launch();
            sleep(Duration::from_micros(rng.u64(..40_000))).await;
            starting.kill_9();
        }
        self.start().await
    }

    async fn end_life(&self, mut broker: BrokerProcess) {
        match self.world.plan.ending {
            Ending::Killed => broker.kill_9(),
            Ending::Replaced => {
                broker.drain(DRAINED_FOR).await;
                broker.terminate();
                let status = broker.wait().await;
                assert!(status.success(), "{status}");
            }
        }
        self.world.set_target(None);
        self.world.recorder.noted(What::Killed(self.life));
    }

    async fn create_topic_and_group(&mut self) {
        let topic = json!({"partitions": PARTITIONS, "segment_bytes": SEGMENT_BYTES});
        self.put(format!("/v1/topics/{TOPIC}"), &topic).await;
        let group = self.world.plan.group();
        self.put(group_address(), &group).await;
    }

    async fn put(&mut self, target: String, body: &Value) {
        let request = Request::new("PUT", target).json(body);
        let answer = self.operator.ask(&request).await;
        assert!(answer.is_success(), "{}", answer.text());
    }

    fn clients(&self, rng: &mut Rng) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for number in 0..PRODUCERS {
            clients.spawn(Producer::new(&self.world, number, rng.fork()).work());
        }
        for number in 0..CONSUMERS {
            let streams = self.world.plan.features.group_stream && number < STREAMING;
            let name = format!("consumer-{number}");
            clients.spawn(Consumer::new(&self.world, name, streams, rng.fork()).work());
        }
        clients
    }

    async fn learn_backlog(&mut self) {
        let unfinished = self.unfinished().await;
        self.world.set_unfinished(unfinished);
    }

    async fn unfinished(&mut self) -> u64 {
        let answer = self
            .operator
            .ask(&Request::new("GET", group_address()))
            .await;
        let group: Value = answer.json().expect("a group");
        group["lag_records"].as_u64().expect("its lag")
    }

    /// Finishes everything. What cannot be finished in time shows in the check.
    async fn drain(&mut self) {
        let until = Instant::now() + DRAINED_WITHIN;
        while Instant::now() < until {
            if self.drainer.drain().await == 0 && self.unfinished().await == 0 {
                return;
            }
        }
    }
}

fn group_address() -> String {
    format!("/v1/topics/{TOPIC}/groups/{GROUP}")
}
