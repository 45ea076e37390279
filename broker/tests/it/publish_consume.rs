//! The publish/consume broker, exchange by exchange: the codes and bodies that its clients know.

use crate::broker;
use crate::python::Python;
use crate::support::{Answer, Request, TestBroker, fields, soon, text_of};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use weir_testkit::{RawConnection, eventually};

/// Members of every answer of this dialect.
const C: &str = r#""load_balancing":"fair_dispatch","broker":"custom_durable_file_backed"}"#;

/// An object with C.
fn with_constants(mut object: Value) -> Value {
    object["load_balancing"] = json!("fair_dispatch");
    object["broker"] = json!("custom_durable_file_backed");
    object
}

async fn publish(broker: &TestBroker, topic: &str, message: Value) -> u64 {
    let body = json!({"topic": topic, "message": message}).to_string();
    let answer = broker.post("/publish", body).await.expect(200).json();
    answer["delivered_to"].as_u64().unwrap()
}

async fn register(broker: &TestBroker, service: &str, topics: &[&str]) -> Value {
    let body = json!({"service_name": service, "topics": topics}).to_string();
    broker.post("/register", body).await.expect(200).json()
}

async fn consume(broker: &TestBroker, address: &str) -> Vec<Value> {
    let answer = broker.get(&format!("/consume/{address}")).await;
    let answer = answer.expect(200).json();
    answer["messages"].as_array().unwrap().clone()
}

/// What is wrong: the type and the place of each problem.
#[track_caller]
fn problems(answer: &Answer) -> Vec<(String, Value)> {
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().ends_with(C), "{}", answer.text());
    let body = answer.json();
    let problem = |one: &Value| {
        assert!(!text_of(&one["msg"]).is_empty(), "{body}");
        assert!(one.get("input").is_some(), "{body}");
        (text_of(&one["type"]), one["loc"].clone())
    };
    body["detail"]
        .as_array()
        .unwrap()
        .iter()
        .map(problem)
        .collect()
}

#[tokio::test]
async fn health_is_one_object_for_all_dialects() {
    let broker = TestBroker::start().await;
    let health = broker.get("/health").await.expect(200);
    assert!(health.text().starts_with(r#"{"status":"healthy","#));
    assert!(health.text().ends_with(C));
    assert_eq!(health.json()["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn what_is_published_is_consumed_once_and_in_order() {
    let broker = TestBroker::start().await;
    let body = r#"{"topic":"orders", "message":{"item": "tea",  "cups":2}, "more": 1}"#;
    let published = broker.post("/publish", body).await.expect(200);
    assert_eq!(
        published.text(),
        format!(r#"{{"status":"ok","delivered_to":1,{C}"#)
    );
    assert_eq!(published.headers["content-type"], "application/json");
    for number in 1..5 {
        publish(&broker, "orders", json!({"n": number})).await;
    }
    let consumed = broker.get("/consume/orders").await.expect(200);
    let id = text_of(&consumed.json()["messages"][0]["id"]);
    let message =
        format!(r#"{{"id":"{id}","topic":"orders","payload":{{"item": "tea",  "cups":2}}}}"#);
    assert_eq!(consumed.text(), format!(r#"{{"messages":[{message}],{C}"#));
    let two = consume(&broker, "orders?max_messages=2").await;
    assert_eq!(fields(&two, "payload"), [json!({"n": 1}), json!({"n": 2})]);
    let rest = consume(&broker, "orders?max_messages=1000").await;
    assert_eq!(fields(&rest, "payload"), [json!({"n": 3}), json!({"n": 4})]);
    let empty = broker.get("/consume/orders").await.expect(200);
    assert_eq!(empty.text(), format!(r#"{{"messages":[],{C}"#));
    // As they are in the log, and visible natively.
    let stored = broker.fetch("orders", "from=earliest&limit=1").await;
    assert_eq!(stored["messages"][0]["id"], id.as_str());
}

#[tokio::test]
async fn an_unknown_topic_is_empty_and_not_created() {
    let broker = TestBroker::start().await;
    let before = broker.tree();
    assert!(consume(&broker, "nobody.knows").await.is_empty());
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn five_services_each_get_every_message() {
    let broker = TestBroker::start().await;
    publish(&broker, "orders", json!({"n": "before"})).await;
    let services = ["billing", "stock.eu", "mail", "münchen/eins", "audit"];
    for service in services {
        for _twice in 0..2 {
            let registered = register(&broker, service, &["orders", "new", "orders"]).await;
            let expected =
                json!({"status": "ok", "registered_topics": ["orders", "new", "orders"]});
            assert_eq!(registered, with_constants(expected));
        }
    }
    for number in 0..3 {
        assert_eq!(publish(&broker, "orders", json!({"n": number})).await, 5);
    }
    let broker = broker.restart().await;
    // Registering again after messages came takes none away.
    register(&broker, "billing", &["orders"]).await;
    for service in services {
        let service = service.replace('/', "%2F").replace('ü', "%C3%BC");
        let address = format!("orders.{service}?max_messages=10");
        let own = consume(&broker, &address).await;
        let expected = [0, 1, 2].map(|n| json!({"n": n}));
        assert_eq!(fields(&own, "payload"), expected, "{service}");
        assert!(own.iter().all(|message| message["topic"] == "orders"));
        assert!(consume(&broker, &address).await.is_empty());
    }
    // The plain queue is there beside them, from the beginning.
    let plain = consume(&broker, "orders?max_messages=10").await;
    assert_eq!(plain.len(), 4);
}

/// `a.b` subscribed by `c`, `a` by `b.c`, and a topic `a.b.c` have one address.
#[tokio::test]
async fn of_several_meanings_of_an_address_the_longest_topic_with_a_subscription_counts() {
    let broker = TestBroker::start().await;
    publish(&broker, "a.b.c", json!({"of": "the topic"})).await;
    assert_eq!(
        consume(&broker, "a.b.c").await[0]["payload"]["of"],
        "the topic"
    );
    register(&broker, "b.c", &["a"]).await;
    publish(&broker, "a", json!({"of": "b.c"})).await;
    assert_eq!(consume(&broker, "a.b.c").await[0]["payload"]["of"], "b.c");
    register(&broker, "c", &["a.b"]).await;
    publish(&broker, "a.b", json!({"of": "c"})).await;
    let found = consume(&broker, "a.b.c").await;
    assert_eq!(
        (&found[0]["payload"]["of"], &found[0]["topic"]),
        (&json!("c"), &json!("a.b"))
    );
}

#[tokio::test]
async fn callers_share_a_queue_in_the_order_of_publishing() {
    let broker = TestBroker::start().await;
    let lines: String = (0..300).map(|n| format!("{{\"payload\":{n}}}\n")).collect();
    broker.publish_lines("jobs", &lines).await.expect(201);
    let caller = async || {
        let mut seen = Vec::new();
        loop {
            match consume(&broker, "jobs").await.pop() {
                Some(message) => seen.push(message["payload"].as_u64().unwrap()),
                None => return seen,
            }
        }
    };
    let all = tokio::join!(caller(), caller(), caller(), caller());
    let all = [all.0, all.1, all.2, all.3];
    for seen in &all {
        assert!(seen.is_sorted() && seen.len() > 300 / 8, "{}", seen.len());
    }
    let mut together = all.concat();
    together.sort_unstable();
    assert_eq!(together, (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_caller_waits_on_its_reply_queue() {
    let broker = TestBroker::start().await;
    let caller = async {
        let body =
            json!({"topic": "sums", "message": {"a": 1, "b": 2}, "reply_to": "sums.reply-7"});
        broker.post("/publish", body.to_string()).await.expect(200);
        eventually("the reply", async || {
            consume(&broker, "sums.reply-7").await.pop()
        })
        .await
    };
    let worker = async {
        let request =
            eventually("the request", async || consume(&broker, "sums").await.pop()).await;
        let (a, b) = (&request["payload"]["a"], &request["payload"]["b"]);
        let sum = a.as_i64().unwrap() + b.as_i64().unwrap();
        publish(&broker, &text_of(&request["reply_to"]), json!({"sum": sum})).await;
    };
    let (reply, ()) = soon(async { tokio::join!(caller, worker) }).await;
    assert_eq!(reply["payload"], json!({"sum": 3}));
    assert!(reply.get("reply_to").is_none());
}

#[tokio::test]
async fn a_native_request_is_answered_by_a_worker_of_this_dialect() {
    let broker = TestBroker::start().await;
    let worker = async {
        let request =
            eventually("the request", async || consume(&broker, "jobs").await.pop()).await;
        let place = text_of(&request["reply_to"]);
        assert_eq!(
            publish(&broker, &place, json!({"done": request["payload"]})).await,
            1
        );
        place
    };
    let asking = broker.post("/v1/topics/jobs/request?timeout=20s", r#"{"n":20}"#);
    let (answer, place) = soon(async { tokio::join!(asking, worker) }).await;
    assert_eq!(
        answer.expect(200).json()["payload"],
        json!({"done": {"n": 20}})
    );
    // The caller is gone.
    let body = json!({"topic": place, "message": {}}).to_string();
    let late = broker.post("/publish", body).await.expect(404);
    assert_eq!(late.json()["error"]["code"], "unknown_topic");
    assert!(late.text().ends_with(C));
}

#[tokio::test]
async fn a_request_of_this_dialect_is_answered_by_a_native_worker() {
    let broker = TestBroker::start().await;
    let body = json!({"topic": "jobs", "message": {"n": 1}, "reply_to": "answers"});
    broker.post("/publish", body.to_string()).await.expect(200);
    let request = broker.lease("jobs", "workers", "wait=5s").await.remove(0);
    assert_eq!(request["reply_to"], "answers");
    broker.publish(&text_of(&request["reply_to"]), "21").await;
    assert_eq!(fields(&consume(&broker, "answers").await, "payload"), [21]);
}

#[tokio::test]
async fn nothing_to_reply_to_is_said_in_three_ways() {
    let broker = TestBroker::start().await;
    for body in [
        r#"{"topic":"t","message":{}}"#,
        r#"{"topic":"t","message":{},"reply_to":null}"#,
        r#"{"topic":"t","message":{},"reply_to":""}"#,
    ] {
        broker.post("/publish", body).await.expect(200);
        assert!(consume(&broker, "t").await[0].get("reply_to").is_none());
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once_as_fastapi_does() {
    let broker = TestBroker::start().await;
    let before = broker.tree();
    let refused = broker.post("/publish", r#"{"topic":5}"#).await;
    let expected = json!({"detail": [
        {"type": "string_type", "loc": ["body", "topic"], "msg": "Input should be a valid string", "input": 5},
        {"type": "missing", "loc": ["body", "message"], "msg": "Field required", "input": {"topic": 5}},
    ]});
    assert_eq!(
        (refused.status, refused.json()),
        (422, with_constants(expected))
    );
    let no_json = broker.post("/publish", "{\"topic\":\n x}").await;
    let expected = json!({
        "type": "json_invalid", "loc": ["body", 11], "msg": "JSON decode error", "input": {},
        "ctx": {"error": "expected value at line 2 column 2"},
    });
    assert_eq!(no_json.expect(422).json()["detail"], json!([expected]));

    for (target, body, expected) in [
        ("/publish", "", vec![("missing", json!(["body"]))]),
        ("/publish", "{", vec![("json_invalid", json!(["body", 1]))]),
        (
            "/publish",
            "[1]",
            vec![("model_attributes_type", json!(["body"]))],
        ),
        (
            "/publish",
            r#"{"topic":"a/b","message":[1],"reply_to":{}}"#,
            vec![
                ("value_error", json!(["body", "topic"])),
                ("dict_type", json!(["body", "message"])),
                ("string_type", json!(["body", "reply_to"])),
            ],
        ),
        (
            "/publish",
            r#"{"topic":"t","message":{"a":"\ud800"}}"#,
            vec![("value_error", json!(["body", "message"]))],
        ),
        (
            "/publish",
            r#"{"topic":"\ud800","message":{}}"#,
            vec![("value_error", json!(["body", "topic"]))],
        ),
        (
            "/register",
            r#"{"topics":"t"}"#,
            vec![
                ("missing", json!(["body", "service_name"])),
                ("list_type", json!(["body", "topics"])),
            ],
        ),
        (
            "/register",
            r#"{"service_name":"","topics":["t",7,"..",null]}"#,
            vec![
                ("value_error", json!(["body", "service_name"])),
                ("string_type", json!(["body", "topics", 1])),
                ("value_error", json!(["body", "topics", 2])),
                ("string_type", json!(["body", "topics", 3])),
            ],
        ),
        (
            "/deadletter/publish",
            r#"{"id":1,"reason":[],"attempt_count":"many","timestamp_ms":1.5,"topic":"\u0000"}"#,
            vec![
                ("string_type", json!(["body", "id"])),
                ("string_type", json!(["body", "reason"])),
                ("int_type", json!(["body", "attempt_count"])),
                ("int_type", json!(["body", "timestamp_ms"])),
                ("value_error", json!(["body", "topic"])),
            ],
        ),
    ] {
        let found = problems(&broker.post(target, body).await);
        let expected = expected
            .into_iter()
            .map(|(kind, loc)| (kind.to_owned(), loc));
        assert_eq!(found, expected.collect::<Vec<_>>(), "{body}");
    }
    let not_utf8 = broker.post("/publish", b"{\"\xff".as_slice()).await;
    assert_eq!(problems(&not_utf8)[0].1, json!(["body", 2]));
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn parameters_are_checked_as_well() {
    let broker = TestBroker::start().await;
    for (target, name, kind) in [
        (
            "/consume/t?max_messages=0",
            "max_messages",
            "greater_than_equal",
        ),
        (
            "/consume/t?max_messages=1001",
            "max_messages",
            "less_than_equal",
        ),
        (
            "/consume/t?max_messages=many",
            "max_messages",
            "int_parsing",
        ),
        ("/consume/t?max_messages=", "max_messages", "int_parsing"),
        ("/deadletter/list?limit=-1", "limit", "greater_than_equal"),
        ("/deadletter/list/t?limit=1001", "limit", "less_than_equal"),
    ] {
        let found = problems(&broker.get(target).await);
        assert_eq!(
            found,
            [(kind.to_owned(), json!(["query", name]))],
            "{target}"
        );
    }
    for target in [
        "/consume/a%2Fb",
        "/consume/%ff",
        "/consume/__x",
        "/deadletter/list/%00",
    ] {
        let found = problems(&broker.get(target).await);
        assert_eq!(
            found,
            [("value_error".to_owned(), json!(["path", "topic"]))]
        );
    }
    // As there, what is not known does not matter.
    broker
        .get("/consume/t?max_messages=9&max_messages=2&x=1")
        .await
        .expect(200);
}

#[tokio::test]
async fn refusals_carry_the_constants_too() {
    let broker = TestBroker::with(|settings| settings.broker.max_topics = 1).await;
    publish(&broker, "t", json!({})).await;
    for (method, target) in [
        ("GET", "/publish"),
        ("GET", "/register"),
        ("PUT", "/deadletter/publish"),
        ("POST", "/deadletter/list"),
        ("POST", "/deadletter/list/t"),
        ("POST", "/consume/t"),
    ] {
        let refused = broker.send(Request::new(method, target)).await.expect(405);
        assert_eq!(refused.json()["error"]["code"], "method_not_allowed");
        assert!(refused.text().ends_with(C), "{}", refused.text());
    }
    let body = json!({"service_name": "s", "topics": ["t", "u"]}).to_string();
    let refused = broker.post("/register", body).await.expect(507);
    assert_eq!(refused.json()["error"]["code"], "storage_full");
    // All or nothing.
    assert_eq!(publish(&broker, "t", json!({})).await, 1);
    assert!(consume(&broker, "t.s").await.is_empty());
    let place = json!({"service_name": "s", "topics": ["_reply.x"]}).to_string();
    let refused = broker.post("/register", place).await.expect(400);
    assert_eq!(refused.json()["error"]["code"], "invalid_topic");
    let big = json!({"topic": "t", "message": {"a": "x".repeat(1024 * 1024)}}).to_string();
    let refused = broker.post("/publish", big).await.expect(413);
    assert!(refused.text().ends_with(C), "{}", refused.text());
    broker.core().drain();
    let refused = broker.get("/consume/t").await.expect(503);
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(refused.text().ends_with(C), "{}", refused.text());
}

/// The broker runs on the thread of the test, so it reads what was sent when the client is gone.
#[tokio::test]
async fn a_client_that_is_gone_before_the_answer_loses_nothing() {
    let broker = TestBroker::start().await;
    for number in 0..20 {
        publish(&broker, "t", json!({"n": number})).await;
    }
    let request = Request::new("GET", "/consume/t?max_messages=10").encode();
    for sent in [1, request.len() / 2, request.len() - 1, request.len()] {
        let mut client = TcpStream::connect(broker.address()).unwrap();
        client.write_all(&request[..sent]).unwrap();
        drop(client);
        eventually("the messages' return", async || {
            let group = broker.get("/v1/topics/t/groups/consume").await;
            (group.status == 404 || group.json()["in_flight"] == 0).then_some(())
        })
        .await;
    }
    let all = consume(&broker, "t?max_messages=1000").await;
    let expected: Vec<_> = (0..20).map(|n| json!({"n": n})).collect();
    assert_eq!(fields(&all, "payload"), expected);
}

/// An answer that does not fit into what the kernel holds: the client has its head, and dies.
#[tokio::test]
async fn a_client_that_dies_in_the_middle_of_the_answer_loses_nothing() {
    let broker = TestBroker::with(|settings| {
        settings.broker.max_payload_bytes = 32 << 20;
        settings.body_limits.max_bytes = 33 << 20;
    })
    .await;
    let text = "x".repeat(24 << 20);
    publish(&broker, "t", json!({"text": text})).await;
    let request = Request::new("GET", "/consume/t").encode();
    let mut client = RawConnection::open(broker.address()).await;
    client.send(&request).await;
    client.read_until("\"text\":\"xxx").await;
    assert!(consume(&broker, "t").await.is_empty());
    drop(client);
    let again = eventually("its return", async || consume(&broker, "t").await.pop()).await;
    assert_eq!(again["payload"]["text"].as_str().unwrap().len(), 24 << 20);
    eventually("its end", async || {
        let group = broker.group("t", "consume").await;
        (group["lag_records"] == 0).then_some(())
    })
    .await;
    // It came back without a strike against it.
    assert_eq!(broker.group("t", "consume").await["dead_lettered"], 0);
}

/// The answer is still on its way when the lease would end: nobody else gets the message.
#[tokio::test]
async fn slow_readers_keep_what_they_are_being_sent() {
    let broker = TestBroker::with(|settings| {
        settings.broker.max_payload_bytes = 32 << 20;
        settings.body_limits.max_bytes = 33 << 20;
    })
    .await;
    let settings = json!({"visibility_timeout": "1s"}).to_string();
    broker.put("/v1/topics/t", settings).await.expect(201);
    publish(&broker, "t", json!({"text": "x".repeat(24 << 20)})).await;
    let request = Request::new("GET", "/consume/t").encode();
    let mut client = RawConnection::open(broker.address()).await;
    client.send(&request).await;
    client.read_until("\"text\":\"xxx").await;
    let others = broker.lease("t", "consume", "wait=2500ms").await;
    assert!(others.is_empty(), "{}", others.len());
    client.read_until(C).await;
    let state = broker
        .group_is(("t", "consume"), "its end", |group| {
            group["lag_records"] == 0
        })
        .await;
    assert_eq!(state["redelivered"], 0);
}

/// What a reply topic does when it expires, and others when somebody deletes them.
#[tokio::test]
async fn a_topic_that_goes_away_meanwhile_is_an_empty_one() {
    let broker = TestBroker::start().await;
    let consuming = async {
        loop {
            broker.get("/consume/t").await.expect(200);
        }
    };
    let deleting = async {
        for _ in 0..100 {
            broker.publish("t", "1").await;
            broker.delete("/v1/topics/t").await.expect(204);
        }
    };
    tokio::select! {
        () = consuming => unreachable!("it goes on for ever"),
        () = deleting => {}
    }
}

/// A whole answer that nobody looked at was delivered, all the same: its client had it.
#[tokio::test]
async fn a_client_that_dies_after_the_answer_had_its_message() {
    let broker = TestBroker::start().await;
    publish(&broker, "t", json!({"n": 1})).await;
    let request = Request::new("GET", "/consume/t").encode();
    let mut client = RawConnection::open(broker.address()).await;
    client.send(&request).await;
    client.read_until(C).await;
    drop(client);
    assert!(consume(&broker, "t").await.is_empty());
    let broker = broker.restart().await;
    assert!(consume(&broker, "t").await.is_empty());
}

/// As shell scripts do.
#[tokio::test]
async fn curl_publishes_and_consumes() {
    let setup = broker();
    let running = setup.start().await;
    let script = r#"
        curl -sf "$URL/register" -d '{"service_name":"mail","topics":["orders"]}'; echo
        curl -sf "$URL/publish" -d '{"topic":"orders","message":{"n":1}}'; echo
        curl -sf "$URL/consume/orders.mail" | jq -c '.messages[0].payload'
        curl -sf "$URL/consume/orders?max_messages=5" | jq -c '[.messages[].payload]'
        curl -s -o /dev/null -w '%{http_code}\n' "$URL/publish" -d 'topic=orders'
    "#;
    let printed = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .env("URL", running.url())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&printed.stderr);
    assert!(printed.status.success(), "{errors}");
    let expected = format!(
        "{{\"status\":\"ok\",\"registered_topics\":[\"orders\"],{C}\n\
         {{\"status\":\"ok\",\"delivered_to\":1,{C}\n{{\"n\":1}}\n[{{\"n\":1}}]\n422\n"
    );
    assert_eq!(String::from_utf8_lossy(&printed.stdout), expected);
}

#[tokio::test]
async fn slow_clients_with_requests_work_unmodified() {
    let running = broker().start().await;
    let printed = Python::new().run("publish_consume.py", &[&running.url()]);
    assert_eq!(printed, "every exchange as expected\n");
}
