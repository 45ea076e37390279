//! A broker and a dashboard in this process, on ports of their own.

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use weir_testkit::{RawConnection, eventually};

/// The recorder belongs to the process, so everything in it shares one.
fn recorder() -> weir_broker::metrics::Exporter {
    static RECORDER: OnceLock<weir_broker::metrics::Exporter> = OnceLock::new();
    let install = || weir_broker::metrics::Exporter::install().expect("nobody else installs one");
    RECORDER.get_or_init(install).clone()
}

/// A broker with a data directory of its own.
pub(crate) struct Broker {
    running: weir_broker::Running,
    data_dir: TempDir,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        Self::at("127.0.0.1:0", tempfile::tempdir().unwrap()).await
    }

    async fn at(address: &str, data_dir: TempDir) -> Self {
        let dir = data_dir.path().to_str().unwrap();
        let flags = [
            "weir-broker",
            "--data-dir",
            dir,
            "--http",
            address,
            "--grpc",
            "off",
            "--min-free-bytes",
            "0",
        ];
        let command = weir_broker::settings::command();
        let matches = command.try_get_matches_from(flags).unwrap();
        let settings = weir_broker::Settings::read(&matches, &|_| None).unwrap();
        let running = weir_broker::Running::start(&settings, recorder()).await;
        let running = running.unwrap();
        Self { running, data_dir }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.http_address().unwrap()
    }

    /// Stops politely; what is needed to start again at the same place.
    pub(crate) async fn stop(self) -> Stopped {
        let address = self.address().to_string();
        self.running.stop().await.unwrap();
        Stopped {
            address,
            data_dir: self.data_dir,
        }
    }

    /// Publishes samples of one topic; each gets the common fields that it lacks.
    pub(crate) async fn publish(&self, topic: &str, node: &str, samples: &[Value]) {
        let mut lines = String::new();
        for sample in samples {
            let mut payload = json!({
                "node": node, "timestamp": now(), "boot_id": "b", "interval_seconds": 5,
            });
            let fields = payload.as_object_mut().unwrap();
            fields.extend(sample.as_object().unwrap().clone());
            let line = json!({"topic": topic, "key": node, "payload": payload});
            lines.push_str(&format!("{line}\n"));
        }
        self.created("/v1/messages", "application/x-ndjson", &lines)
            .await;
    }

    /// Posts one value to an address where it makes something.
    pub(crate) async fn post(&self, path: &str, value: &Value) {
        self.created(path, "application/json", &value.to_string())
            .await;
    }

    async fn created(&self, path: &str, content_type: &str, body: &str) {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\
             content-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut connection = RawConnection::open(self.address()).await;
        connection.send(head + body).await;
        let answer = connection.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
}

/// A broker that is away.
pub(crate) struct Stopped {
    address: String,
    data_dir: TempDir,
}

impl Stopped {
    pub(crate) async fn start(self) -> Broker {
        Broker::at(&self.address, self.data_dir).await
    }
}

/// A dashboard.
pub(crate) struct Ui {
    running: weir_ui::Running,
}

impl Ui {
    pub(crate) async fn following(broker: &Broker) -> Self {
        Self::of(&format!("http://{}", broker.address())).await
    }

    pub(crate) async fn of(broker_url: &str) -> Self {
        let settings = weir_ui::Settings::embedded(
            broker_url.to_owned(),
            "127.0.0.1:0".parse().unwrap(),
            Duration::from_secs(20),
        );
        let metrics = weir_ui::metrics::Exporter::sharing(recorder().recorder());
        let running = weir_ui::Running::start(&settings, metrics).await.unwrap();
        Self { running }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.http_address()
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.running.stop().await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target).await
    }

    pub(crate) async fn send(&self, method: &str, target: &str) -> Answer {
        let mut connection = RawConnection::open(self.address()).await;
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: weir.example:8080\r\nconnection: close\r\n\r\n"
        );
        connection.send(request).await;
        Answer::parse(&connection.read_to_end().await)
    }

    /// Opens a stream of events.
    pub(crate) async fn events(&self, query: &str) -> RawConnection {
        let mut connection = RawConnection::open(self.address()).await;
        let request = format!("GET /api/events{query} HTTP/1.1\r\nhost: weir\r\n\r\n");
        connection.send(request).await;
        connection.read_until("text/event-stream").await;
        connection
    }

    /// Waits until the node's page is as `wanted` says.
    pub(crate) async fn node(&self, node: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let target = format!("/api/nodes/{node}");
        eventually("the node's page", async || {
            let answer = self.get(&target).await;
            (answer.status == 200)
                .then(|| answer.json())
                .filter(|page| wanted(page))
        })
        .await
    }

    /// Waits until the topics page's tables are as `wanted` says.
    pub(crate) async fn delivery(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually("the tables of the topics page", async || {
            let delivery = self.get("/api/topics").await.json()["delivery"].take();
            Some(delivery).filter(|delivery| wanted(delivery))
        })
        .await
    }

    pub(crate) async fn fleet(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually("the fleet", async || {
            Some(self.get("/api/fleet").await.json()).filter(|fleet| wanted(fleet))
        })
        .await
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// One CPU's seconds.
pub(crate) fn cpu(seq: u64, timestamp: u64, busy: f64, idle: f64) -> Value {
    json!({"seq": seq, "timestamp": timestamp, "interval_seconds": 1,
        "cpus": [{"cpu": 0, "user": busy, "idle": idle}]})
}

/// A chart of a node's page.
pub(crate) fn chart<'a>(page: &'a Value, id: &str) -> &'a Value {
    let charts = page["charts"].as_array().unwrap();
    charts.iter().find(|chart| chart["id"] == id).unwrap()
}

pub(crate) fn points_of(page: &Value, id: &str) -> usize {
    chart(page, id)["time"].as_array().unwrap().len()
}
