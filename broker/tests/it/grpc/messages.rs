//! `message.MessageBrokerService`, exchange by exchange.

use super::connection::{GrpcConnection, NARROW_WINDOW_BYTES, RECEIVE_FROM_T, framed};
use super::{broker, broker_with, message};
use crate::support::{TestBroker, soon, text_of};
use http_body_util::BodyExt;
use serde_json::json;
use std::collections::BTreeSet;
use tonic::Code;
use weir_protocol::grpc::message::{
    ReceiveMessageRequest, ReceiveMessageResponse, SendMessageRequest, SendMessageResponse,
};

async fn connected() -> (TestBroker, GrpcConnection) {
    let broker = broker().await;
    let connection = GrpcConnection::open(broker.grpc_address()).await;
    (broker, connection)
}

async fn send(connection: &GrpcConnection, request: SendMessageRequest) -> SendMessageResponse {
    let sent = soon(connection.messages().send_message(request)).await;
    sent.unwrap().into_inner()
}

async fn receive(connection: &GrpcConnection, topic: &str) -> ReceiveMessageResponse {
    let request = ReceiveMessageRequest {
        topic: topic.to_owned(),
    };
    // A payload may be larger than what clients take unless told.
    let mut client = connection.messages().max_decoding_message_size(usize::MAX);
    let received = soon(client.receive_message(request)).await;
    received.unwrap().into_inner()
}

#[tokio::test]
async fn a_message_is_received_once_with_all_that_was_sent() {
    let (broker, connection) = connected().await;
    let mut request = message("orders", " {\"number\":\n1, \"of\": \"grüße\"}\r\n");
    request.reply_to = "answers".to_owned();
    let sent = send(&connection, request).await;
    assert!(sent.success && sent.error_message.is_empty(), "{sent:?}");

    let stored = broker.fetch("orders", "from=earliest").await;
    let stored = &stored["messages"][0];
    assert_eq!(text_of(&stored["id"]), sent.message_id);
    assert_eq!(stored["payload"], json!({"number": 1, "of": "grüße"}));

    let received = receive(&connection, "orders").await;
    let expected = ReceiveMessageResponse {
        has_message: true,
        message_id: sent.message_id,
        topic: "orders".to_owned(),
        payload: "{\"number\": 1, \"of\": \"grüße\"}".to_owned(),
        reply_to: "answers".to_owned(),
    };
    assert_eq!(received, expected);
    assert_eq!(receive(&connection, "orders").await, Default::default());
}

#[tokio::test]
async fn what_is_published_natively_is_received_too() {
    let (broker, connection) = connected().await;
    broker.publish("t", "[1, 2]").await;
    let received = receive(&connection, "t").await;
    assert_eq!(
        (received.payload.as_str(), &*received.reply_to),
        ("[1, 2]", "")
    );
}

#[tokio::test]
async fn an_empty_queue_and_an_unknown_one_have_no_message() {
    let (broker, connection) = connected().await;
    let before = broker.tree();
    for topic in ["nobody-knows-it", ""] {
        assert_eq!(receive(&connection, topic).await, Default::default());
    }
    assert_eq!(broker.tree(), before);
}

#[tokio::test]
async fn bad_input_is_told_in_the_answer_and_changes_nothing() {
    let (broker, connection) = connected().await;
    let before = broker.tree();
    let to = |reply_to: &str| SendMessageRequest {
        reply_to: reply_to.to_owned(),
        ..message("t", "1")
    };
    for (request, part) in [
        (message("t", "{\"a\":"), "the payload is not valid JSON"),
        (message("t", "plain text"), "line 1 column 1"),
        (message("t", ""), "the payload is empty"),
        (message("t", "1e999"), "the payload is not valid JSON"),
        (message("", "1"), "must not be empty"),
        (message("../t", "1"), "contains '/'"),
        (message("__t", "1"), "belong to the broker"),
        (to("a b"), "reply_to: the topic name contains ' '"),
    ] {
        let answer = send(&connection, request).await;
        assert!(!answer.success && answer.message_id.is_empty());
        assert!(answer.error_message.contains(part), "{answer:?}");
    }
    assert_eq!(broker.tree(), before);

    let topic = "a/b".to_owned();
    let mut client = connection.messages();
    let refused = client.receive_message(ReceiveMessageRequest { topic });
    let refused = soon(refused).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("contains '/'"), "{refused}");
}

#[tokio::test]
async fn sizes_follow_the_limit_of_payloads() {
    const LIMIT: usize = 6 * 1024 * 1024;
    let broker = broker_with(|settings| settings.broker.max_payload_bytes = LIMIT).await;
    let connection = GrpcConnection::open(broker.grpc_address()).await;
    let payload = |length: usize| format!("\"{}\"", "x".repeat(length - 2));

    let sent = send(&connection, message("t", payload(LIMIT))).await;
    assert!(sent.success, "{sent:?}");
    let received = receive(&connection, "t").await;
    assert_eq!(received.payload.len(), LIMIT);

    let refused = send(&connection, message("t", payload(LIMIT + 1))).await;
    let reason = format!("has {} bytes; at most {LIMIT} are allowed", LIMIT + 1);
    assert!(refused.error_message.contains(&reason), "{refused:?}");

    let much_too_large = message("t", payload(LIMIT + 1024 * 1024));
    let mut client = connection.messages();
    let refused = soon(client.send_message(much_too_large)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("the request body exceeds"));
    // The connection goes on.
    assert!(send(&connection, message("t", "1")).await.success);
}

#[tokio::test]
async fn bodies_share_one_budget_with_those_of_http() {
    let broker = broker_with(|settings| settings.max_bytes_in_flight = 1000).await;
    let connection = GrpcConnection::open(broker.grpc_address()).await;
    let mut client = connection.messages();
    let large = message("t", format!("\"{}\"", "x".repeat(1000)));
    let refused = soon(client.send_message(large)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(send(&connection, message("t", "1")).await.success);
}

#[tokio::test]
async fn many_calls_at_once_share_a_connection() {
    const CALLS: usize = 200;
    let (_broker, connection) = connected().await;
    let sends = (0..CALLS).map(|number| send(&connection, message("t", number.to_string())));
    let sent = futures_util::future::join_all(sends).await;
    let sent: BTreeSet<_> = sent.into_iter().map(|answer| answer.message_id).collect();
    assert_eq!(sent.len(), CALLS);

    let receives = (0..CALLS).map(|_| receive(&connection, "t"));
    let received = futures_util::future::join_all(receives).await;
    let received = received.into_iter().map(|answer| answer.message_id);
    assert_eq!(received.collect::<BTreeSet<_>>(), sent);
    assert!(!receive(&connection, "t").await.has_message);
}

#[tokio::test]
async fn a_message_whose_answer_was_not_taken_goes_to_the_next_caller() {
    let (broker, connection) = connected().await;
    // More than the client takes: the answer cannot be flushed unless somebody reads it.
    let payload = format!("\"{}\"", "x".repeat(4 * NARROW_WINDOW_BYTES as usize));
    let sent = send(&connection, message("t", payload)).await;
    assert!(sent.success);

    let gone = GrpcConnection::open_narrow(broker.grpc_address()).await;
    let request = gone.request("/message.MessageBrokerService/ReceiveMessage");
    let request = request.body(framed(RECEIVE_FROM_T)).unwrap();
    let mut answer = gone.send(request).await;
    assert!(soon(answer.frame()).await.is_some());
    assert_eq!(broker.group("t", "consume").await["in_flight"], 1);
    drop((answer, gone));

    let received = soon(async {
        loop {
            let received = receive(&connection, "t").await;
            if received.has_message {
                return received;
            }
        }
    });
    assert_eq!(received.await.message_id, sent.message_id);
    assert!(!receive(&connection, "t").await.has_message);
    assert_eq!(broker.group("t", "consume").await["dead_lettered"], 0);
}
