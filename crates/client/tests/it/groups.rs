use crate::server::{Answer, Server};
use weir_client::DeadLetterOptions;
use weir_protocol::shapes::{GroupRequest, RedriveRequest, SeekRequest};
use weir_types::{GroupName, MessageId, Offset, PartitionId, TopicName};

const GROUP: &str = r#"{"group":"g","topic":"t","ordering":"key","max_deliveries":16,"retry_backoff":[],"lag_records":1,"lag_seconds":0.5,"in_flight":0,"waiting":1,"held_back":0,"redelivered":0,"dead_lettered":0,"expired":0,"members":[],"partitions":[],"new":1}"#;
const LETTER: &str = r#"{"id":"g/t/0/1","topic":"t.dead-letter","partition":0,"offset":0,"timestamp":9,"source_topic":"t","source_partition":0,"source_offset":1,"source_id":"i","source_timestamp":5,"group":"g","attempts":2,"reason":"boom","payload":1.50}"#;

fn topic() -> TopicName {
    TopicName::parse("t").unwrap()
}

fn group() -> GroupName {
    GroupName::parse("g").unwrap()
}

fn answer(body: &str) -> Answer {
    Answer::Whole(200, "", body.into())
}

/// The bodies of all requests so far.
fn bodies(server: &Server) -> Vec<String> {
    let body = |request: &String| request.split("\r\n\r\n").nth(1).unwrap().to_owned();
    server.requests().iter().map(body).collect()
}

#[tokio::test]
async fn groups_are_put_and_moved_with_only_what_was_said() {
    let server = Server::start(vec![answer(GROUP)]).await;
    let client = server.client();
    let put = GroupRequest {
        max_deliveries: Some(3),
        retry_backoff: Some(serde_json::from_str(r#"["1s","1m"]"#).unwrap()),
        ..GroupRequest::default()
    };
    let info = client.put_group(&topic(), &group(), put).await.unwrap();
    assert_eq!(info.waiting, 1);
    let seek = SeekRequest {
        partition: Some(PartitionId(0)),
        offset: Some(Offset(42)),
        ..SeekRequest::default()
    };
    client.seek(&topic(), &group(), &seek).await.unwrap();
    assert_eq!(
        server.lines(),
        [
            "PUT /v1/topics/t/groups/g",
            "POST /v1/topics/t/groups/g/seek"
        ]
    );
    assert_eq!(
        bodies(&server),
        [
            r#"{"max_deliveries":3,"retry_backoff":["1s","1m"]}"#,
            r#"{"partition":0,"offset":42}"#
        ]
    );
}

#[tokio::test]
async fn dead_letters_are_listed_shown_and_moved_back() {
    let server = Server::start(vec![
        answer(&format!("{{\"dead_letters\":[{LETTER}],\"next\":\"c\"}}")),
        answer(LETTER),
        answer(r#"{"redriven":1,"examined":2}"#),
    ])
    .await;
    let client = server.client();
    let options = DeadLetterOptions {
        group: Some(group()),
        limit: Some(10),
        from: Some("b".into()),
    };
    let page = client.dead_letters(&topic(), &options).await.unwrap();
    assert_eq!(page.next.as_deref(), Some("c"));
    let id = MessageId::parse("g/t/0/1").unwrap();
    let letter = client.dead_letter(&topic(), &id).await.unwrap();
    assert_eq!(letter.payload.get(), "1.50");
    let request = RedriveRequest {
        ids: Some(vec![id]),
        ..RedriveRequest::default()
    };
    let redriven = client.redrive(&topic(), &group(), &request).await.unwrap();
    assert_eq!((redriven.redriven, redriven.next), (1, None));
    assert_eq!(
        server.lines(),
        [
            "GET /v1/topics/t/dead-letters?group=g&limit=10&from=b",
            "GET /v1/topics/t/dead-letters/g%2Ft%2F0%2F1",
            "POST /v1/topics/t/groups/g/redrive",
        ]
    );
    assert_eq!(bodies(&server)[2], r#"{"ids":["g/t/0/1"]}"#);
}
