//! Publishing over HTTP: what is accepted, where it goes, and that refusals leave nothing.

use crate::support::{Request, TestBroker, fields, messages_of, text_of};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
async fn every_kind_of_json_value_comes_back_as_it_was_sent() {
    let broker = TestBroker::start().await;
    let values = [
        "null",
        "true",
        "-0.5e-3",
        "\"\"",
        "\"grüße \\u0000 \\\"\"",
        "[]",
        "[1,[2]]",
        "{}",
        "{ \"a\" : 1, \"a\":2}",
        "18446744073709551615",
    ];
    for (offset, value) in values.iter().enumerate() {
        let published = broker.publish("kinds", value).await;
        assert_eq!(published["topic"], "kinds");
        assert_eq!(published["partition"], 0);
        assert_eq!(published["offset"], json!(offset));
        assert!(text_of(&published["id"]).len() >= 16, "{published}");
        assert!(published["timestamp"].as_u64().unwrap() > 1_600_000_000_000);
    }
    let stored = broker
        .get("/v1/topics/kinds/messages")
        .await
        .expect(200)
        .text();
    for value in values {
        assert!(
            stored.contains(&format!("\"payload\":{value},\"crc\"")),
            "{value} is not in {stored}"
        );
    }
}

#[tokio::test]
async fn white_space_around_is_cut_and_line_breaks_within_become_spaces() {
    let broker = TestBroker::start().await;
    broker.publish("lines", "\r\n {\"a\":\r\n[1,\n2]} \n").await;
    let stored = broker
        .get("/v1/topics/lines/messages")
        .await
        .expect(200)
        .text();
    assert!(stored.contains("\"payload\":{\"a\":  [1, 2]},"), "{stored}");
}

#[tokio::test]
async fn key_id_headers_and_reply_to_travel_with_the_message() {
    let broker = TestBroker::start().await;
    let target =
        "/v1/topics/orders/messages?key=node%2F1+x&id=order-7&reply_to=answers&partition=0";
    let request = Request::new("POST", target)
        .header("Weir-Header-Trace", "00-ab")
        .header("weir-header-lang", "grüß")
        .body("1");
    let published = broker.send(request).await.expect(201).json();
    assert_eq!(published["id"], "order-7");
    let message = messages_of(&broker.fetch("orders", "from=earliest").await).remove(0);
    assert_eq!(message["id"], "order-7");
    assert_eq!(message["key"], "node/1 x");
    assert_eq!(message["reply_to"], "answers");
    assert_eq!(
        message["headers"],
        json!({"trace": "00-ab", "lang": "grüß"})
    );
    assert_eq!(message["timestamp"], published["timestamp"]);
}

#[tokio::test]
async fn a_ttl_becomes_the_time_until_which_a_message_is_of_use() {
    let broker = TestBroker::start().await;
    let target = "/v1/topics/t/messages?ttl=30s";
    let published = broker.post(target, "1").await.expect(201).json();
    let batch = Request::new("POST", "/v1/topics/t/messages")
        .header("content-type", "application/x-ndjson");
    let lines = "{\"payload\":2,\"ttl\":\"1h\"}\n{\"payload\":3}";
    broker.send(batch.body(lines)).await.expect(201);
    let messages = messages_of(&broker.fetch("t", "from=earliest").await);
    let left = |at: usize| {
        let message = &messages[at];
        message["expires_at"].as_u64().unwrap() - message["timestamp"].as_u64().unwrap()
    };
    assert_eq!(messages[0]["timestamp"], published["timestamp"]);
    assert!((29_000..=30_000).contains(&left(0)), "{}", messages[0]);
    assert!(
        (3_599_000..=3_600_000).contains(&left(1)),
        "{}",
        messages[1]
    );
    assert_eq!(messages[2].get("expires_at"), None);
}

#[tokio::test]
async fn optional_fields_are_absent_unless_set() {
    let broker = TestBroker::start().await;
    broker.publish("bare", "1").await;
    let message = messages_of(&broker.fetch("bare", "").await).remove(0);
    let names: BTreeSet<_> = message
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "topic",
        "partition",
        "offset",
        "timestamp",
        "id",
        "payload",
        "crc",
    ];
    assert_eq!(names, BTreeSet::from(expected));
}

#[tokio::test]
async fn a_key_keeps_its_partition_and_an_explicit_one_goes_before_it() {
    let broker = TestBroker::start().await;
    broker
        .put("/v1/topics/spread", r#"{"partitions":8}"#)
        .await
        .expect(201);
    let mut used = BTreeSet::new();
    for key in 0..20 {
        let target = format!("/v1/topics/spread/messages?key=k{key}");
        let first = broker.post(&target, "1").await.expect(201).json()["partition"].clone();
        let again = broker.post(&target, "2").await.expect(201).json()["partition"].clone();
        assert_eq!(first, again);
        used.insert(first.as_u64().unwrap());
    }
    assert!(used.len() > 3, "{used:?}");
    let explicit = broker
        .post("/v1/topics/spread/messages?key=k1&partition=5", "1")
        .await;
    assert_eq!(explicit.expect(201).json()["partition"], 5);
}

#[tokio::test]
async fn a_key_has_the_same_partition_after_a_restart() {
    let broker = TestBroker::start().await;
    broker
        .put("/v1/topics/spread", r#"{"partitions":16}"#)
        .await
        .expect(201);
    let lines: String = (0..40)
        .map(|key| format!("{{\"payload\":{key},\"key\":\"k{key}\"}}\n"))
        .collect();
    broker.publish_lines("spread", &lines).await.expect(201);
    let broker = broker.restart().await;
    broker.publish_lines("spread", &lines).await.expect(201);
    let all = messages_of(&broker.fetch("spread", "limit=100").await);
    let places: BTreeSet<(String, u64)> = all
        .iter()
        .map(|message| {
            (
                text_of(&message["key"]),
                message["partition"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(all.len(), 80);
    assert_eq!(places.len(), 40);
}

#[tokio::test]
async fn an_id_without_a_key_chooses_the_partition() {
    let broker = TestBroker::start().await;
    let partitions = r#"{"partitions":8}"#;
    broker.put("/v1/topics/t", partitions).await.expect(201);
    for n in 0..10 {
        let by_id = format!("/v1/topics/t/messages?id=x{n}");
        let by_key = format!("/v1/topics/t/messages?key=x{n}");
        let by_id = broker.post(&by_id, "1").await.expect(201).json();
        let by_key = broker.post(&by_key, "1").await.expect(201).json();
        assert_eq!(by_id["partition"], by_key["partition"]);
    }
}

#[tokio::test]
async fn messages_without_key_and_id_are_spread_evenly() {
    let broker = TestBroker::start().await;
    broker
        .put("/v1/topics/even", r#"{"partitions":4}"#)
        .await
        .expect(201);
    for _ in 0..8 {
        broker.publish("even", "1").await;
    }
    let topic = broker.get("/v1/topics/even").await.expect(200).json();
    let ends = fields(topic["partitions"].as_array().unwrap(), "high_watermark");
    assert_eq!(ends, vec![json!(2); 4]);
}

#[tokio::test]
async fn a_batch_goes_to_one_topic_with_contiguous_offsets_in_each_partition() {
    let broker = TestBroker::start().await;
    broker
        .put("/v1/topics/batch", r#"{"partitions":3}"#)
        .await
        .expect(201);
    let lines: String = (0..30)
        .map(|n| format!("{{\"payload\":{n},\"key\":\"k{n}\"}}\r\n\n"))
        .collect();
    for round in 0..2 {
        let answer = broker
            .publish_lines("batch", &lines)
            .await
            .expect(201)
            .json();
        assert_eq!(answer["count"], 30);
        let parts = answer["partitions"].as_array().unwrap();
        for part in parts {
            let number = |name: &str| part[name].as_u64().unwrap();
            assert_eq!(part["topic"], "batch");
            assert_eq!(number("first_offset"), round * number("count"));
            assert_eq!(number("last_offset") + 1, (round + 1) * number("count"));
        }
        assert_eq!(
            parts
                .iter()
                .map(|part| part["count"].as_u64().unwrap())
                .sum::<u64>(),
            30
        );
    }
    for partition in 0..3 {
        let read = messages_of(
            &broker
                .fetch("batch", &format!("partition={partition}"))
                .await,
        );
        let offsets = fields(&read, "offset");
        assert_eq!(
            offsets,
            (0..read.len()).map(|n| json!(n)).collect::<Vec<_>>()
        );
        let half: Vec<_> = fields(&read, "payload");
        let sent: Vec<u64> = half
            .iter()
            .map(|payload| payload.as_u64().unwrap())
            .collect();
        let (first, second) = sent.split_at(sent.len() / 2);
        assert_eq!(first, second);
        assert!(
            first.is_sorted(),
            "the order of the batch is kept: {first:?}"
        );
    }
}

#[tokio::test]
async fn a_batch_over_several_topics_says_where_everything_went() {
    let broker = TestBroker::start().await;
    let lines = "{\"topic\":\"a\",\"payload\":1}\n{\"topic\":\"b\",\"payload\":2,\"id\":\"i\"}\n{\"topic\":\"a\",\"payload\":3}";
    let answer = broker.post("/v1/messages", lines).await.expect(201).json();
    assert_eq!(
        answer,
        json!({"count": 3, "duplicates": 0, "partitions": [
            {"topic": "a", "partition": 0, "first_offset": 0, "last_offset": 1, "count": 2},
            {"topic": "b", "partition": 0, "first_offset": 0, "last_offset": 0, "count": 1},
        ]})
    );
    let read = messages_of(&broker.fetch("a", "").await);
    assert_eq!(fields(&read, "payload"), [json!(1), json!(3)]);
}

#[tokio::test]
async fn one_bad_line_is_named_and_nothing_is_stored() {
    let broker = TestBroker::start().await;
    broker.put("/v1/topics/there", "").await.expect(201);
    let before = broker.tree();
    let good = r#"{"payload":1}"#;
    for (bad, code, part) in [
        (r#"{"payload":"#, "invalid_json", "line 3: "),
        (r#"{"payload":1e999}"#, "invalid_json", "line 3: "),
        (
            r#"{"paylod":1}"#,
            "invalid_json",
            "line 3: unknown field `paylod`",
        ),
        (
            r#"{"key":"k"}"#,
            "invalid_json",
            "line 3: missing field `payload`",
        ),
        (
            r#"{"payload":1,"key":""}"#,
            "invalid_json",
            "line 3: a key must not be empty",
        ),
        (
            r#"{"payload":1,"topic":"x"}"#,
            "invalid_json",
            "line 3: unknown field `topic`",
        ),
        (r#"{"payload":1} {}"#, "invalid_json", "line 3: "),
        ("[1]", "invalid_json", "line 3: "),
        ("17", "invalid_json", "line 3: "),
        (
            r#"{"payload":1,"partition":-1}"#,
            "invalid_json",
            "line 3: ",
        ),
    ] {
        let lines = format!("{good}\n\n{bad}\n{good}");
        broker
            .publish_lines("there", &lines)
            .await
            .refused(400, code, part);
        broker
            .publish_lines("new", &lines)
            .await
            .refused(400, code, part);
    }
    let elsewhere = format!("{good}\n{{\"payload\":1,\"partition\":1}}");
    for topic in ["there", "new"] {
        let refused = broker.publish_lines(topic, &elsewhere).await;
        refused.refused(404, "unknown_partition", "line 2: the topic");
    }
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn one_bad_line_of_a_batch_over_several_topics_creates_no_topic() {
    let broker = TestBroker::with(|settings| settings.broker.max_topics = 2).await;
    broker.publish("one", "1").await;
    let before = broker.tree();
    let good = "{\"topic\":\"two\",\"payload\":1}\n";
    for (bad, status, code, part) in [
        (
            r#"{"payload":1}"#,
            400,
            "invalid_json",
            "line 2: missing field `topic`",
        ),
        (
            r#"{"topic":"../x","payload":1}"#,
            400,
            "invalid_json",
            "line 2: the topic name contains '/'",
        ),
        (
            r#"{"topic":"x","payload":1,"partition":3}"#,
            404,
            "unknown_partition",
            "line 2: ",
        ),
        (
            r#"{"topic":"three","payload":1}"#,
            507,
            "storage_full",
            "line 2: there are 2 topics",
        ),
    ] {
        let refused = broker.post("/v1/messages", format!("{good}{bad}")).await;
        refused.refused(status, code, part);
    }
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn the_content_type_matters_only_where_it_says_ndjson() {
    let broker = TestBroker::start().await;
    for content_type in [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "a/b; c=d",
    ] {
        let request =
            Request::new("POST", "/v1/topics/types/messages").header("content-type", content_type);
        broker.send(request.body("[1]")).await.expect(201);
    }
    for content_type in [
        "application/x-ndjson",
        "Application/X-NDJSON",
        "application/x-ndjson; charset=utf-8",
    ] {
        let request =
            Request::new("POST", "/v1/topics/types/messages").header("content-type", content_type);
        let answer = broker
            .send(request.body("{\"payload\":1}\n{\"payload\":2}\n"))
            .await;
        assert_eq!(answer.expect(201).json()["count"], 2);
    }
}

#[tokio::test]
async fn bodies_may_come_in_chunks() {
    let broker = TestBroker::start().await;
    let payload = json!({"text": "x".repeat(1000)}).to_string();
    let request = Request::new("POST", "/v1/topics/chunks/messages")
        .body(payload.clone())
        .chunked();
    broker.send(request).await.expect(201);
    let batch = "{\"payload\":1}\n".repeat(100);
    let request = Request::new("POST", "/v1/topics/chunks/messages")
        .header("content-type", "application/x-ndjson")
        .body(batch)
        .chunked();
    assert_eq!(broker.send(request).await.expect(201).json()["count"], 100);
    let read = messages_of(&broker.fetch("chunks", "limit=1").await);
    assert_eq!(
        read[0]["payload"],
        serde_json::from_str::<Value>(&payload).unwrap()
    );
}

#[tokio::test]
async fn the_file_holds_one_line_for_each_message() {
    let broker = TestBroker::start().await;
    let published = broker.publish("plain", r#"{"a":1}"#).await;
    let file = broker
        .data_dir()
        .join("plain/partition-0/00000000000000000000.log");
    let stored = std::fs::read_to_string(file).unwrap();
    let (timestamp, id) = (&published["timestamp"], &published["id"]);
    let start = format!(
        "{{\"offset\":0,\"timestamp\":{timestamp},\"id\":{id},\"payload\":{{\"a\":1}},\"crc\":\""
    );
    assert!(
        stored.starts_with(&start) && stored.ends_with("\"}\n"),
        "{stored}"
    );
    assert_eq!(stored.len(), start.len() + 8 + 3);
}
