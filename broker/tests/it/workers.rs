//! Messages that are pushed to registered workers.

use crate::broker;
use crate::push_workers::{
    HttpWorker, Port, TcpWorker, group_when, listen_again, register, worker, worker_when,
};
use crate::support::{Request, TestBroker, fields, messages_of, soon, text_of};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use weir_broker::push::BreakerOptions;
use weir_protocol::shapes::{NewWorker, WorkerChange};
use weir_types::TopicName;

/// A broker whose breakers open after three failures and come back soon.
async fn impatient_broker() -> TestBroker {
    TestBroker::with(|settings| {
        settings.broker.push.breaker = BreakerOptions {
            max_failures: 3,
            reset: Duration::from_millis(300),
        };
    })
    .await
}

async fn patch(broker: &TestBroker, id: &Value, change: Value) -> Value {
    let request = Request::new("PATCH", &format!("/v1/workers/{id}"));
    let answer = broker.send(request.body(change.to_string())).await;
    answer.expect(200).json()
}

/// Publishes `0..count` to a topic.
async fn publish_numbers(broker: &TestBroker, topic: &str, count: u32) {
    let lines: String = (0..count)
        .map(|n| format!("{{\"payload\":{n}}}\n"))
        .collect();
    broker.publish_lines(topic, &lines).await.expect(201);
}

/// The states that a breaker went through, oldest first.
fn states(worker: &Value) -> Vec<String> {
    let transitions = worker["breaker"]["transitions"].as_array().unwrap();
    let states = transitions
        .iter()
        .rev()
        .map(|change| text_of(&change["to"]));
    states.collect()
}

async fn dead_letters(broker: &TestBroker, topic: &str, count: usize) -> Vec<Value> {
    let target = format!("/v1/topics/{topic}/dead-letters");
    weir_testkit::eventually("dead letters", async || {
        let listed = broker.get(&target).await.json();
        let letters = listed["dead_letters"].as_array()?.clone();
        (letters.len() >= count).then_some(letters)
    })
    .await
}

#[tokio::test]
async fn a_worker_gets_what_is_published_and_its_acks_count() {
    let broker = TestBroker::start().await;
    let mut jobs = TcpWorker::start().await;
    let registered = register(
        &broker,
        json!({"topic": "t", "target": jobs.target(), "visibility_timeout": "1m"}),
    )
    .await;
    assert_eq!(registered["group"], "workers");
    assert_eq!(registered["breaker"]["state"], "CLOSED");
    assert_eq!(registered["visibility_timeout"], "1m");
    let published = broker.publish("t", "{\"a\":1}").await;
    let task = jobs.next().await;
    assert_eq!(task.message["id"], published["id"]);
    assert_eq!(task.message["topic"], "t");
    assert_eq!(task.attempt(), 1);
    assert_eq!(*task.payload(), json!({"a": 1}));
    let working = worker(&broker, &registered["id"]).await;
    assert_eq!(working["in_flight"], 1);
    task.ack().await;
    let done = worker_when(&broker, &registered["id"], |w| w["delivered"] == 1).await;
    assert_eq!(
        (&done["in_flight"], &done["failed"]),
        (&json!(0), &json!(0))
    );
    group_when(&broker, "t", "workers", |g| g["lag_records"] == 0).await;
    let listed = broker.get("/v1/workers?topic=t").await.expect(200).json();
    assert_eq!(fields(listed["workers"].as_array().unwrap(), "id"), [1]);
    let none = broker.get("/v1/workers?topic=u").await.expect(200).json();
    assert_eq!(none, json!({"workers": []}));
}

#[tokio::test]
async fn a_group_made_for_workers_waits_longer_and_longer_and_another_stays_as_it_is() {
    let broker = TestBroker::start().await;
    let target = "tcp://127.0.0.1:9";
    register(&broker, json!({"topic": "new", "target": target})).await;
    let made = broker.group("new", "workers").await;
    let backoff = json!({"initial": "1s", "factor": 2.0, "cap": "1m", "jitter": 0.2});
    assert_eq!(made["retry_backoff"], backoff);
    let own = json!({"retry_backoff": ["7s"]}).to_string();
    broker.put("/v1/topics/old/groups/g", own).await.expect(201);
    register(
        &broker,
        json!({"topic": "old", "group": "g", "target": target}),
    )
    .await;
    let kept = broker.group("old", "g").await;
    assert_eq!(kept["retry_backoff"], json!(["7s"]));
}

#[tokio::test]
async fn an_http_worker_says_by_its_status_what_became_of_a_message() {
    let broker = TestBroker::start().await;
    let mut jobs = HttpWorker::start().await;
    let settings = json!({"retry_backoff": [], "max_deliveries": 3}).to_string();
    broker
        .put("/v1/topics/t/groups/g", settings)
        .await
        .expect(201);
    let worker = json!({"topic": "t", "group": "g", "target": jobs.target()});
    register(&broker, worker).await;
    broker.publish("t", "{\"n\": 1}").await;
    let task = jobs.next().await;
    assert_eq!(task.head, "POST /tasks?kind=test HTTP/1.1");
    assert_eq!(task.headers["weir-delivery-attempt"], "1");
    assert_eq!(task.headers["weir-topic"], "t");
    assert_eq!(task.body, b"{\"n\": 1}");
    task.answer(500, "", "no database\n");
    let again = jobs.next().await;
    assert_eq!(again.headers["weir-delivery-attempt"], "2");
    again.answer(204, "", "");
    group_when(&broker, "t", "g", |g| g["lag_records"] == 0).await;

    broker.publish("t", "2").await;
    jobs.next().await.answer(422, "", "no such customer\n");
    broker.publish("t", "3").await;
    for _ in 0..3 {
        jobs.next().await.answer(500, "", "no database\n");
    }
    let letters = dead_letters(&broker, "t", 2).await;
    let reasons: Vec<_> = letters.iter().map(|l| text_of(&l["reason"])).collect();
    assert!(
        reasons
            .iter()
            .any(|reason| reason.contains("422") && reason.contains("no such customer")),
        "{reasons:?}"
    );
    assert!(
        reasons
            .iter()
            .any(|reason| reason.contains("500") && reason.contains("no database")),
        "{reasons:?}"
    );
    let mut attempts: Vec<_> = letters.iter().map(|l| l["attempts"].as_u64()).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [Some(1), Some(3)]);
}

#[tokio::test]
async fn a_worker_may_give_back_with_a_delay_or_for_good() {
    let broker = TestBroker::start().await;
    let mut jobs = TcpWorker::start().await;
    register(&broker, json!({"topic": "t", "target": jobs.target()})).await;
    broker.publish("t", "1").await;
    let first = jobs.next().await;
    let given_back = Instant::now();
    first
        .nack(json!({"delay": "300ms", "reason": "busy"}))
        .await;
    let second = jobs.next().await;
    assert!(given_back.elapsed() >= Duration::from_millis(300));
    assert_eq!(second.attempt(), 2);
    second
        .nack(json!({"dead_letter": true, "reason": "never"}))
        .await;
    let letters = dead_letters(&broker, "t", 1).await;
    assert_eq!(letters[0]["reason"], "never");
    let known = worker_when(&broker, &json!(1), |w| w["failed"] == 2).await;
    assert_eq!(known["last_error"], "never");
    assert_eq!(known["breaker"]["consecutive_failures"], 0, "it is healthy");
}

#[tokio::test]
async fn a_worker_may_register_before_it_listens() {
    let broker = TestBroker::start().await;
    let port = Port::reserve();
    let target = format!("tcp://{}", port.address());
    let registered = register(&broker, json!({"topic": "t", "target": target})).await;
    broker.publish("t", "1").await;
    let tried = worker_when(&broker, &registered["id"], |w| w["failed"] != 0).await;
    assert!(text_of(&tried["last_error"]).contains("refused"), "{tried}");
    let mut jobs = TcpWorker::on(port.listen());
    let task = jobs.next().await;
    assert_eq!(task.attempt(), 1, "what was not sent was no attempt");
    task.ack().await;
    group_when(&broker, "t", "workers", |g| g["lag_records"] == 0).await;
    let tries = worker(&broker, &registered["id"]).await["failed"]
        .as_u64()
        .unwrap();
    assert!(tries < 20, "it was asked {tries} times");
}

#[tokio::test]
async fn four_registrations_of_a_worker_are_four_messages_at_a_time() {
    let broker = TestBroker::start().await;
    let mut jobs = TcpWorker::start().await;
    for _ in 0..4 {
        register(&broker, json!({"topic": "t", "target": jobs.target()})).await;
    }
    publish_numbers(&broker, "t", 6).await;
    let mut four = jobs.take(4).await;
    let group = broker.group("t", "workers").await;
    assert_eq!(group["in_flight"], 4, "no more are leased than go out");
    assert!(jobs.is_idle());
    four.pop().unwrap().ack().await;
    jobs.next().await.ack().await;
    for task in four {
        task.ack().await;
    }
    jobs.next().await.ack().await;
    group_when(&broker, "t", "workers", |g| g["lag_records"] == 0).await;
    let listed = broker.get("/v1/workers").await.json();
    let delivered = fields(listed["workers"].as_array().unwrap(), "delivered");
    let total: u64 = delivered.iter().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(total, 6);
}

#[tokio::test]
async fn concurrency_bounds_what_one_registration_works_on_and_can_be_changed() {
    let broker = TestBroker::start().await;
    let mut jobs = TcpWorker::start().await;
    let registered = register(
        &broker,
        json!({"topic": "t", "target": jobs.target(), "concurrency": 2}),
    )
    .await;
    publish_numbers(&broker, "t", 5).await;
    let two = jobs.take(2).await;
    assert_eq!(broker.group("t", "workers").await["in_flight"], 2);
    patch(&broker, &registered["id"], json!({"concurrency": 5})).await;
    let three = jobs.take(3).await;
    for task in two.into_iter().chain(three) {
        task.ack().await;
    }
    group_when(&broker, "t", "workers", |g| g["lag_records"] == 0).await;
}

#[tokio::test]
async fn messages_go_round_over_the_workers() {
    let broker = TestBroker::start().await;
    let mut workers = [TcpWorker::start().await, TcpWorker::start().await];
    for jobs in &workers {
        register(&broker, json!({"topic": "t", "target": jobs.target()})).await;
    }
    for round in 0..3 {
        publish_numbers(&broker, "t", 2).await;
        for jobs in &mut workers {
            jobs.next().await.ack().await;
        }
        let done = 2 * (round + 1);
        group_when(&broker, "t", "workers", |g| {
            g["partitions"][0]["committed_offset"] == done
        })
        .await;
    }
}

#[tokio::test]
async fn a_paused_worker_gets_nothing_new_and_finishes_what_it_has() {
    let broker = TestBroker::start().await;
    let mut jobs = TcpWorker::start().await;
    let registered = register(&broker, json!({"topic": "t", "target": jobs.target()})).await;
    let id = &registered["id"];
    broker.publish("t", "1").await;
    let task = jobs.next().await;
    let paused = patch(&broker, id, json!({"paused": true})).await;
    assert_eq!(paused["paused"], true);
    task.ack().await;
    worker_when(&broker, id, |w| w["delivered"] == 1).await;
    broker.publish("t", "2").await;
    broker.publish("t", "3").await;
    // Whoever else takes part of the group gets them.
    let leased = broker.lease("t", "workers", "wait=5s&max=1").await;
    assert_eq!(leased.len(), 1);
    assert!(jobs.is_idle());
    patch(&broker, id, json!({"paused": false})).await;
    jobs.next().await.ack().await;
    worker_when(&broker, id, |w| w["delivered"] == 2).await;
}

#[tokio::test]
async fn a_removed_worker_finishes_what_it_has_and_is_gone() {
    let broker = TestBroker::start().await;
    let mut jobs = TcpWorker::start().await;
    let registered = register(&broker, json!({"topic": "t", "target": jobs.target()})).await;
    let address = format!("/v1/workers/{}", registered["id"]);
    broker.publish("t", "1").await;
    let task = jobs.next().await;
    broker.delete(&address).await.expect(204);
    broker
        .get(&address)
        .await
        .refused(404, "unknown_worker", "no worker 1");
    broker
        .delete(&address)
        .await
        .refused(404, "unknown_worker", "no worker 1");
    task.ack().await;
    group_when(&broker, "t", "workers", |g| g["lag_records"] == 0).await;
    broker.publish("t", "2").await;
    let leased = broker.lease("t", "workers", "wait=5s").await;
    assert_eq!(leased.len(), 1);
    assert!(jobs.is_idle());
    let second = register(&broker, json!({"topic": "t", "target": jobs.target()})).await;
    assert_eq!(second["id"], 2, "numbers are not given twice");
}

#[tokio::test]
async fn a_target_that_is_down_costs_the_others_nothing() {
    let broker = impatient_broker().await;
    let port = Port::reserve();
    let down =
        json!({"topic": "t", "target": format!("tcp://{}", port.address()), "concurrency": 4});
    let down = register(&broker, down).await;
    let mut jobs = TcpWorker::start().await;
    register(&broker, json!({"topic": "t", "target": jobs.target()})).await;
    let began = Instant::now();
    publish_numbers(&broker, "t", 50).await;
    for _ in 0..50 {
        let task = jobs.next().await;
        assert_eq!(task.attempt(), 1);
        task.ack().await;
    }
    group_when(&broker, "t", "workers", |g| g["lag_records"] == 0).await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let down = worker(&broker, &down["id"]).await;
    assert_ne!(down["failed"], 0, "it was tried");
    assert_eq!(down["delivered"], 0);
}

#[tokio::test]
async fn a_breaker_opens_tries_once_and_closes_when_the_worker_is_back() {
    let broker = impatient_broker().await;
    let jobs = TcpWorker::start().await;
    let (target, address) = (jobs.target(), jobs.address());
    drop(jobs);
    let registered = register(&broker, json!({"topic": "t", "target": target})).await;
    let id = &registered["id"];
    broker.publish("t", "1").await;
    let open = worker_when(&broker, id, |w| w["breaker"]["state"] == "OPEN").await;
    assert_eq!(open["breaker"]["opened"], 1);
    assert!(open["breaker"]["next_trial_at"].is_u64(), "{open}");
    let reason = text_of(&open["breaker"]["transitions"][0]["reason"]);
    assert!(reason.contains("3 failures in a row"), "{reason}");
    let again = worker_when(&broker, id, |w| w["breaker"]["opened"] == 2).await;
    assert_eq!(states(&again)[..3], ["OPEN", "HALF_OPEN", "OPEN"]);
    let listed = broker.get("/v1/workers").await.json();
    assert_eq!(states(&listed["workers"][0]).len(), 1, "only the newest");
    let page = broker.get("/metrics").await.text();
    let series = format!("weir_broker_push_failed_deliveries_total{{target=\"{target}\"}} ");
    assert!(page.contains(&series), "{page}");
    assert!(page.contains("weir_broker_push_workers{state=\"active\"} 1"));
    let mut jobs = TcpWorker::on(listen_again(address));
    jobs.next().await.ack().await;
    let closed = worker_when(&broker, id, |w| w["breaker"]["state"] == "CLOSED").await;
    let (states, count) = (states(&closed), states(&closed).len());
    assert_eq!(states[count - 2..], ["HALF_OPEN", "CLOSED"]);
    assert_eq!(closed["breaker"]["consecutive_failures"], 0);
    let page = broker.get("/metrics").await.text();
    let state = format!("weir_broker_breaker_state{{target=\"{target}\"}} 0");
    assert!(page.contains(&state), "{page}");
}

#[tokio::test]
async fn a_target_that_asks_to_be_left_alone_is() {
    let broker = TestBroker::start().await;
    let mut jobs = HttpWorker::start().await;
    let settings = json!({"retry_backoff": []}).to_string();
    broker
        .put("/v1/topics/t/groups/g", settings)
        .await
        .expect(201);
    let worker = json!({"topic": "t", "group": "g", "target": jobs.target(), "concurrency": 2});
    let registered = register(&broker, worker).await;
    broker.publish("t", "1").await;
    let first = jobs.next().await;
    first.answer(503, "retry-after: 1\r\n", "");
    let id = &registered["id"];
    worker_when(&broker, id, |w| w["failed"] == 1).await;
    let began = Instant::now();
    broker.publish("t", "2").await;
    for _ in 0..2 {
        let task = jobs.next().await;
        assert!(
            began.elapsed() >= Duration::from_millis(800),
            "{:?}",
            began.elapsed()
        );
        task.answer(200, "", "");
    }
    group_when(&broker, "t", "g", |g| g["lag_records"] == 0).await;
}

#[tokio::test]
async fn a_worker_that_takes_too_long_loses_the_message() {
    let broker = TestBroker::start().await;
    let mut jobs = TcpWorker::start().await;
    let settings = json!({"retry_backoff": []}).to_string();
    broker
        .put("/v1/topics/t/groups/g", settings)
        .await
        .expect(201);
    let worker = json!({
        "topic": "t", "group": "g", "target": jobs.target(), "visibility_timeout": "200ms",
    });
    register(&broker, worker).await;
    broker.publish("t", "1").await;
    let slow = jobs.next().await;
    let again = jobs.next().await;
    assert_eq!(again.attempt(), 2);
    slow.ack().await;
    again.ack().await;
    group_when(&broker, "t", "g", |g| g["lag_records"] == 0).await;
}

#[tokio::test]
async fn large_messages_of_a_slow_worker_keep_nothing_from_the_others() {
    let broker = TestBroker::start().await;
    let (mut stuck, mut quick) = (TcpWorker::start().await, TcpWorker::start().await);
    for (worker, concurrency) in [(&stuck, 100), (&quick, 1)] {
        let worker = json!({"topic": "t", "target": worker.target(), "concurrency": concurrency});
        register(&broker, worker).await;
    }
    let half_a_megabyte = json!("x".repeat(500_000)).to_string();
    for _ in 0..60 {
        broker.publish("t", &half_a_megabyte).await;
    }
    // 16 MiB may be out at one time, half of them for each.
    let _unanswered = stuck.take(16).await;
    for _ in 0..40 {
        quick.next().await.ack().await;
    }
}

#[tokio::test]
async fn slow_a_worker_that_came_later_has_all_of_its_time() {
    let broker = TestBroker::start().await;
    let at_once = json!({"retry_backoff": []}).to_string();
    let group = "/v1/topics/t/groups/workers";
    broker.put(group, at_once).await.expect(201);
    let (mut quick, mut patient) = (TcpWorker::start().await, TcpWorker::start().await);
    let may_take = |target: String, time: &str| json!({"topic": "t", "target": target, "concurrency": 2, "visibility_timeout": time});
    let first = register(&broker, may_take(quick.target(), "100ms")).await;
    broker.publish("t", "0").await;
    quick.next().await.ack().await;
    // By now the next message is waited for, on behalf of the quick one.
    group_when(&broker, "t", "workers", |g| g["lag_records"] == 0).await;
    patch(&broker, &first["id"], json!({"paused": true})).await;
    register(&broker, may_take(patient.target(), "1m")).await;
    broker.publish("t", "1").await;
    let task = patient.next().await;
    let again = tokio::time::timeout(Duration::from_secs(6), patient.next_ever()).await;
    assert!(again.is_err(), "it came again while it was worked on");
    task.ack().await;
    group_when(&broker, "t", "workers", |g| g["lag_records"] == 0).await;
}

#[tokio::test]
async fn deleting_a_topic_or_a_group_removes_its_workers() {
    let broker = TestBroker::start().await;
    let target = "tcp://127.0.0.1:9";
    for (topic, group) in [("a", "g"), ("b", "g"), ("b", "h")] {
        register(
            &broker,
            json!({"topic": topic, "group": group, "target": target}),
        )
        .await;
    }
    broker.delete("/v1/topics/a").await.expect(204);
    broker.delete("/v1/topics/b/groups/g").await.expect(204);
    let listed = async |broker: &TestBroker| {
        let listed = broker.get("/v1/workers").await.expect(200).json();
        fields(listed["workers"].as_array().unwrap(), "id")
    };
    assert_eq!(listed(&broker).await, [3]);
    let broker = broker.restart().await;
    assert_eq!(listed(&broker).await, [3]);
    broker.publish("a", "1").await;
    let groups = broker.get("/v1/topics/a/groups").await.json();
    assert_eq!(groups["groups"], json!([]), "nobody is left to make one");
}

#[tokio::test]
async fn a_broker_that_stops_waits_for_what_its_workers_have() {
    let broker = TestBroker::start().await;
    let mut jobs = TcpWorker::start().await;
    register(&broker, json!({"topic": "t", "target": jobs.target()})).await;
    publish_numbers(&broker, "t", 2).await;
    let task = jobs.next().await;
    let draining = broker.core().draining().clone();
    let acking = async {
        draining.cancelled().await;
        task.ack().await;
    };
    let (broker, ()) = tokio::join!(broker.restart(), acking);
    let second = jobs.next().await;
    assert_eq!(*second.payload(), json!(1), "the first one's ack counted");
    assert_eq!(second.attempt(), 1);
    second.ack().await;
    group_when(&broker, "t", "workers", |g| g["lag_records"] == 0).await;
}

#[tokio::test]
async fn queues_have_numbers_that_last() {
    let broker = TestBroker::start().await;
    let core = broker.core();
    for (name, id) in [("mails", 1), ("sms", 2), ("mails", 1)] {
        assert_eq!(core.register_queue(name).await.unwrap().0, id);
    }
    let refused = core.register_queue("a/b").await.unwrap_err();
    assert!(refused.to_string().contains("contains '/'"), "{refused}");
    let broker = broker.restart().await;
    assert_eq!(broker.core().register_queue("sms").await.unwrap().0, 2);
    let mut jobs = TcpWorker::start().await;
    let registered = register(&broker, json!({"queue": 2, "target": jobs.target()})).await;
    assert_eq!(
        (&registered["queue"], &registered["topic"]),
        (&json!(2), &json!("sms"))
    );
    let by_name = json!({"queue": "mails", "target": jobs.target()});
    assert_eq!(register(&broker, by_name).await["queue"], 1);
    let sms = weir_protocol::shapes::QueueRef::Id(2);
    for data in [&b"{\"to\": 1}"[..], b"\xff\r\n"] {
        broker
            .core()
            .submit_task(&sms, data.to_vec().into())
            .await
            .unwrap();
    }
    let json = jobs.next().await;
    assert_eq!(json.message["queue"], 2);
    assert_eq!(*json.payload(), json!({"to": 1}));
    json.ack().await;
    let bytes = jobs.next().await;
    assert_eq!(*bytes.payload(), json!("/w0K"));
    assert_eq!(bytes.message["encoding"], "base64");
    bytes.ack().await;
}

#[tokio::test]
async fn bad_registrations_are_refused_precisely_and_change_nothing() {
    let broker = TestBroker::start().await;
    let before = broker.tree();
    let good = "tcp://127.0.0.1:9";
    for (body, code, part) in [
        (
            json!({"topic": "t"}),
            "invalid_argument",
            "missing field `target`",
        ),
        (
            json!({"target": good}),
            "invalid_argument",
            "say whose messages it gets",
        ),
        (
            json!({"group": "g", "target": good}),
            "invalid_argument",
            "say whose messages",
        ),
        (
            json!({"topic": "t", "queue": 1, "target": good}),
            "invalid_argument",
            "excludes \"topic\"",
        ),
        (
            json!({"queue": 1, "target": good}),
            "unknown_queue",
            "no queue 1;",
        ),
        (
            json!({"queue": -1, "target": good}),
            "unknown_queue",
            "no queue -1;",
        ),
        (
            json!({"queue": "q", "target": good}),
            "unknown_queue",
            "no queue \"q\";",
        ),
        (
            json!({"queue": true, "target": good}),
            "invalid_argument",
            "number or the name",
        ),
        (
            json!({"topic": "a/b", "target": good}),
            "invalid_argument",
            "contains '/'",
        ),
        (
            json!({"topic": "t", "group": "", "target": good}),
            "invalid_argument",
            "group name",
        ),
        (
            json!({"topic": "t", "target": 7}),
            "invalid_argument",
            "invalid type",
        ),
        (
            json!({"topic": "t", "target": ""}),
            "invalid_argument",
            "is no target",
        ),
        (
            json!({"topic": "t", "target": "ftp://h:1"}),
            "invalid_argument",
            "none of grpc://",
        ),
        (
            json!({"topic": "t", "target": "tcp://h"}),
            "invalid_argument",
            "is no target",
        ),
        (
            json!({"topic": "t", "target": "tcp://h:0"}),
            "invalid_argument",
            "is no target",
        ),
        (
            json!({"topic": "t", "target": "http://u:p@h/"}),
            "invalid_argument",
            "user or password",
        ),
        (
            json!({"topic": "t", "target": "backend://127.0.0.1:9"}),
            "invalid_argument",
            "none of grpc://",
        ),
        (
            json!({"topic": "t", "target": "http://169.254.169.254/"}),
            "invalid_argument",
            "169.254.169.254 is not allowed",
        ),
        (
            json!({"topic": "t", "target": "tcp://[fe80::1]:9"}),
            "invalid_argument",
            "is not allowed; allowed: anything but link-local addresses",
        ),
        (
            json!({"topic": "t", "target": good, "concurrency": 0}),
            "invalid_argument",
            "concurrency is 0; allowed is 1 to 1000",
        ),
        (
            json!({"topic": "t", "target": good, "concurrency": 1001}),
            "invalid_argument",
            "concurrency is 1001; allowed is 1 to 1000",
        ),
        (
            json!({"topic": "t", "target": good, "visibility_timeout": "0s"}),
            "invalid_argument",
            "visibility_timeout is 0s; allowed is 1ms to 12h",
        ),
        (
            json!({"topic": "t", "target": good, "visibility_timeout": "13h"}),
            "invalid_argument",
            "visibility_timeout is 13h; allowed is 1ms to 12h",
        ),
        (
            json!({"topic": "t", "target": good, "paused": true}),
            "invalid_argument",
            "unknown field `paused`",
        ),
    ] {
        let answer = broker.post("/v1/workers", body.to_string()).await;
        let status = if code == "unknown_queue" { 404 } else { 400 };
        answer.refused(status, code, part);
    }
    let array = broker.post("/v1/workers", "[1]").await;
    array.refused(400, "invalid_json", "must be a JSON object");
    let listed = broker.get("/v1/workers?tpoic=t").await;
    listed.refused(400, "invalid_argument", "unknown parameter tpoic");
    for id in ["0", "7"] {
        let shown = broker.get(&format!("/v1/workers/{id}")).await;
        shown.refused(404, "unknown_worker", "no worker");
    }
    let shown = broker.get("/v1/workers/seven").await;
    shown.refused(400, "invalid_argument", "whole number");
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn bad_changes_are_refused_precisely() {
    let broker = TestBroker::start().await;
    register(
        &broker,
        json!({"topic": "t", "target": "tcp://127.0.0.1:9"}),
    )
    .await;
    let before = broker.tree();
    for (id, body, status, part) in [
        (
            1,
            "{\"concurrency\":0}",
            400,
            "concurrency is 0; allowed is 1 to 1000",
        ),
        (1, "{\"concurrency\":-1}", 400, "invalid value"),
        (1, "{\"paused\":1}", 400, "invalid type"),
        (1, "{\"pause\":true}", 400, "unknown field `pause`"),
        (
            1,
            "{\"target\":\"tcp://h:1\"}",
            400,
            "unknown field `target`",
        ),
        (1, "", 400, "must be a JSON object"),
        (2, "{\"paused\":true}", 404, "no worker 2"),
    ] {
        let request = Request::new("PATCH", &format!("/v1/workers/{id}")).body(body);
        let answer = broker.send(request).await;
        let (_, message) = answer.refusal();
        assert_eq!(answer.status, status, "{message}");
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn only_allowed_addresses_are_reached() {
    let broker = TestBroker::with(|settings| {
        settings.broker.push.allowed = "10.0.0.0/8".parse().unwrap();
    })
    .await;
    let body = json!({"topic": "t", "target": "tcp://127.0.0.1:9"}).to_string();
    let refused = broker.post("/v1/workers", body).await;
    refused.refused(400, "invalid_argument", "allowed: 10.0.0.0/8");
    // A name is found out when it is resolved.
    let named = json!({"topic": "t", "target": "tcp://localhost:9"});
    let registered = register(&broker, named).await;
    broker.publish("t", "1").await;
    let tried = worker_when(&broker, &registered["id"], |w| w["failed"] != 0).await;
    let reason = text_of(&tried["last_error"]);
    assert!(reason.contains("not allowed"), "{reason}");
}

#[tokio::test]
async fn registrations_survive_kill_9() {
    let setup = broker();
    let running = setup.start().await;
    let client = running.client();
    let mut jobs = TcpWorker::start().await;
    let topic = TopicName::parse("t").unwrap();
    let worker = NewWorker::of_topic(topic.clone(), jobs.target());
    let paused = WorkerChange {
        paused: Some(true),
        concurrency: None,
    };
    for _ in 0..3 {
        client.register_worker(&worker).await.unwrap();
    }
    let all = client.workers(None).await.unwrap().workers;
    client.alter_worker(all[0].id, paused).await.unwrap();
    client.remove_worker(all[1].id).await.unwrap();
    client
        .publish(&topic, "1".into(), &weir_client::PublishOptions::default())
        .await
        .unwrap();
    let held = jobs.next().await;
    running.kill_9();
    drop(held);

    let running = setup.start().await;
    let client = running.client();
    let found = client.workers(Some(&topic)).await.unwrap().workers;
    let seen: Vec<_> = found.iter().map(|w| (w.id.0, w.paused)).collect();
    assert_eq!(seen, [(1, true), (3, false)]);
    jobs.next().await.ack().await;
    weir_testkit::eventually("an empty group", async || {
        let groups = client.groups(&topic).await.unwrap().groups;
        (groups[0].lag_records == 0).then_some(())
    })
    .await;
    let another = client.register_worker(&worker).await.unwrap();
    assert_eq!(another.id.0, 4);
    let stored = std::fs::read_to_string(setup.data_dir().join("__weir/push.json")).unwrap();
    assert!(stored.contains("\"last_worker\": 4"), "{stored}");
}

#[tokio::test]
async fn a_message_that_a_dead_topic_had_out_bothers_nobody() {
    let broker = TestBroker::start().await;
    let mut jobs = TcpWorker::start().await;
    register(&broker, json!({"topic": "t", "target": jobs.target()})).await;
    broker.publish("t", "1").await;
    let task = jobs.next().await;
    broker.delete("/v1/topics/t").await.expect(204);
    task.ack().await;
    register(&broker, json!({"topic": "t", "target": jobs.target()})).await;
    broker.publish("t", "2").await;
    let second = jobs.next().await;
    assert_eq!(*second.payload(), json!(2));
    second.ack().await;
    group_when(&broker, "t", "workers", |g| g["lag_records"] == 0).await;
    soon(broker.stop()).await.unwrap();
}

#[tokio::test]
async fn order_by_key_holds_for_pushed_messages() {
    let broker = TestBroker::start().await;
    let mut jobs = TcpWorker::start().await;
    let worker = json!({"topic": "t", "target": jobs.target(), "concurrency": 8});
    register(&broker, worker).await;
    let lines = "{\"payload\":1,\"key\":\"a\"}\n{\"payload\":2,\"key\":\"a\"}\n{\"payload\":3}\n";
    broker.publish_lines("t", lines).await.expect(201);
    let mut out = jobs.take(2).await;
    let payloads: Vec<_> = out.iter().map(|task| task.payload().clone()).collect();
    assert_eq!(payloads, [json!(1), json!(3)]);
    out.remove(0).ack().await;
    assert_eq!(*jobs.next().await.payload(), json!(2));
    let fetched = broker.fetch("t", "from=earliest").await;
    assert_eq!(messages_of(&fetched).len(), 3);
}

#[tokio::test]
async fn a_registration_that_cannot_be_written_is_none() {
    let broker = TestBroker::start().await;
    let document = broker.data_dir().join("__weir/push.json");
    // What is no file cannot be replaced by one.
    std::fs::create_dir_all(document.join("in-the-way")).unwrap();
    let body = json!({"topic": "t", "target": "tcp://127.0.0.1:9"}).to_string();
    let refused = broker.post("/v1/workers", body.clone()).await;
    refused.refused(503, "storage", "push.json");
    let listed = broker.get("/v1/workers").await.json();
    assert_eq!(listed, json!({"workers": []}));
    std::fs::remove_dir_all(&document).unwrap();
    let registered = broker.post("/v1/workers", body).await.expect(201).json();
    assert_eq!(registered["id"], 1);
    let broker = broker.restart().await;
    assert_eq!(worker(&broker, &json!(1)).await["topic"], "t");
}
