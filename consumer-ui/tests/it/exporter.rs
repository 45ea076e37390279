use crate::support::{Broker, Ui, cpu, now};
use serde_json::json;

#[tokio::test]
async fn prometheus_finds_every_host_and_where_to_scrape_each() {
    let broker = Broker::start().await;
    for node in ["a", "b"] {
        broker
            .publish("host.cpu", node, &[cpu(1, now(), 1.5, 2.5)])
            .await;
    }
    let ui = Ui::following(&broker).await;
    ui.fleet(|fleet| fleet["nodes"].as_array().unwrap().len() == 2)
        .await;
    let all = ui.get("/metrics").await;
    assert!(all.head.contains("content-type: text/plain; version=0.0.4"));
    for node in ["a", "b"] {
        let series =
            format!("node_cpu_seconds_total{{instance=\"{node}\",cpu=\"0\",mode=\"user\"}} 1.5\n");
        assert!(all.body.contains(&series), "{series}");
    }
    assert_eq!(
        all.body
            .matches("# TYPE node_cpu_seconds_total counter")
            .count(),
        1
    );
    assert!(all.body.contains("# TYPE weir_ui_samples_total counter"));
    assert!(!all.body.contains("weir_broker_"));

    let one = ui.get("/metrics/hosts?node=b").await.body;
    assert!(one.contains("agent_up{instance=\"b\"} 1") && !one.contains("instance=\"a\""));
    let target = |node| {
        json!({"targets": ["weir.example:8080"], "labels": {
            "__metrics_path__": "/metrics/hosts", "__param_node": node, "instance": node,
        }})
    };
    assert_eq!(
        ui.get("/sd").await.json(),
        json!([target("a"), target("b")])
    );
    ui.stop().await.unwrap();
}
