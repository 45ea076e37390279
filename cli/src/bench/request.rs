//! Requests as they go over the wire, made once and then sent again and again.

use super::endpoint::Endpoint;
use super::payload::{NUMBER, push_payload, write_number};
use std::fmt::Write;
use weir_protocol::NDJSON;

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The payload is the body.
    Single,
    /// A line for each message.
    Batch,
}

impl Form {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Single => "application/json",
            Self::Batch => NDJSON,
        }
    }

    /// What stands before and after each payload.
    const fn envelope(self) -> (&'static str, &'static str) {
        match self {
            Self::Single => ("", ""),
            Self::Batch => ("{\"payload\":", "}\n"),
        }
    }

    pub(crate) const fn bytes_per_message(self, payload_bytes: usize) -> usize {
        let (before, after) = self.envelope();
        before.len() + payload_bytes + after.len()
    }
}

/// A publish of one size whose messages get new numbers in place.
pub(crate) struct PublishRequest {
    bytes: Vec<u8>,
    /// Where the first message's number stands, and how far the next one is.
    first_number: usize,
    stride: usize,
    messages: u64,
}

impl PublishRequest {
    pub(crate) fn new(
        endpoint: &Endpoint,
        form: Form,
        payload_bytes: usize,
        messages: u64,
    ) -> Self {
        let (before, after) = form.envelope();
        let mut body = Vec::new();
        for _ in 0..messages {
            body.extend_from_slice(before.as_bytes());
            push_payload(&mut body, 0, payload_bytes);
            body.extend_from_slice(after.as_bytes());
        }
        let mut head = head("POST", endpoint, "");
        let _infallible = write!(
            head,
            "Content-Type: {}\r\nContent-Length: {}\r\n\r\n",
            form.content_type(),
            body.len()
        );
        let first_number = head.len() + before.len() + NUMBER.start;
        let mut bytes = head.into_bytes();
        bytes.append(&mut body);
        Self {
            bytes,
            first_number,
            stride: form.bytes_per_message(payload_bytes),
            messages,
        }
    }

    pub(crate) const fn messages(&self) -> u64 {
        self.messages
    }

    /// The request with its messages numbered from `first`.
    pub(crate) fn numbered_from(&mut self, first: u64) -> &[u8] {
        let mut position = self.first_number;
        for number in first..first + self.messages {
            write_number(&mut self.bytes[position..], number);
            position += self.stride;
        }
        &self.bytes
    }
}

/// A GET of stored lines. `query` begins with a question mark.
pub(crate) fn get_stored_lines(endpoint: &Endpoint, query: &str) -> Vec<u8> {
    let mut head = head("GET", endpoint, query);
    let _infallible = write!(head, "Accept: {NDJSON}\r\n\r\n");
    head.into_bytes()
}

/// A GET of server-sent events. `part` is what the endpoint's path goes on with.
pub(crate) fn get_events(endpoint: &Endpoint, part: &str) -> Vec<u8> {
    let mut head = head("GET", endpoint, part);
    head.push_str("Accept: text/event-stream\r\n\r\n");
    head.into_bytes()
}

/// A POST without a body. `part` is what the endpoint's path goes on with.
pub(crate) fn post_nothing(endpoint: &Endpoint, part: &str) -> Vec<u8> {
    let mut head = head("POST", endpoint, part);
    head.push_str("Content-Length: 0\r\n\r\n");
    head.into_bytes()
}

/// A POST of receipts, texts that nothing need escape, in a list.
pub(crate) fn post_receipts<'a>(
    endpoint: &Endpoint,
    part: &str,
    receipts: impl Iterator<Item = &'a [u8]> + Clone,
) -> Vec<u8> {
    const BEFORE: &[u8] = b"{\"receipts\":[";
    const AFTER: &[u8] = b"]}";
    let bytes: usize = receipts.clone().map(|receipt| receipt.len() + 3).sum();
    let body_bytes = BEFORE.len() + bytes.saturating_sub(1) + AFTER.len();
    let mut head = head("POST", endpoint, part);
    let _infallible = write!(
        head,
        "Content-Type: application/json\r\nContent-Length: {body_bytes}\r\n\r\n"
    );
    let mut request = head.into_bytes();
    request.reserve(body_bytes);
    request.extend_from_slice(BEFORE);
    for (index, receipt) in receipts.enumerate() {
        request.extend_from_slice(if index > 0 { b",\"" } else { b"\"" });
        request.extend_from_slice(receipt);
        request.push(b'"');
    }
    request.extend_from_slice(AFTER);
    request
}

fn head(method: &str, endpoint: &Endpoint, query: &str) -> String {
    let Endpoint { authority, path } = endpoint;
    format!("{method} {path}{query} HTTP/1.1\r\nHost: {authority}\r\n")
}

#[cfg(test)]
mod tests {
    use super::super::payload::number_of;
    use super::*;

    fn body_of(request: &[u8]) -> &str {
        let text = std::str::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = format!("Content-Length: {}", body.len());
        assert!(head.lines().any(|line| line == length), "{head}");
        body
    }

    fn endpoint() -> Endpoint {
        Endpoint {
            authority: "h:1".into(),
            path: "/p".into(),
        }
    }

    #[test]
    fn every_message_of_a_request_gets_its_number() {
        let mut request = PublishRequest::new(&endpoint(), Form::Batch, 150, 3);
        for first in [0, 41, 999_999] {
            let lines = body_of(request.numbered_from(first)).lines();
            let numbers: Vec<_> = lines
                .map(|line| line.strip_prefix("{\"payload\":").unwrap())
                .map(|line| number_of(line.as_bytes()).unwrap())
                .collect();
            assert_eq!(numbers, [first, first + 1, first + 2]);
        }
    }

    #[test]
    fn receipts_are_a_list_whatever_their_number() {
        for count in 0..3 {
            let receipts: Vec<&[u8]> = vec![b"AQ-_"; count];
            let request = post_receipts(&endpoint(), "/ack", receipts.iter().copied());
            assert!(request.starts_with(b"POST /p/ack HTTP/1.1\r\n"));
            let expected = serde_json::json!({ "receipts": vec!["AQ-_"; count] });
            assert_eq!(body_of(&request), expected.to_string());
        }
    }

    #[test]
    fn a_single_message_is_the_body() {
        let mut request = PublishRequest::new(&endpoint(), Form::Single, 150, 1);
        let body = body_of(request.numbered_from(7));
        assert_eq!((number_of(body.as_bytes()), body.len()), (Some(7), 150));
    }
}
