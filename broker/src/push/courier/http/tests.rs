use super::{Deadline, HttpCourier};
use crate::push::courier::tests::{
    PATIENT, SHORT, courier, courier_with, failed, listener, task, unreachable,
};
use crate::push::courier::{Courier, Way};
use crate::push::dial::authority::Authority;
use crate::push::task::{Outcome, Task};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A worker's side of a connection.
struct Worker<S>(BufReader<S>);

impl Worker<TcpStream> {
    async fn accept(listener: &TcpListener) -> Self {
        Self(BufReader::new(listener.accept().await.unwrap().0))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Worker<S> {
    /// The head of a request, in lower case, and its body.
    async fn request(&mut self) -> (String, Vec<u8>) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut head).await.unwrap(), 0, "closed");
        }
        let head = head.to_ascii_lowercase();
        let (_, length) = head.split_once("content-length: ").unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        (head, body)
    }

    async fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    async fn answer(&mut self, text: &str) {
        self.request().await;
        self.say(text).await;
    }
}

async fn rig() -> (TcpListener, Courier) {
    let (listener, port) = listener().await;
    let target = format!("http://127.0.0.1:{port}/hook?a=b%20c");
    (listener, courier(&target, 2))
}

fn any(offset: u64) -> Task {
    task(offset, b"{\"n\": 1}", PATIENT)
}

fn http(courier: &Courier) -> &HttpCourier {
    match &courier.way {
        Way::Http(http) => http,
        other => panic!("{other:?}"),
    }
}

fn kept(courier: &Courier) -> usize {
    http(courier).idle.lock().unwrap().len()
}

/// What becomes of a task whose worker answers so and closes the connection, and how many
/// connections are kept.
async fn answered(answer: &str) -> (Outcome, usize) {
    let (listener, courier) = rig().await;
    let serve = async { Worker::accept(&listener).await.answer(answer).await };
    let (outcome, ()) = tokio::join!(courier.deliver(any(0)), serve);
    (outcome, kept(&courier))
}

#[tokio::test]
async fn a_delivery_is_a_post_with_the_payload() {
    let (listener, courier) = rig().await;
    let address = listener.local_addr().unwrap();
    let serve = async {
        let mut worker = Worker::accept(&listener).await;
        let (head, body) = worker.request().await;
        assert_eq!(body, b"{\"n\": 1}");
        assert!(
            head.starts_with("post /hook?a=b%20c http/1.1\r\n"),
            "{head}"
        );
        for line in [
            &format!("host: {address}"),
            "content-type: application/json",
            "content-length: 8",
            "weir-id: ïd-3",
            "weir-topic: jobs",
            "weir-queue: 7",
            "weir-key: a \"këy\"",
            "weir-delivery-attempt: 2",
        ] {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
        }
        worker.say(OK).await;
        let (head, body) = worker.request().await;
        assert_eq!(body, b"\x00\xff no json");
        assert!(
            head.contains("\r\ncontent-type: application/octet-stream\r\n"),
            "{head}"
        );
        assert!(!head.contains("weir-queue"), "{head}");
        worker.say("HTTP/1.1 204 No Content\r\n\r\n").await;
    };
    let deliver = async {
        assert_eq!(courier.deliver(any(3)).await, Outcome::Done);
        let mut bytes = task(4, b"\x00\xff no json", PATIENT);
        bytes.queue = None;
        assert_eq!(courier.deliver(bytes).await, Outcome::Done);
    };
    tokio::join!(deliver, serve);
}

#[tokio::test]
async fn the_status_decides() {
    assert_eq!(answered(OK).await.0, Outcome::Done);
    let (outcome, _) =
        answered("HTTP/1.1 422 Unprocessable Entity\r\ncontent-length: 13\r\n\r\nno such order")
            .await;
    assert_eq!(
        outcome,
        Outcome::refused("HTTP 422 Unprocessable Entity: no such order")
    );
    let (outcome, _) = answered(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nbusy",
    )
    .await;
    assert_eq!(
        outcome,
        Outcome::Failed {
            reason: "HTTP 503 Service Unavailable: busy".to_owned(),
            retry_after: Some(Duration::from_secs(7)),
        }
    );
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (elsewhere, port) = listener().await;
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:{port}/\r\n\
         content-length: 0\r\n\r\n"
    );
    let (outcome, _) = answered(&redirect).await;
    let expected = format!(
        "HTTP 307 Temporary Redirect to http://127.0.0.1:{port}/: redirects are not followed"
    );
    assert_eq!(failed(&outcome), expected);
    let accepted = futures_util::FutureExt::now_or_never(elsewhere.accept());
    assert!(accepted.is_none(), "nobody went there");
}

#[tokio::test]
async fn an_answer_that_is_none_fails_the_task() {
    for answer in ["", "HTTP/1.1 200", "hello\r\n\r\n"] {
        let (outcome, kept) = answered(answer).await;
        assert!(
            failed(&outcome).starts_with("no answer: "),
            "{answer:?}: {outcome:?}"
        );
        assert_eq!(kept, 0);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_changes_no_verdict_and_costs_the_connection() {
    let half = "content-length: 100\r\n\r\nhalf of it";
    let (outcome, kept) = answered(&format!("HTTP/1.1 200 OK\r\n{half}")).await;
    assert_eq!((outcome, kept), (Outcome::Done, 0));
    let (outcome, kept) = answered(&format!("HTTP/1.1 500 Oops\r\n{half}")).await;
    assert_eq!(failed(&outcome), "HTTP 500 Internal Server Error");
    assert_eq!(kept, 0);
    let endless = "x".repeat(100_000);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{endless}");
    let (outcome, kept) = answered(&answer).await;
    assert_eq!((outcome, kept), (Outcome::Done, 0));
}

#[tokio::test]
async fn a_worker_that_is_too_slow_is_left() {
    let (listener, courier) = rig().await;
    let serve = async {
        let mut worker = Worker::accept(&listener).await;
        worker.request().await;
        assert_eq!(worker.0.read(&mut [0; 8]).await.unwrap_or_default(), 0);
    };
    let (outcome, ()) = tokio::join!(courier.deliver(task(0, b"1", SHORT)), serve);
    assert_eq!(outcome, Outcome::failed("no answer within 100ms"));
}

#[tokio::test]
async fn connections_are_kept_up_to_the_concurrency() {
    let (listener, courier) = rig().await;
    let serve = async {
        let mut workers = Vec::new();
        for _ in 0..4 {
            let mut worker = Worker::accept(&listener).await;
            worker.request().await;
            workers.push(worker);
        }
        for worker in &mut workers {
            worker.say(OK).await;
        }
        workers
    };
    let deliveries = (0..4).map(|offset| courier.deliver(any(offset)));
    let (outcomes, _workers) = tokio::join!(join_all(deliveries.collect::<Vec<_>>()), serve);
    assert_eq!(outcomes, vec![Outcome::Done; 4]);
    assert_eq!(kept(&courier), 2);
}

#[tokio::test]
async fn a_connection_that_the_worker_closed_is_replaced() {
    let (listener, courier) = rig().await;
    for round in 0..5 {
        let serve = async { Worker::accept(&listener).await.answer(OK).await };
        let (outcome, ()) = tokio::join!(courier.deliver(any(round)), serve);
        assert_eq!(outcome, Outcome::Done);
        // The worker has closed it; until that has come through, a request may be lost on it.
        while let Some(connection) = http(&courier).take_kept() {
            http(&courier).keep(connection);
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_was_not_sent_comes_back() {
    let (listener, courier) = rig().await;
    let serve = async {
        let mut worker = Worker::accept(&listener).await;
        worker.answer(OK).await;
        worker
    };
    let (outcome, worker) = tokio::join!(courier.deliver(any(0)), serve);
    assert_eq!(outcome, Outcome::Done);
    let http = http(&courier);
    let task = any(1);
    let call = http.call(&task, &task.head().unwrap()).unwrap();
    let mut closed = http.take_kept().unwrap();
    drop(worker);
    while closed.is_usable() {
        tokio::task::yield_now().await;
    }
    let Err(unanswered) = closed.send(call).await else {
        panic!("nobody is there");
    };
    let unsent = unanswered.unsent().unwrap();
    let serve = async { Worker::accept(&listener).await.answer(OK).await };
    let (sent, ()) = tokio::join!(http.exchange(unsent, Deadline::after(PATIENT)), serve);
    assert!(sent.is_ok());
}

#[tokio::test]
async fn tls_to_a_worker_whose_authority_is_known() {
    let (known, unknown) = (Authority::new(), Authority::new());
    for authority in [&known, &unknown] {
        let (listener, port) = listener().await;
        let courier = courier_with(&format!("https://localhost:{port}"), 1, known.dialer());
        let acceptor = authority.acceptor("localhost");
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                Worker(BufReader::new(stream)).answer(OK).await;
            }
        };
        let (outcome, ()) = tokio::join!(courier.deliver(any(0)), serve);
        match std::ptr::eq(authority, &raw const known) {
            true => assert_eq!(outcome, Outcome::Done),
            false => {
                let reason = unreachable(&outcome);
                assert!(
                    reason.ends_with("invalid peer certificate: UnknownIssuer"),
                    "{reason}"
                );
            }
        }
    }
}
