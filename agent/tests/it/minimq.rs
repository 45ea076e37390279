use crate::support::{Agent, Answer, Asked, Server};
use std::collections::BTreeMap;

const STORED: Answer = Answer(201, "", "");
const BROKEN: Answer = Answer(500, "", "disk on fire");

/// What each topic got, as a MiniMQ broker would have stored it.
fn stored(asked: &[Asked]) -> BTreeMap<String, Vec<String>> {
    let mut stored: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for asked in asked.iter().filter(|a| a.status == 201) {
        let body: BTreeMap<String, String> = serde_json::from_str(&asked.body).unwrap();
        let topic = stored.entry(body["topic"].clone()).or_default();
        topic.push(body["message"].clone());
    }
    stored
}

#[tokio::test]
async fn percentages_go_to_the_nodes_topics_after_the_node_was_named() {
    let server = Server::start(&[BROKEN, STORED]).await;
    let url = format!("{}/produce", server.url);
    let agent = Agent::start(&["--dialect=minimq", "--broker", &url, "--node=node-1"]);
    let known = |asked: &[Asked]| stored(asked).len() == 4;
    let asked = server.asked(known).await;
    agent.stop().await;

    assert!(asked.iter().all(|a| a.line == "POST /produce"), "{asked:?}");
    let first = r#"{"topic":"nodes","message":"node-1"}"#;
    assert_eq!((asked[0].body.as_str(), asked[0].status), (first, 500));
    assert_eq!((asked[1].body.as_str(), asked[1].status), (first, 201));
    let stored = stored(&asked);
    assert_eq!(stored["nodes"], ["node-1"]);
    for topic in ["node-1-cpu", "node-1-mem", "node-1-disk"] {
        let percent: f64 = stored[topic][0].parse().unwrap();
        assert!((0.0..=100.0).contains(&percent), "{topic}: {percent}");
    }
}
