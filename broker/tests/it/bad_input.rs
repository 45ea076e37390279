//! Bad input: each gets a clear refusal, and the data directory stays as it was.

use crate::support::{Request, TestBroker};
use serde_json::json;
use std::time::Duration;

async fn with_topic() -> TestBroker {
    let broker = TestBroker::start().await;
    broker.publish("t", "1").await;
    broker.put("/v1/topics/t/groups/g", "").await.expect(201);
    broker
}

#[tokio::test]
async fn payloads_that_some_parser_would_refuse() {
    let broker = with_topic().await;
    let before = broker.tree();
    let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat().into_bytes();
    let cases: [(&[u8], &str); 12] = [
        (b"{\"a\":", "not valid JSON: EOF"),
        (
            b"{\"a\":1,}",
            "not valid JSON: trailing comma at line 1 column 8",
        ),
        (b"hello", "not valid JSON"),
        (b"NaN", "not valid JSON"),
        (b"\"a\xffb\"", "not UTF-8: invalid byte at position 2"),
        (b"\"\\ud800\"", "not valid JSON"),
        (b"\"\\udc00\\ud800\"", "not valid JSON"),
        (b"1e999", "not valid JSON: number out of range"),
        (b"{} {}", "not valid JSON: trailing characters"),
        (b"1\n2", "not valid JSON: trailing characters"),
        (b"", "the payload is empty; send one JSON value"),
        (b" \r\n\t", "the payload is empty; send one JSON value"),
    ];
    for (body, part) in cases {
        for topic in ["t", "new"] {
            let refused = broker
                .post(&format!("/v1/topics/{topic}/messages"), body)
                .await;
            refused.refused(400, "invalid_json", part);
        }
    }
    let deep = broker.post("/v1/topics/new/messages", nested(129)).await;
    deep.refused(400, "invalid_json", "nested deeper than 128 levels");
    let absurd = broker
        .post("/v1/topics/new/messages", nested(100_000))
        .await;
    absurd.refused(400, "invalid_json", "nested deeper than 128 levels");
    assert_eq!(broker.tree(), before);
    broker
        .post("/v1/topics/t/messages", nested(128))
        .await
        .expect(201);
}

#[tokio::test]
async fn a_payload_of_one_mebibyte_and_one_byte() {
    let broker = with_topic().await;
    let before = broker.tree();
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let too_large = text((1 << 20) + 1);
    let refused = broker
        .post("/v1/topics/new/messages", too_large.clone())
        .await;
    refused.refused(413, "too_large", "exceeds 1048576 bytes");
    let request = Request::new("POST", "/v1/topics/new/messages")
        .body(too_large.clone())
        .chunked();
    broker
        .send(request)
        .await
        .refused(413, "too_large", "exceeds 1048576 bytes");
    let line = format!("{{\"payload\":1}}\n{{\"payload\":{too_large}}}");
    let refused = broker.publish_lines("new", &line).await;
    refused.refused(
        413,
        "too_large",
        "line 2: the payload has 1048577 bytes; at most 1048576",
    );
    let minimq = format!("{{\"topic\":\"new\",\"message\":{too_large}}}");
    broker.post("/produce", minimq).await.refused(
        413,
        "too_large",
        "the message exceeds 1048576 bytes",
    );
    assert_eq!(broker.tree(), before);
    broker.publish("t", &text(1 << 20)).await;
}

#[tokio::test]
async fn topic_names_that_break_the_rules() {
    let broker = with_topic().await;
    let before = broker.tree();
    let long = "x".repeat(201);
    for (name, part) in [
        ("%2e%2e%2fx", "contains '/' at character 2"),
        ("a%2Fb", "contains '/' at character 1"),
        ("a%00b", "contains '\\0' at character 1"),
        ("a%5Cb", "contains '\\\\'"),
        ("a%20b", "contains ' '"),
        ("gr%C3%BCn", "contains 'ü'"),
        ("%ff", "not percent-encoded UTF-8"),
        (".", "cannot be named"),
        ("..", "cannot be named"),
        ("%2e", "cannot be named"),
        ("__x", "beginning with \"__\""),
        (&long, "has 201 characters; at most 200"),
    ] {
        let topic = format!("/v1/topics/{name}");
        let messages = format!("{topic}/messages");
        broker
            .post(&messages, "1")
            .await
            .refused(400, "invalid_topic", part);
        broker
            .publish_lines(name, "{\"payload\":1}")
            .await
            .refused(400, "invalid_topic", part);
        broker
            .put(&topic, "")
            .await
            .refused(400, "invalid_topic", part);
        broker
            .post(&format!("{topic}/groups/g/lease"), "")
            .await
            .refused(400, "invalid_topic", part);
        broker
            .put(&format!("{topic}/groups/g"), "")
            .await
            .refused(400, "invalid_topic", part);
        if name != long {
            broker
                .get(&messages)
                .await
                .refused(400, "invalid_topic", part);
            broker
                .delete(&topic)
                .await
                .refused(400, "invalid_topic", part);
        }
    }
    for target in [
        "/v1/topics/../x/messages",
        "/v1/topics/../../etc/messages",
        "/v1/topics//messages",
    ] {
        broker
            .post(target, "1")
            .await
            .refused(404, "not_found", "no such address");
    }
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn parameters_that_are_unknown_doubled_or_out_of_range() {
    let broker = with_topic().await;
    let before = broker.tree();
    for (query, part) in [
        (
            "limit=-1",
            "limit is \"-1\": allowed is a whole number from 1 to 10000",
        ),
        (
            "limit=0",
            "limit is \"0\": allowed is a whole number from 1",
        ),
        ("limit=10001", "limit is \"10001\""),
        ("limit=", "limit is \"\""),
        ("max_bytes=0", "max_bytes is \"0\""),
        ("wait=2h", "wait is \"2h\": allowed is at most 60s"),
        ("wait=5", "wait is \"5\": allowed is a number with a unit"),
        ("from=oldest", "from is \"oldest\": allowed are"),
        (
            "partition=-1",
            "partition is \"-1\": allowed is a whole number from 0",
        ),
        (
            "partition=x",
            "partition is \"x\": allowed is a whole number from 0",
        ),
        (
            "limt=5",
            "unknown parameter limt; this address takes: partition, from, limit, max_bytes, wait",
        ),
        ("limit=5&limit=6", "limit is given twice"),
        ("from=%ff", "not percent-encoded UTF-8"),
    ] {
        let refused = broker.get(&format!("/v1/topics/t/messages?{query}")).await;
        refused.refused(400, "invalid_argument", part);
    }
    for (query, part) in [
        ("max=0", "max is \"0\""),
        ("wait=61s", "at most 60s"),
        (
            "visibility_timeout=13h",
            "visibility_timeout is \"13h\": allowed is at most 12h",
        ),
        (
            "visibility_timeout=0s",
            "visibility_timeout is \"0s\": allowed is at least 1ms",
        ),
        ("visibility_timeout=-1s", "a number with a unit"),
        (
            "limit=1",
            "unknown parameter limit; this address takes: max,",
        ),
    ] {
        let refused = broker
            .post(&format!("/v1/topics/new/groups/g/lease?{query}"), "")
            .await;
        refused.refused(400, "invalid_argument", part);
    }
    let key = "k".repeat(257);
    for (query, part) in [
        ("key=", "a key must not be empty"),
        (&format!("key={key}"), "a key has 257 bytes; at most 256"),
        ("key=a%0Ab", "control character U+000A"),
        ("key=%ff", "not percent-encoded UTF-8"),
        (&format!("id={}", &key[..129]), "129 bytes; at most 128"),
        ("reply_to=..", "reply_to is \"..\""),
        ("tll=5s", "unknown parameter tll"),
        ("ttl=5", "ttl is \"5\": \"5\" is no duration"),
        (
            "ttl=0s",
            "ttl is \"0s\": allowed is a ttl from 1ms to 10years",
        ),
        ("delay=11years", "allowed is a delay up to 10years"),
        ("deliver_at=noon", "write one such as 2026-01-31T12:00:00Z"),
        (
            "deliver_at=9999-01-01T00:00:00Z",
            "deliver_at is 9999-01-01T00:00:00.000Z; allowed are times up to 10 years ahead",
        ),
        ("delay=1s&deliver_at=1", "exclude each other"),
        ("partition=one", "partition is \"one\""),
    ] {
        let refused = broker
            .post(&format!("/v1/topics/new/messages?{query}"), "1")
            .await;
        refused.refused(400, "invalid_argument", part);
    }
    let batch = Request::new("POST", "/v1/topics/new/messages?key=k")
        .header("content-type", "application/x-ndjson");
    let refused = broker.send(batch.body("{\"payload\":1}")).await;
    refused.refused(400, "invalid_argument", "unknown parameter key");
    let late = "{\"payload\":1}\n{\"payload\":2,\"deliver_at\":\"9999-01-01T00:00:00Z\"}";
    let batch = Request::new("POST", "/v1/topics/new/messages")
        .header("content-type", "application/x-ndjson");
    let refused = broker.send(batch.body(late)).await;
    refused.refused(400, "invalid_argument", "line 2: deliver_at is 9999");
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn partitions_that_are_not_there() {
    let broker = with_topic().await;
    let before = broker.tree();
    let existing = broker.post("/v1/topics/t/messages?partition=1", "1").await;
    existing.refused(
        404,
        "unknown_partition",
        "the topic t has no partition 1; it has 1, counted from 0",
    );
    let new = broker
        .post("/v1/topics/new/messages?partition=1", "1")
        .await;
    new.refused(404, "unknown_partition", "the topic new has no partition 1");
    let huge = broker
        .post("/v1/topics/new/messages?partition=4294967295", "1")
        .await;
    huge.refused(404, "unknown_partition", "has no partition 4294967295");
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn headers_that_do_not_fit() {
    let broker = with_topic().await;
    let before = broker.tree();
    let publish = || Request::new("POST", "/v1/topics/new/messages").body("1");
    let large = publish().header("Weir-Header-A", &"x".repeat(4096));
    broker
        .send(large)
        .await
        .refused(400, "invalid_argument", "at most 4096 are allowed");
    let twice = publish()
        .header("Weir-Header-A", "1")
        .header("weir-header-a", "2");
    broker
        .send(twice)
        .await
        .refused(400, "invalid_argument", "the header a is given twice");
    let nameless = publish().header("Weir-Header-", "1");
    broker
        .send(nameless)
        .await
        .refused(400, "invalid_argument", "a header name must not be empty");
    let mut raw = b"POST /v1/topics/new/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\nweir-header-a: \xff\r\n\r\n1".to_vec();
    broker
        .raw(&raw)
        .await
        .refused(400, "invalid_argument", "the header a is not UTF-8");
    raw.clear();
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn receipts_and_bodies_of_acks() {
    let broker = with_topic().await;
    let leased = broker.lease("t", "g", "").await;
    let before = broker.tree();
    let many = json!({"receipts": vec!["x"; 10_001]}).to_string();
    for (verb, body, code, part) in [
        ("ack", "", "invalid_json", "must be a JSON object"),
        ("ack", "[[\"x\"]]", "invalid_json", "must be a JSON object"),
        ("ack", "{}", "invalid_argument", "missing field `receipts`"),
        (
            "ack",
            r#"{"receipts":"x"}"#,
            "invalid_argument",
            "invalid type: string",
        ),
        (
            "ack",
            r#"{"receipts":[1]}"#,
            "invalid_argument",
            "invalid type: integer",
        ),
        (
            "ack",
            r#"{"receipts":[]}"#,
            "invalid_argument",
            "0 receipts; allowed are 1 to 10000",
        ),
        (
            "ack",
            r#"{"receipts":["x"],"delay":"5s"}"#,
            "invalid_argument",
            "unknown field `delay`",
        ),
        ("ack", &many, "invalid_argument", "10001 receipts"),
        (
            "nack",
            r#"{"receipts":["x"],"delay":5}"#,
            "invalid_argument",
            "invalid type: integer",
        ),
        (
            "nack",
            r#"{"receipts":["x"],"delay":"13h"}"#,
            "invalid_argument",
            "delay is 13h; allowed is at most 12h",
        ),
        (
            "extend",
            r#"{"receipts":["x"],"visibility_timeout":"soon"}"#,
            "invalid_argument",
            "is no duration",
        ),
        (
            "extend",
            r#"{"receipts":["x"],"visibility_timeout":"0s"}"#,
            "invalid_argument",
            "visibility_timeout is 0s; allowed is at least 1ms",
        ),
    ] {
        let refused = broker
            .post(&format!("/v1/topics/t/groups/g/{verb}"), body)
            .await;
        refused.refused(400, code, part);
    }
    let reason =
        json!({"receipts": [leased[0]["receipt"]], "reason": "x".repeat(1025)}).to_string();
    let refused = broker.post("/v1/topics/t/groups/g/nack", reason).await;
    refused.refused(
        400,
        "invalid_argument",
        "reason has 1025 bytes; at most 1024",
    );
    let start = broker
        .put("/v1/topics/t/groups/h", r#"{"start":"middle"}"#)
        .await;
    start.refused(400, "invalid_argument", "unknown variant `middle`");
    let unknown = broker
        .put("/v1/topics/t/groups/h", r#"{"begin":"latest"}"#)
        .await;
    unknown.refused(400, "invalid_argument", "unknown field `begin`");
    assert_eq!(
        broker
            .settle("t", "g", "ack", json!({"receipts": ["AQ", "", "é"]}))
            .await,
        ["unknown"; 3]
    );
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn batches_that_are_empty_or_too_long() {
    let broker = with_topic().await;
    let before = broker.tree();
    broker
        .publish_lines("new", "")
        .await
        .refused(400, "invalid_json", "the batch is empty");
    broker
        .publish_lines("new", "\n \n")
        .await
        .refused(400, "invalid_json", "the batch is empty");
    let lines = "{\"payload\":1}\n".repeat(10_001);
    broker
        .publish_lines("new", &lines)
        .await
        .refused(413, "too_large", "more than 10000 lines");
    let bytes = format!("{{\"payload\":\"{}\"}}\n", "x".repeat(1000)).repeat(17_000);
    broker
        .publish_lines("new", &bytes)
        .await
        .refused(413, "too_large", "exceeds 16777216 bytes");
    let invalid = [b"{\"payload\":1}\n".as_slice(), b"{\"payload\":\"\xff\"}"].concat();
    let refused = broker.post("/v1/messages", invalid).await;
    refused.refused(400, "invalid_json", "line 1: missing field `topic`");
    assert_eq!(broker.tree(), before);
    assert_eq!(
        broker
            .publish_lines("t", &lines[14..])
            .await
            .expect(201)
            .json()["count"],
        10_000
    );
}

#[tokio::test]
async fn several_messages_without_saying_so_get_a_hint() {
    let broker = with_topic().await;
    let refused = broker
        .post("/v1/topics/t/messages", "{\"a\":1}\n{\"a\":2}\n")
        .await;
    refused.refused(400, "invalid_json", "application/x-ndjson");
}

#[tokio::test]
async fn addresses_and_methods_that_do_not_exist() {
    let broker = with_topic().await;
    let before = broker.tree();
    for target in [
        "/nope",
        "/v1",
        "/v1/topics/t/nope",
        "/v1/topics/t/groups/g/nope",
        "/v2/topics",
        "/v1/topics/t/messages/1",
    ] {
        broker
            .get(target)
            .await
            .refused(404, "not_found", "no such address");
        broker
            .post(target, "1")
            .await
            .refused(404, "not_found", "no such address");
    }
    for (method, target) in [
        ("DELETE", "/v1/topics/t/messages"),
        ("PATCH", "/v1/topics/t"),
        ("POST", "/v1/topics"),
        ("GET", "/v1/messages"),
        ("GET", "/v1/topics/t/groups/g/lease"),
        ("GET", "/v1/topics/t/groups/g/ack"),
        ("POST", "/v1/topics/t/groups/g"),
        ("POST", "/v1/topics/t/stream"),
        ("GET", "/v1/topics/t/purge"),
        ("POST", "/health"),
        ("DELETE", "/metrics"),
        ("POST", "/"),
    ] {
        let refused = broker.send(Request::new(method, target)).await;
        refused.refused(405, "method_not_allowed", "does not take this method");
    }
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn what_is_not_http() {
    let broker = with_topic().await;
    let before = broker.tree();
    let connect = broker
        .raw(b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org:443\r\n\r\n")
        .await;
    connect.refused(405, "method_not_allowed", "CONNECT is not offered");
    broker
        .raw(b"GET / HTTP/9.9\r\n\r\n")
        .await
        .refused(400, "bad_request", "not valid HTTP");
    broker
        .raw(b"GET /a b HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .refused(400, "bad_request", "not valid HTTP");
    let nul = broker
        .raw(b"POST /v1/topics/a\0b/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n1")
        .await;
    nul.refused(400, "bad_request", "not valid HTTP");
    let endless = ["GET / HTTP/1.1\r\nx: ".to_owned(), "x".repeat(300_000)].concat();
    broker
        .raw(endless.as_bytes())
        .await
        .refused(431, "headers_too_large", "exceed the limit");
    let length = broker
        .raw(b"POST /produce HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n")
        .await;
    length.refused(400, "bad_request", "not valid HTTP");
    let chunk = b"POST /v1/topics/new/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n1\r\n0\r\n\r\n";
    let framing = broker.raw(chunk).await;
    framing.refused(400, "bad_request", "the request body ended early");
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn headers_that_never_end_are_not_waited_for() {
    let broker = TestBroker::with(|settings| {
        settings.http_limits.header_read_timeout = Duration::from_millis(50);
    })
    .await;
    let slow = broker
        .raw(b"POST /v1/topics/new/messages HTTP/1.1\r\nhost: x\r\nx-one: ")
        .await;
    slow.refused(408, "request_timeout", "headers did not arrive in time");
}

#[tokio::test]
async fn a_refusal_does_not_spoil_the_next_request_on_its_connection() {
    let broker = with_topic().await;
    let mut wire = Vec::new();
    for target in [
        "/v1/topics/__x/messages",
        "/v1/topics/t/messages?nope=1",
        "/nope",
    ] {
        let head = format!("POST {target} HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\n");
        wire.extend_from_slice(head.as_bytes());
        wire.extend_from_slice(b"GET /x\r\n\r\n1");
    }
    wire.extend(Request::new("GET", "/health").encode());
    let answers = broker.raw_to_end(&wire).await;
    let statuses: Vec<_> = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    assert_eq!(statuses, ["400", "400", "404", "200"], "{answers}");
}
