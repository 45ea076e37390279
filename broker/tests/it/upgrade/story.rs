//! The life of a data directory: something of every kind that a broker stores.

use super::account::account;
use super::api::{Api, place};
use crate::grpc::register_queue;
use crate::support::{Request, Sse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use weir_testkit::{BrokerProcess, BrokerSetup, eventually};

/// What must be found in a data directory.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    /// What the broker said of it.
    pub(super) account: Value,
    /// Of each topic and group, the places that are never delivered again.
    pub(super) finished: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// What `kitchen` gave back: those come with a later attempt.
    pub(super) given_back: BTreeSet<String>,
    /// The message that waits for its time.
    pub(super) schedule: String,
}

/// Records of now must be there in years, and a small commit log is soon full.
pub(super) fn setup(binary: &str) -> BrokerSetup {
    let flags = [
        "--retention-age=10years",
        "--commit-log-bytes=1MiB",
        "--grpc=127.0.0.1:0",
        "--min-free-bytes=0",
    ];
    BrokerSetup::new(binary)
        .with_flags(flags)
        .with_variable("BROKER_INDEX", "0")
        .with_variable("BROKER_COUNT", "2")
}

struct Teller {
    api: Api,
    told: Told,
}

/// Lives that life; afterwards nothing is under way, but that leases are out.
pub(super) async fn tell(broker: &BrokerProcess) -> Told {
    let mut teller = Teller {
        api: Api::of(broker),
        told: Told {
            account: Value::Null,
            finished: BTreeMap::new(),
            given_back: BTreeSet::new(),
            schedule: String::new(),
        },
    };
    teller.publish().await;
    teller.consume().await;
    teller.begin_elsewhere().await;
    teller.let_one_die().await;
    teller.schedule().await;
    teller.register_workers(broker).await;
    teller.delete_and_purge().await;
    teller.speak_dialects().await;
    Told {
        account: account(teller.api).await,
        ..teller.told
    }
}

impl Teller {
    /// Keys, ids, headers, times to live, several segments and partitions, all kinds of durability.
    async fn publish(&self) {
        let api = self.api;
        let orders = json!({"partitions": 3, "segment_bytes": 4096, "dedupe_window": "1h"});
        api.put("/v1/topics/orders", orders).await;
        api.put(
            "/v1/topics/readings",
            json!({"durability": "interval=20ms"}),
        )
        .await;
        api.put("/v1/topics/scratch", json!({"durability": "os"}))
            .await;
        for number in 0..90 {
            let key = number % 7;
            let target = format!(
                "/v1/topics/orders/messages?key=k{key}&id=o-{number}&ttl=9years&reply_to=answers"
            );
            let order = json!({"number": number, "note": "Tür €uro 🦦 ".repeat(8)});
            let request = Request::new("POST", &target).header("weir-header-origin", "till 3");
            api.send(request.body(order.to_string())).await;
        }
        let lines = (0..60).map(|number| {
            let topic = ["orders", "readings", "scratch"][number % 3];
            format!("{{\"topic\":\"{topic}\",\"payload\":[{number},null,1e3,\"\\u0000\"]}}\n")
        });
        api.post("/v1/messages", lines.collect::<String>()).await;
    }

    /// In flight, acked and given back, out of order; and in the order of keys.
    async fn consume(&mut self) {
        let api = self.api;
        api.put(
            "/v1/topics/orders/groups/kitchen",
            json!({"ordering": "none"}),
        )
        .await;
        let leased = api.lease("orders", "kitchen", 60).await;
        let every = |remainder: usize| -> Vec<Value> {
            let numbered = leased.iter().enumerate();
            let chosen = numbered.filter(|(number, _)| number % 3 == remainder);
            chosen.map(|(_, message)| message.clone()).collect()
        };
        let (acked, given_back) = (every(0), every(1));
        api.settle("ack", "orders", "kitchen", &acked).await;
        api.settle("nack", "orders", "kitchen", &given_back).await;
        self.finish("orders", "kitchen", &acked);
        self.told.given_back = given_back.iter().map(place).collect();

        let settings =
            json!({"max_deliveries": 9, "retry_backoff": ["1s", "1m"], "expires_after": "10years"});
        api.put("/v1/topics/orders/groups/auditors", settings).await;
        let acked = api.lease("orders", "auditors", 20).await;
        api.settle("ack", "orders", "auditors", &acked).await;
        self.finish("orders", "auditors", &acked);
    }

    /// Groups that do not begin at the beginning.
    async fn begin_elsewhere(&mut self) {
        let api = self.api;
        let before = api.messages("readings").await;
        api.put(
            "/v1/topics/readings/groups/late%2Fcomers",
            json!({"start": "latest"}),
        )
        .await;
        self.finish("readings", "late%2Fcomers", &before);
        api.post("/v1/topics/readings/messages", "21.5").await;

        api.put("/v1/topics/orders/groups/sought", "").await;
        let to = json!({"partition": 1, "offset": 5});
        api.post("/v1/topics/orders/groups/sought/seek", to).await;
        let mut below = api.messages("orders").await;
        below.retain(|message| message["partition"] == 1 && message["offset"].as_u64() < Some(5));
        self.finish("orders", "sought", &below);
    }

    async fn let_one_die(&mut self) {
        let api = self.api;
        api.put(
            "/v1/topics/printing/groups/printer",
            json!({"max_deliveries": 1}),
        )
        .await;
        for page in 0..3 {
            api.post("/v1/topics/printing/messages", json!({"page": page}))
                .await;
        }
        let mut leased = api.lease("printing", "printer", 2).await;
        let jammed = leased.split_off(1);
        api.settle("ack", "printing", "printer", &leased).await;
        api.settle("nack", "printing", "printer", &jammed).await;
        eventually("the dead letter", async || {
            let said = api.get("/v1/topics/printing/dead-letters").await;
            let group = api.get("/v1/topics/printing/groups/printer").await;
            let is_done = said["dead_letters"][0].is_object() && group["lag_records"] == 1;
            is_done.then_some(())
        })
        .await;
        self.finish("printing", "printer", &leased);
        self.finish("printing", "printer", &jammed);
    }

    /// One waits for years, one was cancelled, one was moved.
    async fn schedule(&mut self) {
        let api = self.api;
        let mut ids = Vec::new();
        for year in [2033, 2034, 2035] {
            let target = format!(
                "/v1/topics/orders/messages?deliver_at={year}-01-01T00:00:00Z&id=in-{year}&key=k1"
            );
            let answer = api.post(&target, json!({"year": year})).await;
            ids.push(answer["schedule_id"].as_str().unwrap().to_owned());
        }
        api.call("DELETE", &format!("/v1/schedules/{}", ids[0]), "")
            .await;
        let moved = json!({"deliver_at": "2036-01-01T00:00:00Z"});
        api.patch(&format!("/v1/schedules/{}", ids[1]), moved).await;
        ids[2].clone_into(&mut self.told.schedule);
    }

    /// All are paused, so that nothing depends on who listens at the target.
    async fn register_workers(&mut self, broker: &BrokerProcess) {
        let api = self.api;
        assert_eq!(
            register_queue(broker.grpc_addresses()[0], "resize").await,
            1
        );
        for worker in [
            json!({"queue": "resize", "target": "127.0.0.1:9"}),
            json!({"topic": "mails", "group": "senders", "target": "tcp://127.0.0.1:9", "concurrency": 4}),
            json!({"topic": "mails", "target": "http://127.0.0.1:9/in"}),
        ] {
            let registered = api.post("/v1/workers", worker).await;
            let target = format!("/v1/workers/{}", registered["id"]);
            api.patch(&target, json!({"paused": true})).await;
        }
        api.call("DELETE", "/v1/workers/3", "").await;
        for topic in ["resize", "mails"] {
            api.post(
                &format!("/v1/topics/{topic}/messages"),
                json!({"to": topic}),
            )
            .await;
        }
        self.finish("resize", "workers", &[]);
        self.finish("mails", "senders", &[]);
    }

    async fn delete_and_purge(&mut self) {
        let api = self.api;
        for life in ["first", "second"] {
            api.post("/v1/topics/reborn/messages", json!({"life": life}))
                .await;
            if life == "first" {
                api.lease("reborn", "witness", 1).await;
                api.call("DELETE", "/v1/topics/reborn", "").await;
            }
        }
        for day in 0..3 {
            api.post("/v1/topics/purged/messages", day).await;
        }
        api.post("/v1/topics/purged/purge", "").await;
        api.post("/v1/topics/purged/messages", "\"after\"").await;
        self.finish("purged", "anybody", &[]);
        self.finish("reborn", "anybody", &[]);
    }

    /// What clients of the other brokers leave.
    async fn speak_dialects(&mut self) {
        let api = self.api;
        for (partition, payload) in [(0, "a"), (2, "b"), (0, "c")] {
            let target = format!("/produce?topic=events&partition={partition}");
            api.call("POST", &target, payload).await;
        }
        let consume = "/consume?topic=events&partition=0&group=readers";
        let (messages, _) = Sse::open_at(api.0, consume, &[]).await.messages(1).await;
        let acked = json!({"id": messages[0]["id"]});
        api.call("POST", "/ack?topic=events&partition=0&group=readers", acked)
            .await;
        let mut first = api.messages("events").await;
        first.retain(|message| message["id"] == messages[0]["id"]);
        self.finish("events", "readers", &first);

        for message in ["one", "two"] {
            let demo = json!({"topic": "demo", "message": message});
            api.call("POST", "/produce", demo).await;
        }
        api.call("GET", "/consume?topic=demo&consumer_id=web-ui", "")
            .await;

        let mail = json!({"service_name": "mail", "topics": ["news"]});
        api.post("/register", mail).await;
        for item in ["tea", "milk"] {
            let news = json!({"topic": "news", "message": {"item": item}});
            api.post("/publish", news).await;
        }
        let taken = api.get("/consume/news.mail?max_messages=1").await;
        assert_eq!(taken["messages"][0]["payload"]["item"], "tea");

        for value in ["1", "2"] {
            let push = json!({"key": "node", "message": value});
            api.call("POST", "/api/python/push", push).await;
        }
        let pulled = api.call("POST", "/api/python/pull", "").await;
        assert_eq!(pulled.text(), "[key:node-value:1]");
        // What was flushed to those that cannot ack is acked a moment later.
        for (topic, group) in [("news", "service.mail"), ("queue", "subscribers")] {
            eventually("a finished delivery", async || {
                let groups = api.get(&format!("/v1/topics/{topic}/groups")).await;
                let groups = super::account::list(&groups["groups"]);
                let lag = groups.iter().find(|each| each["group"] == group)?;
                (lag["lag_records"] == 1).then_some(())
            })
            .await;
        }
    }

    fn finish(&mut self, topic: &str, group: &str, messages: &[Value]) {
        let groups = self.told.finished.entry(topic.to_owned()).or_default();
        let places = groups.entry(group.to_owned()).or_default();
        places.extend(messages.iter().map(place));
    }
}
