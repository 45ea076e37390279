mod real_workers;

use crate::push::courier::Courier;
use crate::push::courier::tests::{PATIENT, SHORT, courier, failed, listener, task, unreachable};
use crate::push::task::{Outcome, Task};
use futures_util::future::join_all;
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A worker's side of a connection.
struct Worker(BufReader<TcpStream>);

impl Worker {
    async fn accept(listener: &TcpListener) -> Self {
        Self(BufReader::new(listener.accept().await.unwrap().0))
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line
    }

    async fn receipt(&mut self) -> String {
        let task: Value = serde_json::from_str(&self.line().await).unwrap();
        task["receipt"].as_str().unwrap().to_owned()
    }

    async fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    async fn ack(&mut self) {
        let receipt = self.receipt().await;
        self.say(&format!("{{\"ack\":\"{receipt}\"}}\n")).await;
    }

    /// The broker hung up.
    async fn until_left(mut self) {
        let mut rest = Vec::new();
        let _closed_or_reset = self.0.read_to_end(&mut rest).await;
    }
}

async fn rig() -> (TcpListener, Courier) {
    let (listener, port) = listener().await;
    (listener, courier(&format!("tcp://127.0.0.1:{port}"), 10))
}

fn any(offset: u64) -> Task {
    task(offset, b"{\"n\": 1}", PATIENT)
}

/// Delivers a task to a worker that answers with `answer`, where `R` stands for the receipt, and
/// closes the connection.
async fn answered(answer: &str) -> Outcome {
    let (listener, courier) = rig().await;
    let serve = async {
        let mut worker = Worker::accept(&listener).await;
        let receipt = worker.receipt().await;
        worker.say(&answer.replace('R', &receipt)).await;
    };
    tokio::join!(courier.deliver(any(0)), serve).0
}

#[tokio::test]
async fn a_delivery_is_a_line_of_json() {
    let (listener, courier) = rig().await;
    for (data, payload) in [
        (&b"{\"n\": 1}"[..], r#""payload":{"n": 1}"#),
        (&b"\x00\xff"[..], r#""payload":"AP8=","encoding":"base64""#),
    ] {
        let task = task(3, data, PATIENT);
        let receipt = task.message.receipt.encode();
        let deliver = courier.deliver(task);
        let serve = async {
            let mut worker = Worker::accept(&listener).await;
            let line = worker.line().await;
            let expected = format!(
                "{{\"receipt\":\"{receipt}\",\"id\":\"ïd-3\",\"queue\":7,\"topic\":\"jobs\",\
                 \"key\":\"a \\\"këy\\\"\",{payload},\"delivery_attempt\":2,\
                 \"visibility_timeout\":\"30s\"}}\n"
            );
            assert_eq!(line, expected);
            worker.say(&format!("{{\"ack\":\"{receipt}\"}}")).await;
        };
        // The last answer may lack the newline.
        assert_eq!(tokio::join!(deliver, serve).0, Outcome::Done);
    }
}

#[tokio::test]
async fn the_answer_decides() {
    assert_eq!(answered("{\"ack\":\"R\"}\n").await, Outcome::Done);
    assert_eq!(
        answered("\n{\"nack\":\"R\",\"delay\":\"5s\",\"reason\":\"busy\"}\r\n").await,
        Outcome::Returned {
            delay: Some(Duration::from_secs(5)),
            reason: "busy".to_owned()
        }
    );
    assert_eq!(
        answered("{\"nack\":\"R\",\"dead_letter\":true,\"reason\":\"bad\"}\n").await,
        Outcome::refused("bad")
    );
}

#[tokio::test]
async fn a_connection_that_ends_fails_what_is_out() {
    assert_eq!(answered("").await, Outcome::failed("connection closed"));
    let half = answered("{\"ack\":\"R").await;
    assert!(
        failed(&half).contains("EOF while parsing a string"),
        "{half:?}"
    );
    assert!(failed(&half).ends_with("; connection closed"), "{half:?}");
}

#[tokio::test]
async fn answers_come_in_any_order_over_one_connection() {
    let (listener, courier) = rig().await;
    let serve = async {
        let mut worker = Worker::accept(&listener).await;
        let mut receipts = Vec::new();
        for _ in 0..10 {
            receipts.push(worker.receipt().await);
        }
        receipts.sort();
        for receipt in receipts.iter().rev() {
            worker
                .say(&format!(
                    "{{\"nack\":\"{receipt}\",\"reason\":\"{receipt}\"}}\n"
                ))
                .await;
        }
        worker
    };
    let deliveries = (0..10).map(any).map(|task| async {
        let receipt = task.message.receipt.encode();
        (courier.deliver(task).await, receipt)
    });
    let (outcomes, mut worker) = tokio::join!(join_all(deliveries.collect::<Vec<_>>()), serve);
    for (outcome, receipt) in outcomes {
        let expected = Outcome::Returned {
            delay: None,
            reason: receipt,
        };
        assert_eq!(outcome, expected);
    }
    let (outcome, ()) = tokio::join!(courier.deliver(any(11)), worker.ack());
    assert_eq!(outcome, Outcome::Done, "the connection is kept");
}

#[tokio::test]
async fn a_worker_that_comes_back_gets_the_next_task() {
    let (listener, courier) = rig().await;
    for round in 0..3 {
        let serve = async {
            let mut worker = Worker::accept(&listener).await;
            worker.ack().await;
            worker.line().await;
        };
        let deliver = async {
            assert_eq!(courier.deliver(any(round)).await, Outcome::Done);
            let outcome = courier.deliver(any(10 + round)).await;
            assert_eq!(outcome, Outcome::failed("connection closed"));
        };
        tokio::join!(serve, deliver);
    }
}

#[tokio::test]
async fn nonsense_ends_the_connection_and_fails_everything_that_is_out() {
    let endless = "x".repeat(65 * 1024);
    for (nonsense, why) in [
        ("ok\n", "the worker answered \"ok\": expected value"),
        ("{\"ack\":5}\n", "expected a string"),
        (endless.as_str(), "an answer of more than 65536 bytes"),
    ] {
        let (listener, courier) = rig().await;
        let serve = async {
            let mut worker = Worker::accept(&listener).await;
            worker.receipt().await;
            worker.receipt().await;
            worker.say(nonsense).await;
            worker.until_left().await;
        };
        let (first, second) = (courier.deliver(any(0)), courier.deliver(any(1)));
        let (first, second, ()) = tokio::join!(first, second, serve);
        for outcome in [first, second] {
            assert!(failed(&outcome).contains(why), "{outcome:?}");
            assert!(
                failed(&outcome).ends_with("; connection closed"),
                "{outcome:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_late_answer_is_ignored_and_the_connection_kept() {
    let (listener, courier) = rig().await;
    let mut slow = None;
    let serve = async {
        let mut worker = Worker::accept(&listener).await;
        slow = Some(worker.receipt().await);
        worker
    };
    let deliver = courier.deliver(task(0, b"1", SHORT));
    let (outcome, mut worker) = tokio::join!(deliver, serve);
    assert_eq!(outcome, Outcome::failed("no answer within 100ms"));
    let serve = async {
        worker
            .say(&format!("{{\"ack\":\"{}\"}}\n", slow.unwrap()))
            .await;
        worker.say("{\"ack\":\"of something else\"}\n").await;
        worker.ack().await;
    };
    let (outcome, ()) = tokio::join!(courier.deliver(any(1)), serve);
    assert_eq!(outcome, Outcome::Done);
}

#[tokio::test]
async fn what_a_worker_never_read_was_not_sent() {
    let (listener, courier) = rig().await;
    let large = format!("\"{}\"", "x".repeat(12 * 1024 * 1024));
    let (first, second) = (task(0, large.as_bytes(), SHORT), task(1, b"1", SHORT));
    let accept = Worker::accept(&listener);
    let deliveries = async {
        let first = courier.deliver(first);
        let second = courier.deliver(second);
        tokio::join!(first, second)
    };
    let ((first, second), _worker) = tokio::join!(deliveries, accept);
    assert_eq!(first, Outcome::failed("no answer within 100ms"));
    assert!(
        unreachable(&second).starts_with("nothing was sent"),
        "{second:?}"
    );
}

#[tokio::test]
async fn a_worker_is_left_when_nobody_needs_it() {
    let (listener, courier) = rig().await;
    let serve = async {
        let mut worker = Worker::accept(&listener).await;
        worker.ack().await;
        worker
    };
    let (outcome, worker) = tokio::join!(courier.deliver(any(0)), serve);
    assert_eq!(outcome, Outcome::Done);
    drop(courier);
    worker.until_left().await;
}

#[tokio::test]
async fn a_delivery_that_is_dropped_is_abandoned() {
    let (listener, courier) = rig().await;
    let mut worker = {
        let deliver = courier.deliver(any(0));
        let serve = async {
            let mut worker = Worker::accept(&listener).await;
            let receipt = worker.receipt().await;
            (worker, receipt)
        };
        tokio::select! {
            outcome = deliver => panic!("nobody answered, but {outcome:?}"),
            (mut worker, receipt) = serve => {
                worker.say(&format!("{{\"ack\":\"{receipt}\"}}\n")).await;
                worker
            }
        }
    };
    let (outcome, ()) = tokio::join!(courier.deliver(any(1)), worker.ack());
    assert_eq!(outcome, Outcome::Done);
}
