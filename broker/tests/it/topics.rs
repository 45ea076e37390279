//! Topics over HTTP: created, listed, altered, purged, deleted, trimmed.

use crate::support::{TestBroker, fields, messages_of};
use serde_json::{Value, json};
use weir_broker::broker::CreateTopics;

#[tokio::test]
async fn a_topic_shows_what_was_chosen_and_what_it_holds() {
    let broker = TestBroker::start().await;
    let settings = r#"{"partitions":3,"retention_age":"2h","retention_bytes":"1GiB","segment_bytes":1048576,"durability":"os"}"#;
    let created = broker
        .put("/v1/topics/t", settings)
        .await
        .expect(201)
        .json();
    assert_eq!(created["topic"], "t");
    assert_eq!(
        created["settings"],
        json!({"partitions": 3, "retention_age": "2h", "retention_bytes": 1 << 30, "segment_bytes": 1_048_576,
               "segment_age": "1day", "durability": "os", "visibility_timeout": "30s",
               "max_deliveries": 16, "retry_backoff": [], "dedupe_window": "2m"})
    );
    assert_eq!(
        (&created["records"], &created["bytes"], &created["groups"]),
        (&json!(0), &json!(0), &json!([]))
    );
    assert_eq!(
        fields(created["partitions"].as_array().unwrap(), "partition"),
        [json!(0), json!(1), json!(2)]
    );
    broker.publish("t", "1").await;
    broker.lease("t", "g", "").await;
    let shown = broker.get("/v1/topics/t").await.expect(200).json();
    assert_eq!(
        (&shown["records"], &shown["groups"]),
        (&json!(1), &json!(["g"]))
    );
    assert!(shown["bytes"].as_u64().unwrap() > 50);
}

#[tokio::test]
async fn topics_are_listed_by_name() {
    let broker = TestBroker::start().await;
    assert_eq!(
        broker.get("/v1/topics").await.expect(200).json(),
        json!({"topics": []})
    );
    for topic in ["b", "a.c", "a"] {
        broker.publish(topic, "1").await;
    }
    let listed = broker.get("/v1/topics").await.expect(200).json();
    assert_eq!(
        fields(listed["topics"].as_array().unwrap(), "topic"),
        [json!("a"), json!("a.c"), json!("b")]
    );
}

#[tokio::test]
async fn altering_changes_only_what_is_named_and_survives_a_restart() {
    let broker = TestBroker::start().await;
    broker
        .put("/v1/topics/t", r#"{"partitions":2,"retention_age":"2h"}"#)
        .await
        .expect(201);
    let altered = broker
        .put("/v1/topics/t", r#"{"visibility_timeout":"5s"}"#)
        .await
        .expect(200)
        .json();
    assert_eq!(altered["settings"]["visibility_timeout"], "5s");
    assert_eq!(altered["settings"]["retention_age"], "2h");
    broker.put("/v1/topics/t", "").await.expect(200);
    broker
        .put("/v1/topics/t", r#"{"partitions":2}"#)
        .await
        .expect(200);
    broker.publish("t", "1").await;
    let broker = broker.restart().await;
    let shown = broker.get("/v1/topics/t").await.expect(200).json();
    assert_eq!(shown["settings"], altered["settings"]);
    assert_eq!(shown["incarnation"], altered["incarnation"]);
    assert_eq!(shown["records"], 1);
}

#[tokio::test]
async fn the_number_of_partitions_is_fixed() {
    let broker = TestBroker::start().await;
    broker
        .put("/v1/topics/t", r#"{"partitions":2}"#)
        .await
        .expect(201);
    let before = broker.tree();
    let refused = broker
        .put("/v1/topics/t", r#"{"partitions":3,"retention_age":"1h"}"#)
        .await;
    refused.refused(
        409,
        "conflict",
        "the topic t has 2 partitions, which is fixed",
    );
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_and_create_nothing() {
    let broker = TestBroker::start().await;
    broker.put("/v1/topics/there", "").await.expect(201);
    let before = broker.tree();
    for (settings, part) in [
        (
            r#"{"partitions":0}"#,
            "partitions is 0; allowed is 1 to 256",
        ),
        (
            r#"{"partitions":257}"#,
            "partitions is 257; allowed is 1 to 256",
        ),
        (r#"{"partitions":-1}"#, "invalid value: integer `-1`"),
        (
            r#"{"segment_bytes":"1KiB"}"#,
            "segment_bytes is 1024; allowed is 4096 to",
        ),
        (r#"{"retention_bytes":"lots"}"#, "a number of bytes such as"),
        (r#"{"retention_age":"5"}"#, "\"5\" is no duration"),
        (
            r#"{"retention_age":"0s"}"#,
            "retention_age is 0s; allowed is 1s to",
        ),
        (
            r#"{"visibility_timeout":"13h"}"#,
            "visibility_timeout is 13h; allowed is 1ms to 12h",
        ),
        (r#"{"durability":"sometimes"}"#, "interval=<duration"),
        (r#"{"partition":2}"#, "unknown field `partition`"),
        (
            r#"{"max_deliveries":0}"#,
            "max_deliveries is 0; allowed is 1 to 10000",
        ),
        (
            r#"{"retry_backoff":["13h"]}"#,
            "retry_backoff is 13h; allowed is 0s to 12h",
        ),
        (r#"{"retry_backoff":"1s"}"#, "a list of delays such as"),
        (
            r#"{"dedupe_window":"61m"}"#,
            "dedupe_window is 1h 1m; allowed is 0s to 1h",
        ),
        (r#"{"max_delivery":2}"#, "unknown field `max_delivery`"),
    ] {
        for topic in ["there", "new"] {
            let refused = broker.put(&format!("/v1/topics/{topic}"), settings).await;
            refused.refused(400, "invalid_argument", part);
        }
    }
    broker
        .put("/v1/topics/new", "[]")
        .await
        .refused(400, "invalid_json", "must be a JSON object");
    broker
        .put("/v1/topics/new", "{")
        .await
        .refused(400, "invalid_json", "refused: EOF");
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn a_purged_topic_is_empty_and_its_offsets_go_on() {
    let broker = TestBroker::start().await;
    for n in 0..3 {
        broker.publish("t", &n.to_string()).await;
    }
    let purged = broker
        .post("/v1/topics/t/purge", "")
        .await
        .expect(200)
        .json();
    assert_eq!(purged, json!({"topic": "t", "records": 3}));
    assert!(messages_of(&broker.fetch("t", "").await).is_empty());
    assert_eq!(
        broker
            .post("/v1/topics/t/purge", "")
            .await
            .expect(200)
            .json()["records"],
        0
    );
    assert_eq!(broker.publish("t", "3").await["offset"], 3);
    let broker = broker.restart().await;
    let topic = broker.get("/v1/topics/t").await.expect(200).json();
    assert_eq!(topic["partitions"][0]["log_start_offset"], 3);
    assert_eq!(
        fields(&messages_of(&broker.fetch("t", "").await), "offset"),
        [json!(3)]
    );
    broker
        .post("/v1/topics/u/purge", "")
        .await
        .refused(404, "unknown_topic", "no topic u");
}

#[tokio::test]
async fn an_emptied_topic_keeps_its_offsets_over_a_restart() {
    let broker = TestBroker::start().await;
    broker.publish("t", "0").await;
    broker.lease("t", "g", "").await;
    broker.post("/v1/topics/t/purge", "").await.expect(200);
    let broker = broker.restart().await;
    assert_eq!(broker.group("t", "g").await["lag_records"], 0);
    assert_eq!(broker.publish("t", "1").await["offset"], 1);
}

#[tokio::test]
async fn a_deleted_topic_leaves_nothing_and_a_later_one_is_another() {
    let broker = TestBroker::start().await;
    let created = broker.put("/v1/topics/t", "").await.expect(201).json();
    broker.publish("t", "1").await;
    broker.lease("t", "g", "").await;
    broker.delete("/v1/topics/t").await.expect(204);
    assert!(!broker.data_dir().join("t").exists());
    broker
        .get("/v1/topics/t")
        .await
        .refused(404, "unknown_topic", "there is no topic t");
    broker
        .delete("/v1/topics/t")
        .await
        .refused(404, "unknown_topic", "there is no topic t");
    let broker = broker.restart().await;
    broker
        .get("/v1/topics/t")
        .await
        .refused(404, "unknown_topic", "there is no topic t");
    assert_eq!(broker.publish("t", "2").await["offset"], 0);
    let another = broker.get("/v1/topics/t").await.expect(200).json();
    assert_ne!(another["incarnation"], created["incarnation"]);
    assert_eq!(another["groups"], json!([]));
}

#[tokio::test]
async fn retention_by_bytes_moves_the_log_start() {
    let broker = TestBroker::start().await;
    let settings = r#"{"segment_bytes":4096,"retention_bytes":8192}"#;
    broker.put("/v1/topics/t", settings).await.expect(201);
    for _ in 0..40 {
        broker
            .publish("t", &format!("\"{}\"", "x".repeat(900)))
            .await;
    }
    // Maintenance is due at the start.
    let broker = broker.restart().await;
    let trimmed = async {
        loop {
            let topic = broker.get("/v1/topics/t").await.expect(200).json();
            if topic["bytes"].as_u64().unwrap() <= 8192 {
                return topic;
            }
        }
    };
    let topic = crate::support::soon(trimmed).await;
    let first = topic["partitions"][0]["log_start_offset"].as_u64().unwrap();
    assert!(first > 0);
    assert_eq!(topic["records"], 40 - first);
    assert_eq!(
        messages_of(&broker.fetch("t", "").await)[0]["offset"],
        first
    );
    let from_trimmed = messages_of(&broker.fetch("t", "from=0&partition=0&limit=1").await);
    assert_eq!(from_trimmed[0]["offset"], first);
}

#[tokio::test]
async fn where_topics_are_created_explicitly_use_creates_none() {
    let broker =
        TestBroker::with(|settings| settings.broker.create_topics = CreateTopics::Explicitly).await;
    let before = broker.tree();
    let messages = "/v1/topics/t/messages";
    for (target, body) in [
        (messages, "1"),
        ("/v1/topics/t/messages?partition=7", "1"),
        ("/v1/messages", "{\"topic\":\"t\",\"payload\":1}"),
        ("/v1/topics/t/groups/g/lease", ""),
        ("/produce", r#"{"topic":"t","message":"m"}"#),
    ] {
        broker
            .post(target, body)
            .await
            .refused(404, "unknown_topic", "there is no topic t");
    }
    broker.put("/v1/topics/t/groups/g", "").await.refused(
        404,
        "unknown_topic",
        "there is no topic t",
    );
    assert_eq!(broker.tree(), before);
    broker.put("/v1/topics/t", "").await.expect(201);
    broker.post(messages, "1").await.expect(201);
}

#[tokio::test]
async fn at_most_max_topics_may_exist() {
    let broker = TestBroker::with(|settings| settings.broker.max_topics = 1).await;
    broker.publish("one", "1").await;
    let before = broker.tree();
    let refused = broker.post("/v1/topics/two/messages", "1").await;
    refused.refused(507, "storage_full", "as many as max-topics allows");
    broker
        .put("/v1/topics/two", "")
        .await
        .refused(507, "storage_full", "max-topics");
    assert_eq!(broker.tree(), before);
    broker.delete("/v1/topics/one").await.expect(204);
    broker.publish("two", "1").await;
}

#[tokio::test]
async fn the_hosts_topics_are_kept_for_a_day() {
    let broker = TestBroker::start().await;
    broker.publish("host.cpu", "1").await;
    let settings: Value =
        broker.get("/v1/topics/host.cpu").await.expect(200).json()["settings"].clone();
    assert_eq!(
        (&settings["retention_age"], &settings["retention_bytes"]),
        (&json!("1day"), &json!(2_u64 << 30))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_uses_a_topic_while_it_is_deleted_gets_a_clear_answer() {
    let broker = TestBroker::start().await;
    let rounds = 0..200;
    let publish = async {
        for n in rounds.clone() {
            let published = broker
                .publish_lines("t", "{\"payload\":1}\n{\"payload\":2}")
                .await;
            assert!(
                [201, 404].contains(&published.status),
                "{n}: {}",
                published.text()
            );
        }
    };
    let fetch = async {
        for n in rounds.clone() {
            let fetched = broker.get("/v1/topics/t/messages?limit=1").await;
            assert!(
                [200, 404].contains(&fetched.status),
                "{n}: {}",
                fetched.text()
            );
        }
    };
    let lease = async {
        for n in rounds.clone() {
            let leased = broker.post("/v1/topics/t/groups/g/lease", "").await;
            assert!(
                [200, 404].contains(&leased.status),
                "{n}: {}",
                leased.text()
            );
        }
    };
    let consume = async {
        for n in rounds.clone() {
            let consumed = broker.get("/consume?topic=t&consumer_id=c").await;
            assert!(
                [200, 204].contains(&consumed.status),
                "{n}: {}",
                consumed.text()
            );
        }
    };
    let delete = async {
        for n in rounds.clone() {
            let deleted = broker.delete("/v1/topics/t").await;
            assert!(
                [204, 404].contains(&deleted.status),
                "{n}: {}",
                deleted.text()
            );
        }
    };
    tokio::join!(publish, fetch, lease, consume, delete);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_first_uses_at_once_create_one_topic() {
    let broker = TestBroker::start().await;
    let publish = || broker.publish("t", "1");
    let published = tokio::join!(publish(), publish(), publish(), publish(), publish());
    let (a, b, c, d, e) = published;
    let mut offsets = fields(&[a, b, c, d, e], "offset");
    offsets.sort_by_key(Value::as_u64);
    assert_eq!(
        offsets,
        (0..5).map(|offset| json!(offset)).collect::<Vec<_>>()
    );
    let listed = broker.get("/v1/topics").await.expect(200).json();
    assert_eq!(listed["topics"].as_array().unwrap().len(), 1);
}
