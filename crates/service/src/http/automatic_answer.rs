//! Gives hyper's own answers the body that our contract promises.
//!
//! hyper answers a request that it cannot parse without asking the service: 400 (method, target,
//! version, a header, Content-Length or Transfer-Encoding is malformed), 414 (target above 65,534
//! bytes) and 431 (more than its buffer, or more than 100 headers), always with an empty body, and
//! then closes (`proto/h1/role.rs`, `Server::on_error`; `proto/h1/conn.rs`, `on_parse_error`).
//! There is no hook. We promise `{"error":{"code","message"}}` with every 4xx, so the connection's
//! writer replaces that one head by another with a body.
//!
//! What must never happen is to take a service's bytes for hyper's. [`Turn`] makes sure: from a
//! call of the service until its answer's body is dropped, and then until hyper flushes (it
//! flushes its I/O only with an empty buffer), every byte counts as the service's. What hyper
//! writes outside of that is its own. If a malformed request follows an answer that a slow client
//! has not taken yet, the two may leave in one write; then hyper's empty answer stays.
//!
//! Not covered, since hyper says nothing to the client then: headers that do not arrive in time
//! (`connection` answers 408 itself) and clients that close in the middle of their headers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use weir_protocol::{ErrorBody, ErrorCode};

/// Whose bytes the next write holds, on one HTTP/1 connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn(Arc<AtomicU8>);

const HYPER: u8 = 0;
const SERVICE: u8 = 1;
const SERVICE_UNFLUSHED: u8 = 2;

impl Turn {
    /// The service's turn, until the guard is dropped and hyper flushed.
    pub(super) fn begin_service(&self) -> ServiceTurn {
        self.0.store(SERVICE, Ordering::Relaxed);
        ServiceTurn(self.clone())
    }

    pub(super) fn is_hyper(&self) -> bool {
        self.0.load(Ordering::Relaxed) == HYPER
    }

    pub(super) fn flushed(&self) {
        // All of a connection runs in one task, so nothing can come between load and store.
        if self.0.load(Ordering::Relaxed) == SERVICE_UNFLUSHED {
            self.0.store(HYPER, Ordering::Relaxed);
        }
    }
}

/// Held by a service's running call, then by its answer's body.
#[derive(Debug)]
pub(super) struct ServiceTurn(Turn);

impl Drop for ServiceTurn {
    fn drop(&mut self) {
        self.0.0.store(SERVICE_UNFLUSHED, Ordering::Relaxed);
    }
}

/// The answer to send instead of `head`; `None` if `head` is not one of hyper's empty answers.
pub(super) fn with_error_body(head: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(head).ok()?;
    let (code, message) = match head.strip_prefix("HTTP/1.")?.get(2..5)? {
        "400" => (ErrorCode::BadRequest, "the request is not valid HTTP"),
        "414" => (ErrorCode::UriTooLong, "the request's address is too long"),
        "431" => (
            ErrorCode::HeadersTooLarge,
            "the request's line and headers exceed the limit in bytes or number",
        ),
        _ => return None,
    };
    let (before, after) = head.split_once("\r\ncontent-length: 0\r\n")?;
    let is_one_head = !before.contains("\r\n\r\n") && head.find("\r\n\r\n")? + 4 == head.len();
    is_one_head.then(|| {
        let body = ErrorBody::new(code, message).to_json();
        let length = body.len();
        let head = format!(
            "{before}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{after}"
        );
        [head.as_bytes(), &body].concat()
    })
}

/// The whole answer to headers that did not arrive in time.
pub(super) fn request_timeout() -> Vec<u8> {
    let body = ErrorBody::new(
        ErrorCode::RequestTimeout,
        "the request's headers did not arrive in time",
    )
    .to_json();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), &body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYPERS: &str = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
        content-length: 0\r\ndate: Fri, 21 Nov 2025 09:00:00 GMT\r\n\r\n";

    #[test]
    fn hypers_empty_answer_gets_a_body() {
        let answer = String::from_utf8(with_error_body(HYPERS.as_bytes()).unwrap()).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())));
        let body: ErrorBody = serde_json::from_str(body).unwrap();
        assert_eq!(body.error.code, ErrorCode::HeadersTooLarge);
    }

    #[test]
    fn other_bytes_are_left_alone() {
        let others = [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "",
        ];
        for other in others {
            assert_eq!(with_error_body(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn bytes_are_the_services_until_they_are_flushed() {
        let turn = Turn::default();
        assert!(turn.is_hyper());
        let service = turn.begin_service();
        turn.flushed();
        assert!(!turn.is_hyper());
        drop(service);
        assert!(!turn.is_hyper());
        turn.flushed();
        assert!(turn.is_hyper());
    }
}
