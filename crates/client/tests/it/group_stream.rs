use crate::server::{Answer, Server};
use std::time::Duration;
use weir_client::{ClientError, GroupStream, GroupStreamOptions};
use weir_protocol::ErrorCode;
use weir_types::{GroupName, MemberName, TopicName};

macro_rules! leased {
    ($offset:literal) => {
        concat!(
            "data: {\"receipt\":\"r",
            $offset,
            "\",\"delivery_attempt\":1,\"lease_expires_at\":5,\"topic\":\"t\",\"partition\":0,",
            "\"offset\":",
            $offset,
            ",\"timestamp\":1,\"id\":\"i\",\"payload\":1.50}\n\n"
        )
    };
}

async fn open(server: &Server, options: &GroupStreamOptions) -> GroupStream {
    let topic = TopicName::parse("t").unwrap();
    let group = GroupName::parse("a/b").unwrap();
    let client = server.client();
    client.group_stream(&topic, &group, options).await.unwrap()
}

#[tokio::test]
async fn leased_messages_come_until_the_broker_says_farewell() {
    let server = Server::start(vec![Answer::Events(vec![
        "retry: 1000\n\n",
        leased!("1"),
        ": quiet\n\n",
        leased!("2"),
        ": the stream ends here, reconnect\n\n",
    ])])
    .await;
    let options = GroupStreamOptions {
        max_in_flight: Some(2),
        visibility_timeout: Some(Duration::from_secs(9)),
        member: Some(MemberName::parse("till 1").unwrap()),
    };
    let mut stream = open(&server, &options).await;
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!((first.receipt.as_str(), first.offset.0), ("r1", 1));
    let second = stream.next_verbatim().await.unwrap().unwrap();
    assert!(second.json.get().ends_with("\"payload\":1.50}"));
    assert!(stream.next().await.unwrap().is_none());
    assert_eq!(stream.reconnect_after(), Some(Duration::from_secs(1)));
    assert_eq!(
        server.lines(),
        [
            "GET /v1/topics/t/groups/a%2Fb/stream?max_in_flight=2&visibility_timeout=9000ms\
          &member=till%201"
        ]
    );
}

#[tokio::test]
async fn an_error_event_ends_the_stream_with_the_brokers_error() {
    let deleted =
        "event: error\ndata: {\"error\":{\"code\":\"unknown_group\",\"message\":\"gone\"}}\n\n";
    let server = Server::start(vec![Answer::Events(vec![leased!("1"), deleted])]).await;
    let mut stream = open(&server, &GroupStreamOptions::default()).await;
    assert!(stream.next().await.unwrap().is_some());
    let error = stream.next().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnknownGroup));
}

#[tokio::test]
async fn what_is_no_leased_message_is_malformed() {
    let server = Server::start(vec![Answer::Events(vec!["data: {\"offset\":1}\n\n"])]).await;
    let mut stream = open(&server, &GroupStreamOptions::default()).await;
    let error = stream.next().await.unwrap_err();
    assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
}
