//! What a worker's answer means.
//!
//! | status | meaning |
//! |---|---|
//! | 2xx | done |
//! | 4xx but 408 and 429 | not ever |
//! | everything else | failed; `Retry-After` says how long to leave it alone |

use crate::push::courier::{MAX_DELAY, MAX_REASON_BYTES, shortened};
use crate::push::task::Outcome;
use ::http::header::{LOCATION, RETRY_AFTER};
use ::http::response::Parts;
use ::http::{HeaderName, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::time::{Duration, UNIX_EPOCH};
use weir_types::Timestamp;

/// Of a body; a connection that carries more is not worth keeping.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The beginning of a body that was read to its end; `None` if that does not come, or is far.
pub(super) async fn first_bytes(mut body: Incoming) -> Option<Bytes> {
    let mut first = Vec::new();
    let mut read_bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else {
            continue;
        };
        read_bytes += data.len();
        if read_bytes > MAX_BODY_BYTES {
            return None;
        }
        let missing = (4 * MAX_REASON_BYTES).saturating_sub(first.len());
        first.extend_from_slice(&data[..missing.min(data.len())]);
    }
    Some(first.into())
}

pub(super) fn outcome(head: &Parts, body: &[u8], now: Timestamp) -> Outcome {
    let status = head.status;
    let is_for_good = status.is_client_error()
        && !matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        );
    match status.is_success() {
        true => Outcome::Done,
        false if is_for_good => Outcome::refused(reason(head, body)),
        false => Outcome::Failed {
            reason: reason(head, body),
            retry_after: retry_after(head, now),
        },
    }
}

fn reason(head: &Parts, body: &[u8]) -> String {
    let status = head.status;
    if status.is_redirection() {
        let place = header(head, &LOCATION).unwrap_or("nowhere");
        let place = shortened(place, MAX_REASON_BYTES);
        return format!("HTTP {status} to {place}: redirects are not followed");
    }
    let text = String::from_utf8_lossy(body);
    let line = text.trim_start().lines().next().unwrap_or_default();
    match shortened(line, MAX_REASON_BYTES).trim_end() {
        "" => format!("HTTP {status}"),
        line => format!("HTTP {status}: {line}"),
    }
}

/// Seconds or a time of HTTP.
fn retry_after(head: &Parts, now: Timestamp) -> Option<Duration> {
    let text = header(head, &RETRY_AFTER)?.trim();
    let wait = match text.bytes().all(|b| b.is_ascii_digit()) {
        // More seconds than fit into a number are more than allowed.
        true => Duration::from_secs(text.parse().unwrap_or(u64::MAX)),
        false => {
            let at = httpdate::parse_http_date(text).ok()?;
            let at = at.duration_since(UNIX_EPOCH).ok()?;
            Timestamp(0).plus(at).since(now)
        }
    };
    (!text.is_empty()).then_some(wait.min(MAX_DELAY))
}

fn header<'a>(head: &'a Parts, name: &HeaderName) -> Option<&'a str> {
    head.headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::Response;

    const NOW: Timestamp = Timestamp(1_769_860_800_000);

    fn head(status: u16, header: Option<(&str, &str)>) -> Parts {
        let mut builder = Response::builder().status(status);
        if let Some((name, value)) = header {
            builder = builder.header(name, value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn failed_for(retry_after: &str) -> Option<Duration> {
        let head = head(503, Some(("retry-after", retry_after)));
        match outcome(&head, b"", NOW) {
            Outcome::Failed { retry_after, .. } => retry_after,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_status_decides() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(outcome(&head(status, None), b"", NOW), Outcome::Done);
        }
        for status in [400, 401, 403, 404, 405, 409, 413, 422, 499] {
            let outcome = outcome(&head(status, None), b"", NOW);
            assert!(matches!(outcome, Outcome::Refused { .. }), "{status}");
        }
        for status in [101, 300, 301, 304, 408, 429, 500, 502, 503, 504, 599, 700] {
            let outcome = outcome(&head(status, None), b"", NOW);
            let is_failed = matches!(
                outcome,
                Outcome::Failed {
                    retry_after: None,
                    ..
                }
            );
            assert!(is_failed, "{status}");
        }
    }

    #[test]
    fn a_reason_is_the_first_line_of_the_body() {
        let reason = |body: &[u8]| reason(&head(500, None), body);
        assert_eq!(reason(b""), "HTTP 500 Internal Server Error");
        assert_eq!(
            reason(b"\n no database \r\nTraceback"),
            "HTTP 500 Internal Server Error: no database"
        );
        let long = reason(&[0xff; 1000]);
        assert!(long.len() < 250 && long.ends_with('\u{fffd}'), "{long}");
    }

    #[test]
    fn a_redirect_says_where_it_would_have_led() {
        let head = head(302, Some(("location", "http://169.254.169.254/")));
        assert_eq!(
            reason(&head, b"<html>"),
            "HTTP 302 Found to http://169.254.169.254/: redirects are not followed"
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_time() {
        let seconds = |n| Some(Duration::from_secs(n));
        for (text, expected) in [
            ("7", seconds(7)),
            ("0", seconds(0)),
            ("Sat, 31 Jan 2026 12:00:30 GMT", seconds(30)),
            ("Sat, 31 Jan 2026 11:00:00 GMT", seconds(0)),
            ("999999", seconds(12 * 3600)),
            ("99999999999999999999999", seconds(12 * 3600)),
            ("Sat, 31 Jan 2099 12:00:30 GMT", seconds(12 * 3600)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(failed_for(text), expected, "{text:?}");
        }
        let refused = outcome(&head(404, Some(("retry-after", "7"))), b"", NOW);
        assert_eq!(refused, Outcome::refused("HTTP 404 Not Found"));
    }
}
