//! `grpc-timeout`: how long the client waits.

use http::{HeaderMap, Response};
use std::time::Duration;
use tonic::Status;
use tonic::body::Body;

const HEADER: &str = "grpc-timeout";
/// As gRPC's description has it.
const MAX_DIGITS: usize = 8;

/// The time that the client grants; `None` if it waits for ever.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get(HEADER) else {
        return Ok(None);
    };
    let duration = value.to_str().ok().and_then(parse);
    let refused = || {
        Status::invalid_argument(format!(
            "{HEADER} {value:?} is no time: allowed are 1 to {MAX_DIGITS} digits and a unit \
             (H, M, S, m, u, n), such as \"500m\" for half a second"
        ))
    };
    duration.map(Some).ok_or_else(refused)
}

fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number || digits.len() > MAX_DIGITS {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    let duration = match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    Some(duration)
}

/// The answer, or `DEADLINE_EXCEEDED` when there is none in time; then the call is dropped.
pub(super) async fn within(
    granted: Option<Duration>,
    answering: impl Future<Output = Response<Body>>,
) -> Response<Body> {
    let Some(granted) = granted else {
        return answering.await;
    };
    match tokio::time::timeout(granted, answering).await {
        Ok(answer) => answer,
        Err(_) => Status::deadline_exceeded(format!("no answer within {granted:?}")).into_http(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_known() {
        for (text, nanos) in [
            ("1H", 3_600_000_000_000),
            ("2M", 120_000_000_000),
            ("3S", 3_000_000_000),
            ("4m", 4_000_000),
            ("5u", 5_000),
            ("6n", 6),
            ("0S", 0),
        ] {
            assert_eq!(parse(text).map(|d| d.as_nanos()), Some(nanos), "{text}");
        }
        assert_eq!(
            parse("99999999H"),
            Some(Duration::from_secs(99_999_999 * 3600))
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "S",
            "1",
            "1s",
            "+1S",
            "-1S",
            "1.5S",
            " 1S",
            "123456789n",
            "1ü",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn a_call_is_dropped_at_its_deadline() {
        let never = std::future::pending();
        let answer = within(Some(Duration::from_millis(1)), never).await;
        assert_eq!(answer.headers()["grpc-status"], "4");

        let answered = async { Status::ok("").into_http() };
        let answer = within(Some(Duration::ZERO), answered).await;
        assert_eq!(answer.headers()["grpc-status"], "0");
    }
}
