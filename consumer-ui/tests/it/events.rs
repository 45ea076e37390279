use crate::support::{Broker, Ui, cpu, now};
use serde_json::Value;

/// The data of the first event of this kind.
fn data(received: &str, kind: &str) -> Value {
    let (_, rest) = received
        .split_once(&format!("event: {kind}\ndata: "))
        .unwrap();
    let (data, _) = rest.split_once("\n\n").unwrap();
    serde_json::from_str(data).unwrap()
}

#[tokio::test]
async fn a_page_gets_the_state_at_once_and_then_points() {
    let broker = Broker::start().await;
    let at = now() - 5_000;
    broker
        .publish("host.cpu", "a b", &[cpu(1, at, 0.0, 0.0)])
        .await;
    let ui = Ui::following(&broker).await;
    ui.node("a%20b", |_| true).await;
    let mut page = ui.events("?node=a%20b").await;
    let received = page.read_until("event: topics\ndata: {\"now\"").await;
    let fleet = data(&received, "fleet");
    assert!(fleet["nodes"].is_array() && fleet["broker"]["url"].is_string());

    broker
        .publish("host.cpu", "a b", &[cpu(2, at + 1_000, 0.25, 0.75)])
        .await;
    page.read_until("event: points\n").await;
    let received = page.read_until("\"reset\":false}").await;
    let points = data(&received, "points");
    assert_eq!(points["node"], "a b");
    assert_eq!(points["charts"][0]["id"], "cpu");
    assert_eq!(points["charts"][0]["time"], serde_json::json!([at + 1_000]));
    assert_eq!(points["charts"][0]["values"][0], serde_json::json!([0.25]));
    ui.stop().await.unwrap();
}

#[tokio::test]
async fn a_page_of_a_node_that_is_not_there_yet_is_told_to_fetch_it() {
    let broker = Broker::start().await;
    let ui = Ui::following(&broker).await;
    let mut page = ui.events("?node=later").await;
    page.read_until("event: fleet").await;
    broker
        .publish("host.cpu", "later", &[cpu(1, now(), 0.0, 0.0)])
        .await;
    page.read_until("event: points\n").await;
    page.read_until("\"reset\":true}").await;
    ui.stop().await.unwrap();
}

#[tokio::test]
async fn stopping_ends_open_pages() {
    let broker = Broker::start().await;
    let ui = Ui::following(&broker).await;
    let mut page = ui.events("").await;
    let (stopped, received) = tokio::join!(ui.stop(), page.read_to_end());
    stopped.unwrap();
    assert!(received.ends_with("0\r\n\r\n"), "the stream ends properly");
}
