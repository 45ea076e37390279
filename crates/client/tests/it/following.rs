use crate::server::{Answer, Server};
use std::time::Duration;
use weir_client::{Backoff, ClientError, Follow, Followed, ReadFrom};
use weir_types::TopicName;

const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(2),
    cap: Duration::from_millis(4),
};

fn follow(server: &Server, from: ReadFrom) -> Follow<impl FnMut() -> f64> {
    let topic = TopicName::parse("t").unwrap();
    server.client().follow(topic, from, None, BACKOFF, || 0.5)
}

/// Follows until `messages` have come; answers their offsets and the interruptions in between.
async fn read<J: FnMut() -> f64>(follow: &mut Follow<J>, messages: usize) -> (Vec<u64>, usize) {
    let (mut offsets, mut interruptions) = (Vec::new(), 0);
    while offsets.len() < messages {
        match follow.next().await.unwrap() {
            Followed::Message(streamed) => offsets.push(streamed.message.offset.0),
            Followed::Gap(_) => unreachable!("the fake broker sends none"),
            Followed::Interrupted { .. } => interruptions += 1,
        }
    }
    (offsets, interruptions)
}

macro_rules! event {
    ($offset:literal $(, $id:literal)?) => {
        concat!(
            "data: {\"topic\":\"t\",\"partition\":0,\"offset\":", $offset,
            ",\"timestamp\":1,\"id\":\"i\",\"payload\":{}}\n", $("id: ", $id, "\n",)? "\n"
        )
    };
}

#[tokio::test]
async fn a_broken_stream_goes_on_at_the_last_cursor_without_repeats() {
    let server = Server::start(vec![
        // The second message's flush never ended, so its cursor is missing.
        Answer::Events(vec![
            event!(0, "c1"),
            ": still here\n\n",
            event!(1),
            "data: {\"to",
        ]),
        Answer::Events(vec![event!(1), event!(2, "c3")]),
    ])
    .await;
    let mut follow = follow(&server, ReadFrom::Earliest);
    assert_eq!(read(&mut follow, 3).await, (vec![0, 1, 2], 1));
    assert_eq!(follow.cursor(), Some("c3"));
    assert_eq!(
        server.lines(),
        [
            "GET /v1/topics/t/stream?from=earliest",
            "GET /v1/topics/t/stream?from=c1"
        ]
    );
    assert!(server.requests()[1].contains("last-event-id: c1\r\n"));
}

#[tokio::test]
async fn a_cursor_without_a_message_keeps_the_place_of_latest() {
    let server = Server::start(vec![
        Answer::Events(vec!["id: here\n\n"]),
        Answer::Events(vec![event!(9)]),
    ])
    .await;
    read(&mut follow(&server, ReadFrom::Latest), 1).await;
    assert_eq!(server.lines()[1], "GET /v1/topics/t/stream?from=here");
}

#[tokio::test]
async fn a_draining_broker_is_tried_again_and_an_unknown_topic_is_not() {
    let error = |code: &str| format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"m\"}}}}");
    let server = Server::start(vec![
        Answer::Whole(503, "", error("draining")),
        Answer::Whole(404, "", error("unknown_topic")),
    ])
    .await;
    let mut follow = follow(&server, ReadFrom::Earliest);
    let first = follow.next().await.unwrap();
    assert!(matches!(
        first,
        Followed::Interrupted { error: Some(_), .. }
    ));
    let second = follow.next().await.unwrap_err();
    assert!(matches!(second, ClientError::Refused { status: 404, .. }));
}

#[tokio::test]
async fn an_error_inside_a_stream_is_the_brokers_error() {
    let body = "event: error\ndata: {\"error\":{\"code\":\"stale_cursor\",\"message\":\"m\"}}\n\n";
    let server = Server::start(vec![Answer::Events(vec![body])]).await;
    let error = follow(&server, ReadFrom::Earliest)
        .next()
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 410, .. }));
}
