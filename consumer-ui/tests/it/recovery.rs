use crate::support::{Broker, Ui, cpu, now, points_of};

fn seconds(from: u64, to: u64, start: u64) -> Vec<serde_json::Value> {
    let sample = |n: u64| cpu(n, start + n * 1_000, n as f64 / 2.0, n as f64 / 2.0);
    (from..to).map(sample).collect()
}

#[tokio::test]
async fn a_new_dashboard_has_the_history_by_replay() {
    let broker = Broker::start().await;
    let start = now() - 300_000;
    broker
        .publish("host.cpu", "a", &seconds(0, 300, start))
        .await;
    for _ in 0..2 {
        let ui = Ui::following(&broker).await;
        let page = ui.node("a", |page| points_of(page, "cpu") == 300).await;
        assert_eq!(page["summary"]["missed_samples"], 0);
        ui.stop().await.unwrap();
    }
}

#[tokio::test]
async fn samples_older_than_the_charts_only_tell_that_a_node_was_there() {
    let broker = Broker::start().await;
    let long_ago = now() - 2 * 3_600_000;
    broker
        .publish("host.cpu", "a", &seconds(0, 3, long_ago))
        .await;
    let ui = Ui::following(&broker).await;
    let page = ui.node("a", |_| true).await;
    assert_eq!(points_of(&page, "cpu"), 0);
    ui.stop().await.unwrap();
}

#[tokio::test]
async fn a_restarted_broker_is_followed_on_under_an_open_page() {
    let broker = Broker::start().await;
    let start = now() - 10_000;
    broker.publish("host.cpu", "a", &seconds(0, 3, start)).await;
    let ui = Ui::following(&broker).await;
    ui.node("a", |page| points_of(page, "cpu") == 3).await;
    let mut page = ui.events("?node=a").await;

    let stopped = broker.stop().await;
    page.read_until("\"connected\":false").await;
    let fleet = ui
        .fleet(|fleet| fleet["broker"]["connected"] == false)
        .await;
    assert!(fleet["broker"]["error"].is_string());

    let broker = stopped.start().await;
    broker.publish("host.cpu", "a", &seconds(3, 5, start)).await;
    page.read_until("event: points\n").await;
    let node = ui.node("a", |page| points_of(page, "cpu") == 5).await;
    assert_eq!(node["summary"]["missed_samples"], 0);
    ui.fleet(|fleet| fleet["broker"]["connected"] == true).await;
    ui.stop().await.unwrap();
}

#[tokio::test]
async fn a_topic_that_comes_later_is_found() {
    let broker = Broker::start().await;
    let ui = Ui::following(&broker).await;
    ui.fleet(|fleet| fleet["broker"]["connected"] == true).await;
    broker
        .publish("host.cpu", "a", &seconds(0, 2, now() - 2_000))
        .await;
    ui.node("a", |page| points_of(page, "cpu") == 2).await;
    ui.stop().await.unwrap();
}
