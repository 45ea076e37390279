//! Takes messages of the group, by lease or by stream, and treats them in all ways there are.

use super::caller::{Caller, Manner};
use super::connection::{Answer, Connection, Request};
use super::producer::is_poison;
use super::world::{GROUP, TOPIC, World};
use crate::history::event::{Call, Claim, Delivery, Op, Outcome, Position, Status, Verb};
use fastrand::Rng;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use weir_types::{Offset, PartitionId, Timestamp};

/// What consumers remember of leases that they let pass.
const MOST_KEPT: usize = 20;

pub(super) struct Consumer {
    world: Arc<World>,
    caller: Caller,
    name: String,
    streams: bool,
    /// Delivered, and neither acked nor given back.
    kept: Vec<Claim>,
    rng: Rng,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    Ack,
    AckTwice,
    ExtendAndAck,
    Nack,
    NackWithDelay,
    Keep,
}

#[derive(Deserialize)]
struct Leased {
    messages: Vec<LeasedMessage>,
}

#[derive(Deserialize)]
struct LeasedMessage {
    receipt: String,
    delivery_attempt: u32,
    lease_expires_at: Timestamp,
    partition: PartitionId,
    offset: Offset,
    id: String,
    key: Option<String>,
    payload: Box<RawValue>,
}

#[derive(Deserialize)]
struct Settled {
    results: Vec<ReceiptResult>,
}

#[derive(Deserialize)]
struct ReceiptResult {
    status: Status,
}

impl Consumer {
    pub(super) fn new(world: &Arc<World>, name: String, streams: bool, rng: Rng) -> Self {
        Self {
            world: Arc::clone(world),
            caller: Caller::new(world, name.clone()),
            name,
            streams,
            kept: Vec::new(),
            rng,
        }
    }

    pub(super) async fn work(mut self) {
        while !self.world.is_ending() {
            if self.streams {
                self.follow_stream().await;
            } else {
                self.lease_and_treat().await;
            }
            self.ack_late().await;
        }
    }

    /// Acks whatever can be leased now; how many messages that were.
    pub(super) async fn drain(&mut self) -> usize {
        let lease = (100, Duration::from_millis(200), Duration::from_secs(30));
        let leased = self.lease(lease, Manner::Prompt).await;
        let claims: Vec<_> = leased.iter().map(Delivery::claim).collect();
        self.settle(Verb::Ack, claims).await;
        leased.len()
    }

    async fn lease_and_treat(&mut self) {
        let manner = match self.rng.u32(..20) {
            0 => Manner::Leave(Duration::from_micros(self.rng.u64(..20_000))),
            1 => Manner::Slow(Duration::from_millis(self.rng.u64(..300))),
            _ => Manner::Prompt,
        };
        let wait = Duration::from_millis(self.rng.u64(..500));
        let lease = (self.rng.usize(1..12), wait, self.visibility_timeout());
        let leased = self.lease(lease, manner).await;
        self.treat(leased).await;
    }

    async fn follow_stream(&mut self) {
        let visibility_timeout = self.visibility_timeout();
        let target = format!(
            "/v1/topics/{TOPIC}/groups/{GROUP}/stream?max_in_flight={}&member={}\
             &visibility_timeout={}ms",
            self.rng.usize(1..16),
            self.name,
            visibility_timeout.as_millis()
        );
        let call = Call::Stream { visibility_timeout };
        let request = Request::new("GET", target);
        let Some((op, mut connection)) = self.caller.open_stream(call, &request).await else {
            return;
        };
        let until = Duration::from_millis(self.rng.u64(50..3_000));
        let world = Arc::clone(&self.world);
        let followed = async {
            tokio::select! {
                broken = self.read_stream(op, &mut connection) => broken,
                () = world.ended() => (),
            }
        };
        let outcome = match timeout(until, followed).await {
            Ok(()) if !self.world.is_ending() => Outcome::Unknown,
            _ => Outcome::Closed,
        };
        self.caller.end_stream(op, connection, outcome);
    }

    /// Reads until the stream ends, some of the time slowly. Leaving it at any point is fine.
    async fn read_stream(&mut self, op: Op, connection: &mut Connection) {
        let mut unread = String::new();
        while let Ok(Some(chunk)) = connection.chunk().await {
            unread.push_str(&String::from_utf8_lossy(&chunk));
            let mut delivered = Vec::new();
            while let Some((block, rest)) = unread.split_once("\n\n") {
                delivered.extend(streamed(block));
                unread = rest.to_owned();
            }
            for delivery in &delivered {
                self.caller.delivered(op, delivery.clone());
            }
            self.treat(delivered).await;
            if self.rng.u32(..20) == 0 {
                sleep(Duration::from_millis(self.rng.u64(..300))).await;
            }
        }
    }

    async fn lease(
        &mut self,
        (max, wait, visibility_timeout): (usize, Duration, Duration),
        manner: Manner,
    ) -> Vec<Delivery> {
        let mut target = format!(
            "/v1/topics/{TOPIC}/groups/{GROUP}/lease?max={max}&wait={}ms&visibility_timeout={}ms",
            wait.as_millis(),
            visibility_timeout.as_millis()
        );
        if self.world.plan.features.group_stream {
            target.push_str("&member=");
            target.push_str(&self.name);
        }
        let call = Call::Lease { visibility_timeout };
        let read = |answer: &Answer| {
            let leased: Leased = answer.json()?;
            let leased: Vec<_> = leased.messages.into_iter().map(delivery).collect();
            Ok((leased.clone(), Outcome::Leased, leased))
        };
        let request = Request::new("POST", target);
        let leased = self.caller.call(call, &request, manner, read).await;
        leased.unwrap_or_default()
    }

    async fn treat(&mut self, delivered: Vec<Delivery>) {
        let treated: Vec<_> = delivered
            .iter()
            .map(|delivery| (self.treatment(delivery), delivery.claim()))
            .collect();
        let of = |wanted: &[Treatment]| -> Vec<_> {
            let chosen = treated.iter().filter(|(t, _)| wanted.contains(t));
            chosen.map(|(_, claim)| claim.clone()).collect()
        };
        if self.rng.u32(..4) == 0 {
            sleep(Duration::from_millis(self.rng.u64(..60))).await;
        }
        let visibility_timeout = self.visibility_timeout();
        let extend = Verb::Extend { visibility_timeout };
        self.settle(extend, of(&[Treatment::ExtendAndAck])).await;
        self.settle(Verb::Nack { delay: None }, of(&[Treatment::Nack]))
            .await;
        let delay = Some(Duration::from_millis(self.rng.u64(20..600)));
        let nack = Verb::Nack { delay };
        self.settle(nack, of(&[Treatment::NackWithDelay])).await;
        let ack = of(&[Treatment::Ack, Treatment::AckTwice, Treatment::ExtendAndAck]);
        self.settle(Verb::Ack, ack).await;
        self.settle(Verb::Ack, of(&[Treatment::AckTwice])).await;
        self.kept.extend(of(&[Treatment::Keep]));
        let too_many = self.kept.len().saturating_sub(MOST_KEPT);
        self.kept.drain(..too_many);
    }

    fn treatment(&mut self, delivery: &Delivery) -> Treatment {
        let fate = if is_poison(&delivery.payload) {
            self.rng.u32(80..100)
        } else {
            self.rng.u32(..88)
        };
        match fate {
            0..64 => Treatment::Ack,
            64..70 => Treatment::AckTwice,
            70..78 => Treatment::ExtendAndAck,
            78..83 => Treatment::Keep,
            83..92 => Treatment::Nack,
            _ => Treatment::NackWithDelay,
        }
    }

    /// Acks some of what it was once given, whatever has become of it.
    async fn ack_late(&mut self) {
        if self.kept.is_empty() || self.rng.u32(..3) > 0 {
            return;
        }
        let index = self.rng.usize(..self.kept.len());
        let claim = self.kept.swap_remove(index);
        self.settle(Verb::Ack, vec![claim]).await;
    }

    async fn settle(&mut self, verb: Verb, claims: Vec<Claim>) {
        if claims.is_empty() {
            return;
        }
        let request = settle_request(verb, &claims);
        let call = Call::Settle { verb, claims };
        let manner = match self.rng.u32(..40) {
            0 => Manner::Leave(Duration::from_micros(self.rng.u64(..3_000))),
            _ => Manner::Prompt,
        };
        let read = |answer: &Answer| {
            let settled: Settled = answer.json()?;
            let statuses: Vec<_> = settled.results.iter().map(|r| r.status).collect();
            Ok((Vec::new(), Outcome::Settled(statuses.clone()), statuses))
        };
        let statuses = self.caller.call(call, &request, manner, read).await;
        let acked = |statuses: Vec<_>| statuses.iter().filter(|s| **s == Status::Acked).count();
        self.world.finished(statuses.map_or(0, acked));
    }

    /// Some lease ends before its holder is through, some outlasts the broker.
    fn visibility_timeout(&mut self) -> Duration {
        Duration::from_millis(self.rng.u64(150..2_000))
    }
}

fn settle_request(verb: Verb, claims: &[Claim]) -> Request {
    let receipts: Vec<_> = claims.iter().map(|claim| claim.receipt.as_str()).collect();
    let mut body = json!({"receipts": receipts});
    let name = match verb {
        Verb::Ack => "ack",
        Verb::Nack { delay } => {
            if let Some(delay) = delay {
                body["delay"] = format!("{}ms", delay.as_millis()).into();
                body["reason"] = "not now".into();
            }
            "nack"
        }
        Verb::Extend { visibility_timeout } => {
            body["visibility_timeout"] = format!("{}ms", visibility_timeout.as_millis()).into();
            "extend"
        }
    };
    let target = format!("/v1/topics/{TOPIC}/groups/{GROUP}/{name}");
    Request::new("POST", target).json(&body)
}

fn delivery(message: LeasedMessage) -> Delivery {
    Delivery {
        position: Position {
            partition: message.partition,
            offset: message.offset,
        },
        id: message.id,
        key: message.key,
        payload: message.payload.get().to_owned(),
        attempt: message.delivery_attempt,
        receipt: message.receipt,
        lease_expires_at: message.lease_expires_at,
    }
}

/// The message of an event, if it has one.
fn streamed(block: &str) -> Option<Delivery> {
    let data = block
        .split('\n')
        .find_map(|line| line.strip_prefix("data: "))?;
    let message: Option<LeasedMessage> = serde_json::from_str(data).ok();
    message.map(delivery)
}
