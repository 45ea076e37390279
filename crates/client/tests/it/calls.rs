use crate::server::{Answer, Server};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use weir_client::{FetchOptions, LeaseOptions, PublishOptions, ReadFrom};
use weir_protocol::shapes::ReceiptStatus;
use weir_types::{GroupName, Headers, Key, MemberName, MessageId, PartitionId, TopicName};

fn topic() -> TopicName {
    TopicName::parse("host.cpu").unwrap()
}

fn group() -> GroupName {
    GroupName::parse("a/b ü").unwrap()
}

fn answer(body: &str) -> Answer {
    Answer::Whole(200, "", body.into())
}

#[tokio::test]
async fn publish_sends_payload_options_and_headers() {
    let body =
        r#"{"topic":"host.cpu","partition":2,"offset":7,"id":"i d","timestamp":5,"new":true}"#;
    let server = Server::start(vec![answer(body)]).await;
    let options = PublishOptions {
        key: Some(Key::parse("a&b=ü").unwrap()),
        id: Some(MessageId::parse("i d").unwrap()),
        partition: Some(PartitionId(2)),
        headers: Headers::new(BTreeMap::from([("Trace".into(), "a b".into())])).unwrap(),
        reply_to: None,
    };
    let payload = Bytes::from_static(b"{\"a\":1}");
    let published = server.client().publish(&topic(), payload, &options).await;
    assert_eq!(published.unwrap().offset.0, 7);
    let request = &server.requests()[0];
    assert!(
        request.starts_with(
            "POST /v1/topics/host.cpu/messages?key=a%26b%3D%C3%BC&id=i%20d&partition=2 HTTP/1.1"
        ),
        "{request}"
    );
    assert!(request.contains("weir-header-trace: a b\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
}

#[tokio::test]
async fn headers_that_http_cannot_carry_are_refused_here() {
    let server = Server::start(vec![answer("{}")]).await;
    let options = PublishOptions {
        headers: Headers::new(BTreeMap::from([("a b".into(), "v".into())])).unwrap(),
        ..PublishOptions::default()
    };
    let refused = server
        .client()
        .publish(&topic(), "1".into(), &options)
        .await;
    assert!(refused.unwrap_err().to_string().contains("its name"));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn calls_use_one_connection_and_the_documented_addresses() {
    let server = Server::start(vec![
        answer(r#"{"count":1,"partitions":[]}"#),
        answer(r#"{"messages":[],"next":"c"}"#),
        answer(r#"{"messages":[]}"#),
        answer(r#"{"results":[{"receipt":"r","status":"acked"}]}"#),
        answer(""),
    ])
    .await;
    let client = server.client();
    client.publish_to_topics("{}\n".into()).await.unwrap();
    let fetch = FetchOptions {
        partition: Some(PartitionId(0)),
        from: ReadFrom::At("2026-11-21T00:00:00+01:00".into()),
        limit: Some(10),
        ..FetchOptions::default()
    };
    assert_eq!(client.fetch(&topic(), &fetch).await.unwrap().next, "c");
    let lease = LeaseOptions {
        max: Some(5),
        wait: Some(Duration::from_millis(1500)),
        member: Some(MemberName::parse("till 1").unwrap()),
        ..LeaseOptions::default()
    };
    client.lease(&topic(), &group(), &lease).await.unwrap();
    let acked = client.ack(&topic(), &group(), vec!["r".into()]).await;
    assert_eq!(acked.unwrap().results[0].status, ReceiptStatus::Acked);
    client.delete_group(&topic(), &group()).await.unwrap();
    let group = "/v1/topics/host.cpu/groups/a%2Fb%20%C3%BC";
    assert_eq!(
        server.lines(),
        [
            "POST /v1/messages".to_owned(),
            "GET /v1/topics/host.cpu/messages?partition=0&from=2026-11-21T00%3A00%3A00%2B01%3A00\
             &limit=10"
                .to_owned(),
            format!("POST {group}/lease?max=5&wait=1500ms&member=till%201"),
            format!("POST {group}/ack"),
            format!("DELETE {group}"),
        ]
    );
}

#[tokio::test]
async fn verbatim_messages_keep_fields_this_version_does_not_know() {
    let message = r#"{"receipt":"r","delivery_attempt":1,"lease_expires_at":2,"topic":"t","partition":0,"offset":1,"timestamp":2,"id":"i","payload":1.50,"new":[1]}"#;
    let server = Server::start(vec![answer(&format!("{{\"messages\":[{message}]}}"))]).await;
    let leased = server
        .client()
        .lease_verbatim(&topic(), &group(), &LeaseOptions::default())
        .await
        .unwrap();
    assert_eq!(leased[0].json.get(), message);
    assert_eq!(leased[0].message.payload.get(), "1.50");
}

#[tokio::test]
async fn the_page_for_prometheus_comes_as_it_is() {
    let page = "# TYPE up gauge\nup{instance=\"a\"} 1\n";
    let server = Server::start(vec![answer(page)]).await;
    assert_eq!(server.client().metrics().await.unwrap(), page);
    assert!(server.requests()[0].starts_with("GET /metrics HTTP/1.1"));
}
