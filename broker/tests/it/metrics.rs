//! `/metrics`: the page is well-formed and the numbers follow what happens.

use crate::support::{TestBroker, fields};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Every series by its name and labels, as they are written. Checks the page's form on the way.
fn parse(page: &str) -> BTreeMap<String, f64> {
    let (mut helped, mut typed) = (BTreeSet::new(), BTreeMap::new());
    let (mut series, mut current) = (BTreeMap::new(), String::new());
    for line in page.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(helped.insert(name.to_owned()), "a second HELP of {name}");
            assert!(!help.is_empty(), "{name}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(
                typed.insert(name.to_owned(), kind.to_owned()),
                None,
                "a second TYPE of {name}"
            );
            current = name.to_owned();
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let family = family_of(name, &typed);
            assert_eq!(
                family, current,
                "series of one family stand together: {line}"
            );
            assert!(helped.contains(&family), "no HELP of {family}");
            assert_eq!(
                series.insert(name.to_owned(), value.parse().unwrap()),
                None,
                "twice: {line}"
            );
        }
    }
    series
}

fn family_of(series: &str, typed: &BTreeMap<String, String>) -> String {
    let name = series.split('{').next().unwrap();
    let bare = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix));
    let histogram = bare.filter(|bare| typed.get(*bare).is_some_and(|kind| kind == "histogram"));
    let family = histogram.unwrap_or(name).to_owned();
    assert!(typed.contains_key(&family), "no TYPE of {series}");
    family
}

async fn scrape(broker: &TestBroker) -> BTreeMap<String, f64> {
    let answer = broker.get("/metrics").await.expect(200);
    assert_eq!(
        answer.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let page = answer.text();
    assert!(page.ends_with('\n'));
    parse(&page)
}

#[tokio::test]
async fn the_page_is_well_formed_from_the_first_moment() {
    let broker = TestBroker::start().await;
    scrape(&broker).await;
    broker.publish("metrics-form", "1").await;
    broker.lease("metrics-form", "%22quoted%22%20%5C", "").await;
    let series = scrape(&broker).await;
    assert!(series.keys().all(|name| name.starts_with("weir_broker_")));
    let lag = r#"weir_broker_group_lag_records{topic="metrics-form",group="\"quoted\" \\"}"#;
    assert_eq!(series[lag], 1.0);
    assert!(
        series
            .keys()
            .any(|name| name.starts_with("weir_broker_commit_seconds_bucket{le="))
    );
    assert!(series["weir_broker_connections"] >= 1.0);
}

#[tokio::test]
async fn counters_and_lag_follow_what_happens() {
    let broker = TestBroker::start().await;
    let topic = "metrics-flow";
    let at = async |name: &str, labels: &str| {
        let labels = format!("{{topic=\"{topic}\"{labels}}}");
        let series = scrape(&broker).await;
        series.get(&format!("weir_broker_{name}{labels}")).copied()
    };
    let group = ",group=\"g\"";
    broker
        .put(&format!("/v1/topics/{topic}/groups/g"), "")
        .await
        .expect(201);
    assert_eq!(at("group_lag_records", group).await, Some(0.0));
    assert_eq!(at("group_lag_seconds", group).await, Some(0.0));
    broker.publish(topic, "123").await;
    broker
        .publish_lines(topic, "{\"payload\":1}\n{\"payload\":22}")
        .await
        .expect(201);
    assert_eq!(at("published_messages_total", "").await, Some(3.0));
    assert_eq!(at("published_bytes_total", "").await, Some(6.0));
    assert_eq!(at("group_lag_records", group).await, Some(3.0));
    assert!(at("group_lag_seconds", group).await.unwrap() > 0.0);
    broker.fetch(topic, "limit=2").await;
    assert_eq!(at("fetched_messages_total", "").await, Some(2.0));
    let leased = broker.lease(topic, "g", "max=2").await;
    assert_eq!(at("delivered_messages_total", group).await, Some(2.0));
    assert_eq!(at("group_in_flight_messages", group).await, Some(2.0));
    let ack = json!({"receipts": fields(&leased[..1], "receipt")});
    broker.settle(topic, "g", "ack", ack.clone()).await;
    broker.settle(topic, "g", "ack", ack).await;
    assert_eq!(
        at("acked_messages_total", group).await,
        Some(1.0),
        "acked once, however often told"
    );
    broker
        .settle(
            topic,
            "g",
            "nack",
            json!({"receipts": fields(&leased[1..], "receipt")}),
        )
        .await;
    broker.lease(topic, "g", "max=1").await;
    assert_eq!(
        at("group_redelivered_messages_total", group).await,
        Some(1.0)
    );
    assert_eq!(at("group_lag_records", group).await, Some(2.0));
    broker
        .delete(&format!("/v1/topics/{topic}/groups/g"))
        .await
        .expect(204);
    assert_eq!(
        at("group_lag_records", group).await,
        None,
        "nothing of a deleted group stays"
    );
}

#[tokio::test]
async fn commits_are_counted_and_timed() {
    let broker = TestBroker::start().await;
    broker.publish("metrics-commits", "1").await;
    let before = scrape(&broker).await;
    broker.publish("metrics-commits", "1").await;
    let after = scrape(&broker).await;
    for name in [
        "weir_broker_commit_seconds_count",
        "weir_broker_committed_operations_total",
    ] {
        assert!(after[name] > before[name], "{name}");
    }
}
