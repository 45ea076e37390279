//! A caller publishes a request and waits; a worker leases it, replies and acks.

use crate::support::{Answer, Request, TestBroker, soon};
use serde_json::{Value, json};

/// Takes one request off the topic, as a worker does.
async fn lease_one(broker: &TestBroker) -> Value {
    broker.lease("jobs", "workers", "wait=5s").await.remove(0)
}

fn place_of(request: &Value) -> String {
    request["reply_to"].as_str().unwrap().to_owned()
}

async fn reply(broker: &TestBroker, place: &str, query: &str, payload: &str) -> Answer {
    let target = format!("/v1/topics/{place}/messages{query}");
    broker.post(&target, payload).await
}

async fn ack(broker: &TestBroker, request: &Value) {
    let receipts = json!({"receipts": [request["receipt"]]});
    let settled = broker.settle("jobs", "workers", "ack", receipts).await;
    assert_eq!(settled, ["acked"]);
}

async fn ask(broker: &TestBroker, query: &str) -> Answer {
    let request = Request::new("POST", &format!("/v1/topics/jobs/request{query}"))
        .header("Weir-Header-Trace", "00-ab");
    broker.send(request.body("{\"n\":20}")).await
}

#[tokio::test]
async fn the_caller_gets_what_the_worker_replies() {
    let broker = TestBroker::start().await;
    let worker = async {
        let request = lease_one(&broker).await;
        assert_eq!(request["payload"], json!({"n": 20}));
        assert_eq!(request["key"], "k");
        assert_eq!(request["headers"], json!({"trace": "00-ab"}));
        let place = place_of(&request);
        let random = place.strip_prefix("_reply.").unwrap();
        assert_eq!(random.len(), 22);
        let query = "?key=node-1&id=answer-1";
        let published = reply(&broker, &place, query, "{\"n\": 21}").await;
        let published = published.expect(201).json();
        assert_eq!(published["topic"], place.as_str());
        assert_eq!(published["offset"], 0);
        ack(&broker, &request).await;
        (place, published)
    };
    let (answer, (place, published)) =
        soon(async { tokio::join!(ask(&broker, "?timeout=30s&key=k&id=job-1"), worker) }).await;
    let expected = json!({
        "topic": place, "partition": 0, "offset": 0, "timestamp": published["timestamp"],
        "id": "answer-1", "key": "node-1", "payload": {"n": 21},
    });
    assert_eq!(answer.expect(200).json(), expected);
    // Nothing of the reply is anywhere.
    let topics = broker.get("/v1/topics").await.expect(200).json();
    assert_eq!(topics["topics"].as_array().unwrap().len(), 1);
    let again = reply(&broker, &place, "", "1").await;
    again.refused(
        404,
        "unknown_topic",
        "the caller has its answer, or is gone",
    );
}

#[tokio::test]
async fn batches_and_minimq_reply_as_well() {
    let broker = TestBroker::start().await;
    let by_batch = async {
        let place = place_of(&lease_one(&broker).await);
        let lines =
            format!("{{\"topic\":\"log\",\"payload\":0}}\n{{\"topic\":\"{place}\",\"payload\":1}}");
        let answer = broker.post("/v1/messages", lines).await.expect(201).json();
        assert_eq!(answer["count"], 2);
    };
    let (answer, ()) = soon(async { tokio::join!(ask(&broker, ""), by_batch) }).await;
    assert_eq!(answer.expect(200).json()["payload"], 1);
    let by_topic_batch = async {
        let place = place_of(&lease_one(&broker).await);
        let answer = broker.publish_lines(&place, "{\"payload\":2}").await;
        assert_eq!(answer.expect(201).json()["count"], 1);
    };
    let (answer, ()) = soon(async { tokio::join!(ask(&broker, ""), by_topic_batch) }).await;
    assert_eq!(answer.expect(200).json()["payload"], 2);
    let by_minimq = async {
        let place = place_of(&lease_one(&broker).await);
        let body = json!({"topic": place, "message": "three"}).to_string();
        broker.post("/produce", body).await.expect(201);
    };
    let (answer, ()) = soon(async { tokio::join!(ask(&broker, ""), by_minimq) }).await;
    assert_eq!(answer.expect(200).json()["payload"], "three");
}

#[tokio::test]
async fn nobody_replies_in_time() {
    let broker = TestBroker::start().await;
    let answer = ask(&broker, "?timeout=20ms").await;
    answer.refused(504, "timeout", "no reply came within 20ms");
    let late = place_of(&lease_one(&broker).await);
    let answer = reply(&broker, &late, "", "1").await;
    answer.refused(404, "unknown_topic", "nobody waits for a reply at _reply.");
    let lines =
        format!("{{\"topic\":\"log\",\"payload\":0}}\n{{\"topic\":\"{late}\",\"payload\":1}}");
    let answer = broker.post("/v1/messages", lines).await;
    answer.refused(404, "unknown_topic", "line 2: nobody waits");
    let log = broker.get("/v1/topics/log").await;
    log.refused(404, "unknown_topic", "there is no topic log");
}

#[tokio::test]
async fn a_place_for_replies_is_no_topic() {
    let broker = TestBroker::start().await;
    let before = broker.tree();
    let created = broker.put("/v1/topics/_reply.mine", "").await;
    created.refused(400, "invalid_topic", "names beginning with \"_reply.\"");
    let leased = broker
        .post("/v1/topics/_reply.mine/groups/g/lease", "")
        .await;
    leased.refused(400, "invalid_topic", "_reply.mine cannot be a topic");
    let fetched = broker.get("/v1/topics/_reply.mine/messages").await;
    fetched.refused(404, "unknown_topic", "no topic _reply.mine");
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn what_a_request_cannot_be_is_refused() {
    let broker = TestBroker::start().await;
    let before = broker.tree();
    for (query, part) in [
        ("?timeout=61s", "timeout is \"61s\": allowed is at most 60s"),
        ("?timeout=0s", "timeout is \"0s\": allowed is at least 1ms"),
        ("?timeout=soon", "allowed is a number with a unit"),
        ("?reply_to=me", "unknown parameter reply_to"),
        ("?delay=1s", "unknown parameter delay"),
    ] {
        ask(&broker, query)
            .await
            .refused(400, "invalid_argument", part);
    }
    assert_eq!(broker.tree(), before);
    broker
        .post("/v1/topics/jobs/messages?id=job-1", "1")
        .await
        .expect(201);
    let again = ask(&broker, "?id=job-1").await;
    again.refused(409, "conflict", "the id job-1 was published before");
}

#[tokio::test]
async fn replies_come_at_once_and_one_at_a_time() {
    let broker = TestBroker::start().await;
    let worker = async {
        let place = place_of(&lease_one(&broker).await);
        let later = reply(&broker, &place, "?delay=1s", "1").await;
        later.refused(400, "invalid_argument", "a reply is delivered at once");
        let elsewhere = reply(&broker, &place, "?partition=1", "1").await;
        elsewhere.refused(404, "unknown_partition", "has no partition 1");
        let twice = broker.publish_lines(&place, "{\"payload\":1}\n{\"payload\":2}");
        twice.await.refused(404, "unknown_topic", "line 2: nobody");
        reply(&broker, &place, "", "3").await.expect(201);
    };
    let (answer, ()) = soon(async { tokio::join!(ask(&broker, ""), worker) }).await;
    assert_eq!(answer.expect(200).json()["payload"], 3);
}

#[tokio::test]
async fn draining_ends_the_wait() {
    let broker = TestBroker::start().await;
    let drain = async {
        lease_one(&broker).await;
        broker.core().drain();
    };
    let (answer, ()) = soon(async { tokio::join!(ask(&broker, "?timeout=60s"), drain) }).await;
    answer.refused(503, "draining", "the broker is stopping");
}
