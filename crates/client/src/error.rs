use std::error::Error as _;
use std::time::Duration;
use thiserror::Error;
use weir_protocol::ErrorCode;

/// Why a call failed; each variant calls for something else.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The broker answered with an error. [`ErrorCode`] says whether to correct the request or to
    /// come back later.
    #[error("{message} ({code})")]
    Refused {
        /// Status of the HTTP answer.
        status: u16,
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: String,
        /// How long the broker asks to wait before the next try.
        retry_after: Option<Duration>,
    },
    /// No connection: nothing was sent, trying again cannot duplicate anything.
    #[error("cannot reach the broker at {broker}: {reason}")]
    Unreachable {
        /// Host and port.
        broker: String,
        /// What the operating system said.
        reason: String,
    },
    /// The connection broke before the whole answer came: the request may have been carried out.
    /// Repeat publishes only with ids.
    #[error("the connection to the broker at {broker} broke: {reason}")]
    Interrupted {
        /// Host and port.
        broker: String,
        /// What happened.
        reason: String,
    },
    /// No answer in time: the request may have been carried out. Repeat publishes only with ids.
    #[error("the broker at {broker} did not answer within {}", seconds(after))]
    TimedOut {
        /// Host and port.
        broker: String,
        /// How long was waited.
        after: Duration,
    },
    /// The answer is not one that a broker of this version gives: something else listens there, or
    /// the versions differ.
    #[error("the answer is not a broker's (status {status}): {reason}")]
    Malformed {
        /// Status of the HTTP answer.
        status: u16,
        /// What is wrong with it.
        reason: String,
    },
    /// The broker's URL cannot be used; correct the configuration.
    #[error("{url:?} is no broker URL: {reason}")]
    InvalidUrl {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A message header cannot travel as an HTTP header; publish it in a batch or rename it.
    #[error("the message header {name:?} cannot be sent: its {part} is not allowed in HTTP")]
    InvalidHeader {
        /// The header's name.
        name: String,
        /// Which part of it.
        part: &'static str,
    },
}

fn seconds(duration: &Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

impl ClientError {
    /// Whether the same call may succeed later without any change. [`Backoff`](crate::Backoff)
    /// says when, unless [`ClientError::retry_after`] does.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { code, .. } => matches!(
                code,
                ErrorCode::Overloaded
                    | ErrorCode::Draining
                    | ErrorCode::Storage
                    | ErrorCode::StorageFull
                    | ErrorCode::Unavailable
                    | ErrorCode::RequestTimeout
            ),
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::TimedOut { .. } => true,
            // A proxy in between answers for a broker that is away.
            Self::Malformed { status, .. } => matches!(status, 502..=504),
            Self::InvalidUrl { .. } | Self::InvalidHeader { .. } => false,
        }
    }

    /// How long the broker asked to wait, if it did.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The broker's code, if it answered with one.
    #[must_use]
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// The innermost cause: hyper's outer layers only say "client error".
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Whether hyper failed before anything was sent.
pub(crate) fn classify(broker: &str, error: &hyper_util::client::legacy::Error) -> ClientError {
    let (broker, reason) = (broker.to_owned(), root_cause(error));
    if error.is_connect() {
        return ClientError::Unreachable { broker, reason };
    }
    let reason = if error.source().is_none() {
        error.to_string()
    } else {
        reason
    };
    ClientError::Interrupted { broker, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: ErrorCode) -> ClientError {
        ClientError::Refused {
            status: code.http_status(),
            code,
            message: "m".into(),
            retry_after: None,
        }
    }

    #[test]
    fn only_what_may_pass_is_retryable() {
        for &code in ErrorCode::ALL {
            let passes = matches!(code.http_status(), 408 | 503 | 507);
            assert_eq!(refused(code).is_retryable(), passes, "{code}");
        }
        let malformed = |status| ClientError::Malformed {
            status,
            reason: String::new(),
        };
        assert!(malformed(502).is_retryable());
        assert!(!malformed(200).is_retryable());
    }

    #[test]
    fn errors_are_one_precise_line() {
        let error = ClientError::TimedOut {
            broker: "127.0.0.1:5000".into(),
            after: Duration::from_millis(1500),
        };
        assert_eq!(
            error.to_string(),
            "the broker at 127.0.0.1:5000 did not answer within 1.5 s"
        );
        assert_eq!(refused(ErrorCode::Draining).to_string(), "m (draining)");
    }
}
