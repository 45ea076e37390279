use crate::support::{Broker, Ui, chart, cpu, now, points_of};
use serde_json::{Value, json};
use weir_testkit::eventually;

const HOSTILE: &str = "<img src=x onerror=alert(1)>";

fn system() -> Value {
    json!({"seq": 1, "load1": 0.5, "load5": 0.4, "load15": 0.3, "uptime_seconds": 60.5,
        "collectors": {"cpu": true, "network": false}, "unknown": {"to": ["us"]}})
}

#[tokio::test]
async fn a_hosts_samples_become_its_page() {
    let broker = Broker::start().await;
    let at = now() - 2_000;
    let seconds = [
        cpu(1, at, 0.0, 0.0),
        cpu(2, at + 1_000, 0.25, 0.75),
        cpu(4, at + 3_000, 1.25, 1.75),
    ];
    broker.publish("host.cpu", "web-1", &seconds).await;
    broker.publish("host.system", "web-1", &[system()]).await;
    let info = json!({"seq": 1, "uname": {"sysname": "Linux", "release": "6.1"},
        "os": {"pretty_name": "Debian 12"}, "cpu_model": "Z80", "cores": 1,
        "agent_version": "0.1.0"});
    broker.publish("host.info", "web-1", &[info]).await;
    let ui = Ui::following(&broker).await;
    let page = ui
        .node("web-1", |page| {
            points_of(page, "cpu") == 4 && points_of(page, "load") == 1 && page["info"].is_object()
        })
        .await;
    let summary = &page["summary"];
    assert_eq!(summary["state"], "live");
    assert_eq!(summary["cpu_busy_ratio"], 0.5);
    assert_eq!(summary["load1"], 0.5);
    assert_eq!(summary["missed_samples"], 1);
    assert_eq!(summary["failed_collectors"], json!(["network"]));
    assert_eq!(summary["memory_used_ratio"], Value::Null);
    assert_eq!(page["info"]["kernel"], "Linux 6.1");
    assert_eq!(page["info"]["boot_id"], "b");
    let cpu_chart = chart(&page, "cpu");
    assert_eq!(cpu_chart["unit"], "ratio");
    assert_eq!(cpu_chart["lines"][0]["label"], "user");
    assert_eq!(
        cpu_chart["lines"][0]["values"],
        json!([null, 0.25, null, 0.5])
    );
    let fleet = ui.get("/api/fleet").await.json();
    assert_eq!(fleet["nodes"][0]["node"], "web-1");
    ui.stop().await.unwrap();
}

#[tokio::test]
async fn a_hostile_name_stays_text() {
    let broker = Broker::start().await;
    broker
        .publish("host.cpu", HOSTILE, &[cpu(1, now(), 1.0, 1.0)])
        .await;
    let ui = Ui::following(&broker).await;
    let path = "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E";
    let page = ui.node(path, |_| true).await;
    assert_eq!(page["summary"]["node"], HOSTILE);
    for target in ["/api/fleet", &format!("/api/nodes/{path}"), "/sd"] {
        let answer = ui.get(target).await;
        assert!(answer.body.contains(HOSTILE), "{target}");
        assert!(
            answer.head.contains("content-type: application/json"),
            "{target}"
        );
        assert!(
            answer.head.contains("x-content-type-options: nosniff"),
            "{target}"
        );
        assert!(
            answer
                .head
                .contains("content-security-policy: default-src 'self'")
        );
    }
    let metrics = ui.get(&format!("/metrics/hosts?node={path}")).await;
    assert!(metrics.head.contains("content-type: text/plain"));
    assert!(
        metrics
            .body
            .contains(&format!("agent_up{{instance=\"{HOSTILE}\"}} 1\n"))
    );
    ui.stop().await.unwrap();
}

#[tokio::test]
async fn unknown_nodes_addresses_and_methods_are_refused_in_json() {
    let broker = Broker::start().await;
    let ui = Ui::following(&broker).await;
    let table = [
        ("GET", "/api/nodes/none", 404, "not_found"),
        ("GET", "/api/nodes/%ff", 400, "invalid_argument"),
        ("GET", "/api/none", 404, "not_found"),
        ("GET", "/metrics/hosts?node=none", 404, "not_found"),
        ("POST", "/api/fleet", 405, "method_not_allowed"),
    ];
    for (method, target, status, code) in table {
        let answer = ui.send(method, target).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (status, &json!(code))
        );
    }
    ui.stop().await.unwrap();
}

#[tokio::test]
async fn the_topics_page_shows_rates_and_groups() {
    let broker = Broker::start().await;
    broker.publish("host.system", "a", &[system()]).await;
    let group = "PUT /v1/topics/host.system/groups/readers HTTP/1.1\r\nhost: weir\r\n\
         connection: close\r\ncontent-length: 0\r\n\r\n";
    let mut connection = weir_testkit::RawConnection::open(broker.address()).await;
    connection.send(group).await;
    connection.read_to_end().await;
    let ui = Ui::following(&broker).await;
    let page = eventually("two readings of the topics", async || {
        let page = ui.get("/api/topics").await.json();
        page["topics"][0]["publish_per_second"]
            .is_number()
            .then_some(page)
    })
    .await;
    let topic = &page["topics"][0];
    assert_eq!(topic["topic"], "host.system");
    assert_eq!(
        (&topic["records"], &topic["partitions"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(topic["publish_per_second"], 0.0);
    assert_eq!(topic["groups"][0]["group"], "readers");
    assert_eq!(topic["groups"][0]["lag_records"], 1);
    ui.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_no_sample_is_counted_and_passed_over() {
    let broker = Broker::start().await;
    let bad = json!({"node": 5, "seq": 1});
    let good = cpu(2, now(), 1.0, 1.0);
    broker.publish("host.cpu", "a", &[bad, good]).await;
    let ui = Ui::following(&broker).await;
    ui.node("a", |page| points_of(page, "cpu") == 1).await;
    let metrics = ui.get("/metrics").await.body;
    let counted = metrics
        .lines()
        .find_map(|line| line.strip_prefix("weir_ui_bad_samples_total "));
    assert!(counted.unwrap().parse::<u64>().unwrap() >= 1);
    ui.stop().await.unwrap();
}

#[tokio::test]
async fn an_announced_stop_turns_only_readiness_off() {
    let broker = Broker::start().await;
    let ui = Ui::following(&broker).await;
    assert_eq!(ui.get("/startup").await.json()["status"], "started");
    assert_eq!(ui.get("/ready").await.json()["status"], "ready");
    let drained = ui.send("POST", "/drain").await;
    assert_eq!(drained.json()["status"], "draining");
    let ready = ui.get("/ready").await;
    assert_eq!(
        (ready.status, ready.json()["status"].clone()),
        (503, json!("draining"))
    );
    assert_eq!(ui.get("/health").await.json()["status"], "healthy");
    assert_eq!(ui.get("/api/fleet").await.status, 200);
}
